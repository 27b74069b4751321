"""Columns: the sample tables of a track's media segments, in the order of time, by column.

Two hours are some 340,000 samples of sound: as columns some 15 bytes each, as objects ten times
as much.
"""

from __future__ import annotations

from array import array

import numpy as np
import numpy.typing as npt

from kinolog.record.control import SegmentEntry
from kinolog.record.table import Row

Ticks = npt.NDArray[np.int64]


class Columns:
    """Of each segment: `epoch`, `msn`, `dts`, `dur` (ticks), `wall` (Unix ms), `gap` (it cannot be
    used, and has no samples), and where its samples, chunks and records end in their columns.

    Of each sample: `size` (bytes), `duration` and `cts` (ticks), `sync`. Of each chunk: `at`, the
    byte at which its samples begin, and how many they are. Of each record: its media `offset`.
    """

    def __init__(self) -> None:
        self.epoch, self.msn, self.dts, self.dur, self.wall = (array("q") for _ in range(5))
        self.gap = array("b")
        self.samples_end, self.chunks_end, self.records_end = (array("q") for _ in range(3))
        self.size, self.duration = array("I"), array("I")
        self.cts = array("i")
        self.sync = bytearray()
        self.at, self.count = array("I"), array("I")
        self.offset = array("q")

    def __len__(self) -> int:
        return len(self.msn)

    def append(self, row: Row, entry: SegmentEntry | None) -> None:
        """The next segment. Without its entry, or where that is of no use, it is a gap: so is one
        whose entry is another's, for its index was made again meanwhile."""
        usable = (
            entry is not None
            and (entry.epoch, entry.msn, entry.dts) == (row.epoch, row.msn, row.dts)
            and not row.gap
            and entry.whole
            and _consistent(entry)
        )
        for column, value in (
            (self.epoch, row.epoch),
            (self.msn, row.msn),
            (self.dts, row.dts),
            (self.dur, row.dur),
            (self.wall, row.wall),
        ):
            column.append(value)
        self.gap.append(not usable)
        if usable and entry is not None:
            self._add(entry)
        self.samples_end.append(len(self.size))
        self.chunks_end.append(len(self.at))
        self.records_end.append(len(self.offset))

    def _add(self, entry: SegmentEntry) -> None:
        self.size.extend(entry.sample_sizes)
        self.duration.extend(entry.sample_durations)
        self.cts.extend(entry.sample_cts)
        flags = bytearray(len(entry.sample_sizes))
        for index in entry.sync:
            flags[index] = 1
        self.sync += flags
        self.at.extend(entry.mdat)
        self.count.extend(entry.chunk_samples)
        offset = 0
        for step in entry.offsets:
            offset += step
            self.offset.append(offset)

    def usable(self) -> Columns:
        """The segments that are no gaps."""
        if not any(self.gap):
            return self
        kept = Columns()
        for n in range(len(self)):
            if self.gap[n]:
                continue
            for name in ("epoch", "msn", "dts", "dur", "wall", "gap"):
                getattr(kept, name).append(getattr(self, name)[n])
            for span, names in (
                (self.samples(n), ("size", "duration", "cts", "sync")),
                (self.chunks(n), ("at", "count")),
                (self.records(n), ("offset",)),
            ):
                for name in names:
                    getattr(kept, name).extend(getattr(self, name)[slice(*span)])
            kept.samples_end.append(len(kept.size))
            kept.chunks_end.append(len(kept.at))
            kept.records_end.append(len(kept.offset))
        return kept

    def samples(self, segment: int) -> tuple[int, int]:
        """[first, end) of a segment's samples in their columns."""
        return _span(self.samples_end, segment)

    def chunks(self, segment: int) -> tuple[int, int]:
        """[first, end) of a segment's chunks in their columns."""
        return _span(self.chunks_end, segment)

    def records(self, segment: int) -> tuple[int, int]:
        """[first, end) of a segment's records in their column."""
        return _span(self.records_end, segment)

    def decode_times(self, first: int, stop: int) -> Ticks:
        """DTS of each sample of the segments [first, stop), in ticks of the track."""
        begin = self.samples(first)[0]
        end = self.samples_end[stop - 1]
        steps = np.array(self.duration[begin:end], np.int64)
        into = np.cumsum(steps) - steps
        starts = np.array([self.samples(n)[0] - begin for n in range(first, stop)], np.int64)
        counts = np.diff(starts, append=end - begin)
        used = counts > 0
        begins = np.array(self.dts[first:stop], np.int64)[used]
        begins -= into[starts[used]]
        return into + np.repeat(begins, counts[used])

    def presentation_times(self, first: int, stop: int) -> Ticks:
        """PTS of each sample of the segments [first, stop), in the order of decoding."""
        begin, end = self.samples(first)[0], self.samples_end[stop - 1]
        return self.decode_times(first, stop) + np.array(self.cts[begin:end], np.int64)


def _span(ends: array[int], segment: int) -> tuple[int, int]:
    return (ends[segment - 1] if segment else 0), ends[segment]


def _consistent(entry: SegmentEntry) -> bool:
    """Whether its columns are of a length, and its numbers such as a chunk can have."""
    count = len(entry.sample_sizes)
    columns = (entry.sample_sizes, entry.sample_durations, entry.mdat, entry.chunk_samples)
    return (
        0 < count == len(entry.sample_durations) == len(entry.sample_cts)
        and sum(entry.chunk_samples) == count
        and len(entry.mdat) == len(entry.chunk_samples)
        and all(0 <= min(column) <= max(column) < 1 << 32 for column in columns)
        and -(1 << 31) <= min(entry.sample_cts) <= max(entry.sample_cts) < 1 << 31
        and all(0 <= index < count for index in entry.sync)
        and bool(entry.offsets)
    )
