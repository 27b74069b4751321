"""Leads: what must be decoded for a moment to be shown, where the order of the screen is another.

Dates of segments and of chunks go by decoding: at a steady rate, each is that of what is shown
first of what follows. Of an open GOP that is not the keyframe. Behind it in the log, and before it
on the screen, come pictures that need the GOP before (RASL pictures of H.265; H.264 with a recovery
point), so that who begins with it lacks these. And amid a GOP, what is decoded next may be shown
before what was.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress
from typing import Final, NamedTuple

from kinolog.core.errors import Unavailable
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import REACH_MS, REORDER_MS, shown_ms
from kinolog.delivery.history import History, Named
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run

_MOST_KEPT: Final = 256
_WAIT_S: Final = 1.0
"""Kafka is waited for so long: without it, what is in memory is played as if it were in order."""


class _Read(NamedTuple):
    """Of a segment that begins with a keyframe: of each keyframe its dates by decoding and on the
    screen (Unix ms), and by how much the former is later at most, of all pictures (ms). Of any:
    when what it shows first was captured (Unix ms)."""

    keys: tuple[tuple[float, float], ...]
    late_ms: float
    shown_ms: float


class Leads:
    """Reads entries of the index, and keeps what it read last."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: OrderedDict[tuple[Named, int, int], _Read | None] = OrderedDict()
        self._reading: dict[tuple[Named, int, int], asyncio.Task[_Read | None]] = {}

    async def since(self, name: Named, live: Table, at_ms: float) -> float:
        """The latest moment, not after this (Unix ms), with whose newest keyframe by the dates of
        decoding it can be shown. `live`: as of History.between."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                found = await self._history.between(name, at_ms, at_ms + 1, live)
                if not found:
                    return at_ms
                since_ms = await self.since_in(name, found[-1], at_ms)
                row = next(iter(found[-1]))
                if since_ms >= row.wall:
                    return since_ms
                # Of the session before, nothing leads to it.
                before = await self._history.between(name, row.wall - REORDER_MS, row.wall, live)
                return since_ms if any(run.epoch == row.epoch for run in before) else at_ms
        return at_ms

    async def since_in(self, name: Named, run: Run, at_ms: float) -> float:
        """The same, where the moment lies in the first segment of a run."""
        row = next(iter(run))
        if row.gap or not row.independent:
            return at_ms
        read = await self._read(name, row, run.timescale)
        if read is None:
            return at_ms
        begins = [decoded for decoded, shown in read.keys if shown <= at_ms + 1]
        later = [decoded for decoded, _ in read.keys[len(begins) :]]
        if not later or later[0] > at_ms:
            return at_ms
        return min(at_ms, later[0] - 1 if begins else row.wall - 1)

    async def drops(self, name: Named, run: Run) -> bool:
        """Whether players that begin with the first segment of a run, and count from its first DTS,
        drop the keyframe that it begins with: it is shown before that."""
        row = next(iter(run))
        if row.late >= 0 or row.gap or not row.independent:
            return False
        read = await self._read(name, row, run.timescale)
        return read is not None and any(shown < decoded for decoded, shown in read.keys[:1])

    async def end_ms(self, name: Named, live: Table, end_ms: float) -> float:
        """Up to when segments must be had for all pictures before a moment: some of the next one
        may be shown before it, amid a GOP, or at a variable rate."""
        runs = await self._history.between(name, end_ms - 1, end_ms + REORDER_MS, live)
        rows = [(row, run) for run in runs for row in run]
        late = next(((row, run) for row, run in rows if row.wall >= end_ms), None)
        if late is None:
            return end_ms
        row, run = late
        before = any(one.epoch == row.epoch and one.msn == row.msn - 1 for one, _ in rows)
        if row.gap or not before:
            return end_ms
        if row.independent:
            first_ms: float = shown_ms(row, run.timescale)
        else:
            read = await self._read(name, row, run.timescale)
            first_ms = read.shown_ms if read is not None else end_ms
        return row.wall + 1 if first_ms < end_ms - 1 else end_ms

    async def late_ms(self, name: Named, live: Table, at_ms: float) -> float:
        """How long behind its date a picture may be decoded, by the dates of decoding, in the
        session of a moment; 0 where that is not known."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                keyed = await self._keyed(name, live, at_ms)
                return keyed.late_ms if keyed is not None else 0.0
        return 0.0

    async def _keyed(self, name: Named, live: Table, at_ms: float) -> _Read | None:
        """The newest segment at a moment, or before it, that begins with a keyframe."""
        runs = await self._history.between(name, at_ms - REACH_MS, at_ms + 1, live)
        for run in reversed(runs):
            for index in range(run.stop - 1, run.start - 1, -1):
                if run.table.flags[index] & (INDEPENDENT | GAP) == INDEPENDENT:
                    return await self._read(name, run.table[index], run.timescale)
        return None

    async def _read(self, name: Named, row: Row, timescale: int) -> _Read | None:
        """None where the index does not tell."""
        key = (name, row.epoch, row.msn)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        task = self._reading.get(key)
        if task is None:
            task = self._reading[key] = asyncio.create_task(self._entry(name, row, timescale))
            task.add_done_callback(lambda done: self._done(key, row, done))
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                return await asyncio.shield(task)
        return None

    def _done(
        self, key: tuple[Named, int, int], row: Row, task: asyncio.Task[_Read | None]
    ) -> None:
        del self._reading[key]
        if task.cancelled() or task.exception() is not None:
            return
        if row.entry < 0 and task.result() is None:
            return  # what is in memory may not be in the index yet
        self._kept[key] = task.result()
        while len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)

    async def _entry(self, name: Named, row: Row, timescale: int) -> _Read | None:
        columns = Columns()
        columns.append(row, await self._history.entry(name, row))
        return _read(columns, timescale) if not columns.gap[0] else None


def _read(columns: Columns, timescale: int) -> _Read:
    """Of the one segment that it has."""
    dts, pts = columns.decode_times(0, 1), columns.presentation_times(0, 1)
    decoded, shown = (columns.wall[0] + 1000.0 * (t - dts[0]) / timescale for t in (dts, pts))
    keys = tuple((float(decoded[n]), float(shown[n])) for n, key in enumerate(columns.sync) if key)
    behind_ms = float((decoded - shown).max())
    return _Read(keys if columns.sync[0] else (), behind_ms, float(shown.min()))
