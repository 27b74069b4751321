"""Where a new session begins to read its predecessor's end."""

from __future__ import annotations

from kinolog.ingest.past import under_way
from kinolog.record.control import SegmentEntry

NAMES = ["video", "audio"]


def entry(track: str, second: int, last: int) -> SegmentEntry:
    """A segment that begins at this second, and whose last record is at offset `last`."""
    empty: list[int] = []
    return SegmentEntry(
        track, 5, 0, second // 2, 0, 0, second * 1000, True, 1,
        [last - 3, 3], *(empty for _ in range(7)),
    )  # fmt: skip


def test_it_reads_behind_the_segment_that_ended_first() -> None:
    assert under_way(100, NAMES, [entry("video", 0, 120), entry("audio", 0, 118)]) == (119, set())


def test_nothing_is_indexed_yet() -> None:
    assert under_way(100, NAMES, []) == (100, set())


def test_a_track_that_has_not_shown_itself_may_do_so() -> None:
    assert under_way(100, NAMES, [entry("video", 0, 120)]) == (101, set())


def test_a_track_that_died_does_not_hold_the_start_back() -> None:
    """Audio stopped an hour after the open, and video went on for a day."""
    entries = [entry("audio", 3_600, 50_000), entry("video", 86_400, 900_000)]
    assert under_way(100, NAMES, entries) == (900_001, {"audio"})


def test_a_track_that_never_came_does_not_either() -> None:
    entries = [entry("video", second, 1000 + second) for second in range(0, 42, 2)]
    assert under_way(100, NAMES, entries) == (1041, {"audio"})
