"""Reel: the finished past of some tracks, chunk by chunk in the order of time, up to the present.

A chunk's place is (MSN, number in the segment): it only rises, over epochs too.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Final, NamedTuple

from kinolog.core.errors import Unavailable
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.cut import REACH_MS
from kinolog.delivery.history import Named
from kinolog.delivery.live_rows import live_rows
from kinolog.delivery.past import Name
from kinolog.delivery.ws.feed import MOST_TRACKS, items_of
from kinolog.delivery.ws.message import Item
from kinolog.delivery.ws.stage import Stage
from kinolog.record.table import Row
from kinolog.record.topics import topic
from kinolog.timeline.segment import Segment

_LATE_MS: Final = 30_000
"""Sound may begin so long after what is wanted of it."""
_AHEAD_MS: Final = 20_000
_BLOCK: Final = 64
"""Numbers that the index is asked for at once."""
_KEPT_WAIT_S: Final = 1.0
"""So long Kafka is waited for to say whether what is in memory is deleted."""


class Place(NamedTuple):
    """The next chunk that is wanted of a track, or the first behind it."""

    msn: int
    chunk: int


Places = dict[str, Place]
"""By track."""


class Strand:
    """One track's finished segments from a place on, wherever they are kept."""

    def __init__(self, stage: Stage, channel: Channel, track: str, place: Place) -> None:
        self.track = track
        self.place = place
        self._stage = stage
        self._channel = channel
        self._items: deque[Item] = deque()
        self._rows: deque[Row] = deque()

    async def head(self) -> Item | None:
        """The next chunk; None where none is finished."""
        while not self._items:
            segment = await self._segment()
            if segment is None:
                return None
            first = self.place.chunk if segment.msn == self.place.msn else 0
            self._items.extend(one for one in self._cut(segment) if one.chunk >= first)
            self.place = Place(segment.msn + 1, 0)
        return self._items[0]

    def take(self) -> None:
        """The head was used."""
        self._items.popleft()

    def begin(self, at_ms: float, *, video: bool) -> None:
        """Of what is at hand, leave out what is not needed to show a moment."""
        items = self._items
        first = 0
        for index, item in enumerate(items):
            if item.at_ms > at_ms:
                break
            if item.independent or not video:
                first = index
        for _ in range(first):
            items.popleft()

    def _cut(self, segment: Segment) -> list[Item]:
        session = self._stage.session(self._channel, segment.epoch)
        for number, track in enumerate(session.tracks[:MOST_TRACKS] if session else ()):
            if track.name == self.track:
                return items_of(segment, number, track)
        return []

    async def _segment(self) -> Segment | None:
        """The next finished one from the place on."""
        while True:
            held = _held(self._channel, self.track)
            if held and held[0].msn <= self.place.msn:
                behind = (one for one in held if one.msn >= self.place.msn and one.ended)
                return next(behind, None)
            row = await self._row(held[0].msn if held else None)
            if row is None:
                if not held:
                    return None
                self.place = Place(min(held[0].msn, self.place.msn + _BLOCK), 0)
                continue
            found = self._channel.live.find(self.track, row.epoch, row.msn)
            if found is None or not found.ended:
                name = Name(self._channel.name, self.track, row.epoch, row.msn)
                found = await self._stage.past.segment(name)
            if found is not None:
                return found
            self.place = Place(row.msn + 1, 0)

    async def _row(self, below: int | None) -> Row | None:
        """That of the next segment by the index, up to a number; None where the next block of
        numbers has none."""
        rows = self._rows
        while rows and rows[0].msn < self.place.msn:
            rows.popleft()
        if not rows:
            end = self.place.msn + _BLOCK
            end = end if below is None else min(end, below)
            named = Named(self._channel.name, self.track)
            for run in await self._stage.history.numbered(named, self.place.msn, end):
                rows.extend(run)
        return rows.popleft() if rows else None


class Reel:
    """Strands side by side, the oldest chunk first."""

    def __init__(self, strands: Sequence[Strand]) -> None:
        self._strands = strands

    async def next(self) -> Item | None:
        """The next chunk of all; None where no strand has a finished one."""
        oldest: tuple[Item, Strand] | None = None
        for strand in self._strands:
            head = await strand.head()
            if head is not None and (oldest is None or head.at_ms < oldest[0].at_ms):
                oldest = head, strand
        if oldest is None:
            return None
        oldest[1].take()
        return oldest[0]


async def reel_at(
    stage: Stage, channel: Channel, tracks: Sequence[str], start_ms: float
) -> tuple[Reel, Places]:
    """A reel that begins with the pictures that show a moment, or the first after it; and where its
    strands begin, for a track that has nothing finished there. Sound begins in the session of the
    pictures, or later: of the one before, players that wait for all tracks would show nothing."""
    kinds = stage.kinds(channel)
    ordered = sorted(tracks, key=lambda track: kinds.get(track) != "video")
    at_ms = start_ms
    epoch = 0
    strands: list[Strand] = []
    places: Places = {}
    for track in ordered:
        video = kinds.get(track) == "video"
        place = await _place_at(stage, channel, track, at_ms, epoch, video=video)
        places[track] = place
        strand = Strand(stage, channel, track, place)
        head = await strand.head()
        if head is not None:
            strand.begin(at_ms, video=video)
            if video and not strands:
                found = await strand.head()
                if found is not None:
                    at_ms, epoch = found.at_ms, found.epoch
        strands.append(strand)
    return Reel(strands), places


async def _place_at(
    stage: Stage, channel: Channel, track: str, at_ms: float, epoch: int, *, video: bool
) -> Place:
    """The segment to begin with, of that session at least."""
    named = Named(channel.name, track)
    live = live_rows(channel, track)
    runs = await stage.history.between(named, at_ms - REACH_MS, at_ms + _AHEAD_MS, live)
    if not runs:
        now_ms = stage.clock.unix_ms()
        extents = await stage.history.extents(named, at_ms, now_ms, live)
        if extents:
            begin_ms = min(extent.start for extent in extents)
            runs = await stage.history.between(named, begin_ms, begin_ms + _AHEAD_MS, live)
    rows = [row for run in runs for row in run if not row.gap]
    rows = [row for row in rows if row.independent] or rows if video else rows
    before = [row for row in rows if row.wall <= at_ms]
    if before:
        return _since(epoch, before[-1])
    if rows:
        return Place(rows[0].msn, 0)
    held = _held(channel, track)
    if not held:
        return Place(0, 0)
    return _since(epoch, next((one for one in held if one.epoch >= epoch), held[-1]))


def _since(epoch: int, one: Row | Segment, chunk: int = 0) -> Place:
    """A chunk's place; that behind its segment, where this is of a session before that one."""
    return Place(one.msn + 1, 0) if one.epoch < epoch else Place(one.msn, chunk)


def places_in_memory(
    stage: Stage, channel: Channel, tracks: Sequence[str], at_ms: float
) -> Places | None:
    """Where to begin in what the channel holds: the newest independent chunk of the video at a
    moment or before, and the sound from there on. None where that lies further back.

    At infinity it is always found: a track that holds nothing begins with what comes.
    """
    kinds = stage.kinds(channel)
    places: Places = {}
    epoch = 0
    for track in sorted(tracks, key=lambda track: kinds.get(track) != "video"):
        held = _held(channel, track)
        if not held:
            if at_ms < float("inf"):
                return None
            places[track] = Place(0, 0)
        elif kinds.get(track) == "video":
            found = _newest_independent(held, at_ms)
            if found is None and at_ms < float("inf"):
                return None
            if found is None:
                places[track] = Place(held[-1].msn + 1, 0)
            else:
                places[track], at_ms, epoch = found
        else:
            sound = _sound_at(held, at_ms, epoch)
            if sound is None:
                return None
            places[track] = sound
    return places


async def are_kept(stage: Stage, channel: Channel, places: Places) -> bool:
    """Whether the segments in memory in which these places are have not been deleted; while Kafka
    does not tell in a moment, they have not."""
    epochs = stage.registry.epochs.get(channel.name, {})
    with suppress(Unavailable, TimeoutError):
        async with asyncio.timeout(_KEPT_WAIT_S):
            for track, place in places.items():
                segment = next((s for s in _held(channel, track) if s.msn == place.msn), None)
                entry = epochs.get(segment.epoch) if segment is not None else None
                if segment is None or entry is None:
                    continue
                media = topic(entry.base, "media"), entry.partition
                if segment.first_offset < await stage.history.low(channel.name, *media):
                    return False
    return True


def _newest_independent(held: Sequence[Segment], at_ms: float) -> tuple[Place, float, int] | None:
    """Its place, when it was captured, and its session."""
    for segment in reversed(held):
        if segment.wall > at_ms:
            continue
        good = [mark for mark in segment.marks() if mark.independent and mark.wall <= at_ms]
        if good:
            return Place(segment.msn, good[-1].chunk), good[-1].wall, segment.epoch
    return None


def _sound_at(held: Sequence[Segment], at_ms: float, epoch: int) -> Place | None:
    """The chunk that sounds at a moment; the newest of all at infinity. What comes next, where
    that is of a session before this one."""
    for segment in reversed(held):
        if segment.wall > at_ms:
            continue
        marks = [mark for mark in segment.marks() if mark.wall <= at_ms]
        if marks:
            return _since(epoch, segment, marks[-1].chunk)
    first = held[0]
    # The picture may begin a little before the sound.
    return Place(first.msn, 0) if at_ms >= first.wall - _LATE_MS else None


def held_from(stage: Stage, channel: Channel, places: Places) -> list[Item]:
    """All that the channel holds of some tracks from these places on, in the order of time."""
    strands = []
    for track, place in places.items():
        strand = []
        for segment in _held(channel, track):
            if segment.msn < place.msn:
                continue
            first = place.chunk if segment.msn == place.msn else 0
            cut = Strand(stage, channel, track, place)._cut(segment)
            strand += [item for item in cut if item.chunk >= first]
        strands.append(strand)
    return list(heapq.merge(*strands, key=attrgetter("at_ms")))


def _held(channel: Channel, track: str) -> list[Segment]:
    """The segments of a track that are in memory, those that stand for a gap left out."""
    found = channel.live.tracks.get(track)
    return [one for one in found.held if one.first_offset >= 0] if found is not None else []
