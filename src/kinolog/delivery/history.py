"""History: the finished media segments of a stream, found by time or by number in the index.

Of a track it keeps what leads to its pages; the pages themselves are kept for all streams together,
up to a bound. Nothing of it is state that another edge lacks.
"""

from __future__ import annotations

import asyncio
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.errors import ArchiveUnavailable
from kinolog.core.names import StreamName
from kinolog.log.index_reader import about_bytes
from kinolog.log.pages import Bottom, Frontier, IndexPlace, Leaf, Pages
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.absent import Absent
from kinolog.record.control import SegmentEntry, segment_entry
from kinolog.record.page import GAP
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row, Table
from kinolog.record.topics import topic
from kinolog.timeline.extent import Extent, extents
from kinolog.timeline.window import Run, Session, in_time, runs, with_gaps

MOST_FRONTIERS = 256
MOST_OLDER = 64
"""So often an index may have begun anew."""
AGE_S = 0.5
"""An index is not asked again for what it did not have before so long."""
KEPT_AGE_S = 1.0


class Named(NamedTuple):
    """A track of a stream."""

    stream: StreamName
    track: str


class _Reach(NamedTuple):
    """How far an index must have been read: to a number, where one is known, else to a moment."""

    unix_ms: float | None
    msn: int | None


class _Kept(NamedTuple):
    """What is kept of a stream's media in a place, as it was at a moment (monotonic seconds): from
    the log offset `low` on, without what is `absent`."""

    at_s: float
    low: int
    absent: Absent | None

    def lacks(self, track: str, leaf: Leaf) -> bool:
        """Whether something of a page may be absent."""
        return self.absent is not None and self.absent.among(
            track, leaf.first_msn, leaf.below_msn, leaf.ref.epoch, leaf.ref.first
        )


class KeptIn(NamedTuple):
    """What is kept of a stream in a place, and as what its index was read: what was made of rows
    before another session, another stream of the name, or while the archive did not answer
    (`whole`), is not what would be made now."""

    low: int
    absent: Absent | None
    newest: EpochEntry
    whole: bool


Kept = tuple[KeptIn, ...]
"""The same of all places of a stream."""


class _Older(NamedTuple):
    """A frontier that nothing newer leads to: what of it has lower numbers than `below` counts."""

    frontier: Frontier
    below: float


class _Known(NamedTuple):
    """A track's frontier in a place, as it was at a moment (monotonic seconds); and those before
    it, the newest first. `told`: what the registry said of the place's newest epoch then. `whole`:
    all of them; not where the archive did not answer."""

    frontier: Frontier
    older: tuple[_Older, ...]
    told: EpochEntry
    at_s: float
    whole: bool

    @property
    def all(self) -> Sequence[_Older]:
        """Every frontier, the newest first."""
        return (_Older(self.frontier, inf), *self.older)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where some epochs of a stream are: index and media of one partition. `epochs`: those of the
    registry, oldest first. `newest`: the stream's newest is among them. `made`: of the index."""

    base: str
    partition: int
    epochs: tuple[EpochEntry, ...]
    newest: bool
    made: int

    @property
    def media(self) -> tuple[str, int]:
        """The media topic and the partition."""
        return topic(self.base, "media"), self.partition

    def index(self, stream: StreamName) -> IndexPlace:
        return IndexPlace(topic(self.base, "index"), self.partition, stream.name, self.made)

    def sessions(self, track: str) -> dict[int, Session]:
        """By epoch, for those that have the track."""
        found = {}
        void_from = float("inf")
        for entry in reversed(self.epochs):
            for info in entry.open.tracks:
                if info.name == track:
                    found[entry.epoch] = Session(info.timescale, void_from)
            void_from = min(void_from, entry.open_offset)
        return found


class History:
    """Rows of the index, for whatever is made of them."""

    def __init__(self, reader: RandomReader, registry: Registry, clock: Clock) -> None:
        self._reader = reader
        self._registry = registry
        self._clock = clock
        self._pages = Pages(reader)
        self._known: OrderedDict[tuple[IndexPlace, str], _Known] = OrderedDict()
        self._asking: dict[tuple[IndexPlace, str], asyncio.Task[_Known]] = {}
        self._olders: OrderedDict[tuple[IndexPlace, str], tuple[int | None, tuple[_Older, ...]]] = (
            OrderedDict()
        )
        self._kept: OrderedDict[tuple[str, int, str], _Kept] = OrderedDict()
        self._made: dict[tuple[str, int], int] = {}
        """When the index of a partition was made again; epochs that say so may be gone since."""

    async def between(self, name: Named, start_ms: float, end_ms: float, live: Table) -> list[Run]:
        """The segments that overlap [start_ms, end_ms) (Unix ms), in the order of time. `live`: the
        newest segments, as an edge that follows the stream has them; they need no index, but for
        those among them or behind them that were deleted before anybody had them."""
        found: list[Run] = []
        newest = live.msn[0] - 1 if len(live) else None
        if self._reader.tiered and len(live) and _lacks(live, end_ms):
            newest = None
        for place, sessions in self._places_of(name):
            reach = _Reach(end_ms, newest if place.newest else None)
            found += await self._read(
                name, place, sessions, reach, lambda leaf, _: _in_time(leaf, start_ms, end_ms)
            )
        if len(live):
            older = [part for run in found if (part := run.numbered(0, live.msn[0])) is not None]
            beside = _beside(found, live) if newest is None else []
            found = [*older, *beside, *await self._of_live(name, live)]
        return in_time(found, start_ms, end_ms)

    async def extents(
        self, name: Named, start_ms: float, end_ms: float, live: Table
    ) -> list[Extent]:
        """When there is media of a track in [start_ms, end_ms) (Unix ms), in no order. Of pages
        without a hole that lie in it whole, nothing is read."""
        found: list[Extent] = []
        of_runs: list[Run] = []
        newest = live.msn[0] - 1 if len(live) else None
        for place, sessions in self._places_of(name):

            def wanted(leaf: Leaf, kept: _Kept, sessions: Mapping[int, Session] = sessions) -> bool:
                if not _in_time(leaf, start_ms, end_ms):
                    return False
                ref = leaf.ref
                session = sessions.get(ref.epoch)
                if (
                    session is None
                    or not ref.solid
                    or not start_ms <= ref.wall < ref.until <= end_ms
                    or not kept.low <= ref.first <= ref.last < session.void_from
                    or kept.lacks(name.track, leaf)
                ):
                    return True
                found.append(Extent(ref.wall, ref.until, ref.epoch))
                return False

            reach = _Reach(end_ms, newest if place.newest else None)
            of_runs += await self._read(name, place, sessions, reach, wanted)
        for run in [*of_runs, *await self._of_live(name, live)]:
            part = run.between(start_ms, end_ms)
            if part is not None:
                found += extents(part)
        return found

    async def numbered(self, name: Named, first: int, below: int) -> list[Run]:
        """The segments with media sequence numbers in [first, below), in the order of these."""
        found: list[Run] = []
        for place, sessions in self._places_of(name):
            read = await self._read(
                name,
                place,
                sessions,
                _Reach(None, below - 1),
                lambda leaf, _: leaf.first_msn < below and leaf.below_msn > first,
            )
            found += [part for run in read if (part := run.numbered(first, below)) is not None]
        return sorted(found, key=lambda run: run.first_msn)

    async def _read(
        self,
        name: Named,
        place: _Place,
        sessions: Mapping[int, Session],
        reach: _Reach,
        wanted: Callable[[Leaf, _Kept], bool],
    ) -> list[Run]:
        """The rows of a place that count, of those pages that are wanted, given what of the media
        is kept, and of what is in no page. What nobody has is a gap."""
        known = await self._frontier(name, place, reach)
        kept = await self._what_is_kept(name.stream, *place.media)
        found: list[Run] = []
        for frontier, below in reversed(known.all):

            def counts(leaf: Leaf, below: float = below) -> bool:
                return leaf.ref.last >= kept.low and leaf.first_msn < below and wanted(leaf, kept)

            tables = await self._pages.tables(place.index(name.stream), frontier.leaves, counts)
            for run in runs([*tables, frontier.tail], sessions, kept.low):
                part = run if below == inf else run.numbered(0, below)
                if part is not None and kept.absent is not None:
                    part = with_gaps(part, name.track, kept.absent)
                if part is not None:
                    found.append(part)
        return found

    async def _of_live(self, name: Named, live: Table) -> list[Run]:
        """The newest segments, without what is deleted already: an edge that did not have it in
        memory would not list it."""
        found: list[Run] = []
        for place, sessions in self._places_of(name) if len(live) else ():
            known = {epoch: Session(session.timescale) for epoch, session in sessions.items()}
            kept = await self._what_is_kept(name.stream, *place.media)
            found += runs([live], known, kept.low)
        return found

    async def number_after(self, name: Named, unix_ms: float) -> int:
        """The media sequence number behind the newest segment that ends before a moment; 0 where
        none does."""
        for place, sessions in reversed(self._places_of(name)):
            known = await self._frontier(name, place, _Reach(unix_ms, None))
            for frontier, _ in known.all:
                found = _after(frontier.tail, sessions, unix_ms)
                if found is None:
                    index = place.index(name.stream)
                    found = await self._after_leaf(index, frontier.leaves, sessions, unix_ms)
                if found is not None:
                    return found
        return 0

    async def next_ms(self, name: Named, unix_ms: int) -> int | None:
        """Before when there is nothing of a track from a moment on (Unix ms), by what is known of
        its pages alone; None where nothing is indexed from then on."""
        found: list[int] = []
        for place, _ in self._places_of(name):
            known = await self._frontier(name, place, _Reach(unix_ms, None))
            kept = await self._what_is_kept(name.stream, *place.media)
            for frontier, _ in known.all:
                refs = [leaf.ref for leaf in frontier.leaves]
                found += [ref.wall for ref in refs if ref.until > unix_ms and ref.last >= kept.low]
                if len(frontier.tail) and frontier.tail.wall[-1] >= unix_ms:
                    found.append(frontier.tail.wall[0])
        return max(unix_ms, min(found)) if found else None

    async def _after_leaf(
        self,
        index: IndexPlace,
        leaves: Sequence[Leaf],
        sessions: Mapping[int, Session],
        unix_ms: float,
    ) -> int | None:
        for leaf in reversed(leaves):
            if leaf.ref.wall >= unix_ms:
                continue
            if leaf.ref.until <= unix_ms:
                return leaf.below_msn
            sheet = await self._pages.sheet(index, leaf.ref.offset)
            if sheet is None:
                continue
            if sheet.rows is not None:
                found = _after(sheet.rows, sessions, unix_ms)
            else:
                found = await self._after_leaf(index, sheet.children, sessions, unix_ms)
            if found is not None:
                return found
        return None

    async def row(self, name: Named, epoch: int, msn: int) -> Row | None:
        """The segment of this name; None where there is none in the index."""
        for place, sessions in self._places_of(name):
            session = sessions.get(epoch)
            if session is None:
                continue
            known = await self._frontier(name, place, _Reach(None, msn))
            index = place.index(name.stream)
            for frontier, _ in known.all:
                row = await self._pages.row(index, frontier, epoch, msn)
                if row is not None:
                    return row if row.first < session.void_from else None
            return None
        return None

    async def entry(self, name: Named, row: Row) -> SegmentEntry | None:
        """What the index says of a row's samples; None where it does not have it."""
        found = row if row.entry >= 0 else await self.row(name, row.epoch, row.msn)
        for place, sessions in self._places_of(name):
            if found is None or found.epoch not in sessions:
                continue
            index, at = place.index(name.stream), found.entry
            messages = await self._reader.read_raw(
                index.topic, index.partition, at, at + 1, index.key, about_bytes(1)
            )
            values = (message.value() for message in messages if message.offset() == at)
            entry = segment_entry(next(values, None))
            if entry is None:
                return None
            # It is another's where the index was made again meanwhile.
            own = (entry.track, entry.epoch, entry.msn) == (name.track, found.epoch, found.msn)
            return entry if own else None
        return None

    async def kept(self, name: Named) -> Kept:
        """What is kept of a track's media: what lists more of the past is of no use any more."""
        found: list[KeptIn] = []
        for place, _ in self._places_of(name):
            one = await self._what_is_kept(name.stream, *place.media)
            known = self._known.get((place.index(name.stream), name.track))
            whole = known is None or known.whole
            found.append(KeptIn(one.low, one.absent, place.epochs[-1], whole))
        return tuple(found)

    async def low(self, stream: StreamName, media: str, partition: int) -> int:
        """The offset in a partition of a media topic from which on a stream is kept there, as it
        was known at most a second ago."""
        return (await self._what_is_kept(stream, media, partition)).low

    def look_again(self, stream: StreamName) -> None:
        """Ask anew what is kept of a stream: some of it proved to be deleted."""
        for key in [key for key in self._kept if key[2] == stream.name]:
            del self._kept[key]

    def target_ms(self, stream: StreamName) -> int:
        """The target duration of a stream's segments, the same over its epochs."""
        entry = self._registry.streams.get(stream)
        return entry.target_ms if entry is not None and entry.target_ms else 2000

    async def close(self) -> None:
        """Give up what is being read."""
        for task in self._asking.values():
            task.cancel()

    def _places_of(self, name: Named) -> Sequence[tuple[_Place, Mapping[int, Session]]]:
        """Where a track's epochs are, in the order in which the stream came there, and what is to
        be known of each."""
        entry = self._registry.streams.get(name.stream)
        oldest = entry.placements[0].from_epoch if entry is not None else 0
        epochs: dict[tuple[str, int], list[EpochEntry]] = {}
        for number, epoch in sorted(self._registry.epochs.get(name.stream, {}).items()):
            if number >= oldest:
                epochs.setdefault((epoch.base, epoch.partition), []).append(epoch)
        newest = max((found[-1].epoch for found in epochs.values()), default=0)
        places: list[_Place] = []
        for at, found in epochs.items():
            told = max(one.made for one in found)
            made = self._made[at] = max(told, self._made.get(at, 0))
            places.append(_Place(*at, tuple(found), found[-1].epoch == newest, made))
        return [(place, sessions) for place in places if (sessions := place.sessions(name.track))]

    async def _frontier(self, name: Named, place: _Place, reach: _Reach) -> _Known:
        """A track's frontiers that reaches so far, if the index does."""
        key = (place.index(name.stream), name.track)
        known = self._known.get(key)
        if known is not None and self._reaches(known, place, reach):
            self._known.move_to_end(key)
            return known
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(name, place))
            task.add_done_callback(lambda _: self._asking.pop(key, None))
        found = await asyncio.shield(task)
        self._known[key] = found
        while len(self._known) > MOST_FRONTIERS:
            self._known.popitem(last=False)
        return found

    def _reaches(self, known: _Known, place: _Place, reach: _Reach) -> bool:
        newest = place.epochs[-1]
        frontier = known.frontier
        if known.told != newest:
            return False  # another session, or an index that was made again
        if newest.state != "live" and known.whole:
            return True  # nothing more comes
        if self._clock.monotonic() - known.at_s < AGE_S:
            return True
        if not known.whole:
            return False
        if reach.msn is not None:
            return frontier.newest_msn >= reach.msn
        if len(frontier.tail):
            return frontier.tail.wall[-1] >= (reach.unix_ms or 0)
        return bool(frontier.leaves) and frontier.leaves[-1].ref.until >= (reach.unix_ms or 0)

    async def _ask(self, name: Named, place: _Place) -> _Known:
        at_s = self._clock.monotonic()
        newest = place.epochs[-1]
        index = place.index(name.stream)
        wheres, end = await self._pages.where(index, newest)
        where = wheres.get(name.track)
        if where is None:
            frontier = Frontier((), _NO_ROWS)
        else:
            frontier = await self._pages.frontier(index, name.track, where, end)
        whole = True
        try:
            older = await self._older(index, name.track, frontier, end)
        except ArchiveUnavailable:
            older, whole = (), False  # what is newer is to be played all the same
            at_s = self._clock.monotonic()  # the archive may have taken long to say nothing
        return _Known(frontier, older, newest, at_s, whole)

    async def _older(
        self, index: IndexPlace, track: str, frontier: Frontier, end: int
    ) -> tuple[_Older, ...]:
        """What is before a frontier, where the reader has more than Kafka has; `end`: of the index.
        Looked for once."""
        if not self._reader.tiered:
            return ()
        key = (index, track)
        known = self._olders.get(key)
        if known is not None and known[0] == frontier.begins is not None:
            self._olders.move_to_end(key)
            return known[1]
        found: list[_Older] = []
        at = frontier
        while len(found) < MOST_OLDER:
            bottom = await self._pages.bottom(index, at) if at.begins is not None else None
            if bottom is None and at.begins is not None:
                break
            before = bottom or Bottom(sys.maxsize, end)
            older = await self._pages.older(index, track, before)
            if older is None:
                break
            found.append(_Older(older, before.msn))
            at = older
        self._olders[key] = (frontier.begins, tuple(found))
        while len(self._olders) > MOST_FRONTIERS:
            self._olders.popitem(last=False)
        return tuple(found)

    async def _what_is_kept(self, stream: StreamName, media: str, partition: int) -> _Kept:
        """What is kept of a stream's media in a place, asked at most once a second."""
        key = (media, partition, stream.name)
        now_s = self._clock.monotonic()
        kept = self._kept.get(key)
        if kept is None or now_s - kept.at_s >= KEPT_AGE_S:
            low, _ = await self._reader.bounds(*key)
            kept = self._kept[key] = _Kept(now_s, low, await self._reader.absent(*key))
            self._kept.move_to_end(key)
            while len(self._kept) > MOST_FRONTIERS:
                self._kept.popitem(last=False)
        return kept


_NO_ROWS = Table()


def _lacks(live: Table, end_ms: float) -> bool:
    """Whether there may be something before a moment, or some number, that is not in memory."""
    return live.msn[-1] - live.msn[0] >= len(live) or live.wall[-1] < end_ms < inf


def _beside(found: Sequence[Run], live: Table) -> list[Run]:
    """What is not in memory, from its first number on: because nobody has it, or because nobody has
    the record that opens its session."""
    first, last, have = live.msn[0], live.msn[-1], set(live.msn)
    rows = ((run, index) for run in found for index in range(run.start, run.stop))
    parts = (
        run.cut(index, index + 1)
        for run, index in rows
        if (msn := run.table.msn[index]) > first
        and msn not in have
        and (msn < last or run.table.flags[index] & GAP)
    )
    return [part for part in parts if part is not None]


def _after(table: Table, sessions: Mapping[int, Session], unix_ms: float) -> int | None:
    """The number behind the newest row that ends before a moment."""
    for run in reversed(list(runs([table], sessions, 0))):
        for index in range(run.stop - 1, run.start - 1, -1):
            if run.end_of(index) <= unix_ms:
                return table.msn[index] + 1
    return None


def _in_time(leaf: Leaf, start_ms: float, end_ms: float) -> bool:
    return leaf.ref.wall < end_ms and leaf.ref.until > start_ms
