"""Rows of sealed pages make the Periods that rows in memory make."""

from __future__ import annotations

from kinolog.delivery.dash.periods import joined
from kinolog.record.page import INDEPENDENT
from kinolog.record.table import PackedTable, Row, Table, seal
from kinolog.timeline.window import Session, runs

SECOND = 90_000


def test_pages_and_rows_are_joined_alike() -> None:
    rows = [Row(7, 0, n, n * SECOND, SECOND, 1000 * n, n, n, 9, n, INDEPENDENT) for n in range(64)]
    page = seal("video", 1, Table(rows[:32]), 0, [], -1)
    assert page.rows is not None
    sessions = {7: Session(SECOND)}
    plain = joined(list(runs([Table(rows[:32]), Table(rows[32:])], sessions, 0)))
    packed = joined(list(runs([PackedTable(page.rows), Table(rows[32:])], sessions, 0)))
    assert [list(run) for run in packed] == [list(run) for run in plain]
    assert sum(run.count for run in packed) == 64
