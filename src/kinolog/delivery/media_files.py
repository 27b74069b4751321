"""Init segments, media segments and parts over HTTP: the same URLs and bytes for every protocol.

Below `/media/{collection}/{stream}/`: `{track}/{epoch}/init.mp4`, `{track}/{epoch}/{msn}.m4s`,
`{track}/{epoch}/{msn}.{part}.m4s`. Bodies are immutable. A media segment that is still being
published is sent chunk by chunk as it grows.
"""

from __future__ import annotations

from typing import Final

from kinolog.core.clock import Clock
from kinolog.core.rsgi import Headers, HttpProtocol, Scope, ViewerGone
from kinolog.delivery import answers, media_requests
from kinolog.delivery.channel import CHUNK, WHOLE, Awaited, Channel
from kinolog.delivery.media_requests import Init, Media, Missing, Wait
from kinolog.delivery.past import Name, Past
from kinolog.timeline.segment import Segment
from kinolog.timeline.track import target_seconds

FIRST_WAIT_S: Final = 8.0
"""Less than the 10 s after which hls.js gives a playlist up, by what a deadline may be late."""
_MP4: Final[Headers] = [
    *answers.CORS,
    ("content-type", "video/mp4"),
    ("accept-ranges", "bytes"),
    answers.FOREVER,
]
_TYPE: Final = ("content-type", "video/iso.segment")
_M4S: Final[Headers] = [*answers.CORS, _TYPE, ("accept-ranges", "bytes"), answers.FOREVER]
# Of one that grows nobody knows yet that it will be whole: kept just long enough that a cache asks
# once for all who want it now.
_GROWING: Final[Headers] = [*answers.CORS, _TYPE, ("cache-control", "public, max-age=1")]


def patience_s(channel: Channel) -> float:
    """How long a request may wait: three target durations (RFC 8216bis 6.2.5.2)."""
    opened = channel.live.open
    return 3 * target_seconds(opened) if opened is not None else FIRST_WAIT_S


def left_off(channel: Channel) -> bool:
    """Whether nothing has come of the live session for as long as a request may wait: its ingest
    died without a word, as far as can be told."""
    return channel.quiet_ms >= 1000 * patience_s(channel)


def nothing_kept(channel: Channel) -> bool:
    """Whether nothing is left of a stream that had a session, and nothing is on its way: that is
    over, or has left off for as long as a request here may have waited for it."""
    live = channel.live
    if live.open is None or any(track.held for track in live.tracks.values()):
        return False
    if live.state != "live":
        return True
    return left_off(channel) and channel.open_for_s >= patience_s(channel)


def refuse_empty(protocol: HttpProtocol, channel: Channel) -> None:
    """Answer for a stream of which there is nothing to play."""
    if nothing_kept(channel):
        answers.refuse(protocol, 404, f"nothing of {channel.name} is kept", 1)
    else:
        answers.refuse(protocol, 404, "nothing has been published here yet", 1)


class MediaFiles:
    """Answers for the channels of this process."""

    def __init__(self, past: Past, clock: Clock) -> None:
        self._past = past
        self._clock = clock

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `rest` of the path below the stream's; False where it is no media."""
        asked = media_requests.named(rest)
        if asked is None:
            return False
        if isinstance(asked, Init):
            self._init(scope, protocol, channel, asked)
        elif asked.part is None and scope.method == "GET" and scope.headers.get("range") is None:
            await self._segment(scope, protocol, channel, asked)
        else:
            await self._finished(scope, protocol, channel, asked)
        return True

    def _init(self, scope: Scope, protocol: HttpProtocol, channel: Channel, asked: Init) -> None:
        init = channel.live.init_segment(asked.track, asked.epoch)
        if init is None:
            init = self._past.init_segment(channel.name, asked.track, asked.epoch)
        if init is None:
            answers.refuse(protocol, 404, "no such track in this session", 1)
        else:
            answers.send(scope, protocol, _MP4, init)

    async def _segment(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, asked: Media
    ) -> None:
        """A whole segment; as it grows, once it has begun. One that does not come in time, or that
        a session which has left off would have, is empty: DASH players ask for it by the clock,
        and after an error some never play again."""
        track, epoch, msn, _ = asked
        deadline = self._clock.monotonic() + patience_s(channel)
        while True:
            over = epoch == channel.live.epoch and left_off(channel)
            found = media_requests.segment(
                channel.live, track, epoch, msn, self._clock.unix_ms(), over=over
            )
            if not isinstance(found, Wait):
                headers = _GROWING if over and not found else _M4S
                await self._send(scope, protocol, channel, asked, found, headers)
                return
            segment = channel.live.find(track, epoch, msn)
            if segment is not None and segment.size and not segment.gap:
                await self._grow(protocol, channel, track, segment)
                return
            left_s = deadline - self._clock.monotonic()
            if over or left_s <= 0 or not await channel.wait(Awaited(track, 0, CHUNK), left_s):
                answers.send(scope, protocol, _GROWING, b"")
                return

    async def _grow(
        self, protocol: HttpProtocol, channel: Channel, track: str, segment: Segment
    ) -> None:
        """What there is of a segment, and what comes, up to its end. One that breaks off is not
        whole for its reader either: it ends with the last whole chunk before the hole."""
        stream = protocol.response_stream(200, _GROWING)
        sent = 0
        while True:
            chunks = [] if segment.gap else segment.chunks_from(sent)
            for chunk in chunks:
                try:
                    await stream.send_bytes(chunk)
                except ViewerGone:
                    return
                sent += len(chunk)
                answers.SENT.body_bytes += len(chunk)
            if chunks:
                continue
            if segment.ended or segment.gap:
                return
            if segment.epoch == channel.live.epoch and left_off(channel):
                return
            if not await channel.wait(Awaited(track, 0, CHUNK), patience_s(channel)):
                return

    async def _finished(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, asked: Media
    ) -> None:
        """A part; or a whole segment where its length must be known first (HEAD, Range)."""
        track, epoch, msn, index = asked
        while True:
            found: bytes | Wait | Missing
            if index is None:
                found = media_requests.segment(
                    channel.live, track, epoch, msn, self._clock.unix_ms()
                )
            else:
                found = media_requests.part(channel.live, track, epoch, msn, index)
            if not isinstance(found, Wait):
                await self._send(scope, protocol, channel, asked, found)
                return
            awaited = Awaited(track, found.msn, WHOLE if found.part is None else found.part)
            if not await channel.wait(awaited, patience_s(channel)):
                if channel.live.state == "away":
                    await self._send(scope, protocol, channel, asked, Missing.UNKNOWN)
                else:
                    answers.refuse(protocol, 503, f"media segment {msn} did not come in time")
                return

    async def _send(
        self,
        scope: Scope,
        protocol: HttpProtocol,
        channel: Channel,
        asked: Media,
        found: bytes | Missing,
        headers: Headers = _M4S,
    ) -> None:
        track, epoch, msn, index = asked
        if isinstance(found, Missing) and channel.live.find(track, epoch, msn) is None:
            # Not in memory: of a session that is known, the log may have it still.
            past = await self._past.segment(Name(channel.name, track, epoch, msn))
            if past is not None:
                if index is None:
                    found = media_requests.whole_of(past)
                else:
                    found = media_requests.part_of(past, index)
        if isinstance(found, bytes):
            answers.send(scope, protocol, headers, found)
        else:
            answers.refuse(protocol, 404, f"media segment {msn} is not here", 1)
