"""CMAF chunks: one moof and one mdat of one track (ISO/IEC 23000-19, ISO/IEC 14496-12).

    chunk(sequence_number, base_decode_time, samples) -> bytes
    reference_time(media_time, wall_ms) -> bytes
    parse_chunk(data) -> ParsedChunk

The track's number is always 1: it is alone in its init segment.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.boxes import Box, boxes

__all__ = [
    "MAX_SAMPLES",
    "ParsedChunk",
    "Sample",
    "boxes",
    "chunk",
    "parse_chunk",
    "reference_time",
]

MAX_SAMPLES = 65_536

# Sample flags (14496-12, 8.8.3.1): sample_depends_on 2 = on no other;
# sample_depends_on 1 and sample_is_non_sync_sample.
_SYNC = 0x0200_0000
_NON_SYNC = 0x0101_0000
_NON_SYNC_BIT = 0x0001_0000

# tfhd flags (8.8.7.1)
_TFHD_BASE_OFFSET = 0x01
_TFHD_DESCRIPTION = 0x02
_TFHD_DURATION = 0x08
_TFHD_SIZE = 0x10
_TFHD_FLAGS = 0x20
_TFHD_BASE_IS_MOOF = 0x02_0000
# trun flags (8.8.8.1)
_TRUN_OFFSET = 0x001
_TRUN_FIRST_FLAGS = 0x004
_TRUN_DURATION = 0x100
_TRUN_SIZE = 0x200
_TRUN_FLAGS = 0x400
_TRUN_CTS = 0x800
_TRUN_COLUMNS = (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_CTS)

# prft (8.16.5), version 1: the times are those of the capture
_PRFT = struct.Struct(">I4sIIQQ")
_PRFT_CAPTURED = 0x0100_0018
_NTP_EPOCH_S = 2_208_988_800
"""NTP counts from 1900 (RFC 5905, 6): so many seconds before 1970."""

_U32 = 0xFFFF_FFFF
_U64 = 0xFFFF_FFFF_FFFF_FFFF
# moof, mfhd, traf, tfhd, up to the end of tfhd's track_ID
_HEAD = struct.Struct(">I4sI4sIII4sI4sII")
_TFDT = struct.Struct(">I4sIQ")
_TRUN = struct.Struct(">I4sIIi")


class Sample(NamedTuple):
    """One access unit: its bytes, duration and signed composition offset in ticks, sync flag."""

    data: bytes
    duration: int
    cts: int
    sync: bool


class ParsedChunk(NamedTuple):
    """What a chunk says of its samples; times in ticks of the track, sizes in bytes.

    `data_offset` is the byte offset of the first sample in the chunk; the rest follow it
    without gaps.
    """

    sequence_number: int
    base_decode_time: int
    durations: tuple[int, ...]
    sizes: tuple[int, ...]
    cts: tuple[int, ...]
    sync: tuple[bool, ...]
    data_offset: int


def chunk(sequence_number: int, base_decode_time: int, samples: Sequence[Sample]) -> bytes:
    """moof (8.8.4) and mdat (8.1.1) holding `samples`, the first decoded at `base_decode_time`.

    `sequence_number` is taken modulo 2**32 (8.8.5 has 32 bits). What is equal in all samples
    is written once, as a default in tfhd (8.8.7); composition offsets are left out where all
    are 0. Raises MediaError when a value does not fit its field or there is no sample.
    """
    count = len(samples)
    if not 0 < count <= MAX_SAMPLES:
        raise MediaError(f"a chunk holds 1 to {MAX_SAMPLES} samples, not {count}")
    data, durations, cts, sync = zip(*samples, strict=True)
    payload_bytes = sum(map(len, data))

    columns: list[Sequence[int]] = []
    defaults: tuple[int, ...] = ()
    tfhd_flags = _TFHD_BASE_IS_MOOF
    trun_flags = _TRUN_OFFSET | _TRUN_SIZE
    if durations.count(durations[0]) == count:
        tfhd_flags |= _TFHD_DURATION
        defaults = (durations[0],)
    else:
        trun_flags |= _TRUN_DURATION
        columns.append(durations)
    columns.append([len(item) for item in data])
    if sync.count(sync[0]) == count:
        tfhd_flags |= _TFHD_FLAGS
        defaults += (_SYNC if sync[0] else _NON_SYNC,)
    else:
        trun_flags |= _TRUN_FLAGS
        columns.append([_SYNC if flag else _NON_SYNC for flag in sync])
    if any(cts):
        trun_flags |= _TRUN_CTS
        columns.append(_two_complement(cts))

    width = len(columns)
    table = [0] * (count * width)
    for index, column in enumerate(columns):
        table[index::width] = column

    tfhd_bytes = 16 + 4 * len(defaults)
    trun_bytes = 20 + 4 * len(table)
    traf_bytes = 8 + tfhd_bytes + 20 + trun_bytes
    moof_bytes = 24 + traf_bytes
    try:
        head = (
            _HEAD.pack(
                moof_bytes, b"moof", 16, b"mfhd", 0, sequence_number & _U32,
                traf_bytes, b"traf", tfhd_bytes, b"tfhd", tfhd_flags, 1,
            ),
            struct.pack(f">{len(defaults)}I", *defaults),
            _TFDT.pack(20, b"tfdt", 0x0100_0000, base_decode_time),
            _TRUN.pack(trun_bytes, b"trun", 0x0100_0000 | trun_flags, count, moof_bytes + 8),
            struct.pack(f">{len(table)}I", *table),
            struct.pack(">I4s", 8 + payload_bytes, b"mdat"),
        )  # fmt: skip
    except struct.error as error:
        raise MediaError(f"a time or size does not fit a chunk's field: {error}") from error
    return b"".join(head + data)


def reference_time(media_time: int, wall_ms: float) -> bytes:
    """Producer reference time (prft, 8.16.5), to stand before the moof: `media_time` (ticks of the
    track) was captured at `wall_ms` (Unix ms and their fractions). NTP's 64 bits begin anew in
    2036. Raises MediaError when `media_time` does not fit."""
    us = round(1000 * wall_ms) + 1_000_000 * _NTP_EPOCH_S
    ntp = (us << 32) // 1_000_000 & _U64
    try:
        return _PRFT.pack(_PRFT.size, b"prft", _PRFT_CAPTURED, 1, ntp, media_time)
    except struct.error as error:
        raise MediaError(f"a time does not fit prft: {error}") from error


def _two_complement(offsets: Sequence[int]) -> list[int]:
    if min(offsets) < -0x8000_0000 or max(offsets) > 0x7FFF_FFFF:
        raise MediaError("a composition offset does not fit 32 bits")
    return [offset & _U32 for offset in offsets]


def parse_chunk(data: bytes) -> ParsedChunk:
    """The sample table of a chunk: one moof with one traf and one trun, then its mdat.

    Boxes that may stand before (styp, prft, emsg, sidx) are passed over. Defaults that would
    come from the init segment's trex are not known here, so a chunk that leans on them is
    refused. Raises MediaError for anything malformed, and never reads outside `data`.
    """
    top = list(boxes(data))
    moof = _only(top, b"moof")
    mdat = _only(top, b"mdat")
    inside = list(boxes(data, moof.body, moof.end))
    traf_box = _only(inside, b"traf")
    traf = list(boxes(data, traf_box.body, traf_box.end))
    defaults = _tfhd(data, _only(traf, b"tfhd"))
    table = _trun(data, _only(traf, b"trun"), defaults)
    offset = moof.start + table.data_offset
    if offset < mdat.body or offset + sum(table.sizes) > mdat.end:
        raise MediaError("samples lie outside the chunk's mdat")
    return ParsedChunk(
        _uint(data, _only(inside, b"mfhd"), 4, 4),
        _tfdt(data, _only(traf, b"tfdt")),
        table.durations,
        table.sizes,
        table.cts,
        table.sync,
        offset,
    )


class _Defaults(NamedTuple):
    duration: int | None
    size: int | None
    flags: int | None


class _Table(NamedTuple):
    data_offset: int
    durations: tuple[int, ...]
    sizes: tuple[int, ...]
    cts: tuple[int, ...]
    sync: tuple[bool, ...]


def _only(found: Sequence[Box], kind: bytes) -> Box:
    matching = [box for box in found if box.type == kind]
    if len(matching) != 1:
        raise MediaError(f"a chunk has one {kind.decode()} box, this has {len(matching)}")
    return matching[0]


def _uint(data: bytes, box: Box, offset: int, size: int) -> int:
    start = box.body + offset
    if start + size > box.end:
        raise MediaError(f"box {box.type!r} is cut short")
    return int.from_bytes(data[start : start + size], "big")


def _tfdt(data: bytes, box: Box) -> int:
    """Track fragment decode time (8.8.12)."""
    version = _uint(data, box, 0, 1)
    return _uint(data, box, 4, 8 if version == 1 else 4)


def _tfhd(data: bytes, box: Box) -> _Defaults:
    """Track fragment header (8.8.7)."""
    flags = _uint(data, box, 1, 3)
    if flags & _TFHD_BASE_OFFSET:
        raise MediaError("tfhd has an absolute base data offset, which CMAF forbids")
    at = 12 if flags & _TFHD_DESCRIPTION else 8
    values: list[int | None] = []
    for flag in (_TFHD_DURATION, _TFHD_SIZE, _TFHD_FLAGS):
        if flags & flag:
            values.append(_uint(data, box, at, 4))
            at += 4
        else:
            values.append(None)
    return _Defaults(*values)


def _trun(data: bytes, box: Box, defaults: _Defaults) -> _Table:
    """Track fragment run (8.8.8)."""
    version = _uint(data, box, 0, 1)
    flags = _uint(data, box, 1, 3)
    count = _uint(data, box, 4, 4)
    if not 0 < count <= MAX_SAMPLES:
        raise MediaError(f"a chunk holds 1 to {MAX_SAMPLES} samples, not {count}")
    if not flags & _TRUN_OFFSET:
        raise MediaError("trun without a data offset")
    offset = _uint(data, box, 8, 4)
    at = 12
    first_flags = None
    if flags & _TRUN_FIRST_FLAGS:
        first_flags = _uint(data, box, at, 4)
        at += 4
    present = [flag for flag in _TRUN_COLUMNS if flags & flag]
    start = box.body + at
    if start + 4 * count * len(present) > box.end:
        raise MediaError("trun is shorter than its samples")
    values = struct.unpack_from(f">{count * len(present)}I", data, start)
    columns = {flag: values[i :: len(present)] for i, flag in enumerate(present)}

    sample_flags = _column(columns, _TRUN_FLAGS, defaults.flags, count)
    if first_flags is not None:
        sample_flags = (first_flags, *sample_flags[1:])
    cts = columns.get(_TRUN_CTS, (0,) * count)
    if version:
        cts = tuple(value - (1 << 32) if value >> 31 else value for value in cts)
    return _Table(
        offset - (1 << 32) if offset >> 31 else offset,
        _column(columns, _TRUN_DURATION, defaults.duration, count),
        _column(columns, _TRUN_SIZE, defaults.size, count),
        cts,
        tuple(not value & _NON_SYNC_BIT for value in sample_flags),
    )


def _column(
    columns: dict[int, tuple[int, ...]], flag: int, default: int | None, count: int
) -> tuple[int, ...]:
    found = columns.get(flag)
    if found is not None:
        return found
    if default is None:
        raise MediaError("a chunk's durations, sizes and flags stand in its tfhd or trun")
    return (default,) * count
