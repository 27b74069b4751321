"""How far back an edge reads the index when it joins a stream."""

from __future__ import annotations

from kinolog.delivery.start import _covers, _window
from kinolog.record.control import IndexEntry, Open, OpenTrack, SegmentEntry, SessionEntry

OPEN = Open("s", "p", "k", 2000, 200, [OpenTrack(n, n, "c", 1000, b"") for n in ("video", "audio")])  # type: ignore[arg-type]
SESSION = SessionEntry(5, 0, 0, 0, OPEN)


def segments(track: str, first_s: int, last_s: int, *, ind: bool = True) -> list[IndexEntry]:
    """Segments of two seconds, each of one record at the offset of its second."""
    empty: list[int] = []
    return [
        SegmentEntry(
            track, 5, 0, s // 2, s * 1000, 2000, s * 1000, ind, 1,
            [s], *(empty for _ in range(7)),
        )
        for s in range(first_s, last_s, 2)
    ]  # fmt: skip


def log(*tracks: list[IndexEntry]) -> list[IndexEntry]:
    found = [entry for track in tracks for entry in track]
    return [SESSION, *sorted(found, key=lambda e: e.dts if isinstance(e, SegmentEntry) else 0)]


def first_offset(entries: list[IndexEntry]) -> int:
    return min(e.offsets[0] for e in _window(entries, {}) if isinstance(e, SegmentEntry))


def test_a_window_with_a_keyframe_in_each_track_is_enough() -> None:
    entries = log(segments("video", 0, 200), segments("audio", 0, 200))
    assert _covers(entries, {})
    assert 150 <= first_offset(entries) <= 160
    assert not _covers(log(segments("video", 170, 200), segments("audio", 170, 200)), {})


def test_without_keyframes_it_goes_back_over_the_longest_window() -> None:
    entries = log(segments("video", 0, 400, ind=False), segments("audio", 0, 400))
    assert _covers(entries, {})
    assert 260 <= first_offset(entries) <= 270


def test_a_young_track_does_not_ask_for_the_whole_past() -> None:
    """A day of video, and sound for ten seconds: published again with a microphone."""
    entries = log(segments("video", 0, 86_400), segments("audio", 86_390, 86_400))
    assert _covers(entries, {})
    assert first_offset(entries) >= 86_400 - 140


def test_a_track_that_died_does_not_either() -> None:
    entries = log(segments("video", 0, 3_600), segments("audio", 0, 8))
    assert first_offset(entries) >= 3_600 - 140


def test_long_segments_make_a_longer_window() -> None:
    """Six target durations: 60 s of segments of 10 s."""
    slow = SessionEntry(5, 0, 0, 0, Open("s", "p", "k", 10_000, 200, OPEN.tracks))
    entries = log(segments("video", 0, 200), segments("audio", 0, 200))
    entries[0] = slow
    assert 120 <= first_offset(entries) <= 130
