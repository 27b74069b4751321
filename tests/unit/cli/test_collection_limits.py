"""Limits of a collection that somebody chose, and those that the demo lowers."""

from __future__ import annotations

import pytest

from kinolog.cli.collections import CollectionFlags, with_limits
from kinolog.record.registry import CollectionEntry

_DEMOS = CollectionEntry(
    partitions=4, replication_factor=1, retention_ms=3_600_000, retention_bytes=10**9, demo=True
)


def test_a_limit_is_chosen_and_nothing_else_is() -> None:
    assert CollectionFlags(retention="2d").given()["chosen"] is True
    assert CollectionFlags(retention_size="1GB").given()["chosen"] is True
    assert "chosen" not in CollectionFlags(profile="frame", partitions=8).given()


@pytest.mark.parametrize(
    ("flags", "limits"),
    [
        (CollectionFlags(retention="2d"), (172_800_000, -1)),
        (CollectionFlags(retention_size="5GB"), (86_400_000, 5 * 10**9)),
        (CollectionFlags(retention="2d", retention_size="5GB"), (172_800_000, 5 * 10**9)),
    ],
)
def test_the_demos_limits_go_when_one_is_chosen(
    flags: CollectionFlags, limits: tuple[int, int]
) -> None:
    changes = with_limits(_DEMOS, flags.given())
    assert (changes["retention_ms"], changes["retention_bytes"]) == limits
    assert (changes["demo"], changes["chosen"]) == (False, True)


def test_what_somebody_set_before_stays() -> None:
    own = CollectionEntry(partitions=4, replication_factor=1, retention_ms=60_000)
    changes = CollectionFlags(retention_size="5GB").given()
    assert with_limits(own, changes) == changes
    others = CollectionFlags(profile="frame").given()
    assert with_limits(_DEMOS, others) == others
