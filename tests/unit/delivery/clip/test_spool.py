"""Columns of numbers that are not held in memory."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import InputError, Overloaded
from kinolog.delivery.clip.spool import BLOCK, Room, Spool
from kinolog.media.sample_tables import SampleTables


@given(st.lists(st.integers(0, 3 * BLOCK), max_size=6), st.integers(0, 4 * BLOCK))
def test_what_went_in_comes_out(sizes: list[int], start: int) -> None:
    spool = Spool()
    columns = [spool.column("q"), spool.column("I")]
    expected: list[int] = []
    for size in sizes:
        more = np.arange(len(expected), len(expected) + size) * 7
        expected += more.tolist()
        columns[0].extend(more)
        for value in more.tolist():
            columns[1].append(value)
    for column in columns:
        assert len(column) == len(expected)
        stop = start + BLOCK + 3
        assert column.values(start, stop).tolist() == expected[start:stop]
        if expected:
            assert column[len(expected) - 1] == expected[-1]
    spool.close()


def test_a_long_column_is_on_disk_and_gives_it_back() -> None:
    room = Room(8 * 300 * BLOCK)
    before = set(os.listdir("/proc/self/fd"))
    spool = Spool(1 << 30, room)
    column = spool.column("q")
    for n in range(200):
        column.extend(np.full(BLOCK, n))
    assert spool.stored_bytes == 8 * 200 * BLOCK
    assert spool.held_bytes < 3 * 8 * BLOCK
    assert len(set(os.listdir("/proc/self/fd")) - before) == 1
    other = Spool(1 << 30, room)
    with pytest.raises(Overloaded):
        other.column("q").extend(np.zeros(150 * BLOCK, np.int64))
    other.close()
    del column
    spool.close()
    assert set(os.listdir("/proc/self/fd")) == before
    again = Spool(1 << 30, room)
    again.column("q").extend(np.zeros(150 * BLOCK, np.int64))
    again.close()


def test_too_long_is_said() -> None:
    spool = Spool(8 * 2 * BLOCK, why="that is too long")
    with pytest.raises(InputError, match="that is too long"):
        spool.column("q").extend(np.zeros(3 * BLOCK, np.int64))
    spool.close()


@given(st.lists(st.lists(st.sampled_from([1000, 1001]), min_size=1), min_size=1))
def test_runs_are_the_same_however_they_come(pieces: list[list[int]]) -> None:
    tables = SampleTables(Spool())
    for piece in pieces:
        values = np.array(piece, np.int64)
        zero = np.zeros(1, np.int64)
        count = np.array([len(piece)])
        tables.samples(values, np.ones(len(piece), np.uint8), count, zero, zero)
        tables.times(values, values - 1000)
    tables.finish()
    rows = tables.durations()
    pairs = np.frombuffer(rows.read(0, rows.size), ">u4").reshape(-1, 2)
    assert np.repeat(pairs[:, 1], pairs[:, 0]).tolist() == [v for piece in pieces for v in piece]
    assert all(np.diff(pairs[:, 1]))
    assert tables.length == sum(map(sum, pieces))
    assert (tables.offsets() is None) == (tables.length == 1000 * tables.count)


def test_a_disk_that_is_full_is_no_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    room = Room(1 << 30)
    spool = Spool(1 << 30, room)
    with pytest.raises(Overloaded, match="No space left"):
        spool.column("q").extend(np.zeros(BLOCK, np.int64))
    spool.close()
    room.take(1 << 30)


def test_any_sample_is_found_among_runs() -> None:
    """Durations that change at each sample, and some that do not, over many marks."""
    chance = np.random.default_rng(3)
    tables = SampleTables(Spool())
    durations = np.repeat(chance.integers(1, 9, 3000), chance.integers(1, 4, 3000))
    count = len(durations)
    sizes, sync = chance.integers(1, 99, count), chance.integers(0, 2, count)
    for at in range(0, count, 61):
        part = slice(at, at + 61)
        own = np.array([len(sizes[part])])
        tables.samples(sizes[part], sync[part], own, own * 0, own * 0)
        tables.times(durations[part], durations[part] - 1)
    tables.finish()
    before = np.cumsum(durations) - durations
    for start in (0, 1, 60, 61, 1000, count - 7):
        for stop in (start + 1, min(count, start + 94)):
            some = tables.some(start, stop)
            part = slice(start, stop)
            assert some.dts == before[start]
            assert some.durations.tolist() == durations[part].tolist()
            assert some.offsets.tolist() == (durations[part] - 1).tolist()
            assert some.sizes.tolist() == sizes[part].tolist()
            assert some.sync.tolist() == sync[part].astype(bool).tolist()
