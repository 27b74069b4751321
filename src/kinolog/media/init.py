"""Init segments: ftyp and moov of one track (ISO/IEC 23000-19, 7.3; ISO/IEC 14496-12, 8).

    init_segment(format) -> InitSegment(data, codec, timescale, width, height,
                                        sample_rate, channels)

Written here rather than by FFmpeg's muxer: the bytes then depend on the format alone, not on
the version of a library, and two ingests of one stream always agree.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.boxes import box, full_box
from kinolog.media.codec_string import codec_string
from kinolog.media.describe import describe
from kinolog.media.sample_entry import sample_entry
from kinolog.media.types import TrackFormat

_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_TRACK_ID = 1
_ENABLED_IN_MOVIE_IN_PREVIEW = 7


class InitSegment(NamedTuple):
    """`data` to append before the first chunk, and what a playlist says of the track.

    `codec` as in RFC 6381; sizes in pixels and `sample_rate` in Hz, 0 where they do not apply.
    """

    data: bytes
    codec: str
    timescale: int
    width: int
    height: int
    sample_rate: int
    channels: int


def init_segment(format: TrackFormat) -> InitSegment:
    """The init segment of a track: equal bytes for equal formats, track_ID 1, no edit list.

    What the format leaves open (width, height, rate, channels) is taken from its extradata.
    MediaError where that is malformed or does not tell.
    """
    full = describe(format)
    codec = codec_string(full)
    _check(full)
    data = _ftyp() + _moov(full)
    return InitSegment(
        data, codec, full.timescale, full.width, full.height, full.sample_rate, full.channels
    )


def _check(format: TrackFormat) -> None:
    if not 0 < format.timescale < 1 << 32:
        raise MediaError(f"timescale {format.timescale} does not fit 1 to 2**32-1")
    if format.kind == "video" and not (0 < format.width < 1 << 16 and 0 < format.height < 1 << 16):
        raise MediaError(f"{format.codec} picture size is not known, or over 65535 pixels")
    if format.kind == "audio" and not (format.sample_rate > 0 and 0 < format.channels < 1 << 16):
        raise MediaError(f"{format.codec} sample rate or channels are not known")


def _ftyp() -> bytes:
    """File type (4.3): iso6 for tfdt and default-base-is-moof, cmfc for CMAF."""
    return box(b"ftyp", b"iso6", bytes(4), b"iso6cmfcmp41")


def _moov(format: TrackFormat) -> bytes:
    return box(b"moov", _mvhd(format), _trak(format), _mvex())


def _mvhd(format: TrackFormat) -> bytes:
    """Movie header (8.2.2): no creation time, no duration, rate and volume 1."""
    times = struct.pack(">4I", 0, 0, format.timescale, 0)
    body = struct.pack(">IH10x", 0x10000, 0x100)
    return full_box(b"mvhd", 0, 0, times, body, _MATRIX, bytes(24), struct.pack(">I", 2))


def _trak(format: TrackFormat) -> bytes:
    media = box(b"mdia", _mdhd(format), _hdlr(format), _minf(format))
    return box(b"trak", _tkhd(format), media)


def _tkhd(format: TrackFormat) -> bytes:
    """Track header (8.3.2); width and height are 16.16."""
    audio = format.kind == "audio"
    head = struct.pack(">5I8xHHH2x", 0, 0, _TRACK_ID, 0, 0, 0, int(audio), 0x100 * audio)
    size = struct.pack(">II", format.width << 16, format.height << 16)
    return full_box(b"tkhd", 0, _ENABLED_IN_MOVIE_IN_PREVIEW, head, _MATRIX, size)


def _mdhd(format: TrackFormat) -> bytes:
    """Media header (8.4.2) with the language in three times five bits."""
    return full_box(
        b"mdhd", 0, 0,
        struct.pack(">4IHH", 0, 0, format.timescale, 0, _language(format.language), 0),
    )  # fmt: skip


def _language(code: str) -> int:
    if len(code) != 3 or not (code.isascii() and code.isalpha() and code.islower()):
        code = "und"
    first, second, third = (ord(letter) - 0x60 for letter in code)
    return first << 10 | second << 5 | third


def _hdlr(format: TrackFormat) -> bytes:
    """Handler (8.4.3)."""
    kind = b"vide" if format.kind == "video" else b"soun"
    return full_box(b"hdlr", 0, 0, bytes(4), kind, bytes(12), b"kinolog\0")


def _minf(format: TrackFormat) -> bytes:
    """Media information: header (12.1.2, 12.2.2), data in this file (8.7.2), empty tables."""
    video = format.kind == "video"
    header = full_box(b"vmhd", 0, 1, bytes(8)) if video else full_box(b"smhd", 0, 0, bytes(4))
    one = struct.pack(">I", 1)
    dref = full_box(b"dref", 0, 0, one, full_box(b"url ", 0, 1))
    stsd = full_box(b"stsd", 0, 0, one, sample_entry(format))
    empty = [full_box(kind, 0, 0, bytes(4)) for kind in (b"stts", b"stsc")]
    tables = (stsd, *empty, full_box(b"stsz", 0, 0, bytes(8)), full_box(b"stco", 0, 0, bytes(4)))
    return box(b"minf", header, box(b"dinf", dref), box(b"stbl", *tables))


def _mvex() -> bytes:
    """Track extends (8.8.3): no defaults, each chunk states its own."""
    return box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">5I", _TRACK_ID, 1, 0, 0, 0)))
