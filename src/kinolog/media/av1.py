"""AV1: OBUs, the sequence header, and the codec configuration record av1C.

Sources: AV1 Bitstream & Decoding Process Specification, sections 5.3 to 5.9; AV1 Codec ISO
Media File Format Binding 1.2.0.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.bits import BitReader

SEQUENCE_HEADER, TEMPORAL_DELIMITER, FRAME_HEADER = 1, 2, 3
TILE_LIST, FRAME, PADDING = 8, 6, 15
_KEY_FRAME = 0


class Obu(NamedTuple):
    """One OBU of `data`: its type, where it starts and ends, and where its payload starts."""

    type: int
    start: int
    payload: int
    end: int


class Av1Sequence(NamedTuple):
    """sequence_header_obu() as far as it is of use. `colour`: primaries, transfer, matrix."""

    profile: int
    level: int
    tier: int
    reduced_still: bool
    width: int
    height: int
    frame_rate: Fraction | None
    bit_depth: int
    monochrome: bool
    subsampling: tuple[int, int]
    chroma_position: int
    colour: tuple[int, int, int]
    full_range: bool


def obus(data: bytes) -> Iterator[Obu]:
    """The OBUs of a temporal unit in low-overhead form (5.3). MediaError when cut short."""
    at, limit = 0, len(data)
    while at < limit:
        header = data[at]
        if header & 0x80:
            raise MediaError("AV1 OBU with its forbidden bit set")
        payload = at + 1 + (header >> 2 & 1)
        end = limit
        if header & 2:  # obu_has_size_field
            size, payload = _leb128(data, payload)
            end = payload + size
        if end > limit or payload > limit:
            raise MediaError("AV1 OBU is cut short")
        yield Obu(header >> 3 & 15, at, payload, end)
        at = end


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(8):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << 7 * i
        if not byte & 0x80:
            return value, at
    raise MediaError("AV1 OBU size is cut short")


def to_sample(data: bytes) -> bytes:
    """A temporal unit as a sample: without temporal delimiters, padding and tile lists
    (binding, 2.4). The same object where there is nothing to take out."""
    if not data:
        raise MediaError("empty AV1 temporal unit")
    if data[0] >> 3 & 15 == TEMPORAL_DELIMITER:
        kept = [o for o in obus(data) if o.type not in (TEMPORAL_DELIMITER, TILE_LIST, PADDING)]
        return b"".join([data[o.start : o.end] for o in kept])
    return data


def is_keyframe(data: bytes) -> bool:
    """Whether the temporal unit begins with a shown key frame, so that decoding may start."""
    for obu in obus(data):
        if obu.type in (FRAME, FRAME_HEADER):
            bits = BitReader(data[obu.payload : obu.payload + 1], "AV1 frame header")
            if bits.flag():  # show_existing_frame
                return False
            return bits.u(2) == _KEY_FRAME
    return False


def find_sequence(data: bytes) -> bytes | None:
    """The first sequence header OBU, header included and with its size field; None without."""
    for obu in obus(data):
        if obu.type == SEQUENCE_HEADER:
            body = data[obu.payload : obu.end]
            if len(body) > 127:
                raise MediaError("AV1 sequence header longer than any that is valid")
            return bytes((SEQUENCE_HEADER << 3 | 2, len(body))) + body
    return None


def config_record(sequence_obu: bytes) -> bytes:
    """AV1CodecConfigurationRecord (binding, 2.3) holding the sequence header OBU."""
    seq = parse_sequence(sequence_obu)
    packed = (
        seq.tier << 7
        | (seq.bit_depth > 8) << 6
        | (seq.bit_depth == 12) << 5
        | seq.monochrome << 4
        | seq.subsampling[0] << 3
        | seq.subsampling[1] << 2
        | seq.chroma_position
    )
    return bytes((0x81, seq.profile << 5 | seq.level, packed, 0)) + sequence_obu


def parse_record(record: bytes) -> Av1Sequence:
    """The sequence header inside an av1C. MediaError where there is none."""
    if len(record) < 4 or record[0] != 0x81:
        raise MediaError("not an AV1 codec configuration record")
    found = find_sequence(record[4:])
    if found is None:
        raise MediaError("AV1 codec configuration record without a sequence header")
    return parse_sequence(found)


def parse_sequence(obu: bytes) -> Av1Sequence:
    """sequence_header_obu() (5.5.1) from a sequence header OBU, header included."""
    first = next(obus(obu), None)
    if first is None or first.type != SEQUENCE_HEADER:
        raise MediaError("not an AV1 sequence header")
    bits = BitReader(obu[first.payload : first.end], "AV1 sequence header")
    profile = bits.u(3)
    bits.skip(1)  # still_picture
    reduced = bits.flag()
    rate = None
    if reduced:
        level, tier = bits.u(5), 0
    else:
        level, tier, rate = _operating_points(bits)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width, height = bits.u(width_bits) + 1, bits.u(height_bits) + 1
    _tools(bits, reduced)
    bits.skip(3)  # superres, cdef, restoration
    depth, mono, subsampling, position, colour, full = _colour(bits, profile)
    return Av1Sequence(
        profile, level, tier, reduced, width, height, rate,
        depth, mono, subsampling, position, colour, full,
    )  # fmt: skip


def _operating_points(bits: BitReader) -> tuple[int, int, Fraction | None]:
    """Level and tier of operating point 0, and the frame rate where timing info tells it."""
    rate, delay_bits, model = None, 0, False
    if bits.flag():  # timing_info_present_flag
        tick, scale = bits.u(32), bits.u(32)
        if bits.flag():  # equal_picture_interval
            ticks = bits.ue() + 1
            rate = Fraction(scale, tick * ticks) if tick and scale else None
        model = bits.flag()
        if model:
            delay_bits = bits.u(5) + 1
            bits.skip(32 + 5 + 5)
    display_delay = bits.flag()
    level = tier = 0
    for point in range(bits.u(5) + 1):
        bits.skip(12)
        idx = bits.u(5)
        high = bits.u(1) if idx > 7 else 0
        if point == 0:
            level, tier = idx, high
        if model and bits.flag():
            bits.skip(2 * delay_bits + 1)
        if display_delay and bits.flag():
            bits.skip(4)
    return level, tier, rate


def _tools(bits: BitReader, reduced: bool) -> None:
    """From frame_id_numbers_present_flag to order hints: nothing of use, but of variable size."""
    if not reduced and bits.flag():
        bits.skip(7)
    bits.skip(3)  # superblock size, filter intra, intra edge
    if reduced:
        return
    bits.skip(4)  # interintra, masked compound, warped motion, dual filter
    order_hint = bits.flag()
    if order_hint:
        bits.skip(2)
    screen = 2 if bits.flag() else bits.u(1)
    if screen and not bits.flag():
        bits.skip(1)
    if order_hint:
        bits.skip(3)


def _colour(
    bits: BitReader, profile: int
) -> tuple[int, bool, tuple[int, int], int, tuple[int, int, int], bool]:
    """color_config() (5.5.2)."""
    high = bits.flag()
    depth = 10 if high else 8
    if profile == 2 and high and bits.flag():
        depth = 12
    mono = profile != 1 and bits.flag()
    colour = (bits.u(8), bits.u(8), bits.u(8)) if bits.flag() else (2, 2, 2)
    if mono:
        return depth, True, (1, 1), 0, colour, bits.flag()
    if colour == (1, 13, 0):  # sRGB
        return depth, False, (0, 0), 0, colour, True
    full = bits.flag()
    subsampling = (1, 1)
    if profile == 1:
        subsampling = (0, 0)
    elif profile == 2:
        subsampling = (1, 0)
        if depth == 12:
            across = bits.u(1)
            subsampling = (across, bits.u(1) if across else 0)
    position = bits.u(2) if subsampling == (1, 1) else 0
    return depth, False, subsampling, position, colour, full
