"""The index made again from the media: after MirrorMaker, after damage, after a topic was lost.

The index is a pure function of the media topic (DESIGN.md invariant 5): the same entries come out
as ingest wrote, but for index offsets.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import Conflict, NotFound, WireError
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import Catalog
from kinolog.log.index_reader import newest_indexed
from kinolog.log.pager import Pager
from kinolog.log.paging import read_pages
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter, Target
from kinolog.record.control import OpenTrack, SegmentEntry, SessionEntry, encode_value
from kinolog.record.log_record import LogRecord
from kinolog.record.page import PageEntry, Where
from kinolog.record.registry import EpochEntry, StreamEntry
from kinolog.record.table import Row, row_of
from kinolog.record.topics import topic
from kinolog.timeline.events import Closed, Ended, Opened
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.reader import StreamReader

STRETCH = 200
"""Media records that are held at a time."""
LIVE_MS = 60_000
"""A stream of which something was indexed in so long is being published."""


@dataclass(slots=True)
class Done:
    """How far a rebuild is: of `total` media records `read`; entries written."""

    total: int = 0
    read: int = 0
    sessions: int = 0
    segments: int = 0
    pages: int = 0


@dataclass(slots=True)
class _Stream:
    """One stream's state while its partition is read."""

    reader: StreamReader = field(default_factory=StreamReader)
    indexer: Indexer = field(default_factory=Indexer)
    pagers: dict[str, Pager] = field(default_factory=dict)
    disc: int = -1
    newest_entry: int = -1
    """Index offset of the newest session or segment entry."""
    closed: dict[int, int] = field(default_factory=dict)
    """For each epoch that is over, an index offset before what came behind its close."""

    @property
    def pages(self) -> dict[str, Where]:
        return {name: pager.where for name, pager in self.pagers.items()}


class Rebuild:
    """Rebuilds a collection's index, partition by partition."""

    def __init__(
        self,
        admin: Admin,
        catalog: Catalog,
        reader: RandomReader,
        writer: LogWriter,
        clock: Clock,
    ) -> None:
        self._admin = admin
        self._catalog = catalog
        self._reader = reader
        self._writer = writer
        self._clock = clock

    async def collection(self, name: str, progress: Callable[[Done], None]) -> Done:
        """Rebuild the index of a collection. Conflict while one of its streams is published;
        what is published meanwhile is not waited for. Begun again after a break, it begins anew."""
        places = self._places(name)
        for base in dict.fromkeys(base for base, _ in places):
            await self._catalog.ensure_topic(name, base, "index")
        await self._check_quiet(name)
        done = Done()
        bounds: dict[tuple[str, int], tuple[int, int]] = {}
        for base, partition in places:
            low, high = await self._reader.bounds(topic(base, "media"), partition)
            bounds[base, partition] = (low, high)
            done.total += high - low
        for (base, partition), (low, high) in bounds.items():
            index = topic(base, "index")
            _, end = await self._reader.bounds(index, partition)
            if end:
                await self._admin.delete_records(index, partition, end)
            work = _Partition(self._reader, self._writer, base, partition, done)
            await work.run(self._known(name, base, partition), low, high, progress)
            work.leave(self._moved_away(name, base, partition), high)
            await work.flush()
            await self._tell(name, base, partition, work.streams)
        return done

    def _places(self, name: str) -> Sequence[tuple[str, int]]:
        self._catalog.collection(name)  # NotFound
        registry = self._catalog.registry
        found: dict[tuple[str, int], None] = {}
        for stream, entry in registry.streams.items():
            if stream.collection == name:
                found |= {(p.base, p.partition): None for p in entry.placements}
                epochs = registry.epochs.get(stream, {}).values()
                found |= {(e.base, e.partition): None for e in epochs}
        if not found:
            raise NotFound(f"collection {name} has no streams")
        return list(found)

    async def _check_quiet(self, name: str) -> None:
        now_ms = self._clock.unix_ms()
        for stream, epochs in self._catalog.registry.epochs.items():
            newest = epochs[max(epochs)] if epochs else None
            if stream.collection != name or newest is None or newest.state != "live":
                continue
            found = await newest_indexed(
                self._reader,
                topic(newest.base, "index"),
                newest.partition,
                stream.name,
                bool,
            )
            if found and now_ms - max(found[-1][1].wall, newest.epoch) < LIVE_MS:
                raise Conflict(
                    f"{stream} is being published",
                    hint="stop its publisher: what it writes meanwhile would not be found",
                )

    def _known(
        self, name: str, base: str, partition: int
    ) -> Mapping[str, Mapping[int, EpochEntry]]:
        """The registry's epochs in a place, by record key."""
        return {
            stream.name: {
                number: epoch
                for number, epoch in sorted(epochs.items())
                if (epoch.base, epoch.partition) == (base, partition)
            }
            for stream, epochs in self._catalog.registry.epochs.items()
            if stream.collection == name
        }

    def _moved_away(self, name: str, base: str, partition: int) -> set[str]:
        def is_elsewhere(entry: StreamEntry) -> bool:
            newest = entry.placements[-1]
            return (newest.base, newest.partition) != (base, partition)

        streams = self._catalog.registry.streams.items()
        return {s.name for s, entry in streams if s.collection == name and is_elsewhere(entry)}

    async def _tell(
        self, name: str, base: str, partition: int, streams: Mapping[str, _Stream]
    ) -> None:
        """What the registry says of the index's offsets, anew."""
        now_ms = self._clock.unix_ms()
        for key, epochs in self._known(name, base, partition).items():
            stream = streams.get(key, _Stream())
            for number in epochs:
                at = stream.closed.get(number, -1)
                newest = number == max(epochs) and number == stream.reader.epoch
                pages = stream.pages if newest and at >= 0 else {}

                def change(
                    entry: EpochEntry | None, at: int = at, pages: dict[str, Where] = pages
                ) -> EpochEntry | None:
                    if entry is None:
                        return None
                    return msgspec.structs.replace(entry, close_index=at, pages=pages, made=now_ms)

                await self._catalog.registry.change_epoch(StreamName(name, key), number, change)


class _Partition:
    """Reads a media partition and writes its index."""

    def __init__(
        self, reader: RandomReader, writer: LogWriter, base: str, partition: int, done: Done
    ) -> None:
        self.streams: dict[str, _Stream] = {}
        self._reader = reader
        self._writer = writer
        self._media = topic(base, "media")
        self._index = topic(base, "index")
        self._partition = partition
        self._done = done
        self._known: Mapping[str, Mapping[int, EpochEntry]] = {}
        self._waiting: list[tuple[str, SegmentEntry]] = []

    async def run(
        self,
        known: Mapping[str, Mapping[int, EpochEntry]],
        low: int,
        high: int,
        progress: Callable[[Done], None],
    ) -> None:
        self._known = known
        for key, epochs in known.items():
            # The session in force where the retention begins.
            before = [epoch for epoch in epochs.values() if epoch.open_offset < low]
            if before:
                await self._begin(key, before[-1])
        for start in range(low, high, STRETCH):
            stop = min(start + STRETCH, high)
            records = await self._reader.read(self._media, self._partition, start, stop)
            for record in records:
                await self._take(record)
            await self.flush()
            self._done.read += stop - start
            progress(self._done)

    def leave(self, gone: set[str], end: int) -> None:
        """What the streams that have moved away had begun is finished."""
        for key in gone & self.streams.keys():
            stream = self.streams[key]
            closed = Closed(stream.reader.epoch, "moved away", end)
            self._waiting += [(key, entry) for entry in stream.indexer.apply(closed)]
            stream.closed[stream.reader.epoch] = stream.newest_entry

    async def flush(self) -> None:
        """Write the entries that are due, and the pages that they fill."""
        waiting, self._waiting = self._waiting, []
        for key, entry in waiting:
            entry.pages = self.streams[key].pages
        offsets = await asyncio.gather(
            *(self._append(key, encode_value(entry), entry.wall) for key, entry in waiting)
        )
        self._done.segments += len(waiting)
        rows: dict[tuple[str, str], list[Row]] = {}
        for (key, entry), offset in zip(waiting, offsets, strict=True):
            rows.setdefault((key, entry.track), []).append(row_of(entry, offset))
            self.streams[key].newest_entry = offset
        for (key, track), found in rows.items():
            await self.streams[key].pagers[track].add(found)

    async def _take(self, record: LogRecord) -> None:
        stream = self.streams.setdefault(record.key, _Stream())
        for event in stream.reader.feed(record):
            self._waiting += [(record.key, entry) for entry in stream.indexer.apply(event)]
            if isinstance(event, Opened):
                await self.flush()
                await self._session(record.key, stream, event)
            elif isinstance(event, Closed | Ended):
                stream.closed.setdefault(stream.reader.epoch, stream.newest_entry)

    async def _begin(self, key: str, entry: EpochEntry) -> None:
        stream = self.streams.setdefault(key, _Stream())
        for event in stream.reader.start(entry):
            stream.indexer.apply(event)
            if isinstance(event, Opened):
                await self._session(key, stream, event)

    async def _session(self, key: str, stream: _Stream, event: Opened) -> None:
        entry = self._known.get(key, {}).get(event.epoch)
        stream.disc = event.disc if event.disc is not None else stream.disc + 1
        if entry is not None:
            stream.disc = entry.disc
        session = SessionEntry(
            event.epoch, stream.disc, event.offset, event.epoch, event.open, stream.pages
        )
        offset = await self._append(key, encode_value(session), event.epoch)
        stream.newest_entry = offset
        self._done.sessions += 1
        for info in event.open.tracks:
            self._turn_to(key, stream, info, offset)

    def _turn_to(self, key: str, stream: _Stream, info: OpenTrack, offset: int) -> None:
        pager = stream.pagers.get(info.name)
        if pager is not None:
            pager.timescale = info.timescale
            return

        async def write(data: bytes, timestamp_ms: int) -> int:
            self._done.pages += 1
            return await self._append(key, data, timestamp_ms)

        async def read(offsets: Sequence[int]) -> Sequence[PageEntry]:
            return await self._pages(key, offsets)

        stream.pagers[info.name] = Pager(info.name, info.timescale, offset, read, write)

    async def _pages(self, key: str, offsets: Sequence[int]) -> Sequence[PageEntry]:
        found = await read_pages(self._reader, self._index, self._partition, key, offsets)
        if len(found) != len(offsets):
            raise WireError("the index changes while it is rebuilt", hint="stop other writers")
        return found

    async def _append(self, key: str, data: bytes, timestamp_ms: int) -> int:
        target = Target(self._index, self._partition, key.encode())
        return await self._writer.append(target, None, data, timestamp_ms)
