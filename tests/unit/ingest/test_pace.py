"""Pacing with a clock that the test turns, and loops without drift."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import MediaError
from kinolog.ingest.pace import Looper, Pacer
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media.types import Packet, TrackFormat

VIDEO = TrackFormat("h264", 90_000)
AUDIO = TrackFormat("aac", 44_100)


class TurnedClock:
    """Time that only the test and `sleep` move."""

    def __init__(self) -> None:
        self.now = 50.0

    def unix_ms(self) -> int:
        return round(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


def times(steps: list[tuple[float, float]], **settings: float) -> list[float]:
    """When packets go out. A step is (media seconds, seconds of work after it)."""
    clock = TurnedClock()
    pacer = Pacer(clock, sleep=clock.sleep, **settings)

    async def run() -> list[float]:
        out = []
        for media, work in steps:
            await pacer.due(round(media * 1000), 1000)
            out.append(round(clock.now - 50, 6))
            clock.now += work
        return out

    return asyncio.run(run())


def test_goes_at_the_pace_of_the_media_whatever_the_work() -> None:
    assert times([(5.0, 0.1), (5.5, 0.2), (6.0, 0), (6.04, 0)]) == [0, 0.5, 1.0, 1.04]


def test_a_little_late_it_catches_up() -> None:
    assert times([(0, 0.9), (0.5, 0), (1.0, 0), (1.5, 0)]) == [0, 0.9, 1.0, 1.5]


def test_very_late_it_makes_up_for_a_burst_and_no_more() -> None:
    # 10 s away: of the ten packets missed, those within the last second go at once.
    out = times([(0, 10), *((n / 2, 0) for n in range(1, 7))], max_burst_seconds=1.0)
    assert out == [0, 10, 10, 10, 10.5, 11, 11.5]


def test_a_leap_ahead_is_not_waited_for() -> None:
    assert times([(0, 0), (1, 0), (3600, 0), (3601, 0)]) == [0, 1, 1, 2]


def test_a_leap_back_goes_on_at_once() -> None:
    out = times([(3600, 0), (3601, 0), (0, 0), (1, 0), (2, 0)], max_burst_seconds=1.0)
    assert out == [0, 1, 1, 1, 2]


def test_tells_how_far_the_schedule_moved() -> None:
    clock = TurnedClock()
    pacer = Pacer(clock, sleep=clock.sleep, max_burst_seconds=0.5)

    async def run() -> None:
        await pacer.due(0, 1000)
        clock.now += 3
        await pacer.due(1000, 1000)

    asyncio.run(run())
    assert pacer.moved_ms == 1500


def track_pass(track: int, first: int, durations: list[int], offset: int = 0) -> list[Packet]:
    out, dts = [], first
    for duration in durations:
        out.append(Packet(track, dts, dts + offset, duration, True, b"x"))
        dts += duration
    return out


DURATIONS = st.lists(st.integers(1, 5000), min_size=1, max_size=12)


@given(
    DURATIONS,
    DURATIONS,
    st.integers(-9000, 10**12),
    st.integers(-2000, 10**12),
    st.integers(1, 240_000),
    st.integers(1, 240_000),
)
def test_passes_follow_each_other_in_sync_for_ever(
    video: list[int], audio: list[int], video_first: int, audio_first: int, a: int, b: int
) -> None:
    scales = (a, b)
    formats = [Format(t, TrackFormat("h264", scale)) for t, scale in enumerate(scales)]
    once: list[SourceEvent] = [
        *formats,
        *track_pass(0, video_first, video, 7),
        *track_pass(1, audio_first, audio),
    ]
    looper = Looper()
    passes = []
    for _ in range(5):
        passes.append([e for e in looper.feed(once) if isinstance(e, Packet)])
        looper.end_pass()
    length = max(Fraction(sum(video), a), Fraction(sum(audio), b))
    for track, scale in enumerate(scales):
        own = [p for one in passes for p in one if p.track == track]
        assert all(x.dts + (x.duration or 0) <= y.dts for x, y in pairwise(own))
        assert all(p.pts - p.dts == (7 if track == 0 else 0) for p in own)
        for index, one in enumerate(passes):
            first = next(p for p in one if p.track == track)
            start = (video_first, audio_first)[track]
            assert 0 <= first.dts - start - index * length * scale < 1


def test_a_later_pass_repeats_neither_formats_nor_what_was_said() -> None:
    head: list[SourceEvent] = [Expect(2), Format(0, VIDEO), Format(1, AUDIO), Skipped(2, "dts")]
    packet = Packet(0, 0, 0, 3000, True, b"x")
    looper = Looper()
    assert looper.feed([*head, packet]) == [*head, packet]
    looper.end_pass()
    assert looper.feed([*head, packet]) == [packet._replace(dts=3000, pts=3000)]


def test_a_new_format_in_a_later_pass_is_told() -> None:
    looper = Looper()
    looper.feed([Format(0, VIDEO), Packet(0, 0, 0, 3000, True, b"x")])
    looper.end_pass()
    changed = Format(0, TrackFormat("h264", 1000))
    out = looper.feed([changed, Packet(0, 0, 0, 40, True, b"x")])
    assert out == [changed, Packet(0, 34, 34, 40, True, b"x")]  # 3000/90000 s, rounded up


def test_the_last_packet_lasts_as_long_as_the_one_before_where_nothing_is_said() -> None:
    looper = Looper()
    once = [Packet(0, dts, dts, None, True, b"x") for dts in (0, 3000, 6000)]
    looper.feed([Format(0, VIDEO), *once])
    looper.end_pass()
    assert [p.dts for p in looper.feed(once) if isinstance(p, Packet)] == [9000, 12_000, 15_000]


def test_an_empty_source_is_not_looped() -> None:
    looper = Looper()
    looper.feed([Format(0, VIDEO)])
    with pytest.raises(MediaError, match="no packets"):
        looper.end_pass()


def test_what_cannot_be_looped_is_named() -> None:
    looper = Looper()
    packet = Packet(0, 0, 0, 3000, True, b"x")
    with pytest.raises(MediaError, match="before its format"):
        looper.feed([packet])
    with pytest.raises(MediaError, match="timescale"):
        looper.feed([Format(0, VIDEO), packet, Format(0, AUDIO)])
