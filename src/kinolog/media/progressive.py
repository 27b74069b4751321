"""Progressive MP4: ftyp and moov of a file whose samples follow in one mdat.

    head(tracks, timescale, size) -> the bytes before the first sample (ISO/IEC 14496-12)

The tables of samples are made when they are read: those of a week are some hundred megabytes.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from kinolog.media.boxes import box, find, full_box
from kinolog.media.sample_tables import Rows, SampleTables

Part = bytes | Rows

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
    samples use. `tables`: of its samples, in ticks of `timescale`. `later`: so much, in ticks, is
    added to each composition offset."""

    inits: Sequence[bytes]
    timescale: int
    tables: SampleTables
    edits: Sequence[Edit]
    enabled: bool = True
    later: int = 0


class Head:
    """Bytes of a file, some of them made when they are read."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = list(parts)
        self._ends = list(accumulate(map(_size, parts)))
        self.size = self._ends[-1]

    @property
    def fixed(self) -> bytes:
        """Those that are there already."""
        return b"".join(part for part in self._parts if isinstance(part, bytes))

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop)."""
        found: list[bytes] = []
        number = bisect_right(self._ends, start)
        while number < len(self._parts) and start < stop:
            part = self._parts[number]
            begins = self._ends[number] - _size(part)
            first, last = start - begins, min(stop, self._ends[number]) - begins
            found.append(part[first:last] if isinstance(part, bytes) else part.read(first, last))
            start = begins + last
            number += 1
        return b"".join(found)


def head(tracks: Sequence[Track], timescale: int, size: int, created_s: int = 0) -> Head:
    """ftyp, moov, and the header of an mdat of `size` bytes of samples. `timescale`: the movie's.
    `created_s`: Unix seconds of what is shown first. MediaError where an init cannot be used."""
    # The offsets take as much room whatever they are; with the largest all is sure to fit.
    large = size + sum(track.tables.count * 64 for track in tracks) + (1 << 20) > _U32
    created = since_1904(created_s)
    places = [track.tables.places(large=large) for track in tracks]
    moov = movie(tracks, timescale, created, places, large=large)
    mdat = _LARGE.pack(1, b"mdat", size + 16) if large else struct.pack(">I4s", size + 8, b"mdat")
    found = Head([_FTYP, *moov, mdat])
    for one in places:
        one.shift(found.size)
    return found


def since_1904(unix_s: int) -> int:
    """A time as movies have it (8.2.2); 0 stays 0."""
    return unix_s + _FROM_1904_S if unix_s else 0


def _size(part: Part) -> int:
    return len(part) if isinstance(part, bytes) else part.size


def _box(kind: bytes, *parts: Part) -> list[Part]:
    return [struct.pack(">I4s", 8 + sum(map(_size, parts)), kind), *parts]


def _table(kind: bytes, rows: Rows, before: bytes = b"") -> list[Part]:
    """A full box of rows, with their number."""
    size = 16 + len(before) + rows.size
    return [struct.pack(">I4sI", size, kind, 0) + before + struct.pack(">I", len(rows)), rows]


def movie(
    tracks: Sequence[Track],
    timescale: int,
    created: int,
    places: Sequence[Rows],
    *more: bytes,
    large: bool = False,
) -> list[Part]:
    """The movie box (8.2.1), with `more` boxes at its end. `created`: seconds since 1904."""
    duration = max((_shown(track) for track in tracks), default=0)
    times = struct.pack(">QQIQ", created, created, timescale, duration)
    rest = struct.pack(">IH10x", 0x10000, 0x100) + _MATRIX + bytes(24)
    mvhd = full_box(b"mvhd", 1, 0, times, rest, struct.pack(">I", len(tracks) + 1))
    traks: list[Part] = []
    for number, one in enumerate(tracks, 1):
        traks += _trak(one, number, created, places[number - 1], large)
    return _box(b"moov", mvhd, *traks, *more)


def _shown(track: Track) -> int:
    return sum(edit.duration for edit in track.edits)


def _trak(track: Track, number: int, created: int, places: Rows, large: bool) -> list[Part]:
    first = track.inits[0]
    mdia = find(first, b"moov/trak/mdia")
    minf = find(first, b"minf", mdia.body, mdia.end)
    kind = _handler(first)
    media_header = b"vmhd" if kind == b"vide" else b"smhd"
    language = _field(first, b"moov/trak/mdia/mdhd", -4, 2)
    mdhd = struct.pack(">QQIQ", created, created, track.timescale, track.tables.length)
    return _box(
        b"trak",
        _tkhd(track, number, created, audio=kind == b"soun"),
        box(b"edts", _elst(track.edits)),
        *_box(
            b"mdia",
            full_box(b"mdhd", 1, 0, mdhd + language + bytes(2)),
            _whole(first, b"hdlr", mdia.body, mdia.end),
            *_box(
                b"minf",
                _whole(first, media_header, minf.body, minf.end),
                _whole(first, b"dinf", minf.body, minf.end),
                *_stbl(track, places, large),
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


def _stbl(track: Track, places: Rows, large: bool) -> list[Part]:
    """The sample table (8.5)."""
    entries = []
    for init in track.inits:
        stsd = find(init, b"moov/trak/mdia/minf/stbl/stsd")
        entries.append(init[stsd.body + 8 : stsd.end])
    tables: list[Part] = [full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries)]
    tables += _table(b"stts", track.tables.durations())
    offsets = track.tables.offsets(track.later)
    if offsets is not None:
        # Version 1 has signed offsets; 0 is what the oldest players know.
        signed = track.tables.least_offset + track.later < 0
        header, *rows = _table(b"ctts", offsets)
        assert isinstance(header, bytes)
        tables += [header[:8] + bytes([int(signed)]) + header[9:], *rows]
    syncs = track.tables.syncs()
    if syncs is not None:
        tables += _table(b"stss", syncs)
    tables += _table(b"stsc", track.tables.chunks())
    tables += _table(b"stsz", track.tables.sizes(), bytes(4))
    tables += _table(b"co64" if large else b"stco", places)
    return _box(b"stbl", *tables)
