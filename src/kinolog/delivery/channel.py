"""A channel: one stream's read model in this process, and the requests that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.errors import Overloaded
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.log.tail_reader import Place
from kinolog.record.control import SessionEntry
from kinolog.record.header import VERSION, Header, Kind
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry, Placement
from kinolog.record.topics import topic
from kinolog.timeline.events import ChunkEvent, Event, Opened
from kinolog.timeline.live import LiveStream
from kinolog.timeline.places import MOST_WAIT_S, PlacesReader, join_places
from kinolog.timeline.track import Version

MOST_WAITING = 16_384
"""Requests that may wait for one stream at a time: a few KB each."""

WHOLE = 1 << 30
"""In place of a part's number: the whole media segment."""

CHUNK = -1
"""In place of a part's number, with any media segment: the track's next chunk."""

ANY_TRACK = ""
"""In place of a track's name, while none is known: the next session."""

_log = get_logger("kinolog.edge")


def place_of(placed: Placement | EpochEntry) -> Place:
    """The media topic and the partition of a placement, or of an epoch."""
    return topic(placed.base, "media"), placed.partition


Watcher = Callable[[Event | None], None]
"""Told of each event after it was applied; of None when the channel is closed."""


class Awaited(NamedTuple):
    """What a request waits for: a part of a media segment of a track, or WHOLE, or CHUNK."""

    track: str
    msn: int
    part: int


class Channel:
    """Feeds LiveStream in log order, and wakes who waits for what came.

    While a placement's past is being read, what the tail brings of it is held back, so that the
    past joins the tail without gap or repeat. Where the stream moves, the places' tails join in the
    order of its epochs.
    """

    def __init__(self, name: StreamName, clock: Clock) -> None:
        self.name = name
        self.live = LiveStream()
        self.asked_at = clock.monotonic()
        self.last_ms = 0
        """When its newest chunk was captured (Unix); 0 where nothing is kept."""
        self.heard_at: float | None = None
        """When the tail last brought something (monotonic); None before it did."""
        self._clock = clock
        self._opened_at: float | None = None
        self._reader: PlacesReader[Place] = PlacesReader()
        self._held: dict[Place, list[LogRecord]] = {}
        self._waiting: dict[Awaited, list[tuple[asyncio.Future[bool], float]]] = {}
        self._waiting_count = 0
        self._watchers: list[Watcher] = []
        self._closed = False
        self.places: list[Place] = []
        self.lost = False
        """The tail brought chunks of a session whose open it did not bring."""
        self._unread: dict[Place, range] = {}

    @property
    def busy(self) -> bool:
        """Whether somebody is waiting for what comes."""
        return bool(self._waiting or self._watchers)

    @property
    def closed(self) -> bool:
        """Whether nothing more comes: who goes on joins the stream anew."""
        return self._closed

    @property
    def open_for_s(self) -> float:
        """How long the newest session has been known here; 0 before the first."""
        return 0.0 if self._opened_at is None else self._clock.monotonic() - self._opened_at

    @property
    def quiet_ms(self) -> float:
        """For how long nothing has come of the session that is live: its ingest died, or its
        publisher hangs. By this process's own clock once something came, by the last capture time
        before that; 0 where no session is live."""
        if self.live.state != "live" or self.live.open is None:
            return 0.0
        if self.heard_at is not None:
            return 1000 * (self._clock.monotonic() - self.heard_at)
        return max(0.0, self._clock.unix_ms() - self.last_ms)

    def asked(self) -> None:
        """Somebody asked for something of this stream."""
        self.asked_at = self._clock.monotonic()

    def begin(self, session: SessionEntry | EpochEntry) -> None:
        """Start in the middle of a session; before the first record."""
        for event in self._reader.start(session):
            self._apply(event)

    def stop(self, entry: EpochEntry) -> None:
        """Take the close, or the end, of a session that the log does not hold any more: as the
        registry tells it."""
        kind: Kind = "end" if entry.state == "ended" else "close"
        header = Header(v=VERSION, kind=kind, epoch=entry.epoch)
        offset = max(entry.close_offset, entry.end_offset)
        record = LogRecord(offset, 0, self.name.name, header, b"")
        self._take(place_of(entry), record, self._clock.monotonic())

    def hold(self, place: Place) -> None:
        """Hold back what the tail brings of this place."""
        self.places.append(place)
        self._held[place] = []

    def pass_over(self, place: Place, offsets: range) -> None:
        """These records of a place are not read: nothing counts there, as far as is known."""
        if offsets:
            self._unread[place] = offsets

    def heard(self, newest: EpochEntry) -> None:
        """Take the end of the session from the registry where its record was passed over."""
        live = self.live
        if (live.state, live.epoch) != ("away", newest.epoch) or newest.state != "ended":
            return
        if newest.end_offset in self._unread.get(place_of(newest), ()):
            self.stop(newest)

    def missed(self, newest: EpochEntry | None) -> bool:
        """Whether something that was passed over did count, as the tail shows, or the stream's
        newest epoch in the registry."""
        if newest is None or self.lost:
            return self.lost
        unread = self._unread.get(place_of(newest), ())
        return newest.open_offset in unread or newest.close_offset in unread

    def release(self, pasts: Mapping[Place, Iterable[LogRecord]]) -> None:
        """Take these places' pasts with what was held back, then their tails as they come.

        Records of several places come in the order of their epochs.
        """
        now = self._clock.monotonic()
        runs = {place: chain(past, self._held.pop(place)) for place, past in pasts.items()}
        for place, record in join_places(runs):
            self._take(place, record, now)

    def take(self, place: Place, record: LogRecord) -> None:
        """A record of the tail."""
        self.heard_at = now = self._clock.monotonic()
        held = self._held.get(place)
        if held is None:
            self._take(place, record, now)
        else:
            held.append(record)

    async def wait(self, awaited: Awaited, timeout_s: float) -> bool:
        """Wait for a part; False when it took too long. Overloaded where too many wait."""
        if self._closed:
            return False
        if self._waiting_count >= MOST_WAITING:
            raise Overloaded(
                f"{MOST_WAITING} requests wait for {self.name} already", hint="ask another edge"
            )
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        deadline = self._clock.monotonic() + timeout_s
        self._waiting.setdefault(awaited, []).append((future, deadline))
        self._waiting_count += 1
        return await future

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell of each event from now on, at once, in log order; the way to stop that."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def expire(self, now: float) -> None:
        """Answer the requests whose time is over. Called about once a second: a deadline is
        good to that, and costs no timer a request."""
        for awaited, waiting in list(self._waiting.items()):
            kept = []
            for future, deadline in waiting:
                if deadline > now and not future.cancelled():
                    kept.append((future, deadline))
                elif not future.done():
                    future.set_result(False)
            self._waiting_count -= len(waiting) - len(kept)
            if kept:
                self._waiting[awaited] = kept
            else:
                del self._waiting[awaited]

    def go_on(self, now: float) -> None:
        """Take what waits for too long for a fence in the stream's former place. Called about
        once a second."""
        while (place := self._reader.overdue(now)) is not None:
            _log.warning(
                f"no fence in the former place for {MOST_WAIT_S:.0f} s, following the stream on",
                stream=str(self.name),
                topic=place[0],
                partition=place[1],
            )
            for event in self._reader.go_on(place, now):
                self._apply(event)

    def close(self) -> None:
        """Answer whoever waits: nothing more comes."""
        self._closed = True
        self.expire(float("inf"))
        for watcher in tuple(self._watchers):
            watcher(None)

    def _take(self, place: Place, record: LogRecord, now: float) -> None:
        self.last_ms = max(self.last_ms, record.header.wall)
        unopened = self._reader.unopened
        events = self._reader.feed(place, record, now)
        if self._unread and self._reader.unopened > unopened:
            self.lost = True
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        changed = self.live.apply(event)
        if isinstance(event, Opened):
            self._opened_at = self._clock.monotonic()
            self._wake(ANY_TRACK)
        elif isinstance(event, ChunkEvent) and self._waiting:
            self._answer(Awaited(event.header.track, 0, CHUNK))
        for track in changed:
            if self._waiting:
                self._wake(track.name)
        for watcher in tuple(self._watchers):
            watcher(event)

    def _wake(self, track: str) -> None:
        """Whoever waits for something of this track that may have come looks again; a session
        that changed, or a track that fell silent, concerns all."""
        found = self.live.tracks.get(track)
        version = found.version if found is not None else None
        speaks = found is not None and not found.silent and self.live.state == "live"
        for awaited in [a for a in self._waiting if a.track == track]:
            if speaks and version is not None and _later(awaited, version):
                continue
            self._answer(awaited)

    def _answer(self, awaited: Awaited) -> None:
        """Whoever waits for this looks again."""
        woken = self._waiting.pop(awaited, ())
        self._waiting_count -= len(woken)
        for future, _ in woken:
            if not future.done():
                future.set_result(True)


def _later(awaited: Awaited, version: Version) -> bool:
    """Whether what is awaited is still to come."""
    last = version.last
    if awaited.msn != last.msn:
        return awaited.msn > last.msn
    return not version.tail_ended and awaited.part > last.part
