"""What a clip reads of the index is bounded."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.delivery.clip.loader import MOST_SEGMENTS, Loader
from kinolog.record.page import INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run

STREAM = StreamName("cams", "gate")


def history(rows: int) -> Any:
    table = Table(Row(1, 1, n, 2 * n, 2, 2_000 * n, n, n, 1, n, INDEPENDENT) for n in range(rows))

    async def between(*_: object) -> list[Run]:
        return [Run(table, 0, rows, 1, 1, 1)]

    return SimpleNamespace(between=between)


def rows_of(count: int) -> list[Row]:
    registry = cast(Any, SimpleNamespace(epochs={}))
    loader = Loader(cast(Any, None), history(count), registry, SystemClock(), STREAM)
    return asyncio.run(loader.rows("video", 0, 1e15))


def test_a_range_of_days_is_refused() -> None:
    assert [row.msn for row in rows_of(3)] == [0, 1, 2]
    with pytest.raises(InputError, match="50001 media segments of video"):
        rows_of(MOST_SEGMENTS + 1)
