"""Pager: seals a track's finished media segments into pages of the index, as it is told of them.

It keeps no rows but those of the page in progress: a page of a higher level is packed from pages
that are read back from the log, so that whoever writes on after it needs nothing of its memory.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Awaitable, Callable, Sequence

from kinolog.record.chain import Chain
from kinolog.record.control import IndexRecord, encode_value
from kinolog.record.page import PACKED, SPANS, TOP, PageEntry, Ref, Where
from kinolog.record.table import PackedTable, Row, Table, gather, seal

MOST_BYTES = 900_000
"""A page that would be larger refers to the pages below it, instead of holding their rows."""

Read = Callable[[Sequence[int]], Awaitable[Sequence[PageEntry]]]
"""Pages by their index offsets; those that are not kept any more are left out."""
Write = Callable[[bytes, int], Awaitable[int]]
"""Append an index entry with a timestamp (Unix ms) and wait for its acknowledgement; its offset."""


class Pager:
    """One track in one place. `root`: from this index offset on, the track's newest page of level 1
    is found, and whatever is in none."""

    def __init__(self, track: str, timescale: int, root: int, read: Read, write: Write) -> None:
        self.root = root
        self.timescale = timescale
        self._last = root
        self._track = track
        self._read = read
        self._write = write
        self._rows: list[Row] = []
        self._msn = -1
        self._below: dict[int, list[Ref]] = {level: [] for level in range(1, TOP + 1)}
        """The pages of each level under a parent that is not sealed yet."""
        self._newest: dict[int, tuple[int, int]] = {}
        """Of the newest page of each level: the number below which it ends, its index offset."""

    @property
    def where(self) -> Where:
        """What the next entries of the stream say of this track."""
        return Where(self.root, self._last)

    async def go_on(self, entries: Sequence[tuple[int, IndexRecord]]) -> None:
        """Before the first `add`: take up what another left, from the stream's entries of the
        index from `root` on, with their offsets."""
        chain = Chain(self._track)
        for offset, entry in entries:
            chain.take(entry, offset)
        page, offset = chain.page, chain.offset
        self._last = max(self._last, offset)
        if page is not None:
            self._msn = page.below_msn - 1
        while page is not None:
            self._below[page.level] = [*page.siblings, page.ref(offset)]
            self._newest[page.level] = (page.below_msn, offset)
            offset = page.up
            found = await self._read([offset]) if offset >= 0 else ()
            page = found[0] if found else None
        await self.add(chain.rows)

    async def add(self, rows: Sequence[Row]) -> None:
        """The next finished segments, whose entries are acknowledged. Repeats are passed over.

        Who adds many at once gets by with few pages: where all of a higher level's rows are here,
        that is sealed at once. What is found from the newest page is the same.
        """
        for row in rows:
            self._last = max(self._last, row.entry)
            if row.msn > self._msn:
                self._msn = row.msn
                self._rows.append(row)
        while (level := self._due()) > 0:
            await self._seal(level)

    def _due(self) -> int:
        """The highest level of which the rows at hand fill a page; 0 where there is none."""
        if not self._rows:
            return 0
        first, last = self._rows[0].msn, self._rows[-1].msn
        for level in range(PACKED, 0, -1):
            number = first // SPANS[level]
            sealed = (
                ref.number * SPANS[below] // SPANS[level] == number
                for below in range(1, level)
                for ref in self._below[below][:1]
            )
            if last // SPANS[level] != number and not any(sealed):
                return level
        return 0

    async def _seal(self, level: int) -> None:
        first = self._rows[0].msn
        number = first // SPANS[level]
        for below in range(1, level + 1):
            await self._make_room(below, first // SPANS[below])
        count = bisect_left(self._rows, (number + 1) * SPANS[level], key=lambda row: row.msn)
        rows = self._rows[:count]
        until = max(row.wall + -(-1000 * row.dur // self.timescale) for row in rows)
        page = seal(self._track, level, Table(rows), until, self._below[level], self._above(level))
        if level > 1 and len(encode_value(page)) > MOST_BYTES:
            await self._seal(level - 1)
            return
        await self._append(page)
        del self._rows[:count]
        self.root = self._rows[0].entry  # the page stands behind it

    async def _make_room(self, level: int, number: int) -> None:
        """Seal the parent of the pages before this one, where that is under another."""
        below = self._below[level]
        if level == TOP or not below:
            return
        fan = SPANS[level + 1] // SPANS[level]
        parent = below[0].number // fan
        if parent == number // fan:
            return
        await self._make_room(level + 1, parent)
        await self._append(await self._pack(level + 1, below))
        self._below[level] = []

    async def _pack(self, level: int, below: Sequence[Ref]) -> PageEntry:
        siblings, up = self._below[level], self._above(level)
        if level <= PACKED:
            pages = await self._read([ref.offset for ref in below])
            packed = [page.rows for page in pages if page.rows is not None]
            if len(packed) == len(below):
                table = Table()
                for rows in packed:
                    table.extend(PackedTable(rows))
                until = max(ref.until for ref in below)
                page = seal(self._track, level, table, until, siblings, up)
                if len(encode_value(page)) <= MOST_BYTES:
                    return page
        return gather(self._track, level, below, siblings, up)

    def _above(self, level: int) -> int:
        """The index offset of the page of a higher level that reaches furthest; -1: none."""
        found = [(*self._newest[at], at) for at in self._newest if at > level]
        if not found:
            return -1
        _, offset, _ = max(found, key=lambda one: (one[0], one[2]))
        return offset

    async def _append(self, page: PageEntry) -> None:
        offset = await self._write(encode_value(page), page.until)
        self._below[page.level].append(page.ref(offset))
        self._newest[page.level] = (page.below_msn, offset)
        self._last = max(self._last, offset)
