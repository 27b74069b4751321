"""What the log knows of a stream when a session begins: newest epoch, next numbers, what the
predecessor left out of the index (invariants 1, 5 and 6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from kinolog.log.index_reader import (
    DEAD_MS,
    dead_ms,
    last_offset,
    newest_indexed,
    newest_pages,
    over_at,
)
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, SegmentEntry, SessionEntry
from kinolog.record.log_record import LogRecord
from kinolog.record.page import Where
from kinolog.record.registry import EpochEntry, Placement
from kinolog.record.topics import topic
from kinolog.timeline.events import ChunkEvent, Closed, Event, Opened
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.reader import StreamReader

ChunkName = tuple[str, int, int]
"""(track, MSN, chunk): names a chunk within its epoch."""


@dataclass(slots=True)
class Past:
    """`open_offset` is that of the newest valid open; `next_msn` by track; `disc` of the newest
    session (-1: none); `unindexed`: entries that are still to be written. `newest_session`: the id
    of the session that opened the newest epoch. `pages`: where its tracks are in the index, in
    this place."""

    newest_epoch: int = 0
    newest_session: str = ""
    open_offset: int = -1
    disc: int = -1
    next_msn: dict[str, int] = field(default_factory=dict)
    unindexed: list[SegmentEntry] = field(default_factory=list)
    pages: dict[str, Where] = field(default_factory=dict)

    def begun(self, track: str, msn: int, disc: int) -> None:
        """A media segment of this number was begun."""
        self.next_msn[track] = max(self.next_msn.get(track, 0), msn + 1)
        self.disc = max(self.disc, disc)

    def opened(self, epoch: int, session: str) -> None:
        """An epoch was opened."""
        if epoch > self.newest_epoch or (epoch == self.newest_epoch and session):
            self.newest_epoch, self.newest_session = epoch, session

    def follow(self, before: Past) -> None:
        """Add what a former place of the stream holds."""
        self.opened(before.newest_epoch, before.newest_session)
        self.disc = max(self.disc, before.disc)
        for track, msn in before.next_msn.items():
            self.next_msn[track] = max(self.next_msn.get(track, 0), msn)


@dataclass(frozen=True, slots=True)
class Place:
    """The topics and the partition of a stream's records."""

    base: str
    partition: int

    @classmethod
    def of(cls, placed: Placement | EpochEntry) -> Place:
        """Where a placement, or an epoch, is."""
        return cls(placed.base, placed.partition)

    @property
    def media(self) -> str:
        """The media topic."""
        return topic(self.base, "media")

    @property
    def index(self) -> str:
        """The index topic."""
        return topic(self.base, "index")


class Unknown(NamedTuple):
    """How far back is looked for what the registry does not know: for the stream's newest epoch in
    the index from when the stream was made, and where that knows none either, in the media from
    `since_ms`; for opens behind the newest session's close in the media from `opening_ms`."""

    born_ms: int
    since_ms: int
    opening_ms: int


async def read_past(
    reader: RandomReader,
    key: str,
    place: Place,
    known: EpochEntry | None,
    end: int,
    unknown: Unknown,
    *,
    left: bool = False,
) -> Past:
    """Read a stream's place up to the media offset `end` (exclusive). `known` is the newest epoch
    of the registry, in this place or another one (then only its numbers count, as where the open
    record is not where it is said to be: the offsets are of another log). `left`: the stream has
    moved away from this place, and its last session there is over.

    Where the registry says that `known` is over, the neighbours' records since its close are not
    read. Who opened in between, untold to the registry, is found nevertheless:

    - A session with chunks before `end` had its index entry acknowledged before the first of them,
      and the index is read after `end` was known: it is among the entries, and nothing is skipped.
    - One without chunks matters where its epoch is above ours: that makes our open void. An open
      record's timestamp is its epoch, so it is at or behind the first offset of our own time.
      `unknown.opening_ms` lies some seconds before that, for writers that stamp opens with the
      present, and for sessions that are opening now.
    - What is left is an older open that nothing follows. All that comes of it is behind our open
      and below our epoch: a zombie's.
    """
    past = Past()
    here = known if known is not None and Place.of(known) == place else None
    indexed = await newest_indexed(
        reader,
        place.index,
        place.partition,
        key,
        lambda found: _enough(found, known),
        lowest=await _lowest(reader, place, known, unknown),
        down_to=here.close_index if here is not None else -1,
        without_archive=True,
    )
    entries = [entry for _, entry in indexed]
    for entry in entries:
        _take_entry(past, entry)
    past.pages = newest_pages(indexed)
    if known is not None:
        past.disc = max(past.disc, known.disc)
        past.opened(known.epoch, known.open.session)
    session = _newest_session(entries, here)
    if session is not None and not await _is_there(reader, key, place, session):
        session = None
        for name in past.next_msn:
            past.next_msn[name] += 1  # what was under way in the other log has a number, too
    start = await _where_to_start(reader, place, past, entries, session, unknown)
    newest = {e.track: e.msn for e in entries if isinstance(e, SegmentEntry)}
    scan = _Scan(past, newest, session)
    stretches = [(start, end)]
    over = over_at(here, entries) if session is not None else None
    if over is not None:
        opening = await reader.offset_for_time(place.media, place.partition, unknown.opening_ms)
        stretches = [(start, min(over, end)), (max(over, opening), end)]
    for first, behind in stretches:
        for record in await reader.read(place.media, place.partition, first, behind, key):
            scan.take(record)
    if left:
        scan.finish(end)
    return past


async def read_landed(
    reader: RandomReader, key: str, place: Place, epoch: int, start: int, end: int
) -> set[ChunkName]:
    """The chunks of an epoch in [start, end) that are there whole and valid: before the next
    epoch's open."""
    pieces: Counter[ChunkName] = Counter()
    landed: set[ChunkName] = set()
    for record in await reader.read(place.media, place.partition, start, end, key):
        header = record.header
        if header.kind in ("open", "fence") and header.epoch > epoch:
            break
        if header.kind == "chunk" and header.epoch == epoch:
            name = (header.track, header.msn, header.chunk)
            pieces[name] += 1
            if pieces[name] == header.pieces:
                landed.add(name)
    return landed


def _enough(found: list[IndexEntry], known: EpochEntry | None) -> bool:
    """Whether every live track of the newest epoch is seen, or that epoch's beginning."""
    if any(isinstance(e, SessionEntry) and (not known or e.epoch >= known.epoch) for e in found):
        return True
    if known is None:
        return False
    segments = [e for e in found if isinstance(e, SegmentEntry) and e.epoch == known.epoch]
    walls = [e.wall for e in segments]
    if walls and max(walls) - min(walls) > 2 * dead_ms(known.open):
        return True
    return {track.name for track in known.open.tracks} <= {e.track for e in segments}


async def _lowest(
    reader: RandomReader, place: Place, known: EpochEntry | None, unknown: Unknown
) -> int:
    """How far back the index is looked through."""
    if known is not None:
        return 0
    return await reader.offset_for_time(place.index, place.partition, unknown.born_ms)


def _take_entry(past: Past, entry: IndexEntry) -> None:
    past.opened(entry.epoch, entry.open.session if isinstance(entry, SessionEntry) else "")
    past.disc = max(past.disc, entry.disc)
    if isinstance(entry, SegmentEntry):
        past.begun(entry.track, entry.msn, entry.disc)


def _newest_session(
    entries: list[IndexEntry], known: EpochEntry | None
) -> SessionEntry | EpochEntry | None:
    """The newest that index or registry know in this place."""
    sessions = [e for e in entries if isinstance(e, SessionEntry)]
    session = max(sessions, key=lambda e: e.epoch, default=None)
    if known is not None and (session is None or known.epoch > session.epoch):
        return known
    return session


async def _is_there(
    reader: RandomReader, key: str, place: Place, session: SessionEntry | EpochEntry
) -> bool:
    """Whether a session's open record is where it is said to be, or was before the retention took
    it. It is not where the topic was made again, or mirrored."""
    low, _ = await reader.bounds(place.media, place.partition)
    offset = session.open_offset
    if offset < low:
        return True
    found = await reader.read(place.media, place.partition, offset, offset + 1, key)
    return any((r.header.kind, r.header.epoch) == ("open", session.epoch) for r in found)


async def _where_to_start(
    reader: RandomReader,
    place: Place,
    past: Past,
    entries: list[IndexEntry],
    session: SessionEntry | EpochEntry | None,
    unknown: Unknown,
) -> int:
    """The media offset behind which something may not be indexed. `session` is in force there;
    without one, index and registry tell nothing of this log but numbers."""
    if session is not None:
        of_session = [e for e in entries if isinstance(e, SegmentEntry)]
        of_session = [e for e in of_session if e.epoch == session.epoch]
        names = [track.name for track in session.open.tracks]
        start, dead = under_way(session.open_offset, names, of_session, dead_ms(session.open))
        for name in dead & past.next_msn.keys():
            past.next_msn[name] += 1  # the segment that it may have died in has a number, too
        return start
    since_ms = max(unknown.born_ms, unknown.since_ms)
    return await reader.offset_for_time(place.media, place.partition, since_ms)


def under_way(
    open_offset: int,
    names: Sequence[str],
    entries: Sequence[SegmentEntry],
    silent_ms: int = DEAD_MS,
) -> tuple[int, set[str]]:
    """Of a session with these tracks and newest entries: the media offset behind which a segment
    may be under way, and the tracks that are dead: silent for longer than `silent_ms`."""
    if not entries:
        return open_offset, set()
    newest = {entry.track: entry for entry in entries}
    first_ms, last_ms = min(e.wall for e in entries), max(e.wall for e in entries)
    dead = {
        name
        for name in names
        if last_ms - (newest[name].wall if name in newest else first_ms) > silent_ms
    }
    ends = [
        last_offset(newest[name]) if name in newest else open_offset
        for name in names
        if name not in dead
    ]
    return min(ends, default=open_offset) + 1, dead


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
            self._index(event)

    def finish(self, end: int) -> None:
        """Nothing more counts of the session that is under way, though no close says so."""
        self._index(Closed(self._reader.epoch, "moved away", end))

    def _index(self, event: Event) -> None:
        self._past.unindexed += [
            entry
            for entry in self._indexer.apply(event)
            if entry.msn > self._indexed.get(entry.track, -1)
        ]

    def _see(self, event: Event) -> None:
        past = self._past
        if isinstance(event, Opened):
            past.opened(event.epoch, event.open.session)
            past.open_offset = event.offset
        elif isinstance(event, ChunkEvent):
            header = event.header
            past.begun(header.track, header.msn, header.disc)
