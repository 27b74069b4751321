"""Extents: when there is media, without a word about each segment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kinolog.record.page import GAP
from kinolog.timeline.window import Run

TOLERANCE_MS = 50
"""Segments that follow one another may seem to leave so much out: their dates are rounded, and
slewed towards ingest's clock."""


class Extent(NamedTuple):
    """There is media of an epoch from `start` to `end` (Unix ms), without a hole of over the
    resolution that was asked for."""

    start: int
    end: int
    epoch: int


def extents(run: Run) -> Iterator[Extent]:
    """The stretches of a run in which nothing is missing."""
    table = run.table
    msn, wall, flags = table.msn, table.wall, table.flags
    begun = -1
    end = 0
    for index in range(run.start, run.stop):
        follows = begun >= 0 and msn[index] == msn[index - 1] + 1
        if begun >= 0 and (flags[index] & GAP or not follows):
            yield Extent(wall[begun], end, run.epoch)
            begun = -1
        if flags[index] & GAP:
            continue
        if begun < 0:
            begun = index
        end = run.end_of(index)
    if begun >= 0:
        yield Extent(wall[begun], end, run.epoch)


def merged(found: Iterable[Extent], resolution_ms: int) -> list[Extent]:
    """In the order of time; what is of one epoch and less than the resolution apart is one."""
    made: list[Extent] = []
    for one in sorted(found):
        last = made[-1] if made else None
        apart_ms = max(resolution_ms, TOLERANCE_MS)
        if last is not None and one.epoch == last.epoch and one.start - last.end <= apart_ms:
            made[-1] = last._replace(end=max(last.end, one.end))
        else:
            made.append(one)
    return made


def gaps(found: Iterable[Extent], resolution_ms: int) -> Iterator[tuple[int, int]]:
    """The times between extents, in the order of time, that are longer than the resolution."""
    covered: int | None = None
    for one in found:
        if covered is not None and one.start - covered > max(resolution_ms, TOLERANCE_MS):
            yield covered, one.start
        covered = one.end if covered is None else max(covered, one.end)
