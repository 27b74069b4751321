"""Stills: the newest keyframe of a stream as JPEG, decoded once however many ask."""

from __future__ import annotations

import asyncio
import io
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Final
from urllib.parse import parse_qs

import av

from kinolog.core.errors import MediaError
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.timeline.segment import Segment

_WIDTHS: Final = (160, 320, 480, 640, 960, 1280, 1920)
_KEPT: Final = 256
_JPEG: Final = ("content-type", "image/jpeg")


class Stills:
    """A small pool of decoders and a cache by (stream, epoch, MSN, width)."""

    def __init__(self, threads: int = 1) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stills")
        self._made: OrderedDict[tuple[str, int, int, int], asyncio.Task[bytes]] = OrderedDict()

    def close(self) -> None:
        """Stop decoding."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `still.jpg`; False for anything else."""
        if rest != "still.jpg":
            return False
        await self._answer(scope, protocol, channel)
        return True

    async def _answer(self, scope: Scope, protocol: HttpProtocol, channel: Channel) -> None:
        """`still.jpg?w=480`: widths are rounded up to a few, the picture is never enlarged."""
        wanted = parse_qs(scope.query_string).get("w", ["480"])[0]
        known = wanted.isascii() and wanted.isdigit() and len(wanted) <= 4
        if not known or not 1 <= int(wanted) <= _WIDTHS[-1]:
            answers.refuse(protocol, 400, f"w is a width in pixels, 1 to {_WIDTHS[-1]}")
            return
        width = next(one for one in _WIDTHS if one >= int(wanted))
        found = _newest(channel)
        if found is None:
            answers.refuse(protocol, 404, "no picture yet", 1)
            return
        track, segment = found
        try:
            body = await self._still(channel, track, segment, width)
        except (av.FFmpegError, MediaError):
            answers.refuse(protocol, 404, "the newest keyframe cannot be decoded", 1)
            return
        headers: Headers = [*answers.CORS, _JPEG, ("cache-control", "public, max-age=1")]
        answers.send(scope, protocol, headers, body)

    async def _still(self, channel: Channel, track: str, segment: Segment, width: int) -> bytes:
        key = (str(channel.name), segment.epoch, segment.msn, width)
        task = self._made.get(key)
        if task is None:
            init = channel.live.init_segment(track, segment.epoch) or b""
            media = init + segment.part_body(0)
            loop = asyncio.get_running_loop()

            async def decode() -> bytes:
                return await loop.run_in_executor(self._pool, _jpeg, media, width)

            task = self._made[key] = loop.create_task(decode())
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
        return await asyncio.shield(task)


def _newest(channel: Channel) -> tuple[str, Segment] | None:
    """The newest segment that begins with a keyframe, and has its first part."""
    for track in channel.live.tracks.values():
        if track.info is not None and track.info.kind == "video":
            for segment in reversed(track.segments):
                if segment.independent and segment.parts and not segment.gap:
                    return track.name, segment
    return None


def _jpeg(media: bytes, width: int) -> bytes:
    """The first picture in `media` (init segment and chunks), at most `width` pixels wide.

    Raises MediaError or av.FFmpegError where there is none.
    """
    with av.open(io.BytesIO(media), mode="r", format="mp4") as source:
        frame = next(source.decode(video=0), None)
    if frame is None:
        raise MediaError("the keyframe decodes to nothing")
    scaled = min(width, frame.width) & ~1
    height = max(2, round(frame.height * scaled / frame.width)) & ~1
    encoder = av.CodecContext.create("mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = scaled, height
    encoder.pix_fmt = "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"q:v": "4"}
    picture = frame.reformat(scaled, height, format="yuvj420p")
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
