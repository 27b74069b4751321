"""Where a block of the archive ends, by what waits."""

from __future__ import annotations

import pytest

from kinolog.record.control import Open, SegmentEntry, SessionEntry, encode_value
from kinolog.record.page import PageEntry
from kinolog.workers.waiting import MOST_RECORDS, Item, Waiting


def segment(offset: int, wall: int, epoch: int = 1, size: int = 10, track: str = "video") -> Item:
    entry = SegmentEntry(
        track, epoch, 0, offset, 0, 2000, wall, True, 1, [offset], [size], [1], [0], [size], [2000],
        [], [0],
    )  # fmt: skip
    return Item(offset, encode_value(entry), entry)


def session(offset: int, epoch: int) -> Item:
    entry = SessionEntry(epoch, 0, offset, 0, Open("s", "p", "t", 2000, 200, []))
    return Item(offset, encode_value(entry), entry)


def page(offset: int) -> Item:
    entry = PageEntry("video", 1, 0, 0, 1, 0, 1, 1)
    return Item(offset, encode_value(entry), entry)


def blocks(items: list[Item], most_bytes: int = 1000) -> list[list[int]]:
    """The offsets of the blocks that end, and of what waits on."""
    waiting = Waiting(10_000, most_bytes)
    found = []
    for item in items:
        waiting.add(item)
        while due := waiting.due():
            found.append([one.offset for one in due])
            waiting.drop(due[-1].offset + 1)
    return [*found, [one.offset for one in waiting.all()]]


def test_a_block_ends_with_the_stretch_of_the_clock() -> None:
    items = [segment(n, 1_000_000 + 2000 * n) for n in range(12)]
    assert blocks(items) == [[0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11]]


def test_what_another_track_finishes_late_is_of_the_next_block() -> None:
    items = [segment(0, 8000), segment(1, 10_000), segment(2, 8001, track="audio")]
    assert blocks(items) == [[0], [1, 2]]


def test_pages_and_sessions_go_with_what_is_before_them() -> None:
    items = [segment(0, 0), page(1), session(2, 2), segment(3, 20_000, 2), segment(4, 20_001, 2)]
    assert blocks(items) == [[0, 1, 2], [3, 4]]


def test_a_session_of_the_same_stretch_goes_on_in_the_block() -> None:
    assert blocks([segment(0, 0), session(1, 2), segment(2, 5000, 2)]) == [[0, 1, 2]]


def test_what_a_session_backfills_ends_the_block() -> None:
    items = [segment(0, 90_000), segment(1, 5000, 2), segment(2, 7000, 2)]
    assert blocks(items) == [[0], [1, 2]]


def test_a_zombie_ends_nothing() -> None:
    items = [segment(0, 90_000, 2), segment(1, 200_000, 1), segment(2, 92_000, 2)]
    assert blocks(items)[0] == [0, 1, 2]


@pytest.mark.parametrize(("most_bytes", "each"), [(20, 2), (21, 3), (1, 1)])
def test_a_block_ends_once_there_is_enough(most_bytes: int, each: int) -> None:
    items = [segment(n, n) for n in range(6)]
    assert len(blocks(items, most_bytes)[0]) == each


def test_a_block_has_so_many_records_at_most() -> None:
    assert [len(one) for one in blocks([page(n) for n in range(MOST_RECORDS + 1)])] == [
        MOST_RECORDS,
        1,
    ]


def test_whoever_goes_on_from_a_blocks_end_makes_the_same_blocks() -> None:
    items = [segment(n, 700 * n + (n % 3) * 40, 1 + n // 40) for n in range(120)]
    whole = blocks(items, 60)
    for index, block in enumerate(whole):
        assert blocks([one for one in items if one.offset >= block[0]], 60) == whole[index:]
