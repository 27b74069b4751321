"""Several single-track CMAF tracks as one fragmented MP4: a merged moov, renumbered chunks.

merge_inits([video_init, audio_init]) -> ftyp + moov, tracks numbered 1, 2 …
retrack(chunk, track_id=2, sequence_number=7, shift_ticks=0) -> the chunk for it
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from kinolog.core.errors import MediaError
from kinolog.media.boxes import box, boxes, find

_U32 = struct.Struct(">I")
_U64 = struct.Struct(">Q")
_U32_MAX = 0xFFFF_FFFF


def merge_inits(inits: Sequence[bytes]) -> bytes:
    """One init segment of the tracks of several (ISO/IEC 14496-12, 8.2): the first one's ftyp
    and mvhd, each one's trak and trex with track_ID 1, 2 … MediaError where one is malformed."""
    if not inits:
        raise MediaError("no track to put into an init segment")
    first = inits[0]
    ftyp, moov = find(first, b"ftyp"), find(first, b"moov")
    mvhd = find(first, b"mvhd", moov.body, moov.end)
    header = bytearray(first[mvhd.start : mvhd.end])
    header[-4:] = _U32.pack(len(inits) + 1)  # next_track_ID is mvhd's last field (8.2.2)
    traks, trexes = [], []
    for track_id, init in enumerate(inits, 1):
        traks.append(_trak(init, track_id))
        trexes.append(_trex(init, track_id))
    body = box(b"moov", bytes(header), *traks, box(b"mvex", *trexes))
    return first[ftyp.start : ftyp.end] + body


def retrack(chunk: bytes, *, track_id: int, sequence_number: int, shift_ticks: int = 0) -> bytes:
    """The chunk with another track_ID (tfhd, 8.8.7), sequence number (mfhd, 8.8.5, modulo 2**32)
    and a decode time (tfdt, 8.8.12) less by `shift_ticks`; sizes and offsets stay.

    MediaError where it is no chunk of one track, or its time would be below zero.
    """
    moof = find(chunk, b"moof")
    mfhd = find(chunk, b"mfhd", moof.body, moof.end)
    trafs = [one for one in boxes(chunk, moof.body, moof.end) if one.type == b"traf"]
    if len(trafs) != 1:
        raise MediaError(f"a chunk has one traf box, this has {len(trafs)}")
    tfhd = find(chunk, b"tfhd", trafs[0].body, trafs[0].end)
    tfdt = find(chunk, b"tfdt", trafs[0].body, trafs[0].end)
    out = bytearray(chunk)
    try:
        _U32.pack_into(out, mfhd.body + 4, sequence_number & _U32_MAX)
        _U32.pack_into(out, tfhd.body + 4, track_id)
        field = _U64 if out[tfdt.body] == 1 else _U32
        (time,) = field.unpack_from(out, tfdt.body + 4)
        field.pack_into(out, tfdt.body + 4, time - shift_ticks)
    except (struct.error, IndexError) as error:
        raise MediaError(f"a chunk's boxes cannot be renumbered: {error}") from error
    return bytes(out)


def _trak(init: bytes, track_id: int) -> bytes:
    """The one trak with its track_ID (tkhd, 8.3.2) replaced."""
    moov = find(init, b"moov")
    traks = [one for one in boxes(init, moov.body, moov.end) if one.type == b"trak"]
    if len(traks) != 1:
        raise MediaError(f"an init segment of one track has one trak box, this has {len(traks)}")
    trak = traks[0]
    tkhd = find(init, b"tkhd", trak.body, trak.end)
    out = bytearray(init[trak.start : trak.end])
    # version and flags, then two times of 32 or 64 bits
    at = tkhd.body - trak.start + (20 if init[tkhd.body] == 1 else 12)
    _U32.pack_into(out, at, track_id)
    return bytes(out)


def _trex(init: bytes, track_id: int) -> bytes:
    """The trex (8.8.3) with its track_ID replaced."""
    trex = find(init, b"moov/mvex/trex")
    out = bytearray(init[trex.start : trex.end])
    _U32.pack_into(out, 12, track_id)
    return bytes(out)
