"""Blocks of a stream with made up records."""

from __future__ import annotations

import msgspec

from kinolog.archive.block import Index, Media, Stored, differences, encode
from kinolog.archive.names import Book, Name, name_of
from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.objects.store import Objects
from kinolog.record.control import SegmentEntry, encode_value
from kinolog.record.header import Header, encode_header

BOOK = Book(StreamName("cams", "gate"), 1_700_000_000_000, "kinolog.cams", 3)


class Still(Clock):
    """A clock that is set."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return round(1000 * self.now_s)


def entry(track: str, msn: int, offsets: list[int], sizes: list[int]) -> SegmentEntry:
    return SegmentEntry(
        track, 7, 0, msn, 0, 2000, 1_000_000 + 2000 * msn, True, 1, offsets, sizes, [1], [0], [5],
        [2000], [], [0],
    )  # fmt: skip


def chunk(track: str, msn: int, number: int, offset: int, value: bytes) -> Media:
    header = Header(1, "chunk", 7, track=track, msn=msn, chunk=number)
    return Media(offset, 5000 + offset, encode_header(header), value)


def media_of(msn: int) -> list[Media]:
    """Two tracks, three records each, among one another; and one that tells of a gap."""
    base = 100 * msn
    found = [chunk("audio", msn, n, base + 2 * n, b"a%d.%d" % (msn, n)) for n in range(3)]
    found += [chunk("video", msn, n, base + 1 + 2 * n, b"video%d.%d" % (msn, n)) for n in range(3)]
    return [*found, Media(base + 6, 1, encode_header(Header(1, "gap", 7)), b"{}")]


async def put(objects: Objects, msn: int) -> Name:
    """A block with the media segments of one number; its index offsets are 10 * msn and two."""
    media = media_of(msn)
    entries = [
        entry("audio", msn, [100 * msn, 2, 2], [4, 4, 4]),
        entry("video", msn, [100 * msn + 1, 2, 2], [8, 8, 8]),
    ]
    size = [sum(len(one.value) for one in part) for part in (media[:3], media[3:6])]
    start = 10 * msn
    index = Index(
        stream=str(BOOK.stream),
        base=BOOK.base,
        partition=BOOK.partition,
        start=start,
        below=start + 2,
        wall=1_000_000 + 2000 * msn,
        until=1_002_000 + 2000 * msn,
        low=100 * msn,
        high=100 * msn + 6,
        sessions=[],
        segments=[
            Stored("audio", 7, msn, 100 * msn, 100 * msn + 4, 0, size[0]),
            Stored("video", 7, msn, 100 * msn + 1, 100 * msn + 5, size[0], size[1]),
        ],
        offsets=differences([start, start + 1]),
        entries=[msgspec.Raw(encode_value(one)) for one in entries],
    )
    name = name_of(BOOK, start, entries[0])
    assert await objects.create(name.path, encode(index, media))
    return name
