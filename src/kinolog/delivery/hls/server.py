"""HLS and LL-HLS over HTTP: the playlists.

Below `/media/{collection}/{stream}/`: `index.m3u8` and `{track}.m3u8`.
"""

from __future__ import annotations

import asyncio
import gzip
import re
from collections import OrderedDict
from typing import Final
from weakref import WeakKeyDictionary

from kinolog.core.clock import Clock
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import ANY_TRACK, WHOLE, Awaited, Channel
from kinolog.delivery.hls import requests
from kinolog.delivery.hls.multivariant import multivariant
from kinolog.delivery.hls.playlist import Behind, MediaPlaylist
from kinolog.delivery.hls.replay import FORGET_S, Replay
from kinolog.delivery.media_files import FIRST_WAIT_S, nothing_kept, patience_s, refuse_empty
from kinolog.delivery.media_requests import Wait
from kinolog.delivery.span import Span, asks_for_span, is_relative, parse_span
from kinolog.delivery.stretches import Stretches
from kinolog.timeline.track import Version, target_seconds

_PLAYLIST: Final = ("content-type", "application/vnd.apple.mpegurl")
_VARY: Final = ("vary", "accept-encoding")
_FRESH: Final[Headers] = [
    # To a cache by nginx alone, which takes it out: a thousand plain players ask for this every
    # second or two, and one that is a second old does for all of them. Before 1.23, nginx heeds it
    # only where it comes before Cache-Control.
    ("x-accel-expires", "1"),
    *answers.CORS,
    _PLAYLIST,
    _VARY,
    answers.NO_CACHE,
]
_UNCHANGED: Final[Headers] = [*answers.CORS, _PLAYLIST, _VARY, answers.NO_STORE]
_CLOSED: Final[Headers] = [*answers.CORS, _PLAYLIST, _VARY, ("cache-control", "public, max-age=60")]
_GZIP: Final = ("content-encoding", "gzip")
_TRACK: Final = re.compile(r"([a-z0-9-]{1,48})\.m3u8")
_GZIP_LEVEL: Final = 4
_LARGE: Final = 100_000
"""What is longer (bytes) is compressed beside the event loop."""
_GROWS: Final = 1 << 20
"""How much is kept is looked at when so many bytes more were made."""
_MOST_RENDERED: Final = 512
"""Playlists of a channel, by track and query, that are kept."""
_MOST_BYTES: Final = 32 << 20
"""So much of all that was made is kept."""


class _Rendered:
    """A track's newest playlist, plain and compressed, made once for all who ask."""

    def __init__(self, track: str, query: str) -> None:
        self._playlist = MediaPlaylist(track, query)
        self._version: Version | None = None
        self._gzip: dict[bool, tuple[bytes, bytes]] = {}
        """What was compressed, and that."""
        self._zipping: dict[bool, tuple[bytes, asyncio.Task[bytes]]] = {}
        self.blocking_headers: Headers = []
        self.asked_s = 0.0

    @property
    def size(self) -> int:
        """So many bytes are kept."""
        zipped = sum(len(of) + len(made) for of, made in self._gzip.values())
        return self._playlist.size + zipped

    def forget(self) -> None:
        """Keep nothing that can be made again."""
        self._playlist.forget()
        self._version = None
        self._gzip.clear()
        self._zipping.clear()

    def plain(self, version: Version, skip: bool, behind: Behind | None) -> bytes:
        if version is not self._version:
            self._version = version
            # A blocking answer never changes: a cache may keep it for six targets
            # (RFC 8216bis, appendix on server configuration).
            keep_s = 6 * target_seconds(version.open)
            self.blocking_headers = [
                *answers.CORS,
                _PLAYLIST,
                _VARY,
                ("cache-control", f"public, max-age={keep_s}"),
            ]
        return self._playlist.render(version, skip=skip, behind=behind)

    async def compressed(self, version: Version, skip: bool, behind: Behind | None) -> bytes:
        plain = self.plain(version, skip, behind)
        of, made = self._gzip.get(skip, (b"", b""))
        if of is plain:
            return made
        if len(plain) < _LARGE:
            made = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
        else:
            being, task = self._zipping.get(skip, (b"", None))
            if task is None or being is not plain:
                work = asyncio.to_thread(gzip.compress, plain, _GZIP_LEVEL, mtime=0)
                task = asyncio.create_task(work)
                self._zipping[skip] = plain, task
            made = await asyncio.shield(task)
            self._zipping.pop(skip, None)
        self._gzip[skip] = plain, made
        return made


class HlsServer:
    """Answers for the channels of this process."""

    def __init__(self, replay: Replay, stretches: Stretches, clock: Clock) -> None:
        self._replay = replay
        self._stretches = stretches
        self._clock = clock
        # Gone with the channel itself, which lives on while requests that it woke are answered.
        self._rendered: WeakKeyDictionary[Channel, OrderedDict[tuple[str, str], _Rendered]] = (
            WeakKeyDictionary()
        )
        self._multivariants: WeakKeyDictionary[Channel, tuple[bytes, bytes]] = WeakKeyDictionary()
        self._grown = 0

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `rest` of the path below the stream's; False where it is not HLS's."""
        if rest == "index.m3u8":
            track = ""
        elif (found := _TRACK.fullmatch(rest)) is not None:
            track = found[1]
        else:
            return False
        if asks_for_span(scope.query_string):
            await self._of_span(scope, protocol, channel, track)
        elif track:
            await self._playlist(scope, protocol, channel, track, None)
        else:
            await self._multivariant(scope, protocol, channel, "")
        return True

    async def _of_span(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, track: str
    ) -> None:
        """A playlist of what a query's times say; of the whole stream where `track` is empty."""
        span = parse_span(scope.query_string, self._clock.unix_ms())
        relative = is_relative(scope.query_string)
        if span is not None and not span.closed and (relative or not track):
            span = await self._stretches.opened(channel, span)
            if track:
                # A playlist that is asked for again and again must always begin at the same moment.
                where = ("location", f"{track}.m3u8?{span.query}")
                protocol.response_empty(307, [*answers.CORS, where, answers.NO_STORE])
                return
            relative = relative or span.closed  # what follows is longer later
        if span is not None and span.closed:
            if track:
                body = await self._replay.closed(channel, track, span)
            else:
                body = await self._replay.closed_index(channel, span)
            zipped = answers.takes_gzip(scope)
            headers = _FRESH if relative else _CLOSED
            if zipped:
                headers = [*headers, _GZIP]
            answers.send(scope, protocol, headers, body.zipped if zipped else body.plain)
        elif track:
            await self._playlist(scope, protocol, channel, track, span)
        else:
            query = span.query if span is not None else ""
            await self._multivariant(scope, protocol, channel, query)

    async def _playlist(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, name: str, span: Span | None
    ) -> None:
        directives = requests.parse_directives(scope.query_string)
        if isinstance(directives, requests.Bad):
            answers.refuse(protocol, 400, directives.reason)
            return
        while True:
            track = channel.live.tracks.get(name)
            if track is None and channel.live.open is not None:
                answers.refuse(protocol, 404, f"the stream has no track {name}", 1)
                return
            if nothing_kept(channel):
                refuse_empty(protocol, channel)
                return
            version = track.version if track is not None else None
            found = requests.playlist(directives, version)
            if isinstance(found, requests.Bad):
                answers.refuse(protocol, 400, found.reason)
                return
            if found is requests.READY:
                assert version is not None
                behind = None
                if span is not None:
                    behind = await self._replay.behind(channel, name, span, version)
                    if directives.msn is None and behind is not None:
                        found = requests.first_whole(version, behind.first_msn)
            if found is requests.READY:
                assert version is not None
                await self._send_playlist(
                    scope, protocol, channel, name, version, directives, span, behind
                )
                return
            assert isinstance(found, Wait)
            if await self._wait(channel, name, found):
                continue
            if version is not None and version.segments and channel.live.state == "away":
                # The publisher has left and may be back at any moment: what there is, said anew,
                # lets players wait for it. Three errors in a row would make most of them give up.
                version = channel.live.tracks[name].version or version
                behind = None
                if span is not None:
                    behind = await self._replay.behind(channel, name, span, version)
                await self._send_playlist(
                    scope, protocol, channel, name, version, directives, span, behind, _UNCHANGED
                )
                return
            if nothing_kept(channel):
                refuse_empty(protocol, channel)
            else:
                answers.refuse(protocol, 503, "the playlist did not grow in time")
            return

    async def _send_playlist(
        self,
        scope: Scope,
        protocol: HttpProtocol,
        channel: Channel,
        name: str,
        version: Version,
        directives: requests.Directives,
        span: Span | None,
        behind: Behind | None,
        headers: Headers | None = None,
    ) -> None:
        query = span.query if span is not None else ""
        of_channel = self._rendered.get(channel)
        if of_channel is None:
            of_channel = self._rendered[channel] = OrderedDict()
        rendered = of_channel.get((name, query))
        if rendered is None:
            rendered = of_channel[name, query] = _Rendered(name, query)
            if len(of_channel) > _MOST_RENDERED:
                of_channel.popitem(last=False)
        of_channel.move_to_end((name, query))
        rendered.asked_s = self._clock.monotonic()
        while next(iter(of_channel.values())).asked_s < rendered.asked_s - FORGET_S:
            of_channel.popitem(last=False)
        zipped, before = answers.takes_gzip(scope), rendered.size
        if zipped:
            body = await rendered.compressed(version, directives.skip, behind)
        else:
            body = rendered.plain(version, directives.skip, behind)
        self._grown += max(0, rendered.size - before)
        if self._grown > _GROWS:
            self._sweep(rendered)
        if headers is None:
            headers = _FRESH if directives.msn is None else rendered.blocking_headers
        if zipped:
            headers = [*headers, _GZIP]
        answers.send(scope, protocol, headers, body)

    def _sweep(self, rendered: _Rendered) -> None:
        """Of what was made, keep what was asked for last."""
        self._grown = 0
        every = [one for of_channel in self._rendered.values() for one in of_channel.values()]
        held = sum(one.size for one in every)
        if held <= _MOST_BYTES:
            return
        for one in sorted(every, key=lambda one: one.asked_s):
            if held > _MOST_BYTES and one is not rendered:
                held -= one.size
                one.forget()

    async def _multivariant(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, query: str
    ) -> None:
        """`query`: of the URIs of the media playlists."""
        body = multivariant(channel.live, query=query)
        while body is None and not nothing_kept(channel):
            # A session that has just begun: say nothing before every track has shown itself or
            # has fallen silent; nor where nothing at all comes, but then not for long.
            left_s = FIRST_WAIT_S - channel.open_for_s
            awaited = Awaited(self._missing_track(channel), 0, WHOLE)
            if left_s <= 0 or not await channel.wait(awaited, left_s):
                body = multivariant(channel.live, complete=False, query=query)
                break
            body = multivariant(channel.live, query=query)
        if body is None:
            refuse_empty(protocol, channel)
            return
        if answers.takes_gzip(scope):
            plain, zipped = self._multivariants.get(channel, (b"", b""))
            if plain != body:
                zipped = gzip.compress(body, _GZIP_LEVEL, mtime=0)
                if not query:
                    self._multivariants[channel] = (body, zipped)
            answers.send(scope, protocol, [*_FRESH, _GZIP], zipped)
        else:
            answers.send(scope, protocol, _FRESH, body)

    @staticmethod
    def _missing_track(channel: Channel) -> str:
        for track in channel.live.tracks.values():
            if track.info is not None and not track.silent and track.bit_rates() is None:
                return track.name
        return ANY_TRACK

    @staticmethod
    async def _wait(channel: Channel, track: str, wait: Wait) -> bool:
        """Wait for a version that may answer; at most three target durations (503 after)."""
        part = WHOLE if wait.part is None else wait.part
        return await channel.wait(Awaited(track, wait.msn, part), patience_s(channel))
