"""Progressive MP4: ftyp and moov of a file whose samples follow in one mdat.

    head(tracks, timescale, created_s) -> the bytes before the first sample (ISO/IEC 14496-12)

Sample tables are columns (numpy), so that hours of samples take megabytes, not objects.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import MediaError
from kinolog.media.boxes import box, find, full_box

Column = npt.NDArray[np.integer]

_FTYP = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso4mp41mp42")
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_FROM_1904_S = 2_082_844_800
_U32 = (1 << 32) - 1
_ENABLED, _IN_MOVIE = 1, 2
_LARGE = struct.Struct(">I4sQ")


class Edit(NamedTuple):
    """A stretch of a track's presentation (8.6.6): `duration` in the movie's ticks, and where in
    the track's media it begins, in the track's ticks; -1: nothing is shown for so long."""

    duration: int
    media_time: int


@dataclass(frozen=True)
class Track:
    """A track of the file. `inits`: CMAF init segments of one track each, whose sample entries the
    samples use. Samples in decoding order by column: `sizes` in bytes, `durations` and
    composition offsets `cts` in ticks of `timescale`, `sync`: which are sync samples. Chunks by
    column: how many samples (`counts`), which of the inits (`descriptions`, from 0), and where they
    begin among all bytes of samples (`places`)."""

    inits: Sequence[bytes]
    timescale: int
    sizes: Column
    durations: Column
    cts: Column
    sync: npt.NDArray[np.bool_]
    counts: Column
    descriptions: Column
    places: Column
    edits: Sequence[Edit]
    enabled: bool = True


def head(tracks: Sequence[Track], timescale: int, size: int, created_s: int = 0) -> bytes:
    """ftyp, moov, and the header of an mdat of `size` bytes of samples. `timescale`: the movie's.
    `created_s`: Unix seconds of what is shown first. MediaError where an init cannot be used."""
    # The offsets take as much room whatever they are; with the largest all is sure to fit.
    large = size + sum(track.sizes.nbytes * 8 for track in tracks) + (1 << 20) > _U32
    created = created_s + _FROM_1904_S if created_s else 0
    length = len(_moov(tracks, timescale, created, 0, large))
    base = len(_FTYP) + length + (16 if large else 8)
    moov = _moov(tracks, timescale, created, base, large)
    mdat = _LARGE.pack(1, b"mdat", size + 16) if large else struct.pack(">I4s", size + 8, b"mdat")
    return b"".join((_FTYP, moov, mdat))


def _moov(tracks: Sequence[Track], timescale: int, created: int, base: int, large: bool) -> bytes:
    duration = max((_shown(track) for track in tracks), default=0)
    times = struct.pack(">QQIQ", created, created, timescale, duration)
    rest = struct.pack(">IH10x", 0x10000, 0x100) + _MATRIX + bytes(24)
    mvhd = full_box(b"mvhd", 1, 0, times, rest, struct.pack(">I", len(tracks) + 1))
    traks = (_trak(one, number, created, base, large) for number, one in enumerate(tracks, 1))
    return box(b"moov", mvhd, *traks)


def _shown(track: Track) -> int:
    return sum(edit.duration for edit in track.edits)


def _trak(track: Track, number: int, created: int, base: int, large: bool) -> bytes:
    first = track.inits[0]
    mdia = find(first, b"moov/trak/mdia")
    minf = find(first, b"minf", mdia.body, mdia.end)
    kind = _handler(first)
    media_header = b"vmhd" if kind == b"vide" else b"smhd"
    tables = _stbl(track, base, large)
    language = _field(first, b"moov/trak/mdia/mdhd", -4, 2)
    length = int(track.durations.sum(dtype=np.int64))
    mdhd = struct.pack(">QQIQ", created, created, track.timescale, length) + language + bytes(2)
    return box(
        b"trak",
        _tkhd(track, number, created, audio=kind == b"soun"),
        box(b"edts", _elst(track.edits)),
        box(
            b"mdia",
            full_box(b"mdhd", 1, 0, mdhd),
            _whole(first, b"hdlr", mdia.body, mdia.end),
            box(
                b"minf",
                _whole(first, media_header, minf.body, minf.end),
                _whole(first, b"dinf", minf.body, minf.end),
                tables,
            ),
        ),
    )


def _handler(init: bytes) -> bytes:
    hdlr = find(init, b"moov/trak/mdia/hdlr")
    return init[hdlr.body + 8 : hdlr.body + 12]


def _whole(data: bytes, kind: bytes, start: int, end: int) -> bytes:
    found = find(data, kind, start, end)
    return data[found.start : found.end]


def _field(data: bytes, path: bytes, at: int, size: int) -> bytes:
    """Bytes of a box, `at` counted from its end."""
    found = find(data, path)
    return data[found.end + at : found.end + at + size]


def _tkhd(track: Track, number: int, created: int, *, audio: bool) -> bytes:
    """Track header (8.3.2); the sound tracks are alternatives to one another."""
    head = struct.pack(">QQI4xQ8xHHH2x", created, created, number, _shown(track),
                       0, int(audio), 0x100 * audio)  # fmt: skip
    size = _field(track.inits[0], b"moov/trak/tkhd", -8, 8)
    flags = _IN_MOVIE | (_ENABLED if track.enabled else 0)
    return full_box(b"tkhd", 1, flags, head, _MATRIX, size)


def _elst(edits: Sequence[Edit]) -> bytes:
    """Edit list (8.6.6)."""
    rows = (struct.pack(">QqI", duration, time, 0x10000) for duration, time in edits)
    return full_box(b"elst", 1, 0, struct.pack(">I", len(edits)), *rows)


def _stbl(track: Track, base: int, large: bool) -> bytes:
    """The sample table (8.5)."""
    entries = []
    for init in track.inits:
        stsd = find(init, b"moov/trak/mdia/minf/stbl/stsd")
        entries.append(init[stsd.body + 8 : stsd.end])
    tables = [
        full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries),
        _runs(b"stts", 0, track.durations),
    ]
    if track.cts.any():
        # Version 1 has signed offsets; 0 is what the oldest players know.
        tables.append(_runs(b"ctts", int(track.cts.min() < 0), track.cts))
    if not track.sync.all():
        numbers = np.flatnonzero(track.sync) + 1
        tables.append(full_box(b"stss", 0, 0, _count(numbers), _big(numbers)))
    places = track.places + base
    tables += [
        _stsc(track),
        full_box(b"stsz", 0, 0, bytes(4), _count(track.sizes), _big(track.sizes)),
        full_box(b"co64", 0, 0, _count(places), places.astype(">u8").tobytes())
        if large
        else full_box(b"stco", 0, 0, _count(places), _big(places)),
    ]
    return box(b"stbl", *tables)


def _runs(kind: bytes, version: int, values: Column) -> bytes:
    """A table of (how many samples, value)."""
    starts = _starts(values)
    counts = np.diff(starts, append=len(values))
    if len(values) and not -(1 << 31) <= int(values.min()) <= int(values.max()) <= _U32:
        raise MediaError("a time of the clip does not fit its field")
    pairs = np.stack((counts.astype(np.int64), values[starts].astype(np.int64)), axis=1)
    return full_box(kind, version, 0, _count(starts), _big(pairs & _U32))


def _stsc(track: Track) -> bytes:
    """Samples to chunks (8.7.4): from which chunk on there are so many, of which description."""
    both = track.counts.astype(np.int64) << 16 | track.descriptions
    starts = _starts(both)
    rows = np.stack((starts + 1, track.counts[starts], track.descriptions[starts] + 1), axis=1)
    return full_box(b"stsc", 0, 0, _count(starts), _big(rows))


def _starts(values: Column) -> npt.NDArray[np.int64]:
    """Where another value begins, the first among them."""
    if not len(values):
        return np.zeros(0, np.int64)
    return np.concatenate((np.zeros(1, np.int64), np.flatnonzero(np.diff(values)) + 1))


def _count(values: Column) -> bytes:
    return struct.pack(">I", len(values))


def _big(values: Column) -> bytes:
    return values.astype(">u4").tobytes()
