"""What growing playlists list behind the live window: as it comes, and as made at once."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.names import StreamName
from kinolog.delivery.history import Named
from kinolog.delivery.hls import listed, recorded
from kinolog.delivery.hls.listed import AllListed, Lines, Listed, oldest
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run, Session, runs

SECOND = 90_000
SESSIONS = {epoch: Session(SECOND) for epoch in range(10)}
NAME = Named(StreamName("c", "gate"), "video")
KEPT: Any = ((0, None),)


class Past:
    """The rows of a track, as History has them; and how many were asked for."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = list(rows)
        self.read = 0

    async def numbered(self, name: Named, first: int, below: int) -> list[Run]:
        await asyncio.sleep(0)
        rows = [one for one in self.rows if first <= one.msn < below]
        self.read += len(rows)
        return list(runs([Table(rows)], SESSIONS, 0))

    def target_ms(self, stream: StreamName) -> int:
        return 2000


def row(msn: int, epoch: int = 1, flags: int = INDEPENDENT, slew_ms: int = 0) -> Row:
    wall = 1_700_000_000_000 + 2000 * msn + slew_ms
    dts = msn * 2 * SECOND
    return Row(epoch, epoch, msn, dts, 2 * SECOND, wall, msn, msn, 250_000, msn, flags)


def listed_of(rows: Sequence[Row]) -> tuple[Past, Listed]:
    past: Any = Past(rows)
    return past, Listed(past, NAME, 2000)


async def text_of(one: Listed, first: int, below: int, kept: Any = KEPT) -> tuple[int, str, bool]:
    """With which number a list begins, its lines up to `below`, and whether each segment of it
    begins with a keyframe."""
    first = oldest(first, below)
    lines = await one.lines(first, below, kept)
    head = await one.head(lines, first, below) if lines is not None else None
    if lines is None or head is None:
        return below, "", True
    stop = min(lines.below, below) - lines.first
    common = "".join(lines.texts[head.resumes - lines.first : stop])
    return head.first_msn, head.text + common, head.first_msn > lines.dependent


def at_once(rows: Sequence[Row], first: int, below: int) -> tuple[int, str, bool]:
    """The same, of all rows at once."""
    found = list(runs([Table(r for r in rows if first <= r.msn < below)], SESSIONS, 0))
    kept = recorded.unbroken(found, below)
    if not kept:
        return below, "", True
    text = "".join(recorded.lines("video", kept, 2000, closed=False))
    flags = [one.flags for run in kept for one in run]
    return kept[0].first_msn, text, all(flag & (INDEPENDENT | GAP) for flag in flags)


@st.composite
def pasts(draw: st.DrawFn) -> list[Row]:
    """With sessions, numbers that were not used, gaps, and dates that are slewed."""
    rows: list[Row] = []
    msn, epoch, slew_ms = draw(st.integers(0, 40)), 1, 0
    for _ in range(draw(st.integers(1, 6))):
        for _ in range(draw(st.integers(1, 60))):
            flags = draw(st.sampled_from([INDEPENDENT] * 8 + [0, GAP]))
            slew_ms += draw(st.sampled_from([0, 0, 0, 1, 3, -2]))
            rows.append(row(msn, epoch, flags, slew_ms))
            msn += draw(st.sampled_from([1] * 20 + [2, 5]))
        epoch += draw(st.sampled_from([0, 1]))
        msn += draw(st.sampled_from([0, 0, 1, 40, recorded.MOST_FILLED + 1]))
    return rows


@given(pasts(), st.data())
def test_what_is_added_to_is_as_what_is_made_at_once(rows: list[Row], data: st.DataObject) -> None:
    """Whoever asked before, from whatever number on, in whatever version."""
    numbers = [one.msn for one in rows]
    asked = st.tuples(st.sampled_from(numbers), st.integers(-3, 3), st.sampled_from(numbers[-30:]))
    wishes = data.draw(st.lists(asked, min_size=1, max_size=12))

    async def go() -> None:
        _, one = listed_of(rows)
        below = 0
        for number, off, newest in wishes:
            below = max(below, newest + 1)
            first = max(0, min(number + off, below - 1))
            assert await text_of(one, first, below) == at_once(rows, first, below)

    asyncio.run(go())


def test_a_new_version_costs_what_came(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        past, one = listed_of([row(n) for n in range(5000)])
        await text_of(one, 0, 4000)
        assert past.read <= 4032
        for below in range(4001, 4101):
            past.read = 0
            await one.lines(0, below, KEPT)
            assert past.read <= 33
        past.read = 0
        await text_of(one, 3000, 4100)  # another list
        assert past.read <= 32

    asyncio.run(go())


def test_many_ask_at_once_and_it_is_read_once() -> None:
    async def go() -> None:
        past, one = listed_of([row(n) for n in range(2000)])
        found = await asyncio.gather(*(one.lines(0, 2000, KEPT) for _ in range(50)))
        assert past.read == 2000
        assert all(lines is found[0] for lines in found)

    asyncio.run(go())


def test_an_older_version_ends_where_it_did() -> None:
    async def go() -> None:
        rows = [row(n, 1 if n < 100 else 2) for n in range(200)]
        _, one = listed_of(rows)
        await one.lines(0, 150, KEPT)
        assert await text_of(one, 0, 100) == at_once(rows, 0, 100)
        lines = await one.lines(0, 100, KEPT)
        assert lines is not None
        assert lines.leads[100].startswith("#EXT-X-DISCONTINUITY\n#EXT-X-MAP")

    asyncio.run(go())


def test_what_is_deleted_is_listed_no_more() -> None:
    async def go() -> None:
        past, one = listed_of([row(n) for n in range(200)])
        await text_of(one, 10, 200)
        past.rows = past.rows[50:]
        assert await text_of(one, 10, 200, ((1, None),)) == at_once(past.rows, 10, 200)

    asyncio.run(go())


def test_a_list_holds_no_more_than_a_playlist_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MOST_SEGMENTS", 100)
    monkeypatch.setattr(listed, "_SPARE", 10)

    async def go() -> None:
        rows = [row(n) for n in range(500)]
        _, one = listed_of(rows)
        for below in range(90, 500, 7):
            first, text, _ = await text_of(one, 0, below)
            assert (first, text) == at_once(rows, max(0, below - 100), below)[:2]
            assert len(one) <= 117

    asyncio.run(go())


class Channel:
    """As far as it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = StreamName("c", name)


def test_those_that_nobody_asks_for_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listed, "MOST_LINES", 250)

    async def go() -> None:
        past: Any = Past([row(n) for n in range(100)])
        every = AllListed(past)
        channels: list[Any] = [Channel(f"s{n}") for n in range(3)]

        async def lines(channel: Any) -> Lines | None:
            return (await every.lines(channel, "video", 0, 100, KEPT))[1]

        found = [await lines(channel) for channel in channels]
        past.read = 0
        assert await lines(channels[2]) is found[2]
        assert await lines(channels[1]) is found[1]
        assert past.read == 0
        await lines(channels[0])
        assert past.read == 100

    asyncio.run(go())


def test_another_stream_of_the_name_has_nothing_of_the_one_before() -> None:
    async def go() -> None:
        past: Any = Past([row(n, 1) for n in range(100)])
        every = AllListed(past)
        before: Any = Channel("gate")
        await every.lines(before, "video", 0, 100, KEPT)
        past.rows = [row(n, 2) for n in range(50)]
        after: Any = Channel("gate")
        one, found = await every.lines(after, "video", 0, 50, KEPT)
        assert found is not None
        assert await text_of(one, 0, 50) == at_once(past.rows, 0, 50)
        assert len(one) == 50

    asyncio.run(go())


def test_a_list_that_is_lengthened_backwards_has_one_map_where_it_began() -> None:
    async def go() -> None:
        _, one = listed_of([row(n) for n in range(100)])
        await one.lines(50, 80, KEPT)
        lines = await one.lines(10, 80, KEPT)
        assert lines is not None
        assert set(lines.leads) == {10}

    asyncio.run(go())
