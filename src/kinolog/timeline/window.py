"""Window: which of a track's finished media segments lie in a stretch of time, and in what order.

Pure: from rows of the index to runs of rows, whoever reads the index and whatever is made of them.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

from kinolog.record.absent import Absent
from kinolog.record.page import GAP
from kinolog.record.table import Row, Table

CLOCK_MS = 1000
"""By so much one session may seem to begin before the end of the one before."""


class Session(NamedTuple):
    """What is to be known of an epoch: the track's timescale, and the media log offset from which
    on what is of this epoch is void (a newer one was opened there)."""

    timescale: int
    void_from: float = float("inf")


@dataclass(frozen=True, slots=True)
class Run:
    """Rows [start, stop) of a table, one at least, all of one epoch, in the order of their numbers
    and of time."""

    table: Table
    start: int
    stop: int
    epoch: int
    disc: int
    timescale: int

    def __iter__(self) -> Iterator[Row]:
        columns = (column[self.start : self.stop] for column in self.table.columns())
        return map(Row._make, zip(*columns, strict=True))

    @property
    def count(self) -> int:
        """How many rows."""
        return self.stop - self.start

    @property
    def first_msn(self) -> int:
        """The first row's media sequence number."""
        return self.table.msn[self.start]

    @property
    def last_msn(self) -> int:
        """The last row's media sequence number."""
        return self.table.msn[self.stop - 1]

    @property
    def wall(self) -> int:
        """When it begins, Unix ms."""
        return self.table.wall[self.start]

    @property
    def until(self) -> int:
        """When it ends, Unix ms."""
        return self.end_of(self.stop - 1)

    def end_of(self, index: int) -> int:
        """When a row of the table ends, Unix ms."""
        table = self.table
        return table.wall[index] + -(-1000 * table.dur[index] // self.timescale)

    def between(self, start_ms: float, end_ms: float) -> Run | None:
        """The rows that overlap [start_ms, end_ms)."""
        wall = self.table.wall
        start = bisect_right(wall, start_ms, self.start, self.stop)
        if start > self.start and self.end_of(start - 1) > start_ms:
            start -= 1
        return self.cut(start, bisect_left(wall, end_ms, self.start, self.stop))

    def numbered(self, first: int, below: float) -> Run | None:
        """The rows whose media sequence numbers are in [first, below)."""
        msn = self.table.msn
        start = bisect_left(msn, first, self.start, self.stop)
        return self.cut(start, bisect_left(msn, below, self.start, self.stop))

    def cut(self, start: int, stop: int) -> Run | None:
        """The rows [start, stop) of the table, as far as they are of this run."""
        start, stop = max(start, self.start), min(stop, self.stop)
        return replace(self, start=start, stop=stop) if start < stop else None


def runs(tables: Iterable[Table], sessions: Mapping[int, Session], low: int) -> Iterator[Run]:
    """The rows that count, in the order of the tables: not those of epochs that nobody knows, nor
    what a zombie wrote, nor what the retention has taken (below the media log offset `low`)."""
    for table in tables:
        bounds = [*table.epoch_starts(), len(table)]
        for start, stop in pairwise(bounds):
            epoch = table.epoch[start]
            session = sessions.get(epoch)
            if session is None:
                continue
            first = table.first
            run = Run(table, start, stop, epoch, table.disc[start], session.timescale).cut(
                bisect_left(first, low, start, stop),
                bisect_left(first, session.void_from, start, stop),
            )
            if run is not None:
                yield run


def with_gaps(run: Run, track: str, absent: Absent) -> Run:
    """The run, in which those segments that nobody has are gaps."""
    table, msn = run.table, run.table.msn
    stop = bisect_left(table.first, absent.below, run.start, run.stop)
    epoch, number = absent.newest.get(track, (-1, -1))
    spans = []
    if run.epoch >= epoch:
        newer = run.epoch > epoch
        spans = [(run.start if newer else bisect_right(msn, number, run.start, stop), stop)]
    spans += [
        (bisect_left(msn, one.first, run.start, stop), bisect_right(msn, one.last, run.start, stop))
        for one in absent.lost
        if one.track == track and one.epoch == run.epoch
    ]
    missing = {index for span in spans for index in range(*span)}
    if not missing:
        return run
    marked = Table(
        row._replace(flags=row.flags | GAP) if index in missing else row
        for index, row in enumerate(run, run.start)
    )
    return replace(run, table=marked, start=0, stop=run.count)


def in_time(found: Iterable[Run], start_ms: float, end_ms: float) -> list[Run]:
    """The runs' rows that overlap [start_ms, end_ms), in the order of time. Where the same time was
    published twice the newer epoch's rows count, and the older's give way to them."""
    kept = [run for one in found if (run := one.between(start_ms, end_ms)) is not None]
    ordered = sorted(kept, key=lambda run: (run.wall, run.epoch))
    if all(_in_order(a, b) for a, b in pairwise(ordered)):
        return ordered  # the rule: nothing was sent after what is later in time
    return sorted(_apart(kept), key=lambda run: run.wall)


def _in_order(before: Run, after: Run) -> bool:
    return before.epoch <= after.epoch and before.until - after.wall <= CLOCK_MS


def _apart(kept: Sequence[Run]) -> list[Run]:
    """The rows of older epochs whose middle lies in a newer one's run are left out."""
    taken: list[Run] = []
    for run in sorted(kept, key=lambda run: -run.epoch):
        newer = [other for other in taken if other.epoch > run.epoch]
        begun = run.start
        for index in range(run.start, run.stop + 1):
            middle = (run.table.wall[index] + run.end_of(index)) / 2 if index < run.stop else 0
            if index < run.stop and not any(o.wall <= middle < o.until for o in newer):
                continue
            part = run.cut(begun, index)
            if part is not None:
                taken.append(part)
            begun = index + 1
    return taken
