"""Rows of the index, by time: what counts, in what order, and what gives way."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from kinolog.record.absent import Absent, Lost
from kinolog.record.page import PageEntry
from kinolog.record.table import PackedTable, Row, Table, seal
from kinolog.timeline.window import Run, Session, in_time, runs, with_gaps

SECOND = 90_000


def table(
    first_msn: int, count: int, wall: int, epoch: int = 1, offset: int | None = None
) -> Table:
    """Segments of 2 s, one after the other."""
    first = 10 * first_msn if offset is None else offset
    return Table(
        Row(
            epoch,
            epoch,
            first_msn + i,
            i * 2 * SECOND,
            2 * SECOND,
            wall + 2000 * i,
            first + 10 * i,
            first + 10 * i + 9,
            1000,
            5 * i,
            1,
        )
        for i in range(count)
    )


def packed(plain: Table) -> Table:
    page: PageEntry = seal("video", 1, plain, 0, [], -1)
    assert page.rows is not None
    return PackedTable(page.rows)


ONE = {1: Session(SECOND)}


def numbers(found: list[Run]) -> list[int]:
    return [row.msn for run in found for row in run]


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "expected"),
    [
        (0, 100_000, range(10, 20)),
        (50_000, 50_001, [10]),
        (51_999, 52_001, [10, 11]),
        (52_000, 54_000, [11]),
        (69_999, 99_000, [19]),
        (70_000, 99_000, []),
        (0, 50_000, []),
    ],
)
def test_a_row_is_in_a_range_that_it_overlaps(
    start_ms: int, end_ms: int, expected: list[int]
) -> None:
    for rows in (table(10, 10, 50_000), packed(table(10, 10, 50_000))):
        assert numbers(in_time(runs([rows], ONE, 0), start_ms, end_ms)) == list(expected)


def test_what_retention_took_and_what_a_zombie_wrote_is_left_out() -> None:
    rows = table(10, 10, 50_000)
    assert numbers(list(runs([rows], ONE, 125))) == list(range(13, 20))
    assert numbers(list(runs([rows], {1: Session(SECOND, 150)}, 0))) == list(range(10, 15))
    assert numbers(list(runs([rows], {2: Session(SECOND)}, 0))) == []


def test_of_nothing_there_is_nothing() -> None:
    assert list(runs([], ONE, 0)) == list(runs([Table()], ONE, 0)) == []
    assert in_time([], 0, 1) == []


def test_a_backfill_stands_where_its_time_is() -> None:
    live, backfill = table(0, 10, 100_000, 1), table(10, 10, 50_000, 2)
    both = {1: Session(SECOND), 2: Session(SECOND)}
    assert numbers(in_time(runs([live, backfill], both, 0), 0, 1e9)) == [*range(10, 20), *range(10)]


def test_a_time_that_was_published_twice_is_the_newer_sessions() -> None:
    old, new = table(0, 10, 100_000, 1), table(10, 3, 106_000, 2)
    both = {1: Session(SECOND), 2: Session(SECOND)}
    found = in_time(runs([old, new], both, 0), 0, 1e9)
    assert numbers(found) == [0, 1, 2, 10, 11, 12, 6, 7, 8, 9]


def test_clocks_that_differ_by_less_than_a_second_take_nothing_away() -> None:
    old, new = table(0, 5, 100_000, 1), table(5, 5, 109_500, 2)
    both = {1: Session(SECOND), 2: Session(SECOND)}
    assert numbers(in_time(runs([old, new], both, 0), 0, 1e9)) == list(range(10))


def test_a_packed_table_is_the_table() -> None:
    mixed = Table([*table(3, 4, 1000, 1), *table(9, 4, 50_000, 2)])
    assert list(packed(mixed)) == list(mixed)
    assert packed(mixed).epoch_starts() == mixed.epoch_starts() == [0, 4]


@pytest.mark.parametrize("made", [lambda plain: plain, packed])
def test_what_nobody_has_is_a_gap(made: Callable[[Table], Table]) -> None:
    """Of epoch 1 the numbers 2 to 4 are lost, of epoch 2 what is behind 11, below the offset 140 of
    which Kafka has the rest; the shared table stays as it is."""
    whole = made(Table([*table(0, 8, 0, 1), *table(8, 8, 30_000, 2)]))
    absent = Absent(140, {"video": (2, 11)}, [Lost("video", 1, 2, 4), Lost("audio", 1, 0, 1)])
    sessions = {1: Session(SECOND), 2: Session(SECOND)}
    found = [with_gaps(run, "video", absent) for run in runs([whole], sessions, 10)]
    assert [row.msn for run in found for row in run] == list(range(1, 16))
    assert [row.msn for run in found for row in run if row.gap] == [2, 3, 4, 12, 13]
    assert not any(row.gap for row in whole)
    assert [run.between(0, 99_999) for run in found] == found
    whole_again = list(runs([whole], sessions, 10))
    archived = Absent(140, {"video": (2, 13)}, [])
    assert [with_gaps(run, "video", archived) for run in whole_again] == whole_again
