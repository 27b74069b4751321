"""What a source yields: tracks and packets, in integer ticks of each track's timescale."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, NamedTuple

import msgspec

Kind = Literal["video", "audio"]
Codec = Literal["h264", "hevc", "vp9", "av1", "aac", "opus"]

VIDEO_CODECS: frozenset[str] = frozenset({"h264", "hevc", "vp9", "av1"})
AUDIO_CODECS: frozenset[str] = frozenset({"aac", "opus"})


class TrackFormat(msgspec.Struct, frozen=True):
    """What a decoder must be told before the first packet; constant within an epoch.

    `extradata` is what the ISO BMFF sample entry's box holds, without the box header: the
    AVCDecoderConfigurationRecord (ISO/IEC 14496-15) for h264, HEVCDecoderConfigurationRecord
    for hevc, AV1CodecConfigurationRecord for av1, AudioSpecificConfig (14496-3) for aac,
    OpusHead (RFC 7845, with its 8 byte magic) for opus. For vp9 it may be empty, or the
    VPCodecConfigurationRecord without the FullBox header.
    """

    codec: Codec
    timescale: int
    extradata: bytes = b""
    width: int = 0
    height: int = 0
    frame_rate: Fraction | None = None
    sample_rate: int = 0
    channels: int = 0
    language: str = "und"

    @property
    def kind(self) -> Kind:
        """`video` or `audio`."""
        return "video" if self.codec in VIDEO_CODECS else "audio"


class Packet(NamedTuple):
    """One access unit of one track, as ISO BMFF stores it.

    `data`: NAL units with 4-byte lengths for h264 and hevc; low-overhead OBUs without temporal
    delimiters for av1; the bare frame for vp9, aac (no ADTS) and opus. `dts`, `pts` and
    `duration` are ticks of the track's timescale; `duration` is None where the source does not
    tell. Every audio packet counts as a keyframe.
    """

    track: int
    dts: int
    pts: int
    duration: int | None
    keyframe: bool
    data: bytes
