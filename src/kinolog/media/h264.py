"""H.264: sequence parameter sets, avcC, and what a NAL unit's type says.

Sources: ISO/IEC 14496-10, 7.3.2.1.1, 7.4.1 and annexes D and E; ISO/IEC 14496-15, 5.3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.bits import BitReader
from kinolog.media.nal import unescape

IDR, SEI, SPS, PPS, AUD = 5, 6, 7, 8, 9
_RECOVERY_POINT = 6
# profiles whose SPS tells chroma format and bit depth (7.3.2.1.1)
_HIGH = frozenset({44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244})
# profiles whose avcC ends with them (14496-15, 5.3.3.1.2)
_EXTENDED = frozenset({100, 110, 122, 144, 244})


class H264Sps(NamedTuple):
    """Picture size in pixels after cropping, and the frame rate where the VUI tells one."""

    chroma: int
    luma_depth: int
    chroma_depth: int
    width: int
    height: int
    frame_rate: Fraction | None


class AvcConfig(NamedTuple):
    """An AVCDecoderConfigurationRecord's parameter sets and the size of its sample lengths."""

    length_bytes: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


def unit_type(unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] & 31


def parse_sps(unit: bytes) -> H264Sps:
    """A sequence parameter set, NAL header included. MediaError when malformed."""
    if len(unit) < 4 or unit_type(unit) != SPS:
        raise MediaError("not an H.264 sequence parameter set")
    bits = BitReader(unescape(unit[1:]), "H.264 SPS")
    profile = bits.u(8)
    bits.skip(16)
    bits.ue()  # seq_parameter_set_id
    chroma, luma_depth, chroma_depth, separate = 1, 8, 8, False
    if profile in _HIGH:
        chroma = bits.ue()
        separate = chroma == 3 and bits.flag()
        luma_depth, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
        bits.skip(1)
        if bits.flag():
            _skip_scaling(bits, 12 if chroma == 3 else 8)
        if chroma > 3 or luma_depth > 14 or chroma_depth > 14:
            raise MediaError("H.264 SPS with a chroma format or bit depth that does not exist")
    bits.ue()  # log2_max_frame_num_minus4
    _skip_order_count(bits)
    bits.ue()  # max_num_ref_frames
    bits.skip(1)
    width_mbs, height_units = bits.ue() + 1, bits.ue() + 1
    frame_only = bits.flag()
    if not frame_only:
        bits.skip(1)
    bits.skip(1)
    width, height = width_mbs * 16, height_units * 16 * (2 - frame_only)
    if bits.flag():  # frame_cropping_flag
        across = 2 if chroma in (1, 2) and not separate else 1
        down = (2 if chroma == 1 and not separate else 1) * (2 - frame_only)
        width -= across * (bits.ue() + bits.ue())
        height -= down * (bits.ue() + bits.ue())
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise MediaError("H.264 SPS with a picture size that does not exist")
    rate = _frame_rate(bits) if bits.flag() else None
    return H264Sps(chroma, luma_depth, chroma_depth, width, height, rate)


def _skip_scaling(bits: BitReader, lists: int) -> None:
    for index in range(lists):
        if not bits.flag():
            continue
        last = following = 8
        for _ in range(16 if index < 6 else 64):
            if following:
                following = (last + bits.se()) % 256
            last = following or last


def _skip_order_count(bits: BitReader) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.skip(1)
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > 255:
            raise MediaError("H.264 SPS with an order count cycle over 255")
        for _ in range(cycle):
            bits.se()


def _frame_rate(bits: BitReader) -> Fraction | None:
    """vui_parameters() as far as timing (annex E.1.1); a rate is two ticks a frame."""
    if bits.flag() and bits.u(8) == 255:  # aspect_ratio_info, Extended_SAR
        bits.skip(32)
    if bits.flag():  # overscan
        bits.skip(1)
    if bits.flag():  # video_signal_type
        bits.skip(4)
        if bits.flag():
            bits.skip(24)
    if bits.flag():  # chroma_loc
        bits.ue()
        bits.ue()
    if not bits.flag():  # timing_info_present_flag
        return None
    tick, scale = bits.u(32), bits.u(32)
    return Fraction(scale, 2 * tick) if tick and scale else None


def build_avcc(sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """AVCDecoderConfigurationRecord with 4-byte lengths. MediaError without a usable SPS."""
    if not sps or not pps or len(sps) > 31 or len(pps) > 255:
        raise MediaError("H.264 needs 1 to 31 SPS and 1 to 255 PPS")
    if any(len(unit) > 0xFFFF for unit in (*sps, *pps)):
        raise MediaError("H.264 parameter set over 65535 bytes")
    first = parse_sps(sps[0])
    parts = [b"\1", sps[0][1:4], b"\xff", bytes((0xE0 | len(sps),))]
    parts += [len(unit).to_bytes(2, "big") + unit for unit in sps]
    parts.append(bytes((len(pps),)))
    parts += [len(unit).to_bytes(2, "big") + unit for unit in pps]
    if sps[0][1] in _EXTENDED:
        depths = (0xF8 | first.luma_depth - 8, 0xF8 | first.chroma_depth - 8)
        parts.append(bytes((0xFC | first.chroma, *depths, 0)))
    return b"".join(parts)


def parse_avcc(config: bytes) -> AvcConfig:
    """The parameter sets of an avcC. MediaError when malformed."""
    if len(config) < 7 or config[0] != 1:
        raise MediaError("not an AVC decoder configuration record")
    sps, at = _units(config, 6, config[5] & 31)
    if at >= len(config):
        raise MediaError("AVC decoder configuration record is cut short")
    pps, _ = _units(config, at + 1, config[at])
    return AvcConfig((config[4] & 3) + 1, sps, pps)


def _units(config: bytes, at: int, count: int) -> tuple[tuple[bytes, ...], int]:
    units = []
    for _ in range(count):
        size = int.from_bytes(config[at : at + 2], "big")
        unit = config[at + 2 : at + 2 + size]
        if not size or len(unit) != size:
            raise MediaError("AVC decoder configuration record is cut short")
        units.append(unit)
        at += 2 + size
    return tuple(units), at


def has_recovery_point(unit: bytes) -> bool:
    """Whether an SEI unit holds a recovery point message (D.1.8) for this very picture: an open
    GOP may start there. One that recovers frames later (gradual refresh) does not count."""
    data = unescape(unit[1:])
    at = 0
    while at + 2 <= len(data) and data[at] != 0x80:
        kind, at = _sei_number(data, at)
        size, at = _sei_number(data, at)
        if kind == _RECOVERY_POINT:
            return at < len(data) and data[at] & 0x80 != 0  # recovery_frame_cnt: ue(v) of 0
        at += size
    return False


def _sei_number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(data):
        byte = data[at]
        value += byte
        at += 1
        if byte != 255:
            break
    return value, at
