"""VP9: frame headers, superframes and the codec configuration record.

Sources: VP9 Bitstream & Decoding Process Specification 0.7, section 6.2 and annexes A and B;
VP Codec ISO Media File Format Binding 1.0.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.bits import BitReader

_SYNC_CODE = 0x49_83_42
_RGB = 7
# color_space to MatrixCoefficients of ISO/IEC 23091-2
_MATRIX = {0: 2, 1: 5, 2: 1, 3: 6, 4: 7, 5: 9, 6: 2, _RGB: 0}

# Annex A: level x 10, luma samples a second, luma samples a picture
_LEVELS = (
    (10, 829_440, 36_864),
    (11, 2_764_800, 73_728),
    (20, 4_608_000, 122_880),
    (21, 9_216_000, 245_760),
    (30, 20_736_000, 552_960),
    (31, 36_864_000, 983_040),
    (40, 83_558_400, 2_228_224),
    (41, 160_432_128, 2_228_224),
    (50, 311_951_360, 8_912_896),
    (51, 588_251_136, 8_912_896),
    (52, 1_176_502_272, 8_912_896),
    (60, 1_176_502_272, 35_651_584),
    (61, 2_353_004_544, 35_651_584),
    (62, 4_706_009_088, 35_651_584),
)
_ASSUMED_RATE = Fraction(30)


class Vp9Config(NamedTuple):
    """What VPCodecConfigurationRecord says. `chroma`: 1 is 4:2:0, 2 is 4:2:2, 3 is 4:4:4."""

    profile: int
    level: int
    bit_depth: int
    chroma: int
    full_range: bool
    primaries: int
    transfer: int
    matrix: int

    def record(self) -> bytes:
        """The VPCodecConfigurationRecord, without the FullBox header."""
        packed = self.bit_depth << 4 | self.chroma << 1 | self.full_range
        colour = (self.primaries, self.transfer, self.matrix)
        return bytes((self.profile, self.level, packed, *colour, 0, 0))


class Vp9Header(NamedTuple):
    """The uncompressed header of a frame, as far as it is of use; sizes of keyframes only."""

    keyframe: bool
    profile: int
    bit_depth: int = 8
    chroma: int = 1
    full_range: bool = False
    matrix: int = 2
    width: int = 0
    height: int = 0


def parse_header(frame: bytes) -> Vp9Header:
    """uncompressed_header() of one frame (6.2). MediaError for what is not VP9."""
    bits = BitReader(frame[:16], "VP9 frame header")
    if bits.u(2) != 2:
        raise MediaError("not a VP9 frame: wrong frame marker")
    profile = bits.u(1) | bits.u(1) << 1
    if profile == 3:
        bits.skip(1)
    if bits.flag():  # show_existing_frame
        return Vp9Header(keyframe=False, profile=profile)
    keyframe = not bits.flag()
    bits.skip(2)  # show_frame, error_resilient_mode
    if not keyframe:
        return Vp9Header(keyframe=False, profile=profile)
    if bits.u(24) != _SYNC_CODE:
        raise MediaError("not a VP9 keyframe: wrong sync code")
    return _keyframe(bits, profile)


def _keyframe(bits: BitReader, profile: int) -> Vp9Header:
    depth = (12 if bits.flag() else 10) if profile >= 2 else 8
    space = bits.u(3)
    chroma = 1
    if space == _RGB:
        full_range, chroma = True, 3
        if profile not in (1, 3):
            raise MediaError("VP9 RGB needs profile 1 or 3")
        bits.skip(1)
    else:
        full_range = bits.flag()
        if profile in (1, 3):
            horizontal, vertical = bits.flag(), bits.flag()
            chroma = (1 if vertical else 2) if horizontal else 3
            bits.skip(1)
    width, height = 1 + bits.u(16), 1 + bits.u(16)
    return Vp9Header(True, profile, depth, chroma, full_range, _MATRIX[space], width, height)


def split_superframe(data: bytes) -> list[bytes]:
    """The frames of a superframe (annex B); the data itself where it is a single frame."""
    if not data:
        raise MediaError("empty VP9 frame")
    marker = data[-1]
    if marker & 0xE0 != 0xC0:
        return [data]
    count, size_bytes = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index_bytes = 2 + count * size_bytes
    if len(data) < index_bytes or data[-index_bytes] != marker:
        return [data]
    frames, at = [], 0
    for i in range(count):
        start = len(data) - index_bytes + 1 + i * size_bytes
        size = int.from_bytes(data[start : start + size_bytes], "little")
        if at + size > len(data) - index_bytes:
            raise MediaError("VP9 superframe is shorter than its index says")
        if size:
            frames.append(data[at : at + size])
        at += size
    return frames or [data]


def is_keyframe(data: bytes) -> bool:
    """Whether decoding may start with this packet (a frame or a superframe)."""
    return parse_header(split_superframe(data)[0]).keyframe


def level(width: int, height: int, rate: Fraction | None) -> int:
    """The lowest level (times ten) that holds the picture size at `rate` (30 where unknown)."""
    picture = width * height
    samples = picture * (rate or _ASSUMED_RATE)
    for name, max_samples, max_picture in _LEVELS:
        if samples <= max_samples and picture <= max_picture:
            return name
    return _LEVELS[-1][0]


def vp9_config(frame: bytes, rate: Fraction | None = None) -> Vp9Config:
    """The configuration that a keyframe (or its superframe) and the frame rate imply.

    VP9 has no level in the bitstream: it follows from size and rate. MediaError when `frame`
    is not a keyframe.
    """
    header = parse_header(split_superframe(frame)[0])
    if not header.keyframe:
        raise MediaError("a VP9 configuration needs a keyframe")
    found = level(header.width, header.height, rate)
    return Vp9Config(
        header.profile, found, header.bit_depth, header.chroma, header.full_range,
        2, 2, header.matrix,
    )  # fmt: skip


def parse_record(record: bytes) -> Vp9Config:
    """A VPCodecConfigurationRecord without the FullBox header; MediaError when malformed."""
    if len(record) < 8 or record[0] > 3 or record[2] >> 4 not in (8, 10, 12):
        raise MediaError("not a VP codec configuration record")
    profile, level_, packed, primaries, transfer, matrix = record[:6]
    depth, chroma, full = packed >> 4, packed >> 1 & 7, packed & 1 == 1
    return Vp9Config(profile, level_, depth, chroma, full, primaries, transfer, matrix)
