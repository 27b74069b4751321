"""Where a moment of a stream is in one place, told by the pages of the index: a handful of reads,
whatever the age of the stream, and a time that was published late is found, too."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from kinolog.core.errors import ArchiveUnavailable
from kinolog.log.pages import Frontier, IndexPlace, Leaf, Pages
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row, Table

MOST_OLDER: Final = 64
"""So often an index may have begun anew."""

_Counts = Callable[[Row], bool]


class Track(NamedTuple):
    """A track's name, its pages in a place, and those before them that nothing leads to."""

    name: str
    frontiers: Sequence[Frontier]


async def tracks(
    pages: Pages, place: IndexPlace, newest: EpochEntry, *, tiered: bool
) -> list[Track]:
    """The tracks of a stream in the place where an epoch is its newest; none where its index does
    not tell of them. `tiered`: there may be more than Kafka has."""
    wheres, end = await pages.where(place, newest)
    found = []
    for name, where in wheres.items():
        frontiers = [await pages.frontier(place, name, where, end)]
        if tiered:
            # What is newer is to be played while the archive does not answer.
            with contextlib.suppress(ArchiveUnavailable):
                await _add_older(pages, place, name, frontiers)
        found.append(Track(name, frontiers))
    return found


async def _add_older(pages: Pages, place: IndexPlace, name: str, frontiers: list[Frontier]) -> None:
    while len(frontiers) <= MOST_OLDER:
        bottom = await pages.bottom(place, frontiers[-1])
        older = await pages.older(place, name, bottom) if bottom is not None else None
        if older is None:
            return
        frontiers.append(older)


async def newest_at(
    pages: Pages, place: IndexPlace, track: Track, unix_ms: int, counts: _Counts
) -> Row | None:
    """Of the rows that count, the one that begins last at or before a capture time; of several the
    newest epoch's."""
    best = _Best(unix_ms, counts)
    for frontier in track.frontiers:
        best.look_at(frontier.tail)
        await _look(pages, place, frontier.leaves, best)
    return best.row


class _Best:
    """The best of the rows that were looked at."""

    def __init__(self, unix_ms: int, counts: _Counts) -> None:
        self.unix_ms = unix_ms
        self.row: Row | None = None
        self._counts = counts

    def look_at(self, table: Table) -> None:
        for row in table:
            if row.wall > self.unix_ms or not self._counts(row):
                continue
            if self.row is None or (row.wall, row.epoch) > (self.row.wall, self.row.epoch):
                self.row = row


async def _look(pages: Pages, place: IndexPlace, leaves: Sequence[Leaf], best: _Best) -> None:
    """At the pages that may have something better, the likeliest first."""
    early = [leaf for leaf in leaves if leaf.ref.wall <= best.unix_ms]
    for leaf in sorted(early, key=lambda leaf: (leaf.ref.until, leaf.ref.offset), reverse=True):
        if best.row is not None and leaf.ref.until <= best.row.wall:
            return
        sheet = await pages.sheet(place, leaf.ref.offset)
        if sheet is None:
            continue
        if sheet.rows is not None:
            best.look_at(sheet.rows)
        else:
            await _look(pages, place, sheet.children, best)


def ends_ms(row: Row, timescales: Mapping[str, int], track: str) -> float:
    """When a row ends, Unix ms."""
    return row.wall + 1000 * row.dur / timescales.get(track, 1)
