"""Table: rows of finished media segments of one track, in memory, by column."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import WireError
from kinolog.record.control import SegmentEntry
from kinolog.record.page import GAP, INDEPENDENT, SPANS, PageEntry, Ref, Rows


class Row(NamedTuple):
    """A finished media segment. Times: `dts`, `dur` ticks of the track; `wall` Unix ms. `first`,
    `last`: media log offsets of its records; `size`: their payload bytes; `entry`: the index log
    offset of its entry (-1: not known). `late`: where it begins with a sync sample, by how much
    (ticks) what it shows first has a later PTS than its first DTS, which `wall` is the date of:
    with B-frames at a variable rate it is seldom 0, and may be negative."""

    epoch: int
    disc: int
    msn: int
    dts: int
    dur: int
    wall: int
    first: int
    last: int
    size: int
    entry: int
    flags: int
    late: int = 0

    @property
    def gap(self) -> bool:
        """It has a hole."""
        return bool(self.flags & GAP)

    @property
    def independent(self) -> bool:
        """It begins with a sync sample."""
        return bool(self.flags & INDEPENDENT)


class _Run(NamedTuple):
    """From the row `start` on, the rows are of this epoch."""

    start: int
    epoch: int
    disc: int


def row_of(entry: SegmentEntry, offset: int) -> Row:
    """The row of an entry that stands at this index offset."""
    return Row(
        entry.epoch,
        entry.disc,
        entry.msn,
        entry.dts,
        entry.dur,
        entry.wall,
        entry.offsets[0],
        entry.last_offset,
        sum(entry.sizes),
        offset,
        (INDEPENDENT if entry.ind else 0) | (0 if entry.whole else GAP),
        late_of(entry.sample_durations, entry.sample_cts) if entry.ind else 0,
    )


def late_of(durations: Iterable[int], cts: Sequence[int]) -> int:
    """The least PTS of some samples, in ticks from the first one's DTS on."""
    if not any(cts):
        return 0
    begins = accumulate(durations, initial=0)
    return min(dts + one for dts, one in zip(begins, cts, strict=False))


class Table:
    """Rows in the order of their numbers: a column for each of Row's fields, 96 bytes a row."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        for name in Row._fields:
            setattr(self, name, array("q"))
        for row in rows:
            self.append(row)

    epoch: array[int]
    disc: array[int]
    msn: array[int]
    dts: array[int]
    dur: array[int]
    wall: array[int]
    first: array[int]
    last: array[int]
    size: array[int]
    entry: array[int]
    flags: array[int]
    late: array[int]

    def __len__(self) -> int:
        return len(self.dur)

    def __getitem__(self, index: int) -> Row:
        return Row(*(column[index] for column in self.columns()))

    def __iter__(self) -> Iterator[Row]:
        return map(Row._make, zip(*self.columns(), strict=True))

    def epoch_starts(self) -> list[int]:
        """The rows with which another epoch begins, the first among them."""
        epoch = self.epoch
        return [i for i in range(len(epoch)) if not i or epoch[i] != epoch[i - 1]]

    def columns(self) -> Sequence[array[int]]:
        """In the order of Row's fields."""
        return [getattr(self, name) for name in Row._fields]

    def append(self, row: Row) -> None:
        """One more row, behind the others."""
        for column, value in zip(self.columns(), row, strict=True):
            column.append(value)

    def extend(self, other: Table) -> None:
        """The rows of another table, behind these."""
        for column, more in zip(self.columns(), other.columns(), strict=True):
            column.extend(more if more.typecode == column.typecode else more.tolist())


class PackedTable(Table):
    """A page's rows: a column is unpacked when it is first looked at."""

    def __init__(self, rows: Rows) -> None:
        count = len(rows.msn)
        columns = (rows.dts, rows.dur, rows.wall, rows.first, rows.last, rows.size)
        late = rows.late or [0] * count
        if any(len(column) != count for column in (*columns, rows.entry, rows.flags, late)):
            raise WireError("the columns of an index page are not of the same length")
        starts = [start for start, _, _ in rows.epochs]
        if starts[:1] != [0][:count] or starts != sorted(set(starts)) or max(starts) >= count:
            raise WireError("the epochs of an index page do not fit its rows")
        try:
            self._packed = {
                name: _compact(getattr(rows, name)) for name in Rows.__struct_fields__[1:-1]
            } | {"late": _compact(late)}
        except OverflowError as error:
            raise WireError("a number in an index page is out of range") from error
        self._runs = [_Run(*run) for run in rows.epochs]
        self.dur = self._packed.pop("dur")

    def __getitem__(self, index: int) -> Row:
        """As in Table, without unpacking: whoever wants one row wants no other."""
        run = self._runs[bisect_right(self._runs, index, key=lambda run: run.start) - 1]
        first = self._value("first", index)
        return Row(
            run.epoch,
            run.disc,
            self._value("msn", index),
            self._value("dts", index),
            self.dur[index],
            self._value("wall", index),
            first,
            self._value("last", index),
            self._value("size", index),
            self._value("entry", index),
            self._value("flags", index),
            self._value("late", index),
        )

    def _value(self, name: str, index: int) -> int:
        packed = self._packed.get(name)
        if packed is None:
            return int(getattr(self, name)[index])
        if name in ("msn", "wall", "first", "entry"):
            return sum(packed[: index + 1])
        if name == "dts":
            return sum(packed[: index + 1]) + sum(self.dur[:index])
        return packed[index] + (self._value("first", index) if name == "last" else 0)

    def epoch_starts(self) -> list[int]:
        """As in Table, without unpacking."""
        return [run.start for run in self._runs]

    def __getattr__(self, name: str) -> array[int]:
        if name not in Row._fields:
            raise AttributeError(name)
        column = self._unpack(name)
        setattr(self, name, column)
        self._packed.pop(name, None)
        return column

    def _unpack(self, name: str) -> array[int]:
        if name in ("epoch", "disc"):
            column = array("q")
            stops = [*(run.start for run in self._runs[1:]), len(self)]
            for run, stop in zip(self._runs, stops, strict=True):
                column.extend(array("q", [getattr(run, name)]) * (stop - run.start))
            return column
        packed = self._packed[name]
        if name in ("msn", "wall", "first", "entry"):
            return _column(_sums(packed))
        if name == "dts":
            # Where a row begins: the steps so far, and the durations of those before it.
            durations = _numbers(self.dur)
            return _column(_sums(packed) + np.cumsum(durations) - durations)
        if name == "last":
            return _column(np.array(self.first, np.int64) + _numbers(packed))
        return packed


_Numbers = npt.NDArray[np.int64]
_MOST = 2.0**62


def _numbers(packed: array[int]) -> _Numbers:
    """WireError where they are so great that their sums could be out of range."""
    found = np.array(packed, np.int64)
    if np.abs(found.astype(np.float64)).sum() > _MOST:
        raise WireError("a number in an index page is out of range")
    return found


def _sums(steps: array[int]) -> _Numbers:
    """The sum up to each, with it."""
    return np.cumsum(_numbers(steps))


def _column(numbers: _Numbers) -> array[int]:
    column = array("q")
    column.frombytes(numbers.tobytes())
    return column


def _compact(column: list[int]) -> array[int]:
    """In four bytes a number, where they are enough."""
    try:
        return array("i", column)
    except OverflowError:
        return array("q", column)


def pack(table: Table) -> Rows:
    """A table as it stands in a page."""
    epochs: list[tuple[int, int, int]] = []
    for index, epoch in enumerate(table.epoch):
        if not epochs or epoch != epochs[-1][1]:
            epochs.append((index, epoch, table.disc[index]))
    ends = [0, *(dts + dur for dts, dur in zip(table.dts, table.dur, strict=True))]
    return Rows(
        epochs=epochs,
        msn=_differences(table.msn),
        dts=[dts - end for dts, end in zip(table.dts, ends, strict=False)],
        dur=table.dur.tolist(),
        wall=_differences(table.wall),
        first=_differences(table.first),
        last=[last - first for first, last in zip(table.first, table.last, strict=True)],
        size=table.size.tolist(),
        entry=_differences(table.entry),
        flags=table.flags.tolist(),
        late=table.late.tolist() if any(table.late) else [],
    )


def seal(
    track: str, level: int, table: Table, until: int, siblings: Sequence[Ref], up: int
) -> PageEntry:
    """The page of some rows, one at least, all under one number of this level. `until`: the
    capture time (Unix ms) at which the last of them ends."""
    msn = table.msn
    steady = (
        table.epoch[0] == table.epoch[-1]
        and msn[-1] - msn[0] == len(table) - 1
        and not any(flags & GAP for flags in table.flags)
    )
    return PageEntry(
        track,
        level,
        msn[0] // SPANS[level],
        min(table.wall),
        until,
        min(table.first),
        max(table.last),
        table.epoch[-1],
        steady,
        list(siblings),
        up,
        pack(table),
    )


def gather(
    track: str, level: int, children: Sequence[Ref], siblings: Sequence[Ref], up: int
) -> PageEntry:
    """The page over some pages of the level below, one at least, all under one number."""
    fan = SPANS[level] // SPANS[level - 1]
    return PageEntry(
        track,
        level,
        children[0].number // fan,
        min(ref.wall for ref in children),
        max(ref.until for ref in children),
        min(ref.first for ref in children),
        max(ref.last for ref in children),
        children[-1].epoch,
        siblings=list(siblings),
        up=up,
        children=list(children),
    )


def _differences(column: array[int]) -> list[int]:
    return [b - a for a, b in zip([0, *column], column, strict=False)]
