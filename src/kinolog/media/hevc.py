"""HEVC: sequence parameter sets, hvcC, and what a NAL unit's type says.

Sources: ITU-T H.265, 7.3.2.2, 7.3.3, 7.4.2.2 and annex E; ISO/IEC 14496-15, 8.3.3.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.bits import BitReader
from kinolog.media.nal import unescape

VPS, SPS, PPS, AUD = 32, 33, 34, 35
PARAMETER_SETS = (VPS, SPS, PPS)
_IDR = frozenset({19, 20})
_OPEN = frozenset({16, 17, 18, 21})  # BLA and CRA: pictures that lead it may not decode
_MAX_DELTA_POCS = 64


class HevcSps(NamedTuple):
    """`profile_tier_level`: the 12 bytes of general profile space to level, as hvcC has them.
    Picture size in pixels after cropping; the frame rate where the VUI tells one."""

    profile_tier_level: bytes
    layers: int
    nested: bool
    chroma: int
    luma_depth: int
    chroma_depth: int
    width: int
    height: int
    frame_rate: Fraction | None


class HevcConfig(NamedTuple):
    """An HEVCDecoderConfigurationRecord's parameter sets and the size of its sample lengths."""

    length_bytes: int
    vps: tuple[bytes, ...]
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]


def unit_type(unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] >> 1 & 63


def is_idr(kind: int) -> bool:
    """Whether nothing after this picture refers to anything before it."""
    return kind in _IDR


def is_open_start(kind: int) -> bool:
    """Whether decoding may start here, save for leading pictures (CRA and BLA)."""
    return kind in _OPEN


def parse_sps(unit: bytes) -> HevcSps:
    """A sequence parameter set, NAL header included. MediaError when malformed."""
    if len(unit) < 15 or unit_type(unit) != SPS:
        raise MediaError("not an HEVC sequence parameter set")
    data = unescape(unit)
    bits = BitReader(data[2:], "HEVC SPS")
    bits.skip(4)
    sub_layers = bits.u(3)
    nested = bits.flag()
    _skip_profile(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    chroma = bits.ue()
    separate = chroma == 3 and bits.flag()
    width, height = bits.ue(), bits.ue()
    if bits.flag():  # conformance_window_flag
        across = 2 if chroma in (1, 2) and not separate else 1
        down = 2 if chroma == 1 and not separate else 1
        width -= across * (bits.ue() + bits.ue())
        height -= down * (bits.ue() + bits.ue())
    luma_depth, chroma_depth = 8 + bits.ue(), 8 + bits.ue()
    if chroma > 3 or luma_depth > 16 or chroma_depth > 16:
        raise MediaError("HEVC SPS with a chroma format or bit depth that does not exist")
    if not (0 < width < 1 << 16 and 0 < height < 1 << 16):
        raise MediaError("HEVC SPS with a picture size that does not exist")
    rate = _frame_rate(bits, sub_layers)
    return HevcSps(
        data[3:15], sub_layers + 1, nested, chroma, luma_depth, chroma_depth, width, height, rate
    )


def _skip_profile(bits: BitReader, sub_layers: int) -> None:
    """profile_tier_level() (7.3.3)."""
    bits.skip(96)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.skip(2 * (8 - sub_layers))
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)


def _frame_rate(bits: BitReader, sub_layers: int) -> Fraction | None:
    """From log2_max_pic_order_cnt_lsb to the VUI's timing. None where it does not tell."""
    order_bits = bits.ue() + 4
    for _ in range(sub_layers + 1 if bits.flag() else 1):
        bits.ue(), bits.ue(), bits.ue()
    for _ in range(6):  # block and transform sizes and depths
        bits.ue()
    if bits.flag() and bits.flag():  # scaling lists enabled, and here
        _skip_scaling(bits)
    bits.skip(2)  # amp, sample adaptive offset
    if bits.flag():  # pcm
        bits.skip(8)
        bits.ue(), bits.ue()
        bits.skip(1)
    _skip_reference_sets(bits)
    if bits.flag():  # long term reference pictures
        for _ in range(min(bits.ue(), 33)):
            bits.skip(order_bits + 1)
    bits.skip(2)  # temporal mvp, strong intra smoothing
    return _vui_rate(bits) if bits.flag() else None


def _skip_scaling(bits: BitReader) -> None:
    """scaling_list_data() (7.3.4)."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            for _ in range(min(64, 1 << (4 + (size << 1)))):
                bits.se()


def _skip_reference_sets(bits: BitReader) -> None:
    """st_ref_pic_set() for each short-term set (7.3.7), keeping only their sizes."""
    count = bits.ue()
    if count > _MAX_DELTA_POCS:
        raise MediaError("HEVC SPS with over 64 reference picture sets")
    previous = 0
    for index in range(count):
        if index and bits.flag():  # inter_ref_pic_set_prediction_flag
            bits.skip(1)
            bits.ue()
            kept = 0
            for _ in range(previous + 1):
                # use_delta_flag is there, and may be 0, only where used_by_curr_pic is 0
                kept += 1 if bits.flag() or bits.flag() else 0
            previous = kept
        else:
            previous = bits.ue() + bits.ue()
            if previous > _MAX_DELTA_POCS:
                raise MediaError("HEVC SPS with over 64 pictures in a reference set")
            for _ in range(previous):
                bits.ue()
                bits.skip(1)


def _vui_rate(bits: BitReader) -> Fraction | None:
    """vui_parameters() as far as timing (E.2.1)."""
    if bits.flag() and bits.u(8) == 255:  # aspect ratio, EXTENDED_SAR
        bits.skip(32)
    if bits.flag():  # overscan
        bits.skip(1)
    if bits.flag():  # video_signal_type
        bits.skip(4)
        if bits.flag():
            bits.skip(24)
    if bits.flag():  # chroma_loc
        bits.ue(), bits.ue()
    bits.skip(3)
    if bits.flag():  # default display window
        bits.ue(), bits.ue(), bits.ue(), bits.ue()
    if not bits.flag():
        return None
    tick, scale = bits.u(32), bits.u(32)
    return Fraction(scale, tick) if tick and scale else None


def build_hvcc(vps: Sequence[bytes], sps: Sequence[bytes], pps: Sequence[bytes]) -> bytes:
    """HEVCDecoderConfigurationRecord with 4-byte lengths (8.3.3.1.2).

    MediaError without a VPS, a usable SPS and a PPS.
    """
    arrays = ((VPS, vps), (SPS, sps), (PPS, pps))
    if not (vps and sps and pps):
        raise MediaError("HEVC needs a VPS, an SPS and a PPS")
    if any(len(unit) > 0xFFFF for _, units in arrays for unit in units):
        raise MediaError("HEVC parameter set over 65535 bytes")
    first = parse_sps(sps[0])
    rate = 0  # avgFrameRate, constantFrameRate: not stated
    layers = first.layers << 3 | first.nested << 2 | 3
    parts = [
        b"\1",
        first.profile_tier_level,
        # min_spatial_segmentation_idc 0 and parallelismType 0: not stated
        bytes((0xF0, 0, 0xFC, 0xFC | first.chroma)),
        bytes((0xF8 | first.luma_depth - 8, 0xF8 | first.chroma_depth - 8)),
        rate.to_bytes(2, "big"),
        bytes((layers, len(arrays))),
    ]
    for kind, units in arrays:
        # array_completeness: hvc1 wants all parameter sets here and none in the samples
        parts.append(bytes((0x80 | kind,)) + len(units).to_bytes(2, "big"))
        parts += [len(unit).to_bytes(2, "big") + unit for unit in units]
    return b"".join(parts)


def parse_hvcc(config: bytes) -> HevcConfig:
    """The parameter sets of an hvcC. MediaError when malformed."""
    if len(config) < 23 or config[0] != 1:
        raise MediaError("not an HEVC decoder configuration record")
    found: dict[int, list[bytes]] = {kind: [] for kind in PARAMETER_SETS}
    at = 23
    for _ in range(config[22]):
        kind, count = _byte(config, at) & 63, int.from_bytes(config[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(config[at : at + 2], "big")
            unit = config[at + 2 : at + 2 + size]
            if size < 2 or len(unit) != size:
                raise MediaError("HEVC decoder configuration record is cut short")
            found.setdefault(kind, []).append(unit)
            at += 2 + size
    vps, sps, pps = (tuple(found[kind]) for kind in PARAMETER_SETS)
    return HevcConfig((config[21] & 3) + 1, vps, sps, pps)


def _byte(config: bytes, at: int) -> int:
    if at >= len(config):
        raise MediaError("HEVC decoder configuration record is cut short")
    return config[at]
