"""Body: the samples of a clip, cut out of the log's records while they are sent.

It says where they are, not what they are: some 8 bytes a chunk and 8 a record, in a spool.
"""

from __future__ import annotations

import asyncio
import hashlib
from bisect import bisect_right
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from kinolog.core.errors import NotFound
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.lay import Piece
from kinolog.delivery.clip.spool import Column, Spool
from kinolog.record.log_record import LogRecord

STRETCH_BYTES: Final = 2 << 20
"""So much is read at a time; one stretch is read while the one before is sent."""
STRETCH_PIECES: Final = 64
FARTHEST: Final = 20_000
"""Records between two pieces of a stretch."""


class Place(NamedTuple):
    """A partition of a media topic."""

    topic: str
    partition: int


class _At(NamedTuple):
    """A piece: where its records and chunks are in the columns, how many bytes of its segment's
    samples are before it, and how many it has."""

    place: int
    records: range
    chunks: range
    skip: int
    size: int


class Part(NamedTuple):
    """A piece: whose it is, its sample entry, and which of its track's samples are in it:
    [first, stop)."""

    track: int
    description: int
    first: int
    stop: int


class Reader(Protocol):
    """What reads the log."""

    async def read(
        self, topic: str, partition: int, start: int, end: int, key: str | None = None
    ) -> list[LogRecord]:
        """The records of [start, end) of one key."""
        ...


class Turns:
    """A reader for many clips at once: `most` reads at a time, so that viewers' go between."""

    def __init__(self, reader: Reader, most: int) -> None:
        self._reader = reader
        self._turn = asyncio.Semaphore(most)

    async def read(
        self, topic: str, partition: int, start: int, end: int, key: str | None = None
    ) -> list[LogRecord]:
        """As RandomReader.read, in turn."""
        async with self._turn:
            return await self._reader.read(topic, partition, start, end, key)


class Lost(NotFound):
    """Media that was there when the clip was begun, and is not any more."""


@dataclass
class Body:
    """Where the samples of a clip are, in the file's order. `key`: the stream's records'."""

    key: str
    spool: Spool
    places: list[Place] = field(default_factory=list)
    size: int = 0
    oldest: dict[Place, int] = field(default_factory=dict)
    """By place, the first offset of the segments that it is cut out of."""

    def __post_init__(self) -> None:
        column = self.spool.column
        self._offsets = column("q")
        self._at, self._length = column("I"), column("I")
        self._place, self._records_end = column("i"), column("q")
        self._chunks_end, self._skip = column("q"), column("q")
        self._ends = column("q")
        self._track, self._description = column("B"), column("I")
        self._samples_end, self._first = column("q"), column("q")
        self._counted: dict[int, int] = {}
        self._digest = hashlib.blake2b(digest_size=16)

    def __len__(self) -> int:
        return len(self._ends)

    def fingerprint(self) -> bytes:
        """What tells this body from any other: where its records are."""
        return repr(self.places).encode() + self._digest.digest()

    def add(
        self, place: Place, columns: Columns, piece: Piece, track: int = 0, description: int = 0
    ) -> int:
        """The next piece; its size in bytes. `track`: whose it is, `description`: which sample
        entry it has."""
        count = piece.end - piece.begin
        self._first.append(self._counted.get(track, 0))
        self._counted[track] = self._counted.get(track, 0) + count
        self._samples_end.append(sum(self._counted.values()))
        self._track.append(track)
        self._description.append(description)
        if not self.places or self.places[-1] != place:
            self.places.append(place)
        sizes = columns.size
        size = sum(sizes[piece.begin : piece.end])
        record, into = columns.records(piece.segment)[0], columns.samples(piece.segment)[0]
        self._digest.update(b"%d %d %d;" % (columns.offset[record], piece.begin - into, size))
        sample, _ = columns.samples(piece.segment)
        begin, end = columns.chunks(piece.segment)
        offsets = columns.offset[slice(*columns.records(piece.segment))]
        first = sample
        whole = len(offsets) == end - begin  # each chunk in a record of its own
        for number, chunk in enumerate(range(begin, end)):
            after = sample + columns.count[chunk]
            if whole and after <= piece.begin:
                first = after
            elif not whole or sample < piece.end:
                self._at.append(columns.at[chunk])
                self._length.append(sum(sizes[sample:after]))
                if whole:
                    self._offsets.append(offsets[number])
            sample = after
        if not whole:
            self._offsets.extend(offsets)
        self.oldest[place] = min(offsets[0], self.oldest.get(place, offsets[0]))
        self._place.append(len(self.places) - 1)
        self._records_end.append(len(self._offsets))
        self._chunks_end.append(len(self._at))
        self._skip.append(sum(sizes[first : piece.begin]))
        self.size += size
        self._ends.append(self.size)
        return size

    def part(self, number: int) -> Part:
        """The piece of this number."""
        before = self._samples_end[number - 1] if number else 0
        first = self._first[number]
        return Part(
            self._track[number],
            self._description[number],
            first,
            first + self._samples_end[number] - before,
        )

    def until(self, number: int) -> tuple[int, int]:
        """Bytes and samples before the piece of this number."""
        return (self._ends[number - 1], self._samples_end[number - 1]) if number else (0, 0)

    async def read(self, reader: Reader, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of all samples. Lost where some are not kept any more."""
        number = bisect_right(self._ends, start)
        async with aclosing(self.pieces(reader, number, stop)) as pieces:
            at = self.until(number)[0]
            async for body in pieces:
                part = body[max(0, start - at) : stop - at]
                at += len(body)
                if part:
                    yield part

    async def pieces(self, reader: Reader, number: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The pieces from this one on, up to the one in which the byte before `stop` is. Lost where
        some are not kept any more."""
        ahead: asyncio.Task[tuple[int, list[bytes]]] | None = None
        at = self._ends[number - 1] if number else 0
        try:
            while at < stop:
                task = ahead or asyncio.create_task(self._stretch(reader, number, stop))
                ahead = None
                number, bodies = await task
                after = at + sum(map(len, bodies))
                if after < stop:
                    ahead = asyncio.create_task(self._stretch(reader, number, stop))
                at = after
                for body in bodies:
                    yield body
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _stretch(self, reader: Reader, number: int, stop: int) -> tuple[int, list[bytes]]:
        """Some pieces from this one on, and the number of the piece behind them."""
        first = number
        place = self._place[first]
        low = high = self._offsets[self._piece(first).records[0]]
        size = 0
        while number < len(self):
            piece = self._piece(number)
            begins, ends = (self._offsets[piece.records[n]] for n in (0, -1))
            farther = max(high, ends) - min(low, begins) > FARTHEST
            full = size + piece.size > STRETCH_BYTES or number - first >= STRETCH_PIECES
            if number > first and (piece.place != place or farther or full):
                break
            low, high = min(low, begins), max(high, ends)
            size += piece.size
            number += 1
            if self._ends[number - 1] >= stop:
                break
        records = await reader.read(*self.places[place], low, high + 1, self.key)
        found = {record.offset: record for record in records}
        return number, [self._samples(found, self._piece(n)) for n in range(first, number)]

    def _piece(self, number: int) -> _At:
        def span(ends: Column) -> range:
            return range(ends[number - 1] if number else 0, ends[number])

        begins = self._ends[number - 1] if number else 0
        return _At(
            self._place[number],
            span(self._records_end),
            span(self._chunks_end),
            self._skip[number],
            self._ends[number] - begins,
        )

    def _samples(self, found: Mapping[int, LogRecord], piece: _At) -> bytes:
        where = self._offsets.values(piece.records.start, piece.records.stop)
        payloads = _payloads(found, where.tolist())
        if len(payloads) != len(piece.chunks):
            raise Lost("the clip's media are not kept any more")
        begins = self._at.values(piece.chunks.start, piece.chunks.stop).tolist()
        sizes = self._length.values(piece.chunks.start, piece.chunks.stop).tolist()
        parts = [
            memoryview(payload)[at : at + size]
            for payload, at, size in zip(payloads, begins, sizes, strict=True)
        ]
        whole = b"".join(parts)[piece.skip : piece.skip + piece.size]
        if len(whole) != piece.size:
            raise Lost("the clip's media are not those of its index")
        return whole


def _payloads(found: Mapping[int, LogRecord], offsets: Sequence[int]) -> list[bytes]:
    """The chunks that stand in these records, those in several joined."""
    chunks: list[list[bytes]] = []
    for offset in offsets:
        record = found.get(offset)
        if record is None:
            return []
        if record.header.piece == 0:
            chunks.append([])
        if not chunks:
            return []
        chunks[-1].append(record.value)
    return [pieces[0] if len(pieces) == 1 else b"".join(pieces) for pieces in chunks]
