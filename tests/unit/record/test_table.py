"""Rows of an index page in memory: as they were sealed, whatever is looked at first."""

from __future__ import annotations

import random

import pytest

from kinolog.core.errors import WireError
from kinolog.record.page import GAP, INDEPENDENT, Rows
from kinolog.record.table import PackedTable, Row, Table, pack


def rows(count: int, seed: int = 0) -> list[Row]:
    """Of two epochs, with holes, and dates and media that part."""
    chance = random.Random(seed)
    found = []
    msn, dts, wall, first, entry = 5, -900, 1_800_000_000_000, 2**40, 2**33
    for index in range(count):
        epoch = 7 if index < count // 2 else 9
        dur = chance.randint(1, 2**20)
        flags = chance.choice([0, INDEPENDENT, GAP, INDEPENDENT | GAP])
        last = first + chance.randint(0, 9)
        late = chance.choice((0, 0, 40, -2000))
        found.append(
            Row(epoch, epoch, msn, dts, dur, wall, first, last, 9 + index, entry, flags, late)
        )
        msn += chance.randint(1, 3)
        dts += dur + chance.randint(-5, 2**33)
        wall += chance.randint(-3, 4000)
        first = last + chance.randint(1, 2**34)
        entry += chance.randint(1, 50)
    return found


@pytest.mark.parametrize("first", Row._fields)
def test_a_page_has_the_rows_that_were_sealed(first: str) -> None:
    plain = Table(rows(100))
    table = PackedTable(pack(plain))
    assert getattr(table, first).tolist() == getattr(plain, first).tolist()
    assert list(table) == list(plain)


def test_what_is_late_is_said_where_something_is() -> None:
    steady = pack(Table(row._replace(late=0) for row in rows(40)))
    assert not steady.late
    assert not any(PackedTable(steady).late)
    assert PackedTable(steady)[7].late == 0
    steady.late = [1]
    with pytest.raises(WireError, match="same length"):
        PackedTable(steady)


def test_a_row_of_a_page_is_found_without_the_others() -> None:
    plain = rows(40)
    table = PackedTable(pack(Table(plain)))
    assert [table[index] for index in range(40)] == plain


def test_numbers_that_add_up_to_more_than_there_can_be_are_refused() -> None:
    """As a page that somebody else wrote may have them."""
    most = 2**63 - 1
    for name in ("msn", "dts", "wall", "first", "last", "entry"):
        columns = {field: [1, 1, 1] for field in Rows.__struct_fields__[1:]}
        table = PackedTable(Rows(epochs=[(0, 7, 0)], **columns | {name: [most, most, most]}))
        with pytest.raises(WireError, match="out of range"):
            getattr(table, name)
    with pytest.raises(WireError, match="out of range"):
        PackedTable(Rows(epochs=[(0, 7, 0)], **columns | {"dur": [most + 1] * 3}))
