"""Fragments: the samples of a movie as fragmented MP4 (ISO/IEC 14496-12, 8.8).

    fragmented_head(tracks, timescale, length) + fragment_head(…) + bytes of samples + …

A fragment's size is known from how many samples it has.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from kinolog.media.boxes import box, full_box
from kinolog.media.progressive import Head, Track, movie, since_1904
from kinolog.media.sample_tables import Numbers, Samples, SampleTables

_FTYP: Final = box(b"ftyp", b"iso6", bytes(4), b"iso6mp41")
_FIXED_BYTES: Final = 100
"""Of moof and the header of mdat, beside the rows of samples."""
_ROW: Final = np.dtype([(name, ">u4") for name in ("duration", "size", "flags", "offset")])
_SYNC, _NO_SYNC = 0x02000000, 0x01010000
"""Sample flags (8.8.3.1): depends on no other; depends on others, and is no sync sample."""


def fragmented_head(
    tracks: Sequence[Track], timescale: int, length: int, created_s: int = 0
) -> bytes:
    """ftyp and moov, without samples. `timescale`: the movie's, in which it lasts `length` ticks.
    `created_s`: Unix seconds of what is shown first."""
    empty = [replace(track, tables=SampleTables(_NoStore())) for track in tracks]
    trexes = [
        full_box(b"trex", 0, 0, struct.pack(">5I", number, 1, 0, 0, 0))
        for number in range(1, len(tracks) + 1)
    ]
    mehd = full_box(b"mehd", 1, 0, struct.pack(">Q", length))
    places = [track.tables.places(large=False) for track in empty]
    mvex = box(b"mvex", mehd, *trexes)
    head = Head([_FTYP, *movie(empty, timescale, since_1904(created_s), places, mvex)])
    return head.read(0, head.size)


def fragment_size(samples: int) -> int:
    """Bytes of a fragment beside those of its samples."""
    return _FIXED_BYTES + _ROW.itemsize * samples


def fragment_head(
    number: int, track_id: int, description: int, samples: Samples, later: int
) -> bytes:
    """moof, and the header of an mdat, of one track's samples. `number`: the fragment's, from 1.
    `description`: of the sample entry, from 0. `later`: is added to each composition offset."""
    count = len(samples.sizes)
    rows = np.empty(count, _ROW)
    rows["duration"] = samples.durations
    rows["size"] = samples.sizes
    rows["flags"] = np.where(samples.sync, _SYNC, _NO_SYNC)
    rows["offset"] = samples.offsets + later
    size = fragment_size(count)
    tfhd = full_box(b"tfhd", 0, 0x020002, struct.pack(">II", track_id, description + 1))
    tfdt = full_box(b"tfdt", 1, 0, struct.pack(">Q", samples.dts))
    # Duration, size, flags and composition offset of each sample, and where the first begins.
    trun = full_box(b"trun", 0, 0x000F01, struct.pack(">Ii", count, size), rows.tobytes())
    mfhd = full_box(b"mfhd", 0, 0, struct.pack(">I", number))
    moof = box(b"moof", mfhd, box(b"traf", tfhd, tfdt, trun))
    mdat = struct.pack(">I4s", 8 + int(samples.sizes.sum(dtype=np.int64)), b"mdat")
    assert len(moof) + len(mdat) == size
    return moof + mdat


class _NoStore:
    """Columns that stay empty."""

    def column(self, code: str) -> _Empty:
        return _Empty(code)


class _Empty(array):  # type: ignore[type-arg]
    def __new__(cls, code: str) -> _Empty:
        return super().__new__(cls, code)

    def values(self, start: int, stop: int) -> Numbers:
        return np.array(self[start:stop], np.int64)

    def extend(self, values: Any) -> None:
        super().extend(values)
