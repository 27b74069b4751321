"""What the log knows of a stream when a session begins: newest epoch, next numbers, what the
predecessor left out of the index (invariants 1, 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass, field

from kinolog.log.index_reader import newest_entries
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, SegmentEntry, SessionEntry
from kinolog.record.header import Header
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.record.topics import topic
from kinolog.timeline.events import ChunkEvent, Event, Opened
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.reader import StreamReader

_UNKNOWN_PAST_MS = 3_600_000


@dataclass(slots=True)
class Past:
    """`open_offset` is that of the newest valid open; `next_msn` by track; `disc` of the newest
    session (-1: none); `unindexed`: entries that are still to be written; `landed`: headers of
    the valid chunks that were read."""

    newest_epoch: int = 0
    open_offset: int = -1
    disc: int = -1
    next_msn: dict[str, int] = field(default_factory=dict)
    unindexed: list[SegmentEntry] = field(default_factory=list)
    landed: list[Header] = field(default_factory=list)

    def begun(self, track: str, msn: int, disc: int) -> None:
        """A media segment of this number was begun."""
        self.next_msn[track] = max(self.next_msn.get(track, 0), msn + 1)
        self.disc = max(self.disc, disc)


@dataclass(frozen=True, slots=True)
class Place:
    """The topics and the partition of a stream's records."""

    base: str
    partition: int

    @property
    def media(self) -> str:
        """The media topic."""
        return topic(self.base, "media")

    @property
    def index(self) -> str:
        """The index topic."""
        return topic(self.base, "index")


async def read_past(
    reader: RandomReader,
    key: str,
    place: Place,
    known: EpochEntry | None,
    end: int,
    now_ms: int,
) -> Past:
    """Read a stream's place up to the media offset `end` (exclusive). `known` is the newest epoch
    of the registry, in this place or another one (then only its numbers count)."""
    past = Past()
    entries = await newest_entries(
        reader, place.index, place.partition, key, lambda found: _enough(found, known)
    )
    for entry in entries:
        _take_entry(past, entry)
    if known is not None:
        past.disc = max(past.disc, known.disc)
        past.newest_epoch = max(past.newest_epoch, known.epoch)
    here = known if known is not None and known.base == place.base else None
    start, session = await _where_to_start(reader, place, entries, here, now_ms)
    indexed = {e.track: e.msn for e in entries if isinstance(e, SegmentEntry)}
    scan = _Scan(past, indexed, session)
    for record in await reader.read(place.media, place.partition, start, end, key):
        scan.take(record)
    return past


def _enough(found: list[IndexEntry], known: EpochEntry | None) -> bool:
    """Whether every track of the newest epoch is seen, or that epoch's beginning."""
    if any(isinstance(e, SessionEntry) and (not known or e.epoch >= known.epoch) for e in found):
        return True
    if known is None:
        return False
    seen = {e.track for e in found if isinstance(e, SegmentEntry)}
    return {track.name for track in known.open.tracks} <= seen


def _take_entry(past: Past, entry: IndexEntry) -> None:
    past.newest_epoch = max(past.newest_epoch, entry.epoch)
    past.disc = max(past.disc, entry.disc)
    if isinstance(entry, SegmentEntry):
        past.begun(entry.track, entry.msn, entry.disc)


async def _where_to_start(
    reader: RandomReader,
    place: Place,
    entries: list[IndexEntry],
    known: EpochEntry | None,
    now_ms: int,
) -> tuple[int, SessionEntry | EpochEntry | None]:
    """The media offset behind which something may not be indexed, and the session in force."""
    sessions = [e for e in entries if isinstance(e, SessionEntry)]
    session: SessionEntry | EpochEntry | None = max(sessions, key=lambda e: e.epoch, default=None)
    if known is not None and (session is None or known.epoch > session.epoch):
        session = known
    newest: dict[str, int] = {}
    for entry in entries:
        if isinstance(entry, SegmentEntry) and session and entry.epoch == session.epoch:
            newest[entry.track] = sum(entry.offsets)
    if session is not None:
        tracks = {track.name for track in session.open.tracks}
        if tracks <= newest.keys():
            return min(newest[track] for track in tracks) + 1, session
        return session.open_offset, session
    return (
        await reader.offset_for_time(place.media, place.partition, now_ms - _UNKNOWN_PAST_MS),
        None,
    )


class _Scan:
    """Follows the media records behind the index's end; our own open, the last, ends them."""

    def __init__(
        self, past: Past, indexed: dict[str, int], session: SessionEntry | EpochEntry | None
    ) -> None:
        self._past = past
        self._indexed = indexed
        self._reader = StreamReader()
        self._indexer = Indexer()
        if session is not None:
            for event in self._reader.start(session):
                self._see(event)

    def take(self, record: LogRecord) -> None:
        for event in self._reader.feed(record):
            self._see(event)
            self._past.unindexed += [
                entry
                for entry in self._indexer.apply(event)
                if entry.msn > self._indexed.get(entry.track, -1)
            ]

    def _see(self, event: Event) -> None:
        past = self._past
        if isinstance(event, Opened):
            past.newest_epoch = max(past.newest_epoch, event.epoch)
            past.open_offset = event.offset
        elif isinstance(event, ChunkEvent):
            header = event.header
            past.begun(header.track, header.msn, header.disc)
            past.landed.append(header)
