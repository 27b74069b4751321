"""Which media segment many moments lie in."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kinolog.delivery.clip.cut import HOLE_S
from kinolog.delivery.clip.frame import shown_in
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row

INFOS: Any = {1: SimpleNamespace(timescale=1000)}


def one_by_one(rows: list[Row], at_ms: int) -> int | None:
    """The last that begins at or before it, if it is not over for longer than a hole lasts."""
    before = [n for n, row in enumerate(rows) if row.wall <= at_ms and not row.flags & GAP]
    if not before:
        return None
    row = rows[before[-1]]
    return before[-1] if at_ms < row.wall + row.dur + 1000 * HOLE_S else None


@st.composite
def pasts(draw: st.DrawFn) -> list[Row]:
    """With holes, gaps, and clocks that are set back by less than a second."""
    rows: list[Row] = []
    wall = 10_000
    for msn in range(draw(st.integers(0, 30))):
        flags = draw(st.sampled_from([INDEPENDENT, INDEPENDENT, GAP]))
        rows.append(Row(1, 0, msn, 0, 2000, wall, 0, 0, 1, msn, flags))
        wall += draw(st.sampled_from([2000, 2000, 2000, 2500, 9000, -900]))
    return rows


@given(pasts(), st.lists(st.integers(0, 90_000), min_size=1).map(sorted))
def test_each_is_as_if_it_were_alone(rows: list[Row], times_ms: list[int]) -> None:
    assert shown_in(rows, INFOS, times_ms) == [one_by_one(rows, at) for at in times_ms]
