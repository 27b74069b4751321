"""A video track's decoder: chunks in, pictures with their capture times out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Final, NamedTuple

import av

from kinolog.media.cmaf import parse_chunk
from kinolog.media.decoder_config import video_config
from kinolog.media.types import Codec
from kinolog.sdk.chunk import Chunk

_DECODERS: Final[dict[Codec, str]] = {
    "h264": "h264",
    "hevc": "hevc",
    "vp9": "vp9",
    "av1": "libdav1d",
}


class Picture(NamedTuple):
    """A decoded picture. `time_us`: Unix microseconds of its capture; `pts` in ticks."""

    frame: av.VideoFrame
    time_us: int
    duration_us: int
    pts: int
    timescale: int
    epoch: int


class Decoder:
    """A video track with one init segment, over epochs. After a chunk that does not follow the one
    before it waits for the next keyframe."""

    def __init__(self, init: bytes, *, low_delay: bool = True) -> None:
        """`low_delay`: one thread, so that no picture waits for others to be decoded."""
        config = video_config(init)
        context = av.CodecContext.create(_DECODERS[config.codec], "r")
        assert isinstance(context, av.VideoCodecContext)
        if config.extradata:
            context.extradata = config.extradata
        context.thread_count = 1 if low_delay else 0
        if not low_delay:
            context.thread_type = "AUTO"
        self._context = context
        self._timing: dict[int, tuple[int, int, int]] = {}
        self._synced = False
        self._timescale = 0
        self.damaged = 0
        """Samples that did not decode."""

    def feed(self, chunk: Chunk) -> Iterator[Picture]:
        """The pictures that come out, in order of presentation."""
        if not chunk.follows:
            yield from self.flush()
        self._timescale = chunk.timescale
        parsed = parse_chunk(chunk.data)
        dts, at = parsed.base_decode_time, parsed.data_offset
        for size, duration, cts, sync in zip(
            parsed.sizes, parsed.durations, parsed.cts, parsed.sync, strict=True
        ):
            self._synced = self._synced or sync
            if self._synced:
                packet = av.Packet(chunk.data[at : at + size])
                packet.pts, packet.dts, packet.duration = dts + cts, dts, duration
                packet.time_base = Fraction(1, chunk.timescale)
                capture = _capture_us(chunk, dts + cts, duration)
                self._timing[dts + cts] = (*capture, chunk.epoch)
                yield from self._decode(packet)
            dts, at = dts + duration, at + size

    def flush(self) -> Iterator[Picture]:
        """The pictures that were still held back; a keyframe must follow."""
        if self._synced:
            yield from self._decode(None)
            self._context.flush_buffers()
        self._timing.clear()
        self._synced = False

    def _decode(self, packet: av.Packet[Any] | None) -> Iterator[Picture]:
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError:
            self.damaged += 1
            self._synced = False
            return
        for frame in frames:
            timing = self._timing.pop(frame.pts if frame.pts is not None else -1, None)
            if timing is not None:
                assert frame.pts is not None
                time_us, duration_us, epoch = timing
                yield Picture(frame, time_us, duration_us, frame.pts, self._timescale, epoch)


def _capture_us(chunk: Chunk, pts: int, duration: int) -> tuple[int, int]:
    wall_us = chunk.wall_ms * 1000 + 1_000_000 * (pts - chunk.dts) // chunk.timescale
    return wall_us, 1_000_000 * duration // chunk.timescale
