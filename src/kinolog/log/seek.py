"""Where a moment of a stream is in one partition: told by the index and the registry.

The media topic is never scanned. What is found may lie a little before the moment; never after.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from kinolog.core.errors import WireError
from kinolog.log.index_reader import is_void, newest_indexed
from kinolog.log.paged_seek import ends_ms, newest_at, tracks
from kinolog.log.pages import IndexPlace, Pages
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, SegmentEntry, SessionEntry, decode_index
from kinolog.record.page import PageEntry
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row
from kinolog.record.topics import topic

Session = SessionEntry | EpochEntry

_STEP = 2_000
_MARGINS_MS = (15_000, 120_000, 960_000, 7_200_000)
_SKEW_MS = 60_000
_BESIDE_MS = 250
"""Tracks are cut at their first frame behind a border: so far apart at most, mostly 20 ms."""


class Beginning(NamedTuple):
    """Read from `offset`, with `session` in force there (None: its open lies behind it).

    `found`: a media segment at or before the moment is kept here.
    """

    offset: int
    session: Session | None
    found: bool


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stream's records in one place: those of the epochs from `least` on, below `below`."""

    base: str
    partition: int
    least: int = 0
    below: float = float("inf")

    @property
    def media(self) -> str:
        """The media topic."""
        return topic(self.base, "media")

    @property
    def index(self) -> str:
        """The index topic."""
        return topic(self.base, "index")

    def sessions(self, known: Mapping[int, EpochEntry]) -> dict[int, Session]:
        """The registry's epochs that are in this stretch."""
        here = (self.base, self.partition)
        return {
            epoch: entry
            for epoch, entry in sorted(known.items())
            if (entry.base, entry.partition) == here and self.least <= epoch < self.below
        }


@dataclass(slots=True)
class Seeker:
    """Seeks in one stretch. `known`: the registry's epochs of the stream."""

    reader: RandomReader
    key: str
    stretch: Stretch
    known: Mapping[int, EpochEntry]
    low: int = 0
    _sessions: dict[int, Session] = field(default_factory=dict)

    async def at_time(self, unix_ms: int) -> Beginning:
        """The newest keyframe's segment at or before a capture time (audio alone: any segment);
        else the oldest that is kept."""
        await self._prepare()
        return await self._by_pages(unix_ms) or await self._by_log(unix_ms)

    async def in_log_order(self, unix_ms: int) -> Beginning:
        """As at_time, but never behind a segment that begins later than that, whatever was
        published since."""
        await self._prepare()
        return await self._by_log(unix_ms)

    async def _by_log(self, unix_ms: int) -> Beginning:
        index, partition = self.stretch.index, self.stretch.partition
        index_low, end = await self.reader.bounds(index, partition, self.key)
        for margin_ms in (*_MARGINS_MS, None):
            start = index_low
            if margin_ms is not None:
                lower = await self.reader.offset_for_time(index, partition, unix_ms - margin_ms)
                start = max(start, lower)
            seen: list[SegmentEntry] = []
            async for entry in self._entries(start, end):
                if isinstance(entry, SegmentEntry):
                    if entry.wall > unix_ms:
                        break
                    seen.append(entry)
            if (found := self._last_start(seen)) is not None:
                return found
            if start == index_low:
                break
        return await self.oldest()

    async def _by_pages(self, unix_ms: int) -> Beginning | None:
        """As at_time; None where the index has no pages, or nothing in them that is old enough."""
        here = [entry for entry in self._sessions.values() if isinstance(entry, EpochEntry)]
        if not here:
            return None
        pages = Pages(self.reader)
        place = IndexPlace(self.stretch.index, self.stretch.partition, self.key)
        newest = max(here, key=lambda entry: entry.epoch)
        found = await tracks(pages, place, newest, tiered=self.reader.tiered)
        best: tuple[str, Row] | None = None
        for track in found:

            def starts(row: Row, name: str = track.name) -> bool:
                return row.independent and self._is_row(row) and self._leads(row.epoch, name)

            row = await newest_at(pages, place, track, unix_ms, starts)
            if row is not None and (best is None or row.wall > best[1].wall):
                best = track.name, row
        if best is None:
            return None
        name, start = best
        session = self._sessions[start.epoch]
        scale = {info.name: info.timescale for info in session.open.tracks}
        offset = start.first
        for track in found:
            if track.name != name:

                def beside(row: Row) -> bool:
                    return row.epoch == start.epoch and self._is_row(row)

                for at_ms in (start.wall, start.wall + _BESIDE_MS):
                    row = await newest_at(pages, place, track, at_ms, beside)
                    if row is not None and ends_ms(row, scale, track.name) > start.wall:
                        offset = min(offset, row.first)
        return Beginning(offset, session, True)

    def _is_row(self, row: Row) -> bool:
        """Whether a segment counts, and its media is kept."""
        if row.epoch not in self._sessions or row.first < self.low:
            return False
        newer = (s.open_offset for epoch, s in self._sessions.items() if epoch > row.epoch)
        return row.first < min(newer, default=float("inf"))

    def _leads(self, epoch: int, track: str) -> bool:
        """Whether a reader begins with this track: one of video, where there is one."""
        kinds = {one.name: one.kind for one in self._sessions[epoch].open.tracks}
        return kinds.get(track) == "video" or "video" not in kinds.values()

    async def newest(self) -> Beginning:
        """The newest keyframe's segment in the index, if its session is the newest."""
        await self._prepare()
        newest = max(self._sessions, default=0)

        def enough(entries: list[IndexEntry]) -> bool:
            return any(
                e.epoch >= newest and (isinstance(e, SessionEntry) or self._starts(e))
                for e in entries
            )

        found = await newest_indexed(
            self.reader, self.stretch.index, self.stretch.partition, self.key, enough
        )
        entries = [entry for _, entry in found]
        self._learn(entries)
        newest = max(self._sessions, default=0)
        seen = [e for e in entries if isinstance(e, SegmentEntry) and e.epoch == newest]
        return self._last_start(seen) or self._of_session(newest)

    async def oldest(self) -> Beginning:
        """The oldest that is kept."""
        await self._prepare()
        found = self._of_session(min(self._sessions, default=0))
        if found.session is None and found.offset > self.low:
            return found
        # Its open has aged out, perhaps all of it: the index tells which session is the oldest
        # that something is kept of.
        index_low, end = await self.reader.bounds(
            self.stretch.index, self.stretch.partition, self.key
        )
        async for entry in self._entries(index_low, end):
            if isinstance(entry, SegmentEntry) and entry.epoch in self._sessions:
                return self._of_session(entry.epoch)
        return found

    async def _prepare(self) -> None:
        self.low, _ = await self.reader.bounds(self.stretch.media, self.stretch.partition, self.key)
        self._sessions = self.stretch.sessions(self.known)
        if not self._sessions:
            # The registry lost it, or was not told: the index's session entries are the truth.
            low, end = await self.reader.bounds(self.stretch.index, self.stretch.partition)
            lower = await self.reader.offset_for_time(
                self.stretch.index, self.stretch.partition, self.stretch.least - _SKEW_MS
            )
            async for _ in self._entries(max(low, lower), end):
                pass

    async def _entries(self, start: int, end: int) -> AsyncIterator[IndexEntry]:
        """The stream's entries of [start, end) of the index whose media is kept, in log order."""
        while start < end:
            stop = min(end, start + _STEP)
            raw = await self.reader.read_raw(
                self.stretch.index, self.stretch.partition, start, stop, self.key
            )
            for message in raw:
                try:
                    entry = decode_index(message.value() or b"")
                except WireError:
                    continue
                if isinstance(entry, PageEntry):
                    continue
                self._learn([entry])
                if self._is_kept(entry):
                    yield entry
            start = stop

    def _learn(self, entries: list[IndexEntry]) -> None:
        for entry in entries:
            if isinstance(entry, SessionEntry) and self._is_here(entry.epoch):
                self._sessions.setdefault(entry.epoch, entry)

    def _is_here(self, epoch: int) -> bool:
        return self.stretch.least <= epoch < self.stretch.below

    def _is_kept(self, entry: IndexEntry) -> bool:
        if not self._is_here(entry.epoch):
            return False
        if isinstance(entry, SegmentEntry) and is_void(entry, self._sessions):
            return False
        first = entry.offsets[0] if isinstance(entry, SegmentEntry) else entry.open_offset
        return first >= self.low

    def _starts(self, entry: SegmentEntry) -> bool:
        """Whether a reader can begin with this segment: a keyframe's, where there is video."""
        session = self._sessions.get(entry.epoch)
        if session is None or not entry.ind or not self._is_kept(entry):
            return False
        return self._leads(entry.epoch, entry.track)

    def _last_start(self, seen: list[SegmentEntry]) -> Beginning | None:
        """The last segment to begin with, and what of other tracks overlaps its beginning."""
        start = next((e for e in reversed(seen) if self._starts(e)), None)
        if start is None:
            return None
        session = self._sessions[start.epoch]
        scale = {track.name: track.timescale for track in session.open.tracks}
        offset = min(
            e.offsets[0]
            for e in seen
            if e is start
            or (
                e.epoch == start.epoch
                and e.track != start.track
                and e.wall + 1000 * e.dur // scale.get(e.track, 1) > start.wall
            )
        )
        return Beginning(offset, session, True)

    def _of_session(self, epoch: int) -> Beginning:
        """A session's open, or where the log begins, with the session in force there."""
        session = self._sessions.get(epoch)
        if session is None:
            return Beginning(self.low, None, False)
        if session.open_offset >= self.low:
            return Beginning(session.open_offset, None, False)
        return Beginning(self.low, session, False)
