"""Pages of the index: a tree from the newest to any segment, whoever went on with it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinolog.log.pager import Pager
from kinolog.record.control import (
    IndexRecord,
    Open,
    SegmentEntry,
    SessionEntry,
    decode_index,
    encode_value,
)
from kinolog.record.page import PageEntry
from kinolog.record.table import PackedTable, Row, Table, row_of

TIMESCALE = 90_000


class Index:
    """A partition of an index, in memory."""

    def __init__(self) -> None:
        self.records: list[bytes] = []

    def append(self, entry: IndexRecord) -> int:
        self.records.append(encode_value(entry))
        return len(self.records) - 1

    async def write(self, data: bytes, timestamp_ms: int) -> int:
        self.records.append(data)
        return len(self.records) - 1

    async def read(self, offsets: Sequence[int]) -> Sequence[PageEntry]:
        found = [decode_index(self.records[offset]) for offset in offsets]
        return [entry for entry in found if isinstance(entry, PageEntry)]

    def since(self, offset: int) -> list[tuple[int, IndexRecord]]:
        return [
            (at, decode_index(data)) for at, data in enumerate(self.records[offset:], start=offset)
        ]


def entry(msn: int, epoch: int = 1, whole: bool = True) -> SegmentEntry:
    return SegmentEntry(
        "video",
        epoch,
        0,
        msn,
        msn * 180_000,
        180_000,
        1_000_000 + 2000 * msn,
        True,
        1,
        [msn * 7, 3],
        [100, msn],
        [1],
        [1],
        [1],
        [1],
        [0],
        [0],
        whole,
    )


def session(epoch: int) -> SessionEntry:
    return SessionEntry(epoch, 0, 0, epoch, Open("s", "p", "k", 2000, 200, []))


async def publish(
    index: Index, root: int, entries: Sequence[SegmentEntry], restarts: Sequence[int] = ()
) -> tuple[Pager, list[Row]]:
    """Index these segments; before those at `restarts` another pager goes on."""
    rows: list[Row] = []
    pager = Pager("video", TIMESCALE, root, index.read, index.write)
    for at, one in enumerate(entries):
        if at in restarts:
            pager = Pager("video", TIMESCALE, pager.root, index.read, index.write)
            await pager.go_on(index.since(pager.root))
        row = row_of(one, index.append(one))
        rows.append(row)
        await pager.add([row])
    return pager, rows


async def all_rows(index: Index, root: int) -> list[Row]:
    """As a reader finds them: the newest page, its siblings, up and down."""
    records = [e for e in index.since(root) if not isinstance(e[1], SessionEntry)]
    pages = [e for _, e in records if isinstance(e, PageEntry)]
    tables: list[Table] = []

    async def unfold(page: PageEntry) -> Table:
        if page.rows is not None:
            return PackedTable(page.rows)
        table = Table()
        for child in await index.read([ref.offset for ref in page.children]):
            table.extend(await unfold(child))
        return table

    below = 0
    if pages:
        page: PageEntry | None = max(pages, key=lambda one: (one.below_msn, one.level))
        assert page is not None
        below = page.below_msn
        while page is not None:
            older = await index.read([ref.offset for ref in page.siblings])
            tables = [*[await unfold(one) for one in older], await unfold(page), *tables]
            page = (await index.read([page.up]))[0] if page.up >= 0 else None
    rows = [row for table in tables for row in table]
    return rows + [
        row_of(e, o) for o, e in records if isinstance(e, SegmentEntry) and e.msn >= below
    ]


@pytest.mark.parametrize("count", [1, 32, 33, 511, 512, 513, 545, 8192, 8300, 20_000])
@pytest.mark.parametrize("first", [0, 10_000, 8191])
def test_every_segment_is_found_from_the_newest_page(count: int, first: int) -> None:
    index = Index()
    root = index.append(session(1))
    entries = [entry(msn) for msn in range(first, first + count)]
    pager, rows = asyncio.run(publish(index, root, entries))
    assert asyncio.run(all_rows(index, pager.root)) == rows


@settings(max_examples=40)
@given(
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 31, 40, 600, 9000]), min_size=1, max_size=300),
    restarts=st.sets(st.integers(0, 300)),
)
def test_it_is_the_same_tree_whoever_goes_on(steps: list[int], restarts: set[int]) -> None:
    entries, msn = [], 0
    for step in steps:
        msn += step
        entries.append(entry(msn))
    alone, together = Index(), Index()
    root = alone.append(session(1))
    together.append(session(1))
    pager, rows = asyncio.run(publish(alone, root, entries))
    asyncio.run(publish(together, root, entries, sorted(restarts)))
    assert alone.records == together.records
    assert asyncio.run(all_rows(alone, pager.root)) == rows


@settings(max_examples=40)
@given(
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 1, 40, 600, 9000]), min_size=1, max_size=400),
    batches=st.lists(st.sampled_from([1, 3, 32, 500, 9000, 20_000]), min_size=1, max_size=20),
    repeat=st.sampled_from([1, 30]),
)
def test_batches_make_fewer_pages_and_lose_nothing(
    steps: list[int], batches: list[int], repeat: int
) -> None:
    entries, msn = [], 0
    for step in steps * repeat:
        msn += step
        entries.append(entry(msn))
    index = Index()
    root = index.append(session(1))
    pager = Pager("video", TIMESCALE, root, index.read, index.write)

    async def publish_batches() -> list[Row]:
        rows: list[Row] = []
        at = 0
        while at < len(entries):
            batch = batches[at % len(batches)]
            made = [row_of(one, index.append(one)) for one in entries[at : at + batch]]
            at += batch
            rows += made
            await pager.add(made)
        return rows

    rows = asyncio.run(publish_batches())
    assert asyncio.run(all_rows(index, pager.root)) == rows


def test_many_at_once_are_few_pages() -> None:
    index = Index()
    root = index.append(session(1))
    pager = Pager("video", TIMESCALE, root, index.read, index.write)
    rows = [row_of(one, index.append(one)) for one in map(entry, range(20_000))]
    asyncio.run(pager.add(rows))
    pages = [e for _, e in index.since(0) if isinstance(e, PageEntry)]
    assert [page.level for page in pages] == [3, 3, *[2] * 7]
    assert asyncio.run(all_rows(index, pager.root)) == rows


def test_a_page_that_would_be_too_large_refers_to_those_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kinolog.log.pager.MOST_BYTES", 10_000)
    index = Index()
    root = index.append(session(1))
    pager, rows = asyncio.run(publish(index, root, [entry(msn) for msn in range(9000)]))
    assert max(map(len, index.records)) <= 12_000
    assert asyncio.run(all_rows(index, pager.root)) == rows


def test_what_a_zombie_writes_behind_a_newer_session_is_not_taken_up() -> None:
    index = Index()
    root = index.append(session(1))
    first, _ = asyncio.run(publish(index, root, [entry(msn) for msn in range(40)]))
    index.append(session(2))
    asyncio.run(publish(index, first.root, [entry(msn) for msn in range(40, 80)]))  # the zombie

    async def go_on() -> Pager:
        pager = Pager("video", TIMESCALE, first.root, index.read, index.write)
        await pager.go_on(index.since(first.root))
        for msn in range(40, 80):
            one = entry(msn, epoch=2)
            await pager.add([row_of(one, index.append(one))])
        return pager

    pager = asyncio.run(go_on())
    page = [e for _, e in index.since(pager.root) if isinstance(e, PageEntry)][-1]
    assert page.rows is not None
    assert {row.epoch for row in PackedTable(page.rows)} == {1, 2}
    assert [row.msn for row in PackedTable(page.rows)] == list(range(32, 64))


def test_a_page_is_solid_where_nothing_is_missing() -> None:
    index = Index()
    root = index.append(session(1))
    entries = [entry(msn, whole=msn != 70) for msn in range(200) if msn != 5]
    asyncio.run(publish(index, root, entries))
    pages = [e for _, e in index.since(0) if isinstance(e, PageEntry)]
    assert [(page.number, page.solid) for page in pages] == [
        (0, False),
        (1, True),
        (2, False),
        (3, True),
        (4, True),
        (5, True),
    ]
