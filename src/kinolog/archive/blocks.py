"""Blocks: the indexes and lists of records of the archive's objects, read once and kept a while."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from kinolog.archive.block import (
    PREAMBLE,
    Index,
    Lengths,
    Media,
    Records,
    Stored,
    absolute,
    decode_index,
    decode_records,
    lengths,
)
from kinolog.core.errors import WireError
from kinolog.objects.store import Objects

FIRST_BYTES: Final = 128 << 10
"""What is asked for of an object at first: mostly its index and its list of records."""
MOST_BYTES: Final = 32 << 20
HELD: Final = 2
"""An unpacked index takes so many times its bytes of memory."""
MOST_READS: Final = 8


class Entries(NamedTuple):
    """A block's index, with the absolute offsets of its entries."""

    head: Index
    offsets: list[int]
    lengths: Lengths


class Places(NamedTuple):
    """A block's media records, with absolute offsets, and where their bytes are in the object."""

    records: Records
    offsets: list[int]
    times: list[int]
    at: list[int]
    """One more than there are records: where the last one ends."""


class Blocks:
    """Reads of one store. NotFound where a block is not there any more."""

    def __init__(self, objects: Objects, most_bytes: int = MOST_BYTES) -> None:
        self._objects = objects
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[str, str], tuple[Any, int]] = OrderedDict()
        self._kept_bytes = 0
        self._reading: dict[tuple[str, str], asyncio.Task[tuple[Any, int]]] = {}
        self._turn = asyncio.Semaphore(MOST_READS)

    async def entries(self, path: str) -> Entries:
        """A block's index."""
        found: Entries = await self._get(path, "index", self._read_index)
        return found

    async def places(self, path: str) -> Places:
        """Where a block's media records are."""
        found: Places = await self._get(path, "records", self._read_records)
        return found

    async def media(self, path: str, first: int, last: int, track: str = "") -> list[Media]:
        """A block's media records of [first, last] in the order of their offsets; of `track`, where
        one is given, all of its own, and of others none but those that are of no track."""
        entries = await self.entries(path)
        head = entries.head
        if head.high < first or head.low > last:
            return []
        if track and not any(_overlaps(one, first, last, track) for one in head.segments):
            return []
        places = await self.places(path)
        wanted = [
            number
            for number in _of_segments(entries, places, first, last, track)
            if first <= places.offsets[number] <= last
        ]
        spans: list[tuple[int, int]] = []
        ends = -1
        for number in wanted:
            at, size = places.at[number], places.at[number + 1] - places.at[number]
            if at == ends:
                spans[-1] = (spans[-1][0], spans[-1][1] + size)
            elif size:
                spans.append((at, size))
            ends = at + size
        async with self._turn:
            bodies = await self._objects.ranges(path, spans) if spans else []
        return sorted(_cut(places, wanted, spans, bodies))

    async def _get(self, path: str, kind: str, read: Callable[[str], Any]) -> Any:
        key = (path, kind)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            return kept[0]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(read(path))
            task.add_done_callback(lambda done: self._done(key, done))
        try:
            return (await asyncio.shield(task))[0]
        except WireError as error:
            raise WireError(f"{path}: {error}", hint=error.hint) from error

    def _done(self, key: tuple[str, str], task: asyncio.Task[tuple[Any, int]]) -> None:
        del self._reading[key]
        if not task.cancelled() and task.exception() is None:
            self._keep(key, *task.result())

    def _keep(self, key: tuple[str, str], found: Any, size: int) -> None:
        replaced = self._kept.pop(key, None)
        self._kept[key] = (found, size)
        self._kept_bytes += size - (replaced[1] if replaced is not None else 0)
        while self._kept_bytes > self._most_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1][1]

    async def _read_index(self, path: str) -> tuple[Entries, int]:
        async with self._turn:
            data = await self._objects.read(path, 0, FIRST_BYTES)
            found = lengths(data)
            if FIRST_BYTES <= len(data) < found.records_at:
                rest = found.records_at - len(data)
                data += await self._objects.read(path, len(data), rest)
        if len(data) < found.records_at:
            raise WireError("an object of the archive is cut short")
        if len(data) >= found.media_at:
            packed = data[found.records_at : found.media_at]
            self._keep((path, "records"), *await asyncio.to_thread(_places, packed, found))
        packed = data[PREAMBLE.size : found.records_at]
        return await asyncio.to_thread(_entries, packed, found)

    async def _read_records(self, path: str) -> tuple[Places, int]:
        found = (await self.entries(path)).lengths
        kept = self._kept.get((path, "records"))
        if kept is not None:
            return kept
        async with self._turn:
            packed = await self._objects.read(path, found.records_at, found.of_records)
        return await asyncio.to_thread(_places, packed, found)


def _of_segments(
    entries: Entries, places: Places, first: int, last: int, track: str
) -> Iterator[int]:
    """The numbers of the records of segments that overlap [first, last], of a track or of all, and
    of those that are of no track, which stand behind all segments."""
    media_at = entries.lengths.media_at
    end = media_at
    for one in entries.head.segments:
        begins = media_at + one.at
        end = begins + one.size
        if one.first <= last and one.last >= first and track in ("", one.track):
            yield from range(bisect_left(places.at, begins), bisect_left(places.at, end))
    yield from range(bisect_left(places.at, end), len(places.offsets))


def _overlaps(one: Stored, first: int, last: int, track: str) -> bool:
    return one.track == track and one.first <= last and one.last >= first


def _cut(
    places: Places, wanted: list[int], spans: list[tuple[int, int]], bodies: list[bytes]
) -> list[Media]:
    found = []
    span = 0
    for number in wanted:
        at, size = places.at[number], places.at[number + 1] - places.at[number]
        while size and at >= spans[span][0] + spans[span][1]:
            span += 1
        begins = at - spans[span][0] if size else 0
        value = bodies[span][begins : begins + size] if size else b""
        if len(value) != size:
            raise WireError("an object of the archive is cut short")
        header = bytes(places.records.headers[number])
        found.append(Media(places.offsets[number], places.times[number], header, value))
    return found


def _entries(packed: bytes, found: Lengths) -> tuple[Entries, int]:
    index, size = decode_index(packed)
    return Entries(index, absolute(index.offsets), found), HELD * size


def _places(packed: bytes, found: Lengths) -> tuple[Places, int]:
    records, size = decode_records(packed)
    at = [found.media_at]
    for one in records.sizes:
        at.append(at[-1] + one)
    return Places(records, absolute(records.offsets), absolute(records.times), at), HELD * size
