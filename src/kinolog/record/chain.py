"""Chain: what a track's index entries since its newest page say, read in the order of the index."""

from __future__ import annotations

from kinolog.record.control import IndexRecord, SegmentEntry, SessionEntry
from kinolog.record.page import TOP, PageEntry
from kinolog.record.table import Row, row_of


class Chain:
    """A track's newest page, the one that reaches furthest, and the rows of the segments behind it.

    The index is in the order of its sessions: behind a session's entry, what is of an older epoch
    was written by a zombie, and does not count.
    """

    def __init__(self, track: str) -> None:
        self.page: PageEntry | None = None
        self.offset = -1
        """The page's, in the index."""
        self.rows: list[Row] = []
        self._track = track
        self._epoch = 0
        self._msn = -1

    def take(self, entry: IndexRecord, offset: int) -> None:
        """The next entry of the stream, which stands at this offset of the index."""
        if entry.epoch < self._epoch:
            return
        if isinstance(entry, SessionEntry):
            self._epoch = entry.epoch
        elif entry.track != self._track:
            return
        elif isinstance(entry, SegmentEntry):
            if entry.msn > self._msn:
                self._msn = entry.msn
                self.rows.append(row_of(entry, offset))
        else:
            self._turn(entry, offset)

    def _turn(self, page: PageEntry, offset: int) -> None:
        if not 1 <= page.level <= TOP:
            return
        below = page.below_msn
        if self.page is not None and (below, page.level) <= (self.page.below_msn, self.page.level):
            return
        self.page, self.offset = page, offset
        self.rows = [row for row in self.rows if row.msn >= below]
        self._msn = max(self._msn, below - 1)
