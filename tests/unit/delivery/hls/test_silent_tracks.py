"""A track that is listed and sends nothing, or no more: left out, on every edge alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from kinolog.delivery.hls.multivariant import multivariant
from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.record.control import Open, SessionEntry, decode_value
from kinolog.record.log_record import LogRecord
from kinolog.testing.log_script import START_MS, Item, as_records, session
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader

WINDOW_MS = 12_000
SILENT_S = 4.0
"""What follows of the window."""
FIRST_S = 3.0
SOUND_SEGMENT_S = 94 * 1024 / 48_000
TIMESCALES = {"v0": 90_000, "a0": 48_000}
REACH_US = 17_000_000
"""How much of a track an edge reads at least when it joins: a window, and some."""


def without_sound(items: Sequence[Item], *silences: tuple[float, float]) -> list[Item]:
    """The items without what ends in these seconds of the first track of sound."""
    return [
        item
        for item in items
        if item.header.track != "a0"
        or not any(first <= _second(item) < last for first, last in silences)
    ]


def late_sound(items: Sequence[Item], second: float, late_s: float) -> list[Item]:
    """The items, with the sound after this second so much later in the log."""

    def order(item: Item) -> float:
        if item.header.kind == "open":
            return 0.0
        end_s = _second(item)
        return end_s + late_s if item.header.track == "a0" and end_s > second else end_s

    return sorted(items, key=order)


def _second(item: Item) -> float:
    """When it ends, from the start of the log."""
    header = item.header
    return (header.dts + header.dur) / TIMESCALES[header.track] - START_MS / 1000


def said(live: LiveStream, renderers: dict[str, MediaPlaylist]) -> dict[str, bytes | None]:
    """What an edge would answer now; no playlist of a track of which nothing is listed."""
    found = {"index": multivariant(live)}
    for name, track in live.tracks.items():
        if track.version is not None and track.version.segments:
            renderer = renderers.setdefault(name, MediaPlaylist(name))
            found[name] = renderer.render(track.version)
    return found


def edge(
    records: Sequence[LogRecord], start: int = 0
) -> Iterator[tuple[LiveStream, dict[str, MediaPlaylist]]]:
    """An edge after each record from `start` on; the session before is told by the index."""
    live, reader = LiveStream(WINDOW_MS), StreamReader()
    renderers: dict[str, MediaPlaylist] = {}
    if start:
        opened = next(r for r in reversed(records[:start]) if r.header.kind == "open")
        value = decode_value(opened.value, Open)
        entry = SessionEntry(opened.header.epoch, 0, opened.offset, 0, value)
        for event in reader.start(entry):
            live.apply(event)
    for record in records[start:]:
        for event in reader.feed(record):
            live.apply(event)
        yield live, renderers


def joined(records: Sequence[LogRecord], start: int) -> int:
    """The first record at which an edge may have joined that reads from `start` on: it reaches
    back far enough in each track that there is."""
    shown_us: dict[str, int] = {}
    for at in range(start, len(records)):
        header = records[at].header
        if header.kind == "chunk":
            duration_us = header.dur * 1_000_000 // TIMESCALES[header.track]
            shown_us[header.track] = shown_us.get(header.track, 0) + duration_us
        if min(shown_us.values(), default=0) >= REACH_US:
            return at
    return len(records)


DIED = without_sound(session(epoch=5, seconds=60), (20.5, 99))
NEVER = without_sound(session(epoch=5, seconds=40), (0, 99))
BACK = without_sound(session(epoch=5, seconds=80), (20.5, 21 * SOUND_SEGMENT_S))
HALF_A_SEGMENT = late_sound(session(epoch=5, seconds=60), 21.1, SILENT_S + 1)
PAUSED = late_sound(session(epoch=5, seconds=60), 20.5, SILENT_S - 0.5)
TWO_SESSIONS = [
    *session(epoch=5, seconds=20),
    *without_sound(
        session(epoch=9, disc=1, first_msn=10, seconds=40, start_ms=START_MS + 20_000), (0, 99)
    ),
]


@pytest.mark.parametrize(
    "items",
    [DIED, NEVER, BACK, HALF_A_SEGMENT, PAUSED, TWO_SESSIONS],
    ids=["died", "never", "back", "half a segment", "paused", "two sessions"],
)
def test_an_edge_that_began_late_says_the_same(items: list[Item]) -> None:
    records = as_records(items)
    old = [said(*state) for state in edge(records)]
    compared = 0
    for start in range(3, len(records), 29):
        first = joined(records, start)
        for at, state in enumerate(edge(records, start), start):
            if at >= first and not (at - first) % 5:
                assert said(*state) == old[at]
                compared += 1
    assert compared > 50


def at_second(items: Sequence[Item], second: float) -> dict[str, bytes | None]:
    """What an edge says when the video has come to this second."""
    is_video = [item.header.track == "v0" for item in items]
    newest = max(i for i, item in enumerate(items) if is_video[i] and _second(item) < second + 0.01)
    *_, state = edge(as_records(items[: newest + 1]))
    return said(*state)


def test_one_that_never_sends_is_not_waited_for_any_longer_than_three_seconds_of_another() -> None:
    assert at_second(NEVER, FIRST_S)["index"] is None
    body = at_second(NEVER, FIRST_S + 0.2)["index"]
    assert body is not None
    assert b"v0.m3u8" in body
    assert b"a0" not in body


def test_one_that_died_is_neither_listed_nor_reported_and_is_when_it_is_back() -> None:
    still = at_second(BACK, 20.4 + SILENT_S)
    gone = at_second(BACK, 20.8 + SILENT_S)
    back = at_second(BACK, 43)
    for listed in (still, back):
        for playlist in ("index", "v0"):
            assert b"a0.m3u8" in (listed[playlist] or b"")
    assert set(gone) == {"index", "v0"}
    for body in gone.values():
        assert body is not None
        assert b"a0" not in body
    # From the first segment that it began since.
    assert b"#EXT-X-MEDIA-SEQUENCE:21\n" in (back["a0"] or b"")
