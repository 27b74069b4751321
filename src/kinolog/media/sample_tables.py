"""Sample tables: those of a movie's track (ISO/IEC 14496-12, 8.6 and 8.7), made as samples come.

What is the same again and again is kept once: a day of samples at a steady rate is one row of stts.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import MediaError

Numbers = npt.NDArray[Any]
_LEAST, _MOST = -(1 << 31), (1 << 32) - 1
_MARK_ROWS: Final = 256
_NONE: Final = -(1 << 62)


class Column(Protocol):
    """Numbers, one after the other: in memory, or elsewhere."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> int: ...

    def append(self, value: int, /) -> None:
        """One more."""
        ...

    def extend(self, values: Numbers, /) -> None:
        """Some more."""
        ...

    def values(self, start: int, stop: int, /) -> Numbers:
        """The numbers [start, stop)."""
        ...


class Store(Protocol):
    """Where columns are."""

    def column(self, code: str, /) -> Column:
        """An empty one, of numbers of this type (of `array`)."""
        ...


class Shifted(NamedTuple):
    """A column, and what is added to each of its numbers when it is written."""

    column: Column
    more: int = 0


class Rows:
    """Rows of big-endian numbers, made when they are read."""

    def __init__(self, columns: Sequence[Shifted], width: int = 4) -> None:
        """`width`: bytes of a number."""
        self._columns = list(columns)
        self._dtype = np.dtype(f">u{width}")
        self._row_bytes = width * len(self._columns)
        self.size = self._row_bytes * len(self._columns[0].column)

    def __len__(self) -> int:
        return len(self._columns[0].column)

    def shift(self, more: int) -> None:
        """Add so much to each number of the only column."""
        self._columns = [one._replace(more=more) for one in self._columns]

    def read(self, start: int, stop: int) -> bytes:
        """The bytes [start, stop)."""
        first, last = start // self._row_bytes, -(-stop // self._row_bytes)
        found = np.empty((last - first, len(self._columns)), self._dtype)
        for number, (column, more) in enumerate(self._columns):
            found[:, number] = (column.values(first, last).astype(np.int64) + more) & (
                _MOST if self._dtype.itemsize == 4 else -1
            )
        base = first * self._row_bytes
        return found.tobytes()[start - base : stop - base]


class _Runs:
    """A table of (how many samples, value). Every so many rows it is marked how many samples, and
    what sum of their values, are before: so any sample's is found."""

    def __init__(self, store: Store) -> None:
        self.counts, self.values = store.column("I"), store.column("q")
        self._count, self._value = 0, _NONE
        self._marks, self._sums = array("q"), array("q")
        self._samples = self._sum = 0

    def add(self, values: Numbers) -> None:
        starts = starts_of(values)
        counts = np.diff(starts, append=len(values))
        told = values[starts]
        if self._count and told[0] == self._value:
            counts[0] += self._count
        elif self._count:
            self.finish()
        self._push(counts[:-1], told[:-1])
        self._count, self._value = int(counts[-1]), int(told[-1])

    def _push(self, counts: Numbers, values: Numbers) -> None:
        while len(counts):
            over = len(self.counts) % _MARK_ROWS
            if not over:
                self._marks.append(self._samples)
                self._sums.append(self._sum)
            some = slice(_MARK_ROWS - over)
            self.counts.extend(counts[some])
            self.values.extend(values[some])
            self._samples += int(counts[some].sum())
            self._sum += int((counts[some].astype(np.int64) * values[some]).sum())
            counts, values = counts[_MARK_ROWS - over :], values[_MARK_ROWS - over :]

    def finish(self) -> None:
        """Nothing more comes, or another value."""
        if self._count:
            self._push(np.array([self._count]), np.array([self._value]))
        self._count = 0

    def rows(self, more: int = 0) -> Rows:
        return Rows((Shifted(self.counts), Shifted(self.values, more)))

    def of(self, start: int, stop: int) -> tuple[int, Numbers]:
        """The sum of the values of all samples before `start`, and the values of [start, stop)."""
        mark = max(0, bisect_right(self._marks, start) - 1)
        at, before = self._marks[mark], self._sums[mark]
        row = mark * _MARK_ROWS
        found: list[Numbers] = []
        while at < stop and row < len(self.counts):
            counts = self.counts.values(row, row + _MARK_ROWS).astype(np.int64)
            values = self.values.values(row, row + _MARK_ROWS)
            begins = at + np.cumsum(counts) - counts
            skipped = np.clip(start - begins, 0, counts)
            before += int((skipped * values).sum())
            found.append(np.repeat(values, np.clip(stop - begins, 0, counts) - skipped))
            at += int(counts.sum())
            row += len(counts)
        return before, np.concatenate(found)


class Samples(NamedTuple):
    """Some samples of a track: when the first is decoded, in ticks; of each its bytes, duration,
    composition offset, and whether it is a sync sample."""

    dts: int
    sizes: Numbers
    durations: Numbers
    offsets: Numbers
    sync: Numbers


class SampleTables:
    """Of one track. Chunks are given with samples(), times with times(): these may come later."""

    def __init__(self, store: Store) -> None:
        self._durations, self._offsets = _Runs(store), _Runs(store)
        self._sizes, self._syncs = store.column("I"), store.column("I")
        self._chunk, self._per_chunk, self._description = (store.column("I") for _ in range(3))
        self._places = store.column("q")
        self._kind = -1
        self.length = 0
        """All durations, in ticks."""
        self._timed = 0
        self.least_offset, self._most_offset = 1 << 62, -(1 << 62)
        """Of the composition offsets, in ticks."""

    @property
    def count(self) -> int:
        """How many samples."""
        return len(self._sizes)

    def samples(
        self, sizes: Numbers, sync: Numbers, counts: Numbers, places: Numbers, descriptions: Numbers
    ) -> None:
        """The next chunks: their samples' bytes, which are sync samples; of each chunk how many it
        has, where it begins among all bytes of samples, and its sample entry (from 0)."""
        self._syncs.extend(np.flatnonzero(sync) + 1 + self.count)
        self._sizes.extend(sizes)
        kinds = counts.astype(np.int64) << 16 | descriptions
        starts = starts_of(kinds)
        if int(kinds[0]) == self._kind:
            starts = starts[1:]
        self._kind = int(kinds[-1])
        self._chunk.extend(starts + 1 + len(self._places))
        self._per_chunk.extend(counts[starts])
        self._description.extend(descriptions[starts] + 1)
        self._places.extend(places)

    def times(self, durations: Numbers, offsets: Numbers) -> None:
        """Durations and composition offsets of the next samples, in ticks. MediaError where one
        does not fit its field."""
        if not len(durations):
            return
        if int(durations.max()) > _MOST:
            raise MediaError("the clip's sound pauses for too long")
        least, most = int(offsets.min()), int(offsets.max())
        if not _LEAST <= least <= most <= _MOST >> 1:
            raise MediaError("a composition offset of the clip does not fit its field")
        self.least_offset = min(self.least_offset, least)
        self._most_offset = max(self._most_offset, most)
        self._durations.add(durations)
        self._offsets.add(offsets)
        self.length += int(durations.sum(dtype=np.int64))
        self._timed += len(durations)

    def finish(self) -> None:
        """Nothing more comes."""
        assert self._timed == self.count
        self._durations.finish()
        self._offsets.finish()

    def some(self, start: int, stop: int) -> Samples:
        """The samples [start, stop), counted from 0."""
        dts, durations = self._durations.of(start, stop)
        first = bisect_right(self._syncs, start)
        sync = np.zeros(stop - start, np.bool_)
        numbers = self._syncs.values(first, first + stop - start).astype(np.int64) - 1 - start
        sync[numbers[numbers < stop - start]] = True
        sizes = self._sizes.values(start, stop)
        return Samples(dts, sizes, durations, self._offsets.of(start, stop)[1], sync)

    def durations(self) -> Rows:
        """stts."""
        return self._durations.rows()

    def offsets(self, more: int = 0) -> Rows | None:
        """ctts, so much added to each; None where all are 0."""
        if not self.count or self.least_offset + more == 0 == self._most_offset + more:
            return None
        return self._offsets.rows(more)

    def syncs(self) -> Rows | None:
        """stss; None where every sample is one."""
        return Rows([Shifted(self._syncs)]) if len(self._syncs) < self.count else None

    def chunks(self) -> Rows:
        """stsc."""
        columns = (self._chunk, self._per_chunk, self._description)
        return Rows([Shifted(one) for one in columns])

    def sizes(self) -> Rows:
        """The numbers of stsz."""
        return Rows([Shifted(self._sizes)])

    def places(self, *, large: bool) -> Rows:
        """co64, or stco."""
        return Rows([Shifted(self._places)], 8 if large else 4)


def starts_of(values: Numbers) -> npt.NDArray[np.int64]:
    """Where another value begins, the first among them."""
    return np.concatenate((np.zeros(1, np.int64), np.flatnonzero(np.diff(values)) + 1))
