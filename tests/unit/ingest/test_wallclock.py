"""The wall clock that is slewed."""

from __future__ import annotations

from kinolog.ingest.wallclock import WallClock

START_MS = 1_700_000_000_000


def run(
    clock: WallClock, seconds: int, *, after: int = 0, drift: float = 0.0, delay_ms: int = 0
) -> int:
    """Feed packets every 100 ms; the source's clock runs `drift` too fast. The last media ms."""
    media = START_MS
    for tick in range(after * 10, (after + seconds) * 10):
        now = START_MS + tick * 100
        media = START_MS + round(tick * 100 * (1 + drift))
        clock.arrived(media, now + delay_ms + (tick * 37) % 23)
    return media


def test_a_good_clock_is_left_alone() -> None:
    clock = WallClock()
    media = run(clock, 60)
    assert abs(clock.wall_ms(media) - media) <= 23


def test_an_error_under_twenty_milliseconds_is_left_alone() -> None:
    clock = WallClock()
    run(clock, 60, delay_ms=19)
    assert clock.offset_ms == 0.0


def test_a_greater_error_is_slewed_to_nothing_and_then_rests() -> None:
    clock = WallClock()
    run(clock, 120, delay_ms=50)
    rested = clock.offset_ms
    assert abs(rested - 50) < 1
    run(clock, 60, after=120, delay_ms=51)
    assert clock.offset_ms == rested


def test_drift_is_followed_slowly() -> None:
    clock = WallClock()
    media = run(clock, 3_600, drift=50e-6)  # four seconds a day
    now = START_MS + 3_600_000
    assert abs(clock.wall_ms(media) - now) < 150
    assert not clock.broken


def test_slewing_never_exceeds_a_millisecond_a_second() -> None:
    clock = WallClock()
    before = clock.offset_ms
    for second in range(120):
        for tick in range(10):
            now = START_MS + second * 1000 + tick * 100
            clock.arrived(now - 600, now)
        assert abs(clock.offset_ms - before) <= 1.001
        before = clock.offset_ms


def test_more_than_a_second_off_for_long_means_a_new_epoch() -> None:
    clock = WallClock()
    run(clock, 25, delay_ms=2_500)
    assert clock.broken


def test_an_upload_faster_than_it_plays_is_no_clock() -> None:
    clock = WallClock()
    for tick in range(3_000):
        clock.arrived(START_MS + tick * 100, START_MS + tick)
    assert not clock.broken
    assert clock.offset_ms == 0.0


def test_a_stall_that_is_caught_up_changes_nothing() -> None:
    clock = WallClock()
    for tick in range(300):
        media = START_MS + tick * 100
        late = 4_000 if 100 <= tick < 130 else 0
        clock.arrived(media, media + late)
    assert not clock.broken
    assert abs(clock.offset_ms) < 1


def test_a_source_that_falls_behind_and_catches_up_keeps_its_dates() -> None:
    """As one does whose machine is busy, four seconds late after twenty: whenever that begins."""
    for begun in range(200, 300, 7):
        clock = WallClock()
        delay_ms = 0
        for tick in range(900):
            since = tick - begun
            delay_ms += 20 if 0 <= since < 200 else -20 if 200 <= since < 400 else 0
            media = START_MS + tick * 100
            clock.arrived(media, media + delay_ms)
            assert not clock.broken
        assert abs(clock.offset_ms) < 60


def test_a_clock_that_is_off_and_comes_in_batches_means_a_new_epoch() -> None:
    """Of half a second: only the last packet of each has the least delay."""
    clock = WallClock()
    for batch in range(60):
        for packet in range(15):
            clock.arrived(START_MS + 500 * batch + 33 * packet, START_MS + 500 * batch + 3_000)
    assert clock.broken


def test_a_clock_that_was_late_when_its_epoch_began_is_no_upload_as_it_catches_up() -> None:
    before = WallClock()
    run(before, 20)
    clock = WallClock(proven=before.proven)
    for tick in range(250):
        media = START_MS + tick * 100
        clock.arrived(media, media - round(min(4_600, 100 * tick)))
    assert clock.broken


def test_an_upload_of_a_tenth_faster_than_it_plays_is_none() -> None:
    clock = WallClock()
    for tick in range(3_000):
        clock.arrived(START_MS + tick * 115, START_MS + tick * 100)
        assert not clock.broken
    assert abs(clock.offset_ms) < 100


def test_a_clock_that_leaps_seconds_ahead_is_no_upload_and_means_a_new_epoch() -> None:
    clock = WallClock()
    run(clock, 20)
    run(clock, 25, after=20, delay_ms=-6_000)
    assert clock.broken


def test_an_upload_with_a_pause_in_it_is_no_clock_once_it_runs_ahead() -> None:
    clock = WallClock()
    for tick in range(3_000):
        pause = 6_000 if tick >= 100 else 0
        clock.arrived(START_MS + tick * 100 + pause, START_MS + tick)
    assert not clock.broken
    assert clock.offset_ms == 0.0
