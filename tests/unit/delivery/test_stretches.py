"""What is listed for who opens a list that begins far back."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.names import StreamName
from kinolog.delivery.span import Span
from kinolog.delivery.stretches import Stretches
from kinolog.timeline.live import LiveStream

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 100 * DAY
STREAM = StreamName("c", "gate")


def opened(
    span: Span,
    state: str = "live",
    *,
    media: tuple[tuple[int, int], ...] = ((0, NOW),),
    target_ms: int = 2000,
) -> Span:
    async def extents(name: Any, start_ms: int, end_ms: int, live: Any) -> list[tuple[int, int]]:
        return [one for one in media if one[0] < end_ms and one[1] > start_ms]

    async def next_ms(name: Any, unix_ms: int) -> int | None:
        return min((max(unix_ms, one[0]) for one in media if one[1] > unix_ms), default=None)

    history: Any = SimpleNamespace(
        extents=extents, next_ms=next_ms, target_ms=lambda stream: target_ms
    )
    track = SimpleNamespace(name="video")
    entry = SimpleNamespace(open=SimpleNamespace(tracks=[track]))
    registry: Any = SimpleNamespace(epochs={STREAM: {1: entry}})
    live = LiveStream()
    channel: Any = SimpleNamespace(name=STREAM, last_ms=NOW, live=live)
    live.state = state  # type: ignore[assignment]
    return asyncio.run(Stretches(history, registry).opened(channel, span))


@pytest.mark.parametrize(
    "span", [Span(5, 10), Span(dvr_ms=30 * DAY), Span(NOW - 12 * HOUR), Span(NOW - 1)]
)
def test_what_has_an_end_or_is_near_stays_as_it_is(span: Span) -> None:
    assert opened(span) == span


def test_a_day_of_what_is_far() -> None:
    start_ms = NOW - 10 * DAY
    assert opened(Span(start_ms)) == Span(start_ms, start_ms + DAY)


@pytest.mark.parametrize("state", ["live", "away"])
@pytest.mark.parametrize("hours", [13, 20, 29])
def test_what_is_left_of_one_that_goes_on_is_a_list_that_grows(state: str, hours: int) -> None:
    found = opened(Span(NOW - hours * HOUR), state)
    assert found.end_ms == NOW - 6 * HOUR
    assert opened(Span(found.end_ms), state) == Span(found.end_ms)


def test_one_that_has_ended_is_whole_where_it_is_no_longer_than_a_day() -> None:
    assert opened(Span(NOW - DAY), "ended") == Span(NOW - DAY)
    begin = NOW - DAY - HOUR
    assert opened(Span(begin), "ended") == Span(begin, NOW - HOUR)
    media = ((0, DAY), (NOW - HOUR, NOW))
    assert opened(Span(2 * DAY), "ended", media=media) == Span(2 * DAY)


def test_it_ends_a_day_after_an_absence_begins_to_end() -> None:
    """There is something in it, whatever was missing before."""
    media = ((0, DAY), (40 * DAY, NOW))
    found = opened(Span(2 * DAY), media=media)
    assert found == Span(2 * DAY, 41 * DAY)
    assert opened(Span(2 * DAY), media=((NOW - HOUR, NOW),)) == Span(2 * DAY)


def test_short_segments_make_short_stretches() -> None:
    """Of 0.2 s, a list of a day would have more than players take."""
    found = opened(Span(NOW - 10 * DAY), target_ms=200)
    assert found.end_ms is not None
    assert found.end_ms - NOW + 10 * DAY == 100_000 * 200
