"""Marks in the log: written to the events topic, found again by their times.

A mark's record has the mark's own time as its timestamp. Kafka tells the first offset whose
timestamp is not before a time: no mark of that time or later lies before it, however late it was
written. At the other end, a mark that was written at most LATE_MS after its time lies before the
first record that is so much later. Marks that are written later still are few, and the stream's
registry entry tells where they are. So a reader never scans from the start, nor to the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import DeliveryFailed, InputError, NotFound, Overloaded, WireError
from kinolog.core.names import StreamName
from kinolog.core.units import show_duration
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import AWAY_S, RandomReader
from kinolog.log.writer import LogWriter, Target
from kinolog.record.mark import Mark, decode_mark, encode_mark, late_with, newest_by_id
from kinolog.record.registry import StreamEntry
from kinolog.record.topics import topic

LATE_MS: Final = 3_600_000
_SOON_MS: Final = LATE_MS - 300_000
"""Written so long after its time, a mark is in the log before LATE_MS are over."""
MOST_READ: Final = 50_000
"""Records, of all streams of the partition, that one question may read."""
MOST_BYTES: Final = 16_000_000
"""Of the stream's own records, that one question may read."""
_STEP: Final = 2_000
"""Records that are read at once, of up to some 9 KB each."""
_ABOUT_BYTES: Final = 300
_DELIVERY_MS: Final = 10_000
_MOST_WRITES: Final = 16
_ASK_AGAIN_S: Final = 10.0


class Found(NamedTuple):
    """Marks by time; `complete` is False where there was more to read than may be."""

    marks: list[Mark]
    complete: bool


class MarkReader:
    """Finds marks."""

    def __init__(self, catalog: Catalog, reader: RandomReader, clock: Clock) -> None:
        self._catalog = catalog
        self._reader = reader
        self._clock = clock
        self._there: set[str] = set()
        self._asked_at: dict[str, float] = {}

    async def between(self, name: StreamName, start_ms: int, end_ms: int) -> Found:
        """The marks that begin in [start_ms, end_ms), by time."""
        entry = self._catalog.registry.streams.get(name)
        if entry is None:
            raise NotFound(f"there is no stream {name}", hint="`kinolog streams` lists them")
        found: list[Mark] = []
        left, left_bytes = MOST_READ, MOST_BYTES
        complete = True
        for base, partition in dict.fromkeys((p.base, p.partition) for p in entry.placements):
            if not await self._is_there(base):
                continue
            for start, stop in await self._ranges(entry, base, partition, start_ms, end_ms):
                steps = range(start, min(stop, start + left), _STEP)
                for step in steps:
                    if left_bytes <= 0:
                        complete = False
                        break
                    until = min(stop, start + left, step + _STEP)
                    marks, size_bytes = await self._read(base, partition, step, until, name)
                    left_bytes -= size_bytes
                    found += [
                        mark
                        for mark in marks
                        if start_ms <= mark.at < end_ms and mark.of in (0, entry.created_ms)
                    ]
                complete = complete and stop - start <= left
                left = max(0, left - (stop - start))
        return Found(await asyncio.to_thread(newest_by_id, found), complete)

    async def _ranges(
        self, entry: StreamEntry, base: str, partition: int, start_ms: int, end_ms: int
    ) -> list[tuple[int, int]]:
        """The offsets among which the marks are, in order, none twice."""
        name = topic(base, "events")
        low, high = await self._reader.bounds(name, partition)
        first = max(low, await self._reader.offset_for_time(name, partition, start_ms))
        below = await self._reader.offset_for_time(name, partition, end_ms + LATE_MS)
        ranges = [
            (max(one.first, low), min(one.below, high))
            for one in entry.late
            if (one.base, one.partition) == (base, partition)
            and one.from_ms < end_ms
            and one.to_ms > start_ms
        ]
        ranges.append((first, min(high, max(below, first))))
        return _apart(ranges)

    async def _read(
        self, base: str, partition: int, start: int, stop: int, name: StreamName
    ) -> tuple[list[Mark], int]:
        about = (stop - start) * _ABOUT_BYTES
        messages = await self._reader.read_raw(
            topic(base, "events"), partition, start, stop, name.name, about
        )
        return await asyncio.to_thread(_decoded, messages)

    async def _is_there(self, base: str) -> bool:
        """Whether the place has an events topic; asked for again after a while where it has not."""
        if base in self._there:
            return True
        now_s = self._clock.monotonic()
        if now_s - self._asked_at.get(base, -_ASK_AGAIN_S) < _ASK_AGAIN_S:
            return False
        self._reader.check_there()
        # Nothing is known where Kafka does not answer: who asks next asks it again.
        if await self._catalog.has_topic(base, "events", AWAY_S):
            self._there.add(base)
            self._asked_at.pop(base, None)
        else:
            self._asked_at[base] = now_s
        return base in self._there


class MarkWriter:
    """Writes marks; its producer is made at the first."""

    def __init__(self, settings: KafkaSettings, catalog: Catalog, clock: Clock) -> None:
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._writer: LogWriter | None = None
        self._ready: set[str] = set()
        self._making = asyncio.Lock()
        self._under_way = 0

    async def add(self, name: StreamName, marks: Sequence[Mark]) -> None:
        """Write marks, which are checked; returns once all are acknowledged and can be found.

        Raises NotFound, InputError for a time that is not kept, KafkaUnavailable, DeliveryFailed,
        Overloaded while too many are being written.
        """
        if self._under_way >= _MOST_WRITES:
            raise Overloaded("too many marks are being written", hint="try again in a second")
        self._under_way += 1
        try:
            await self._add(name, marks)
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Close the producer."""
        if self._writer is not None:
            await self._writer.close()

    async def _add(self, name: StreamName, marks: Sequence[Mark]) -> None:
        entry = self._catalog.registry.streams.get(name)
        if entry is None:
            raise NotFound(f"there is no stream {name}", hint="`kinolog streams` lists them")
        now_ms = self._clock.unix_ms()
        kept_ms = self._catalog.collection(name.collection).retention_ms
        if kept_ms > 0 and any(mark.at < now_ms - kept_ms for mark in marks):
            raise InputError(
                f"collection {name.collection} keeps nothing of that time: its retention is "
                f"{show_duration(kept_ms)}"
            )
        place = entry.placements[-1]
        writer = await self._open(name, place.base)
        target = Target(topic(place.base, "events"), place.partition, name.name.encode())
        generation = writer.generation
        values = [encode_mark(msgspec.structs.replace(mark, of=entry.created_ms)) for mark in marks]
        told = await asyncio.gather(
            *(
                writer.append(target, None, value, mark.at)
                for value, mark in zip(values, marks, strict=True)
            ),
            return_exceptions=True,
        )
        if failed := [one for one in told if isinstance(one, BaseException)]:
            self._ready.discard(place.base)  # perhaps somebody has deleted the topic
            if any(isinstance(one, DeliveryFailed) for one in failed):
                # What waits in the producer would land at some time; who wrote it is told that
                # it was not, and writes it again.
                await writer.renew(generation)
            raise failed[0]
        late = [
            (mark.at, offset)
            for mark, offset in zip(marks, told, strict=True)
            if isinstance(offset, int) and mark.at < now_ms - _SOON_MS
        ]
        if late:
            await self._tell(name, place.base, place.partition, late)

    async def _open(self, name: StreamName, base: str) -> LogWriter:
        async with self._making:
            if base not in self._ready:
                await self._catalog.ensure_events(name)
                self._ready.add(base)
            if self._writer is None:
                self._writer = LogWriter(self._settings, delivery_timeout_ms=_DELIVERY_MS)
            await self._writer.repair()
            return self._writer

    async def _tell(
        self, name: StreamName, base: str, partition: int, late: list[tuple[int, int]]
    ) -> None:
        """Have the stream's registry entry tell where these marks are."""

        def change(entry: StreamEntry | None) -> StreamEntry | None:
            if entry is None:
                return None
            told = entry.late
            for at_ms, offset in late:
                told = late_with(told, base, partition, at_ms, offset) or told
            return entry if told is entry.late else msgspec.structs.replace(entry, late=told)

        entry = self._catalog.registry.streams.get(name)
        if entry is not None and change(entry) is not entry:
            await self._catalog.registry.change_stream(name, change)


def _decoded(messages: list[Any]) -> tuple[list[Mark], int]:
    """The marks among records, and the bytes of all of these."""
    found, size_bytes = [], 0
    for message in messages:
        value = message.value() or b""
        size_bytes += len(value)
        try:
            found.append(decode_mark(value))
        except WireError:
            continue  # somebody else's
    return found, size_bytes


def _apart(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same offsets, in order, none twice."""
    found: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        begin = max(start, found[-1][1]) if found else start
        if begin < stop:
            found.append((begin, stop))
    return found
