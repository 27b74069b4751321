"""A viewer: what one socket is sent, live or from any time, and what it asks for."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple
from urllib.parse import quote

from kinolog.core.errors import InputError, KinologError, Unavailable
from kinolog.core.log import get_logger
from kinolog.core.rsgi import Socket
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.cut import REACH_MS
from kinolog.delivery.history import Named
from kinolog.delivery.live_rows import live_rows
from kinolog.delivery.span import SKEW_MS, moment_ms, parse_span
from kinolog.delivery.ws.message import (
    ALL_UP_TO,
    VERSION,
    Ack,
    Command,
    Item,
    Pause,
    Play,
    Resume,
    Seek,
    Speed,
    SpeedTo,
    Window,
    discontinuous,
    init_message,
    parse,
    session_of,
    speed_of,
    text,
)
from kinolog.delivery.ws.outbox import MOST_BYTES, Outbox
from kinolog.delivery.ws.reel import (
    Place,
    Places,
    Reel,
    Strand,
    are_kept,
    held_from,
    places_in_memory,
    reel_at,
)
from kinolog.delivery.ws.stage import Stage
from kinolog.record.control import OpenTrack
from kinolog.record.table import Table

AHEAD_MS: Final = 1500
"""What is not live is sent so much playing time before its turn."""
LEAP_MS: Final = 1500
"""A longer time without media is not waited for."""
_STEP_S: Final = 0.05
_LEAD_MS: Final = 200
"""So much behind a moment is sent before a pause: browsers show nothing of less sound."""
_AGAIN_S: Final = 0.25
_TURNS: Final = 64
"""Chunks sent at a stretch before others have their turn."""
_CLOSE: Final = 0
_log = get_logger("kinolog.edge")


class Wish(NamedTuple):
    """What to play. `start_ms`: None for live. `tracks`: none named means the usual ones."""

    start_ms: int | None = None
    end_ms: int | None = None
    speed: Speed = 1.0
    tracks: tuple[str, ...] = ()


def wish_of(start: str, end: str, speed: float | str, tracks: Sequence[str], now_ms: int) -> Wish:
    """The wish that these words stand for. InputError where they cannot be meant."""
    found = speed_of(speed)
    named = tuple(dict.fromkeys(one for one in tracks if one))
    if start in ("", "live"):
        if end:
            raise InputError("end needs a start", hint="for example start=-10m, end=-5m")
        return Wish(speed=found, tracks=named)
    query = f"start={quote(start)}" + (f"&end={quote(end)}" if end else "")
    span = parse_span(query, now_ms)
    assert span is not None
    return Wish(span.start_ms, span.end_ms, found, named)


def sought(to: str, wish: Wish, now_ms: int) -> Wish:
    """A wish from another moment on, or live. InputError where there is no such moment."""
    if to in ("", "live"):
        return Wish(tracks=wish.tracks)
    return Wish(moment_ms("to", to, now_ms), None, wish.speed, wish.tracks)


@dataclass(slots=True)
class _Way:
    """How far a track was sent, and in which epoch last. `broken`: what was sent last is not what
    comes before the next, so that only an independent chunk can follow."""

    place: Place
    epoch: int = -1
    broken: bool = True


class Viewer:
    """One socket. `run` until it is closed.

    Live, the feed's chunks go into the outbox as they come. Else a task of its own reads a reel,
    paced, until that has come to the present, and then follows the feed: in one step, so that
    nothing comes in between.
    """

    def __init__(self, stage: Stage, channel: Channel, socket: Socket) -> None:
        self._stage = stage
        self._channel = channel
        self._socket = socket
        self._outbox = Outbox(stage.clock)
        self._wish = Wish()
        self._ways: dict[str, _Way] = {}
        self._epoch = -1
        self._inits: dict[str, tuple[int, OpenTrack]] = {}
        self._task: asyncio.Task[None] | None = None
        self._live = False
        self._unanswered: int | None = None
        self._leading = False
        self._late_ms = 0.0
        """So long behind an end is decoded what is shown before it."""
        self._pausing = False
        self._has_video = False
        self._skipping = False
        self._skipped = 0
        self._heard_ms = 0
        self._sent_ms = 0

    async def run(self, wish: Wish) -> None:
        """Play, and do what the client asks, until one of the two has gone."""
        self._check(wish)
        self._hello()
        self._start(wish, 0)
        listening = asyncio.create_task(self._listen())
        try:
            await self._outbox.send_all(self._socket)
        except RuntimeError:  # granian's: the connection is closed
            pass
        finally:
            self._outbox.abandon()
            listening.cancel()
            self._halt()

    def end(self) -> None:
        """Send what waits, and close."""
        self._halt()
        self._outbox.finish()

    def beat(self) -> None:
        """Called every few seconds: shows the client that nothing comes because nothing is."""
        if self._outbox.empty:
            now_ms = self._stage.clock.unix_ms()
            self._outbox.put(text("beat", server_ms=now_ms, sent_ms=self._sent_ms, live=self._live))

    # -- what the feed says ------------------------------------------------------------------

    def offer(self, item: Item) -> None:
        """A chunk was appended: into the outbox, unless the viewer has fallen behind."""
        way = self._ways.get(item.track)
        if way is None:
            return
        if self._outbox.late:
            self._skip()
        if self._skipping and not self._goes_on_with(item):
            self._skipped += 1
            return
        self._put(item, way)

    def tell(self, message: str) -> None:
        """Something happened to the stream."""
        if self._outbox.late:
            self._skip()
        self._outbox.put(message)

    def lost(self) -> None:
        """The edge follows the stream no more: join it anew, and go on where this one was."""
        if self._live:
            self._live = False
            self._task = asyncio.create_task(self._guarded(self._rejoin))

    def _skip(self) -> None:
        """The connection does not keep up: leave out what waits."""
        self._skipped += self._outbox.leave_out()
        self._skipping = True
        self._epoch = -1
        for way in self._ways.values():
            way.broken = True

    def _goes_on_with(self, item: Item) -> bool:
        """Whether a viewer who has skipped something begins again with this chunk."""
        if not item.independent or (self._has_video and self._kind(item.track) != "video"):
            return False
        self._outbox.put(text("skipped", chunks=self._skipped, resumes_ms=item.at_ms))
        self._skipping, self._skipped = False, 0
        return True

    def _kind(self, track: str) -> str:
        return self._stage.kinds(self._channel).get(track, "")

    # -- what the client says ----------------------------------------------------------------

    async def _listen(self) -> None:
        try:
            while (message := await self._socket.receive()).kind != _CLOSE:
                try:
                    words = message.data
                    if isinstance(words, bytes):
                        raise InputError("what a client sends is text")
                    self._obey(parse(words))
                except InputError as error:
                    self._complain(error, 400)
        except RuntimeError:  # granian's: the connection is closed
            pass
        self._outbox.abandon()

    def _obey(self, command: Command) -> None:
        now_ms = self._stage.clock.unix_ms()
        wish = self._wish
        match command:
            case Play(start, end, speed, tracks, number):
                self._change(wish_of(str(start), str(end), speed, tracks, now_ms), number)
            case Seek(to, number):
                self._change(sought(str(to), wish, now_ms), number)
            case Pause():
                # What was asked for is answered before, and its first picture comes.
                self._pausing = self._leading
                if not self._pausing:
                    self._halt()
            case Resume():
                self._pausing = False
                if self._task is None and not self._live:
                    self._go_on(wish.speed)
            case SpeedTo(speed):
                found_speed = speed_of(speed)
                if self._live and found_speed >= 1:
                    return  # there is nothing that could come sooner
                self._wish = wish._replace(speed=found_speed)
                if self._live or self._task is not None:
                    self._go_on(found_speed)
            case Window(size):
                if size < 0:
                    raise InputError("a window is a number of bytes")
                self._outbox.set_window(size)
            case Ack(taken):
                self._outbox.acknowledge(taken)

    def _complain(self, error: KinologError, code: int) -> None:
        if self._outbox.size > MOST_BYTES:  # it talks and does not listen
            self._outbox.abandon()
            return
        hint = f": {error.hint}" if error.hint else ""
        self._outbox.put(text("error", code=code, message=f"{error}{hint}"))

    # -- what is played ----------------------------------------------------------------------

    def _hello(self) -> None:
        live = self._channel.live
        session = session_of(live.epoch, live.open) if live.open is not None else None
        self._outbox.put(
            text(
                "hello",
                version=VERSION,
                stream=str(self._channel.name),
                state=live.state,
                server_ms=self._stage.clock.unix_ms(),
                session=session,
            )
        )

    def _change(self, wish: Wish, number: int) -> None:
        """Play something else. Nothing that waits is sent."""
        self._check(wish)
        self._halt()
        self._outbox.clear()
        self._pausing = False
        self._start(wish, number)

    def _check(self, wish: Wish) -> None:
        known = self._stage.kinds(self._channel)
        unknown = [track for track in wish.tracks if track not in known]
        if unknown:
            raise InputError(f"there is no track {unknown[0][:60]!r}", hint=", ".join(known))

    def _start(self, wish: Wish, number: int) -> None:
        known = self._stage.kinds(self._channel)
        self._wish = wish
        self._unanswered = number
        self._leading = True
        self._epoch = -1
        self._heard_ms = 0
        self._skipping, self._skipped = False, 0
        names = wish.tracks or self._stage.usual_tracks(self._channel)
        if wish.speed > ALL_UP_TO and math.isfinite(wish.speed) and wish.start_ms is not None:
            names = [one for one in names if known.get(one) == "video"] or names
        self._has_video = any(known.get(name) == "video" for name in names)
        self._ways = {name: _Way(Place(0, 0)) for name in names}
        if wish.start_ms is None and wish.speed >= 1:
            places = places_in_memory(self._stage, self._channel, names, math.inf)
            assert places is not None or not names
            self._join(places or {}, number)
            return
        self._task = asyncio.create_task(self._guarded(partial(self._begin, names, number)))

    def _go_on(self, speed: Speed) -> None:
        """Send on from where it is, not live."""
        self._halt()
        wish = self._wish._replace(speed=speed)
        if self._unanswered is not None:  # it has not begun, and is nowhere yet
            self._start(wish, self._unanswered)
            return
        places = {track: way.place for track, way in self._ways.items()}
        self._wish = wish
        self._task = asyncio.create_task(self._guarded(partial(self._play, places, 0)))

    def _halt(self) -> None:
        """Put nothing more into the outbox."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._stage.feeds.remove(self._channel, self)
        self._live = False

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """A task of this viewer's: an error ends the connection with a sentence."""
        try:
            await work()
        except KinologError as error:
            self._complain(error, 503 if isinstance(error, Unavailable) else 404)
            self._outbox.finish()
        except Exception:
            _log.exception("viewer failed", stream=str(self._channel.name))
            self._outbox.put(text("error", code=500, message="this is a defect of kinolog"))
            self._outbox.finish()

    async def _rejoin(self) -> None:
        channel = await self._stage.hub.join(self._channel.name)
        if channel is None:
            self._outbox.put(text("gone", stream=str(self._channel.name)))
            self._outbox.finish()
            return
        self._channel = channel
        self._wish = self._wish._replace(speed=math.inf)
        await self._play({track: way.place for track, way in self._ways.items()}, 0)

    async def _begin(self, names: Sequence[str], number: int) -> None:
        """Play from the wish's time on."""
        wish, stage, channel = self._wish, self._stage, self._channel
        at_ms = math.inf if wish.start_ms is None else float(wish.start_ms)
        pictures = self._pictures(names)
        if pictures is not None and wish.start_ms is not None:
            at_ms = await stage.leads.since(*pictures, at_ms)
        self._late_ms = 0.0
        if pictures is not None and wish.end_ms is not None:
            self._late_ms = await stage.leads.late_ms(*pictures, wish.end_ms)
        places = places_in_memory(stage, channel, names, at_ms)
        of_time = wish.start_ms is not None
        if places is not None and of_time and not await are_kept(stage, channel, places):
            places = None
        reel = None
        if places is None:
            reel, places = await reel_at(stage, channel, names, at_ms)
        await self._play(places, number, reel)

    def _pictures(self, names: Sequence[str]) -> tuple[Named, Table] | None:
        """The first track of pictures of these, and what the edge has of it."""
        known = self._stage.kinds(self._channel)
        name = next((one for one in names if known.get(one) == "video"), None)
        if name is None:
            return None
        return Named(self._channel.name, name), live_rows(self._channel, name)

    async def _play(self, places: Places, number: int, reel: Reel | None = None) -> None:
        """From these places on, at the wish's speed, until the present."""
        wish, channel = self._wish, self._channel
        if reel is None:
            reel = Reel([Strand(self._stage, channel, *found) for found in places.items()])
        for track, place in places.items():
            self._ways[track].place = place
        pace = _Pace(self._stage, wish.speed, wish.start_ms)
        turns = 0
        first = True
        while True:
            item = await reel.next()
            if item is None and wish.end_ms is not None and not channel.closed:
                if self._all_before(wish.end_ms):
                    self._end(wish.end_ms)
                    return
                await asyncio.sleep(_AGAIN_S)
                continue
            if item is None:
                if wish.speed >= 1 or channel.live.state != "live" or channel.closed:
                    break
                await asyncio.sleep(_AGAIN_S)  # slower than time: the next segment is due then
                continue
            if wish.end_ms is not None and item.at_ms >= wish.end_ms + self._late_ms:
                self._end(wish.end_ms)
                return
            await self._outbox.room()
            if first:
                self._position(item.at_ms, number, live=False)
                first = False
            await pace.wait(item.at_ms)
            self._put(item, self._ways[item.track])
            if self._leading and item.at_ms > (wish.start_ms or 0) + _LEAD_MS:
                self._leading = False
                if self._pausing:
                    self._task = None
                    return
            turns += 1
            if turns % _TURNS == 0:
                await asyncio.sleep(0)
        self._task = None
        if channel.closed:
            self._live = True
            self.lost()
            return
        self._join({track: way.place for track, way in self._ways.items()}, number)

    def _all_before(self, end_ms: int) -> bool:
        """Whether nothing more can come that was captured before a moment: of what is published,
        the segment in progress may have something."""
        live = self._channel.live
        patience_ms = 0
        if live.state == "live" and live.open is not None:
            patience_ms = 2 * live.open.target_ms + SKEW_MS
        now_ms = self._stage.clock.unix_ms()
        return live.state == "ended" or now_ms > end_ms + patience_ms

    def _end(self, end_ms: int) -> None:
        if self._unanswered is not None:  # there is nothing of it
            self._position(None, self._unanswered, live=False)
        self._leading = False
        self._outbox.put(text("end", at_ms=end_ms))
        self._task = None

    def _join(self, places: Places, number: int) -> None:
        """Send what the channel holds from these places on, and follow it from here: in one step,
        so that nothing is missing in between, and nothing comes twice."""
        for track, place in places.items():
            self._ways[track].place = place
        self._wish = self._wish._replace(start_ms=None, end_ms=None, speed=1.0)
        items = held_from(self._stage, self._channel, places)
        self._position(items[0].at_ms if items else None, number, live=True)
        self._live = True
        for item in items:
            self._put(item, self._ways[item.track])
        state = self._channel.live.state
        if state != "live":
            self._outbox.put(text(state, epoch=self._channel.live.epoch))
        self._stage.feeds.add(self._channel, self)
        self._leading = False
        if self._pausing:
            self._halt()

    def _position(self, at_ms: int | None, number: int, *, live: bool) -> None:
        self._unanswered = None
        speed = self._wish.speed if math.isfinite(self._wish.speed) else "max"
        self._outbox.put(text("position", id=number, at_ms=at_ms, live=live, speed=speed))

    def _put(self, item: Item, way: _Way) -> None:
        """A chunk's message, unless the chunk is of no use; before it what it needs."""
        place = way.place
        if (item.msn, item.chunk) < place:
            return
        if 0 < self._heard_ms < item.at_ms - LEAP_MS:
            self._outbox.put(text("gap", from_ms=self._heard_ms, to_ms=item.at_ms))
        self._heard_ms = max(self._heard_ms, item.at_ms)
        sparse = not self._live and ALL_UP_TO < self._wish.speed < math.inf
        follows = (item.msn, item.chunk) in (place, (place.msn + 1, 0))
        way.place = Place(item.msn, item.chunk + 1)
        if not follows and not way.broken and not sparse:
            way.broken = True
            self._outbox.put(text("gap", track=item.track, epoch=item.epoch, msn=item.msn))
        if (way.broken or sparse) and not item.independent:
            return
        if not self._introduce(item):
            return
        self._sent_ms = item.at_ms
        cut = item.epoch != way.epoch or way.broken or sparse
        way.broken, way.epoch = False, item.epoch
        self._outbox.put(discontinuous(item) if cut else item.data)

    def _introduce(self, item: Item) -> bool:
        """Before the first chunk of a track in an epoch: the epoch's tracks, the track's init
        segment. False where nothing is known of it."""
        if item.epoch != self._epoch:
            session = self._stage.session(self._channel, item.epoch)
            if session is None:
                return False
            self._epoch = item.epoch
            self._inits = {track.name: (n, track) for n, track in enumerate(session.tracks)}
            self._outbox.put(text("epoch", **session_of(item.epoch, session)))
        found = self._inits.pop(item.track, None)
        if found is not None:
            number, track = found
            self._outbox.put(init_message(number, item.epoch, track.init))
        return True


class _Pace:
    """When chunks are due that are captured one after the other, at a speed. What lies before the
    time that was asked for is needed to decode that, and due at once."""

    def __init__(self, stage: Stage, speed: Speed, since_ms: int | None) -> None:
        self._clock = stage.clock
        self._speed = speed
        self._since_ms = since_ms
        self._begun_s = 0.0
        self._begun_ms = -1
        self._newest_ms = 0

    async def wait(self, at_ms: int) -> None:
        """Wait until the chunk is due; a time in which nothing was captured is leapt over."""
        if self._begun_ms < 0:
            self._begun_ms = self._newest_ms = at_ms
            if self._since_ms is not None and at_ms < self._since_ms < at_ms + REACH_MS:
                self._begun_ms = self._since_ms
            self._begun_s = self._clock.monotonic()
        leap = at_ms - self._newest_ms
        if leap > LEAP_MS:
            # What is leapt over before the time that was asked for was due at once anyhow.
            self._begun_ms += max(0, at_ms - max(self._newest_ms, self._begun_ms))
        self._newest_ms = max(self._newest_ms, at_ms)
        if math.isfinite(self._speed):
            ahead_ms = AHEAD_MS * max(1.0, self._speed)
            due_s = self._begun_s + (at_ms - self._begun_ms - ahead_ms) / 1000 / self._speed
            wait_s = due_s - self._clock.monotonic()
            if wait_s > 0:
                await asyncio.sleep(max(wait_s, _STEP_S))
