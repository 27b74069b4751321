"""What nobody has: stretches of lost segments, and whether a page has any of them."""

from __future__ import annotations

import pytest

from kinolog.record.absent import MOST_LOST, Absent, Lost, add_lost


def test_what_follows_one_is_put_to_it() -> None:
    lost: list[Lost] = []
    names = [("a", 1, 4), ("v", 1, 4), ("a", 1, 5), ("v", 1, 6), ("a", 2, 6), ("a", 2, 7)]
    for name in names:
        add_lost(lost, *name)
    assert lost == [
        Lost("a", 1, 4, 5), Lost("v", 1, 4, 4), Lost("v", 1, 6, 6), Lost("a", 2, 6, 7),
    ]  # fmt: skip


def test_the_newest_stretches_are_remembered() -> None:
    lost: list[Lost] = []
    for msn in range(0, 2 * MOST_LOST + 20, 2):
        add_lost(lost, "v", 1, msn)
    assert len(lost) == MOST_LOST
    assert lost[0].first == 20
    assert lost[-1].last == 2 * MOST_LOST + 18


@pytest.mark.parametrize(
    ("track", "first", "below", "epoch", "offset", "found"),
    [
        ("v", 0, 32, 1, 0, True),
        ("v", 32, 64, 1, 320, False),  # archived
        ("v", 96, 128, 2, 960, True),  # behind what was archived
        ("v", 0, 32, 1, 1000, False),  # in Kafka
        ("a", 0, 32, 1, 0, True),  # a track of which nothing is archived
    ],
)
def test_a_page_with_something_absent(
    track: str, first: int, below: int, epoch: int, offset: int, found: bool
) -> None:
    absent = Absent(1000, {"v": (2, 99)}, [Lost("v", 1, 30, 31)])
    assert absent.among(track, first, below, epoch, offset) is found
