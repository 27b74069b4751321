"""The flow: a stream's chunks from a moment on, with what happens between them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection
from contextlib import aclosing
from dataclasses import dataclass
from enum import Enum

from kinolog.core.errors import NotFound
from kinolog.core.names import StreamName
from kinolog.core.units import show_time
from kinolog.log.history import Archive, Moment, Passage
from kinolog.record.control import OpenTrack
from kinolog.sdk.chunk import Chunk, chunk_of
from kinolog.sdk.continuity import Continuity
from kinolog.sdk.entrance import Entrance
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, Hole, Opened
from kinolog.timeline.reader import StreamReader

_TRAILING_MS = 5_000


class Mark(Enum):
    """What happens between chunks."""

    CLOSED = "closed"  # the publisher left; another session may open
    ENDED = "ended"  # and nobody came back
    PRESENT = "present"  # all that the log held at the call has been given


@dataclass(frozen=True, slots=True)
class Begun:
    """An epoch's tracks, before its first chunk."""

    epoch: int
    tracks: tuple[OpenTrack, ...]


Item = Chunk | Begun | Mark


@dataclass(frozen=True, slots=True)
class Wish:
    """What to read: from where, up to when, and which tracks (None: all)."""

    name: StreamName
    moment: Moment = "live"
    until_ms: int | None = None
    follow: bool = True
    tracks: Collection[str] | None = None


async def flow(archive: Archive, wish: Wish) -> AsyncGenerator[list[Item], None]:
    """Items in log order, in batches, from a keyframe at or before the moment on.

    Raises NotFound: no such stream, or nothing is kept of it at that time.
    """
    follow = wish.follow
    if wish.until_ms is not None and wish.until_ms <= archive.clock.unix_ms():
        follow = False
    passages = archive.passages(wish.name, wish.moment, follow=follow, until_ms=wish.until_ms)
    sieve = _Sieve(wish)
    async with aclosing(passages):
        async for passage in passages:
            items = sieve.take(passage)
            if items:
                yield items
            if sieve.over:
                return
    sieve.check_any(follow=follow)


class _Sieve:
    """From records to items: validity, the entrance, the end."""

    def __init__(self, wish: Wish) -> None:
        self.over = False
        self._wish = wish
        self._reader = StreamReader()
        self._entrance = Entrance(wish.moment)
        self._continuity = Continuity()
        self._tracks: dict[str, OpenTrack] = {}
        self._begun: Begun | None = None
        self._left: Mark | None = None
        self._past_end: set[str] = set()
        self._found = True
        self._given = False
        self._newest_ms = 0

    def take(self, passage: Passage) -> list[Item]:
        """The items of a passage, in order."""
        items: list[Item] = []
        self._found = self._found and passage.found
        if passage.session is not None and passage.session.epoch > self._reader.epoch:
            for event in self._reader.start(passage.session):
                self._apply(event, items)
        for record in passage.records:
            for event in self._reader.feed(record):
                self._apply(event, items)
            if self.over:
                return items
        if passage.present:
            if not isinstance(self._wish.moment, int):
                self._let(self._entrance.arrived(), items)
                if self._left is not None and self._given:
                    items.append(self._left)
            items.append(Mark.PRESENT)
        return items

    def check_any(self, *, follow: bool) -> None:
        """NotFound where the log held nothing at the moment or after it."""
        if self._given or follow or not isinstance(self._wish.moment, int):
            return
        newest = f"; the newest is from {show_time(self._newest_ms)}" if self._newest_ms else ""
        raise NotFound(
            f"nothing of {self._wish.name} is kept at {show_time(self._wish.moment)}{newest}"
        )

    def _apply(self, event: Event, items: list[Item]) -> None:
        if isinstance(event, ChunkEvent):
            track = self._tracks.get(event.header.track)
            if track is not None:
                follows = self._continuity.follows(event.header)
                self._chunk(chunk_of(event.header, event.payload, track, follows=follows), items)
        elif isinstance(event, Hole):
            self._continuity.hole(event.track)
        elif isinstance(event, Opened):
            self._open(event)
        elif isinstance(event, Closed | Ended):
            self._left = Mark.CLOSED if isinstance(event, Closed) else Mark.ENDED
            if self._given:
                items.append(self._left)

    def _open(self, event: Opened) -> None:
        wanted = self._wish.tracks
        tracks = [t for t in event.open.tracks if wanted is None or t.name in wanted]
        if not tracks and self._begun is None and not self._tracks:
            names = ", ".join(track.name for track in event.open.tracks)
            raise NotFound(
                f"{self._wish.name} has no track {', '.join(wanted or ())}", hint=f"it has {names}"
            )
        self._tracks = {track.name: track for track in tracks}
        self._begun = Begun(event.epoch, tuple(tracks))
        self._past_end = set()
        self._left = None
        if not self._continuity.opened(event.open):
            self._entrance.opened(tracks)

    def _chunk(self, chunk: Chunk, items: list[Item]) -> None:
        self._newest_ms = max(self._newest_ms, chunk.wall_ms)
        if not self._found:
            self._check_age(chunk)
        self._let(self._entrance.push(chunk), items)

    def _check_age(self, first: Chunk) -> None:
        """Nothing at or before the moment is kept: because the stream begins later, or because it
        is no longer kept?"""
        self._found = True
        moment = self._wish.moment
        if isinstance(moment, int) and first.wall_ms > moment and first.msn:
            raise NotFound(
                f"nothing of {self._wish.name} is kept at {show_time(moment)}; "
                f"the oldest is from {show_time(first.wall_ms)}",
                hint='"earliest" begins with the oldest',
            )

    def _let(self, chunks: list[Chunk], items: list[Item]) -> None:
        for chunk in chunks:
            if self._behind_end(chunk):
                continue
            if self._begun is not None:
                items.append(self._begun)
                self._begun = None
            items.append(chunk)
            self._given = True

    def _behind_end(self, chunk: Chunk) -> bool:
        """Whether the chunk begins at or after the end; the last track to get there ends all."""
        until_ms = self._wish.until_ms
        if until_ms is None or chunk.wall_ms < until_ms:
            return False
        self._past_end.add(chunk.track)
        if self._past_end >= self._tracks.keys() or chunk.wall_ms >= until_ms + _TRAILING_MS:
            self.over = True
        return True
