"""Past: media of segments that left memory, read from the log again, bytes unchanged.

A media URL stays good for as long as the log keeps the media, which is longer than RFC 8216,
6.2.2 asks for (a segment's duration and the playlist's after it left the playlist). Segments are
found by the index and rebuilt with the same code as live ones.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, NamedTuple

from kinolog.core.errors import Overloaded
from kinolog.core.names import StreamName
from kinolog.core.timebase import rescale
from kinolog.delivery.history import History, Named
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.record.topics import topic
from kinolog.timeline.events import ChunkEvent, Hole
from kinolog.timeline.reader import StreamReader
from kinolog.timeline.segment import Segment

MOST_BYTES: Final = 64 << 20
MOST_READS: Final = 4
MOST_WAITING: Final = 256


class Name(NamedTuple):
    """A media segment's name."""

    stream: StreamName
    track: str
    epoch: int
    msn: int


class Past:
    """Reads each segment once, however many ask (single-flight), and keeps the last ones read."""

    def __init__(
        self,
        reader: RandomReader,
        registry: Registry,
        history: History,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._reader = reader
        self._history = history
        self._registry = registry
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Name, Segment] = OrderedDict()
        self._kept_bytes = 0
        self._reading: dict[Name, asyncio.Task[Segment | None]] = {}
        self._turn = asyncio.Semaphore(MOST_READS)
        self._archive_turn = asyncio.Semaphore(MOST_READS)
        """Of what Kafka has deleted: who waits for an object store holds up nobody else."""

    def init_segment(self, stream: StreamName, track: str, epoch: int) -> bytes | None:
        """The CMAF init segment of a track of any epoch of the stream, from the registry."""
        found = self._track(stream, track, epoch)
        return found[1].init if found is not None else None

    async def segment(self, name: Name) -> Segment | None:
        """The segment, ended; None where it never was, or is not kept any more.

        Overloaded where too many wait, KafkaUnavailable where Kafka cannot be read.
        """
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            return kept
        if self._track(name.stream, name.track, name.epoch) is None:
            return None
        task = self._reading.get(name)
        if task is None:
            if len(self._reading) >= MOST_WAITING:
                raise Overloaded("too many old media segments are being read", hint="try again")
            task = self._reading[name] = asyncio.create_task(self._read(name))
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up what is being read."""
        for task in self._reading.values():
            task.cancel()

    def _done(self, name: Name, task: asyncio.Task[Segment | None]) -> None:
        del self._reading[name]
        if task.cancelled() or task.exception() is not None:
            return
        segment = task.result()
        if segment is not None and segment.size <= self._most_bytes:
            self._kept[name] = segment
            self._kept_bytes += segment.size
            while self._kept_bytes > self._most_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._kept_bytes -= oldest.size

    async def _read(self, name: Name) -> Segment | None:
        found = self._track(name.stream, name.track, name.epoch)
        assert found is not None
        session, info = found
        row = await self._history.row(Named(name.stream, name.track), name.epoch, name.msn)
        if row is None:
            return None
        place = topic(session.base, "media"), session.partition
        turn = self._turn
        if self._reader.tiered and row.first < (await self._reader.bounds(*place))[0]:
            turn = self._archive_turn
        async with turn:
            records = await self._reader.read(
                *place,
                row.first,
                row.last + 1,
                name.stream.name,
                row.size,
                info.name,
            )
        segment = rebuild(records, session, info, name.msn)
        # A part of it may have been deleted by the retention.
        return segment if segment is not None and segment.size == row.size else None

    def _track(
        self, stream: StreamName, track: str, epoch: int
    ) -> tuple[EpochEntry, OpenTrack] | None:
        session = self._registry.epochs.get(stream, {}).get(epoch)
        for info in session.open.tracks if session is not None else ():
            if info.name == track:
                assert session is not None
                return session, info
        return None


def rebuild(
    records: list[LogRecord], session: EpochEntry, info: OpenTrack, msn: int
) -> Segment | None:
    """One segment of a track from the stream's records between its first and its last."""
    reader = StreamReader()
    reader.start(session)
    part_ticks = max(1, rescale(session.open.part_ms, 1000, info.timescale))
    segment: Segment | None = None
    holed = False
    for record in records:
        for event in reader.feed(record):
            if isinstance(event, Hole) and (event.track, event.msn) == (info.name, msn):
                holed = True
                if segment is not None:
                    segment.break_()
            if not isinstance(event, ChunkEvent):
                continue
            header = event.header
            if (header.track, header.epoch, header.msn) != (info.name, session.epoch, msn):
                continue
            if segment is None:
                segment = Segment(header, info.timescale, session.open.parts)
                if holed:
                    segment.break_()
            segment.add(event, part_ticks)
    if segment is not None:
        segment.end()
    return segment
