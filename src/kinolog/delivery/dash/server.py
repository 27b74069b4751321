"""DASH and LL-DASH over HTTP: `/media/{collection}/{stream}/manifest.mpd`."""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from hashlib import blake2b
from typing import Final, NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import ANY_TRACK, WHOLE, Awaited, Channel
from kinolog.delivery.dash.manifests import Manifests
from kinolog.delivery.media_files import FIRST_WAIT_S, refuse_empty
from kinolog.delivery.span import Span, is_relative, parse_span
from kinolog.delivery.stretches import Stretches

NAME: Final = "manifest.mpd"
MOST_BYTES: Final = 16 << 20
KEEP_S: Final = 60.0
"""How long the manifest of a closed range is kept made."""
KEEP_GROWING_S: Final = 0.2
KEEP_SPAN_S: Final = 1.0
"""One that reaches back, which takes longer to make, for as long as caches may keep it."""
_GZIP_LEVEL: Final = 4
_BEHIND: Final = "behind"
_XML: Final = ("content-type", "application/dash+xml")
_VARY: Final = ("vary", "accept-encoding")
_GZIP: Final = ("content-encoding", "gzip")
_SHORT: Final = ("cache-control", "public, max-age=1")
_CLOSED: Final = ("cache-control", "public, max-age=60")


class _Made(NamedTuple):
    """A manifest, plain and compressed, its tag, and when it was made (monotonic)."""

    plain: bytes
    zipped: bytes
    tag: str
    at_s: float

    @property
    def size(self) -> int:
        return len(self.plain) + len(self.zipped)


class _Key(NamedTuple):
    """What a manifest is of."""

    stream: StreamName
    span: Span | None
    replay_ms: int
    of_day: bool
    """A closed range, in the media's own time, which began at the capture's Unix time."""


class DashServer:
    """Answers for the channels of this process. A manifest is made once, whoever asks."""

    def __init__(self, manifests: Manifests, stretches: Stretches, clock: Clock) -> None:
        self._manifests = manifests
        self._stretches = stretches
        self._clock = clock
        self._made: OrderedDict[_Key, _Made] = OrderedDict()
        self._made_bytes = 0
        self._making: dict[_Key, asyncio.Task[_Made | None]] = {}

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for the manifest; False for anything else."""
        if rest != NAME:
            return False
        now_ms = self._clock.unix_ms()
        span = parse_span(scope.query_string, now_ms)
        moving = span is not None and span.dvr_ms is None and is_relative(scope.query_string)
        replay_ms, of_day = 0, False
        if span is not None and span.start_ms is not None and not span.closed:
            told_ms = _behind_ms(scope.query_string)
            replay_ms = max(0, now_ms - span.start_ms) if told_ms is None else told_ms
            if moving or told_ms is None:
                # A manifest that is asked for again and again must always begin at the same moment,
                # and say the same of how far behind that is.
                opened = await self._stretches.opened(channel, span)
                behind = f"&{_BEHIND}={-(-replay_ms // 1000)}"
                if opened.closed and told_ms is None:
                    behind = ""
                where = f"{NAME}?{opened.query}{behind}"
                headers: Headers = [*answers.CORS, ("location", where), answers.NO_STORE]
                protocol.response_empty(307, headers)
                return True
        elif span is not None and span.closed:
            of_day = _behind_ms(scope.query_string) is not None
        made = await self._of(channel, span, replay_ms, of_day)
        if made is None:
            refuse_empty(protocol, channel)
            return True
        caching = _SHORT
        if span is not None and span.closed:
            caching = answers.NO_CACHE if moving else _CLOSED
        self._send(scope, protocol, made, caching)
        return True

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()

    @staticmethod
    def _send(scope: Scope, protocol: HttpProtocol, made: _Made, caching: tuple[str, str]) -> None:
        zipped = answers.takes_gzip(scope)
        tag = f'"{made.tag}{"-gz" if zipped else ""}"'
        headers: Headers = [*answers.CORS, _XML, _VARY, caching, ("etag", tag)]
        if answers.unchanged(scope, tag):
            protocol.response_empty(304, headers)
            return
        if zipped:
            headers.append(_GZIP)
        answers.send(scope, protocol, headers, made.zipped if zipped else made.plain)

    async def _of(
        self, channel: Channel, span: Span | None, replay_ms: int, of_day: bool
    ) -> _Made | None:
        key = _Key(channel.name, span, replay_ms, of_day)
        closed = span is not None and span.closed
        kept = self._made.get(key)
        age_s = KEEP_S if closed else KEEP_GROWING_S if span is None else KEEP_SPAN_S
        if kept is not None and self._clock.monotonic() - kept.at_s < age_s:
            self._made.move_to_end(key)
            return kept
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(channel, key))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        made = await asyncio.shield(task)
        if made is not None:
            self._keep(key, made)
        return made

    def _keep(self, key: _Key, made: _Made) -> None:
        before = self._made.pop(key, None)
        self._made_bytes += made.size - (before.size if before is not None else 0)
        self._made[key] = made
        while self._made_bytes > MOST_BYTES and len(self._made) > 1:
            _, oldest = self._made.popitem(last=False)
            self._made_bytes -= oldest.size

    async def _make(self, channel: Channel, key: _Key) -> _Made | None:
        if key.span is not None and key.span.closed:
            found = await self._manifests.closed(channel, key.span, of_day=key.of_day)
            text: str | None = found
        else:
            await self._first_segments(channel)
            now_ms = self._clock.unix_ms()
            text = await self._manifests.growing(channel, key.span, now_ms, key.replay_ms)
        if text is None:
            return None
        plain = text.encode()
        zipped = await asyncio.to_thread(gzip.compress, plain, _GZIP_LEVEL, mtime=0)
        tag = blake2b(plain, digest_size=9).hexdigest()
        return _Made(plain, zipped, tag, self._clock.monotonic())

    @staticmethod
    async def _first_segments(channel: Channel) -> None:
        """Wait until each track of the session has a whole segment, but not for long."""
        while (missing := _missing_track(channel)) is not None:
            left_s = FIRST_WAIT_S - channel.open_for_s
            awaited = Awaited(missing, 0, WHOLE)
            if left_s <= 0 or not await channel.wait(awaited, left_s):
                return


def _behind_ms(query: str) -> int | None:
    """How far behind now players are to begin with what `start` says; None where a query does not
    tell."""
    found = [item for item in query.split("&") if item.partition("=")[0] == _BEHIND]
    if not found:
        return None
    text = found[0].partition("=")[2]
    if len(found) > 1 or not re.fullmatch(r"\d{1,9}", text, re.ASCII):
        raise InputError(
            f"{_BEHIND} is a number of seconds", hint="leave it out to begin at start, 0: live"
        )
    return 1000 * int(text)


def _missing_track(channel: Channel) -> str | None:
    if channel.live.state != "live":
        return None if channel.live.open is not None else ANY_TRACK
    for track in channel.live.tracks.values():
        if track.info is None or track.silent:
            continue
        if not any(one.ended for one in track.segments):
            return track.name
    return None
