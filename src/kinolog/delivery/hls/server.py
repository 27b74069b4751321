"""HLS and LL-HLS over HTTP: playlists, init segments, media segments and parts.

Below `/media/{collection}/{stream}/`: `index.m3u8`, `{track}.m3u8`, `{track}/{epoch}/init.mp4`,
`{track}/{epoch}/{msn}.m4s`, `{track}/{epoch}/{msn}.{part}.m4s`. Media bodies are immutable.
"""

from __future__ import annotations

import gzip
import re
from collections import OrderedDict
from functools import lru_cache
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from kinolog.core.clock import Clock
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import ANY_TRACK, WHOLE, Awaited, Channel
from kinolog.delivery.hls import requests
from kinolog.delivery.hls.multivariant import multivariant
from kinolog.delivery.hls.playlist import Behind, MediaPlaylist
from kinolog.delivery.hls.replay import Replay
from kinolog.delivery.past import Name, Past
from kinolog.delivery.span import Span, asks_for_span, is_relative, parse_span
from kinolog.timeline.track import Version, target_seconds

_PLAYLIST: Final = ("content-type", "application/vnd.apple.mpegurl")
_VARY: Final = ("vary", "accept-encoding")
_MP4: Final[Headers] = [
    *answers.CORS,
    ("content-type", "video/mp4"),
    ("accept-ranges", "bytes"),
    answers.FOREVER,
]
_M4S: Final[Headers] = [
    *answers.CORS,
    ("content-type", "video/iso.segment"),
    ("accept-ranges", "bytes"),
    answers.FOREVER,
]
_FRESH: Final[Headers] = [*answers.CORS, _PLAYLIST, _VARY, answers.NO_CACHE]
_UNCHANGED: Final[Headers] = [*answers.CORS, _PLAYLIST, _VARY, answers.NO_STORE]
_CLOSED: Final[Headers] = [*answers.CORS, _PLAYLIST, _VARY, ("cache-control", "public, max-age=60")]
_GZIP: Final = ("content-encoding", "gzip")
_MEDIA: Final = re.compile(
    r"([a-z0-9-]{1,48})/(\d{1,15})/(?:(init)\.mp4|(\d{1,15})(?:\.(\d{1,6}))?\.m4s)"
)
_TRACK: Final = re.compile(r"([a-z0-9-]{1,48})\.m3u8")
_GZIP_LEVEL: Final = 4
_MOST_RENDERED: Final = 64
"""Playlists of a channel, by track and query, that are kept made."""
_FIRST_WAIT_S: Final = 8.0
"""Less than the 10 s after which hls.js gives a playlist up, by what a deadline may be late."""


class _Playlist(NamedTuple):
    track: str


class _Init(NamedTuple):
    track: str
    epoch: int


class _Media(NamedTuple):
    track: str
    epoch: int
    msn: int
    part: int | None


@lru_cache(4096)
def _asked(rest: str) -> _Playlist | _Init | _Media | None:
    """What a path below a stream's names. All viewers of a stream ask for the same few."""
    media = _MEDIA.fullmatch(rest)
    if media is not None:
        track, epoch = media[1], int(media[2])
        if media[3]:
            return _Init(track, epoch)
        return _Media(track, epoch, int(media[4]), int(media[5]) if media[5] else None)
    playlist = _TRACK.fullmatch(rest)
    return _Playlist(playlist[1]) if playlist is not None and playlist[1] != "index" else None


class _Rendered:
    """A track's newest playlist, plain and compressed, made once for all who ask."""

    __slots__ = ("_gzip", "_playlist", "_version", "blocking_headers")

    def __init__(self, track: str, query: str) -> None:
        self._playlist = MediaPlaylist(track, query)
        self._version: Version | None = None
        self._gzip: dict[bool, bytes] = {}
        self.blocking_headers: Headers = []

    def plain(self, version: Version, skip: bool, behind: Behind | None) -> bytes:
        if version is not self._version:
            self._version = version
            self._gzip = {}
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

    def compressed(self, version: Version, skip: bool, behind: Behind | None) -> bytes:
        plain = self.plain(version, skip, behind)
        made = self._gzip.get(skip)
        if made is None:
            made = self._gzip[skip] = gzip.compress(plain, _GZIP_LEVEL, mtime=0)
        return made


class HlsServer:
    """Answers for the channels of this process."""

    def __init__(self, past: Past, replay: Replay, clock: Clock) -> None:
        self._past = past
        self._replay = replay
        self._clock = clock
        # Gone with the channel itself, which lives on while requests that it woke are answered.
        self._rendered: WeakKeyDictionary[Channel, OrderedDict[tuple[str, str], _Rendered]] = (
            WeakKeyDictionary()
        )
        self._multivariants: WeakKeyDictionary[Channel, tuple[bytes, bytes]] = WeakKeyDictionary()

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `rest` of the path below the stream's; False where it is not HLS's."""
        asked = _asked(rest)
        match asked:
            case _Media():
                await self._media(scope, protocol, channel, asked)
            case _Playlist():
                if asks_for_span(scope.query_string):
                    await self._of_span(scope, protocol, channel, asked.track)
                else:
                    await self._playlist(scope, protocol, channel, asked.track, None)
            case _Init():
                self._init(scope, protocol, channel, asked)
            case None:
                if rest != "index.m3u8":
                    return False
                if asks_for_span(scope.query_string):
                    await self._of_span(scope, protocol, channel, "")
                else:
                    await self._multivariant(scope, protocol, channel, "")
        return True

    def _init(self, scope: Scope, protocol: HttpProtocol, channel: Channel, asked: _Init) -> None:
        init = channel.live.init_segment(asked.track, asked.epoch)
        if init is None:
            init = self._past.init_segment(channel.name, asked.track, asked.epoch)
        if init is None:
            answers.refuse(protocol, 404, "no such track in this session", 1)
        else:
            answers.send(scope, protocol, _MP4, init)

    async def _media(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, asked: _Media
    ) -> None:
        track, epoch, msn, index = asked
        while True:
            found: bytes | requests.Wait | requests.Missing
            if index is None:
                found = requests.segment(channel.live, track, epoch, msn)
            else:
                found = requests.part(channel.live, track, epoch, msn, index)
            if isinstance(found, bytes):
                answers.send(scope, protocol, _M4S, found)
                return
            if isinstance(found, requests.Missing):
                break
            if not await self._wait(channel, track, found):
                answers.refuse(protocol, 503, f"media segment {msn} did not come in time")
                return
        if channel.live.find(track, epoch, msn) is None:
            # Not in memory: of a session that is known, the log may have it still.
            past = await self._past.segment(Name(channel.name, track, epoch, msn))
            if past is not None:
                found = requests.whole_of(past) if index is None else requests.part_of(past, index)
        if isinstance(found, bytes):
            answers.send(scope, protocol, _M4S, found)
        else:
            answers.refuse(protocol, 404, f"media segment {msn} is not here", 1)

    async def _of_span(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, track: str
    ) -> None:
        """A playlist of what a query's times say; of the whole stream where `track` is empty."""
        span = parse_span(scope.query_string, self._clock.unix_ms())
        if span is None:
            pass
        elif span.closed:
            if track:
                body = await self._replay.closed(channel, track, span)
            else:
                body = await self._replay.closed_index(channel, span)
            zipped = answers.takes_gzip(scope)
            headers = _FRESH if is_relative(scope.query_string) else _CLOSED
            if zipped:
                headers = [*headers, _GZIP]
            answers.send(scope, protocol, headers, body.zipped if zipped else body.plain)
            return
        if track and span is not None and span.dvr_ms is None and is_relative(scope.query_string):
            # A playlist that is asked for again and again must always begin at the same moment.
            where = ("location", f"{track}.m3u8?{span.query}")
            protocol.response_empty(307, [*answers.CORS, where, answers.NO_STORE])
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
                self._send_playlist(
                    scope, protocol, channel, name, version, directives, span, behind
                )
                return
            assert isinstance(found, requests.Wait)
            if await self._wait(channel, name, found):
                continue
            if version is not None and version.segments and channel.live.state == "away":
                # The publisher has left and may be back at any moment: what there is, said anew,
                # lets players wait for it. Three errors in a row would make most of them give up.
                version = channel.live.tracks[name].version or version
                behind = None
                if span is not None:
                    behind = await self._replay.behind(channel, name, span, version)
                self._send_playlist(
                    scope, protocol, channel, name, version, directives, span, behind, _UNCHANGED
                )
                return
            answers.refuse(protocol, 503, "the playlist did not grow in time")
            return

    def _send_playlist(
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
        zipped = answers.takes_gzip(scope)
        make = rendered.compressed if zipped else rendered.plain
        body = make(version, directives.skip, behind)
        if headers is None:
            headers = _FRESH if directives.msn is None else rendered.blocking_headers
        if zipped:
            headers = [*headers, _GZIP]
        answers.send(scope, protocol, headers, body)

    async def _multivariant(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, query: str
    ) -> None:
        """`query`: of the URIs of the media playlists."""
        body = multivariant(channel.live, query=query)
        while body is None:
            # A session that has just begun: say nothing before every track has shown itself or
            # has fallen silent; nor where nothing at all comes, but then not for long.
            left_s = _FIRST_WAIT_S - channel.open_for_s
            awaited = Awaited(self._missing_track(channel), 0, WHOLE)
            if left_s <= 0 or not await channel.wait(awaited, left_s):
                body = multivariant(channel.live, complete=False, query=query)
                break
            body = multivariant(channel.live, query=query)
        if body is None:
            answers.refuse(protocol, 404, "nothing has been published here yet", 1)
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
    async def _wait(channel: Channel, track: str, wait: requests.Wait) -> bool:
        """Wait for a version that may answer; at most three target durations (503 after)."""
        opened = channel.live.open
        timeout_s = 3 * target_seconds(opened) if opened is not None else _FIRST_WAIT_S
        part = WHOLE if wait.part is None else wait.part
        return await channel.wait(Awaited(track, wait.msn, part), timeout_s)
