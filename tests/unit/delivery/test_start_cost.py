"""Where an edge begins to read a stream: what it costs does not grow with what the neighbours wrote
since the stream was closed."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from kinolog.archive.tier import Message
from kinolog.core.names import StreamName
from kinolog.delivery.start import Start, find_start
from kinolog.log.index_reader import CLOSING
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import Open, OpenTrack, SegmentEntry, SessionEntry, encode_value
from kinolog.record.registry import EpochEntry, Placement

NAME = StreamName("cams", "gate")
EPOCH, SEGMENTS, TICKS = 1_700_000_000_000, 200, 2000
TRACK = OpenTrack("video", "video", "avc1.42C00A", TICKS // 2, b"")
OPEN = Open("s", "p", "v", 2000, 200, [TRACK])
FIRST_CHUNK = 101
CLOSE_OFFSET = FIRST_CHUNK + SEGMENTS


class Index:
    """A partition of an index topic: a stream's entries, and neighbours' behind them."""

    tiered = False

    def __init__(self, neighbours: int, *more: SessionEntry | SegmentEntry) -> None:
        entries = [SessionEntry(EPOCH, 0, FIRST_CHUNK - 1, EPOCH, OPEN), *map(segment, range(200))]
        ours = dict(enumerate(entries))
        self.end = len(ours) + neighbours
        for entry in more:
            ours[self.end] = entry
            self.end += 1
        self._ours = ours
        self.read = 0

    async def bounds(self, *_: Any) -> tuple[int, int]:
        return 0, self.end

    async def read_above(self, _: str, __: int, start: int, end: int, *___: Any) -> Any:
        self.read += end - start
        found = [
            Message(b"", at, encode_value(e)) for at, e in self._ours.items() if start <= at < end
        ]
        return 0, found

    def find(self, *, in_doubt: bool = False) -> Start:
        closed = EpochEntry(EPOCH, 0, FIRST_CHUNK - 1, 0, "kinolog.cams", EPOCH, OPEN)
        closed.close_offset, closed.close_index = CLOSE_OFFSET, SEGMENTS
        reader = cast("RandomReader", self)
        place = Placement("kinolog.cams", 0)
        found = find_start(reader, NAME, place, {EPOCH: closed}, EPOCH + 10**9, in_doubt=in_doubt)
        return asyncio.run(found)


def segment(number: int, epoch: int = EPOCH, offset: int = FIRST_CHUNK) -> SegmentEntry:
    return SegmentEntry(
        *("video", epoch, 0, number, number * TICKS, TICKS, epoch + 2000 * number, True, 10),
        *([offset + number], [1000], [60], [100], [10] * 60, [33] * 60, [0] * 60, [0]),
    )


def test_what_neighbours_wrote_since_its_close_is_not_read() -> None:
    index = Index(1_000_000)
    found = index.find()
    assert found == Index(0).find()
    assert found.over == CLOSE_OFFSET + 1
    assert found.covered
    assert FIRST_CHUNK < found.offset < CLOSE_OFFSET
    assert index.read <= 3 * CLOSING


def test_a_newer_session_that_the_registry_does_not_know_is_seen_soon_after_the_close() -> None:
    newer = SessionEntry(EPOCH + 10**6, 1, CLOSE_OFFSET + 900, EPOCH + 10**6, OPEN)
    assert Index(CLOSING // 2, newer).find().over is None


def test_and_later_where_something_of_it_was_seen() -> None:
    newer = SessionEntry(EPOCH + 10**6, 1, CLOSE_OFFSET + 900, EPOCH + 10**6, OPEN)
    index = Index(20 * CLOSING, newer, segment(300, EPOCH + 10**6, CLOSE_OFFSET + 1000))
    assert index.find().over == CLOSE_OFFSET + 1
    assert index.find(in_doubt=True).over is None
