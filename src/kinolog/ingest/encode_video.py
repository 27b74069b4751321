"""A video encoder for live use: pictures in, packets as ISO BMFF stores them out.

One thread and no look-ahead, so that the same pictures give the same bytes. Keyframes stand at
whole intervals of media time, closed GOPs between them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import av
from av.codec.context import Flags
from av.video.frame import PictureType

from kinolog.core.errors import ConfigError, MediaError, UnsupportedCodec
from kinolog.ingest.scheduling import scheduled_as_before
from kinolog.media import av1, h264, hevc
from kinolog.media.nal import join_lengths, split_annexb
from kinolog.media.types import Codec, Packet, TrackFormat

_BITS_PER_PIXEL = 0.11  # 3 Mb/s for 1280x720 at 30 frames a second
_MIN_BITRATE, _MAX_BITRATE = 10_000, 200_000_000
Colour = tuple[int, int, int]  # matrix, primaries, transfer (ISO/IEC 23091-2)
BT709: Colour = (1, 1, 1)
_LIMITED = 1
_ENCODERS: Final[dict[Codec, str]] = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
}
_WITH_BFRAMES = frozenset({"h264", "hevc"})


@dataclass(frozen=True, slots=True)
class VideoTarget:
    """What to encode to. `bitrate_bps` None: what suits the size and rate of the pictures;
    `light`: half the CPU (H.264), for pictures that are easy or a bitrate that is ample."""

    codec: Codec
    bitrate_bps: int | None = None
    keyframe_seconds: Fraction = Fraction(1)
    bframes: int = 0
    light: bool = False

    def __post_init__(self) -> None:
        if self.codec not in _ENCODERS:
            raise UnsupportedCodec(
                f"kinolog does not encode to {self.codec}", hint=f"use one of {codec_names()}"
            )
        if self.bitrate_bps is not None and not _MIN_BITRATE <= self.bitrate_bps <= _MAX_BITRATE:
            raise ConfigError(
                f"a bitrate of {self.bitrate_bps} b/s is out of range",
                hint="give 10k to 200M, for example 3000k",
            )
        if not 0 < self.keyframe_seconds <= 60:
            raise ConfigError(
                f"keyframes {float(self.keyframe_seconds):g} seconds apart",
                hint="they stand more than 0 and at most 60 seconds apart; 1 or 2 suit live",
            )
        if not 0 <= self.bframes <= 16 or (self.bframes and self.codec not in _WITH_BFRAMES):
            raise ConfigError(
                f"{self.codec} with {self.bframes} B-frames", hint="B-frames: 0 to 16, h264 or hevc"
            )


def codec_names() -> str:
    """The codecs to choose from, for a person."""
    return ", ".join(_ENCODERS)


def parse_bitrate(text: str) -> int:
    """Bits a second from `800000`, `800k` or `2.5M`. Raises ConfigError."""
    factor = {"k": 1000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    digits = text[:-1] if factor > 1 else text
    try:
        bits = Fraction(digits) * factor if "/" not in digits else Fraction(0)
    except ValueError:
        bits = Fraction(0)
    if not _MIN_BITRATE <= bits <= _MAX_BITRATE:
        raise ConfigError(f"not a bitrate: {text!r}", hint="give 10k to 200M, for example 3000k")
    return int(bits)


def parse_target(text: str) -> VideoTarget:
    """`h264`, `vp9:2500k`: what `--encode` takes. Raises ConfigError."""
    name, colon, bitrate = text.partition(":")
    for codec in _ENCODERS:
        if codec == name.lower():
            return VideoTarget(codec, parse_bitrate(bitrate) if colon else None)
    raise ConfigError(f"cannot encode to {name!r}", hint=f"use one of {codec_names()}")


class VideoEncoder:
    """Encodes pictures of one size to one track. Raises MediaError where the encoder refuses."""

    def __init__(
        self,
        target: VideoTarget,
        *,
        track: int,
        width: int,
        height: int,
        frame_rate: Fraction,
        timescale: int,
        language: str = "und",
        colour: Colour = BT709,
    ) -> None:
        """`frame_rate` is nominal (it steers the bitrate); times are ticks of `timescale`."""
        self._codec = target.codec
        self._track = track
        self._keyframe_ticks = target.keyframe_seconds * timescale
        self._keyframe_slot: int | None = None
        self._durations: dict[int, int] = {}  # by PTS, of pictures inside the encoder
        bitrate = target.bitrate_bps or default_bitrate(width, height, frame_rate)
        self._context = _open(
            target,
            width=width,
            height=height,
            frame_rate=frame_rate,
            timescale=timescale,
            bitrate=bitrate,
            colour=colour,
        )
        self.format = TrackFormat(
            codec=target.codec,
            timescale=timescale,
            extradata=_configuration(target.codec, bytes(self._context.extradata or b"")),
            width=width,
            height=height,
            frame_rate=frame_rate,
            language=language,
        )

    def encode(self, frame: av.VideoFrame, pts: int, duration: int | None = None) -> list[Packet]:
        """The packets that come out when `frame` (yuv420p) goes in. `pts` must rise."""
        slot = int(pts // self._keyframe_ticks)
        key = slot != self._keyframe_slot
        self._keyframe_slot = slot
        frame.pict_type = PictureType.I if key else PictureType.NONE
        frame.pts = pts
        frame.time_base = Fraction(1, self.format.timescale)
        if duration:
            self._durations[pts] = duration
        return self._packets(frame)

    def flush(self) -> list[Packet]:
        """The last packets. The encoder cannot be used afterwards."""
        return self._packets(None)

    def _packets(self, frame: av.VideoFrame | None) -> list[Packet]:
        try:
            coded = self._context.encode(frame)
        except av.FFmpegError as error:
            raise MediaError(f"the {self._codec} encoder failed: {error.strerror}") from error
        return [self._packet(packet) for packet in coded]

    def _packet(self, packet: av.Packet[av.VideoStream]) -> Packet:
        pts = packet.pts if packet.pts is not None else 0
        return Packet(
            track=self._track,
            dts=pts if packet.dts is None else packet.dts,
            pts=pts,
            duration=self._durations.pop(pts, None),
            keyframe=packet.is_keyframe,
            data=_sample(self._codec, bytes(packet)),
        )


def default_bitrate(width: int, height: int, frame_rate: Fraction) -> int:
    """Bits a second that suit pictures of this size and rate."""
    return min(max(int(width * height * frame_rate * _BITS_PER_PIXEL), 100_000), _MAX_BITRATE)


def _open(
    target: VideoTarget,
    *,
    width: int,
    height: int,
    frame_rate: Fraction,
    timescale: int,
    bitrate: int,
    colour: Colour,
) -> av.VideoCodecContext:
    name = _ENCODERS[target.codec]
    if target.codec == "av1":
        # SVT-AV1 has no other way to keep its banner off stderr; errors still come through.
        os.environ.setdefault("SVT_LOG", "1")
    try:
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.VideoCodecContext)
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = Fraction(1, timescale)
        context.framerate = frame_rate
        context.bit_rate = bitrate
        context.thread_count = 1
        # A backstop: keyframes are asked for by time, see encode().
        context.gop_size = max(1, round(2 * target.keyframe_seconds * frame_rate))
        context.flags |= Flags.global_header
        context.colorspace, context.color_primaries, context.color_trc = colour
        context.color_range = _LIMITED
        context.options = _options(target, bitrate)
        with scheduled_as_before():
            context.open()
    except (av.FFmpegError, ValueError) as error:
        raise MediaError(
            f"cannot encode {width}x{height} to {target.codec}: {error}",
            hint="try another size or codec",
        ) from error
    return context


def _options(target: VideoTarget, bitrate: int) -> dict[str, str]:
    """The encoder's own settings: speed, low delay, one thread, closed GOPs, no scene cuts."""
    if target.codec == "h264":
        return {
            "preset": "ultrafast" if target.light else "veryfast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "bf": str(target.bframes),
            "maxrate": str(bitrate * 3 // 2),
            "bufsize": str(bitrate),
            "x264-params": "scenecut=0:open-gop=0:cpu-independent=1",
        }
    if target.codec == "hevc":
        return {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "forced-idr": "1",
            "x265-params": "pools=none:frame-threads=1:log-level=none:info=0:scenecut=0:"
            f"open-gop=0:repeat-headers=0:bframes={target.bframes}:b-adapt=0:"
            # B-frames need the pictures after them
            f"rc-lookahead={target.bframes + 1 if target.bframes else 0}",
        }
    if target.codec == "vp9":
        return {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "0"}
    # Faster presets leave visible damage in a picture that changes in blocks.
    return {"preset": "8", "svtav1-params": "lp=1:pred-struct=1:rc=2:rtc=1:scd=0"}


def _configuration(codec: Codec, extradata: bytes) -> bytes:
    """The decoder configuration record of an encoder's extradata (Annex B, or OBUs)."""
    if codec == "h264":
        units = split_annexb(extradata)
        return h264.build_avcc(
            _of_type(units, h264.unit_type, h264.SPS), _of_type(units, h264.unit_type, h264.PPS)
        )
    if codec == "hevc":
        units = split_annexb(extradata)
        vps, sps, pps = (
            _of_type(units, hevc.unit_type, kind) for kind in (hevc.VPS, hevc.SPS, hevc.PPS)
        )
        return hevc.build_hvcc(vps, sps, pps)
    if codec == "av1":
        sequence = av1.find_sequence(extradata)
        if sequence is None:
            raise MediaError("the AV1 encoder gave no sequence header")
        return av1.config_record(sequence)
    return b""


def _of_type(units: Iterable[bytes], unit_type: Callable[[bytes], int], kind: int) -> list[bytes]:
    return [unit for unit in units if unit_type(unit) == kind]


def _sample(codec: Codec, data: bytes) -> bytes:
    """An encoder's packet as ISO BMFF stores it."""
    if codec in ("h264", "hevc"):
        return join_lengths(split_annexb(data))
    return av1.to_sample(data) if codec == "av1" else data
