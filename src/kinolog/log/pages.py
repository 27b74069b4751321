"""Reading the index by its pages: a track's whole past in one place, by a few small reads.

The cost follows what is asked for, never the age or the length of the archive.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from kinolog.core.errors import WireError
from kinolog.log.index_reader import CLOSING, newest_indexed, newest_pages
from kinolog.log.paging import decoded, read_entries, read_track
from kinolog.log.random_reader import RandomReader
from kinolog.record.chain import Chain
from kinolog.record.page import SPANS, PageEntry, Ref, Where
from kinolog.record.registry import EpochEntry
from kinolog.record.table import PackedTable, Row, Table

MOST_BYTES = 8 << 20
_ROW_BYTES = 88
_REF_BYTES = 150


class IndexPlace(NamedTuple):
    """A partition of an index topic, and the key of a stream in it. `made`: when it was last made
    again (Unix ms; 0: never), where its topic may be another one, with other entries at the same
    offsets."""

    topic: str
    partition: int
    key: str
    made: int = 0

    @property
    def at(self) -> tuple[str, int, str]:
        return self.topic, self.partition, self.key


class Leaf(NamedTuple):
    """A page, seen from outside."""

    level: int
    ref: Ref

    @property
    def first_msn(self) -> int:
        """It has no lower media sequence number."""
        return self.ref.number * SPANS[self.level]

    @property
    def below_msn(self) -> int:
        """All its media sequence numbers are below this."""
        return self.first_msn + SPANS[self.level]


class Sheet(NamedTuple):
    """A page, read: its rows, or its children; its siblings, and where the next level is."""

    ref: Ref
    level: int
    siblings: tuple[Ref, ...]
    up: int
    rows: Table | None
    children: tuple[Leaf, ...]


class Bottom(NamedTuple):
    """Where a frontier begins: its first row's number, and the index offset of that row's entry."""

    msn: int
    entry: int


class Frontier(NamedTuple):
    """All that is indexed of a track in a place, in the order of its numbers: sealed pages and,
    behind them, rows that are in no page yet."""

    leaves: tuple[Leaf, ...]
    tail: Table

    @property
    def begins(self) -> int | None:
        """What tells a frontier from one that begins elsewhere; None for nothing."""
        if self.leaves:
            return self.leaves[0].ref.offset
        return self.tail.entry[0] if len(self.tail) else None

    @property
    def newest_msn(self) -> int:
        """It has all that the place has up to this media sequence number; -1 for nothing."""
        if len(self.tail):
            return self.tail.msn[-1]
        return self.leaves[-1].below_msn - 1 if self.leaves else -1


class Pages:
    """Reads pages, and keeps the last ones read, whoever asked for them."""

    def __init__(self, reader: RandomReader, most_bytes: int = MOST_BYTES) -> None:
        self._reader = reader
        self._most_bytes = most_bytes
        self._kept: OrderedDict[tuple[IndexPlace, int], Sheet] = OrderedDict()
        self._kept_bytes = 0
        self._reading: dict[tuple[IndexPlace, int], asyncio.Task[Sheet | None]] = {}

    async def where(
        self, place: IndexPlace, newest: EpochEntry | None
    ) -> tuple[Mapping[str, Where], int]:
        """Where the stream's tracks are in the index now, and the offset (exclusive) up to which
        it may have entries. `newest`: the registry's newest epoch in this place."""
        if newest is not None and newest.pages:
            return newest.pages, max(where.last for where in newest.pages.values()) + 1
        if newest is not None and newest.close_index >= 0:
            _, end = await self._reader.bounds(place.topic, place.partition)
            start = newest.close_index
            end = min(end, start + CLOSING)
            found = await read_entries(self._reader, *place.at, start, end)
            closing = [(at, e) for at, e in found if not isinstance(e, PageEntry)]
            pages = newest_pages(closing)
            if pages and any(entry.epoch == newest.epoch for _, entry in closing):
                return pages, end
        indexed = await newest_indexed(self._reader, *place.at, lambda found: len(found) > 0)
        _, end = await self._reader.bounds(place.topic, place.partition)
        return newest_pages(indexed), end

    async def frontier(self, place: IndexPlace, track: str, where: Where, end: int) -> Frontier:
        """What is indexed of a track, as `where` told."""
        chain = Chain(track)
        for offset, entry in await read_track(self._reader, *place.at, where, end):
            chain.take(entry, offset)
        leaves: list[Leaf] = []
        sheet = _sheet(chain.page, chain.offset) if chain.page is not None else None
        while sheet is not None:
            older = [Leaf(sheet.level, ref) for ref in sheet.siblings]
            leaves = [*older, Leaf(sheet.level, sheet.ref), *leaves]
            sheet = await self.sheet(place, sheet.up) if sheet.up >= 0 else None
        return Frontier(tuple(leaves), Table(chain.rows))

    async def bottom(self, place: IndexPlace, frontier: Frontier) -> Bottom | None:
        """Where a frontier begins; None where it is empty, or that is not kept any more."""
        leaves: Sequence[Leaf] = frontier.leaves
        rows: Table | None = frontier.tail
        while leaves:
            sheet = await self.sheet(place, leaves[0].ref.offset)
            if sheet is None:
                return None
            leaves, rows = sheet.children, sheet.rows
        return Bottom(rows.msn[0], rows.entry[0]) if rows is not None and len(rows) else None

    async def older(self, place: IndexPlace, track: str, bottom: Bottom) -> Frontier | None:
        """What is indexed of a track before a frontier's bottom, and that this does not lead to:
        an index that was made again, or lost a part, begins anew."""
        before = bottom.entry
        while True:
            messages = await self._reader.older(place.topic, place.partition, before, place.key)
            if not messages:
                return None
            entries = decoded(messages)
            where = newest_pages([(at, e) for at, e in entries if not isinstance(e, PageEntry)])
            if track in where:
                found = await self.frontier(place, track, where[track], bottom.entry)
                if found.begins is not None:
                    return found
            before = messages[0].offset()

    async def tables(
        self, place: IndexPlace, leaves: Sequence[Leaf], wanted: Callable[[Leaf], bool]
    ) -> list[Table]:
        """The rows of those pages that are wanted, and of those wanted below them, in order. What
        the retention has taken is left out."""
        sheets = await asyncio.gather(
            *(self.sheet(place, leaf.ref.offset) for leaf in leaves if wanted(leaf))
        )
        tables: list[Table] = []
        for sheet in sheets:
            if sheet is None:
                continue
            if sheet.rows is not None:
                tables.append(sheet.rows)
            else:
                tables += await self.tables(place, sheet.children, wanted)
        return tables

    async def row(self, place: IndexPlace, frontier: Frontier, epoch: int, msn: int) -> Row | None:
        """The media segment of this name."""

        def has_it(leaf: Leaf) -> bool:
            return leaf.first_msn <= msn < leaf.below_msn

        tables = [frontier.tail, *await self.tables(place, frontier.leaves, has_it)]
        for table in tables:
            index = bisect_left(table.msn, msn)
            while index < len(table) and table.msn[index] == msn:
                row = table[index]
                if row.epoch == epoch:
                    return row
                index += 1
        return None

    async def sheet(self, place: IndexPlace, offset: int) -> Sheet | None:
        """The page at an offset of the index; None where there is none (any more)."""
        name = (place, offset)
        kept = self._kept.get(name)
        if kept is not None:
            self._kept.move_to_end(name)
            return kept
        task = self._reading.get(name)
        if task is None:
            task = self._reading[name] = asyncio.create_task(self._read(place, offset))
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)

    async def _read(self, place: IndexPlace, offset: int) -> Sheet | None:
        found = await read_entries(self._reader, *place.at, offset, offset + 1)
        page = found[0][1] if found else None
        return _sheet(page, offset) if isinstance(page, PageEntry) else None

    def _done(self, name: tuple[IndexPlace, int], task: asyncio.Task[Sheet | None]) -> None:
        del self._reading[name]
        if task.cancelled() or task.exception() is not None:
            return
        sheet = task.result()
        if sheet is None:
            return
        self._kept[name] = sheet
        self._kept_bytes += _size(sheet)
        while self._kept_bytes > self._most_bytes:
            self._kept_bytes -= _size(self._kept.popitem(last=False)[1])


def _sheet(page: PageEntry, offset: int) -> Sheet | None:
    try:
        rows = PackedTable(page.rows) if page.rows is not None else None
    except WireError:
        return None
    children = tuple(Leaf(page.level - 1, ref) for ref in page.children)
    return Sheet(page.ref(offset), page.level, tuple(page.siblings), page.up, rows, children)


def _size(sheet: Sheet) -> int:
    rows = len(sheet.rows) if sheet.rows is not None else 0
    return rows * _ROW_BYTES + (len(sheet.siblings) + len(sheet.children)) * _REF_BYTES
