"""Names, durations, sizes, times, ticks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import InputError, NameError_
from kinolog.core.names import StreamName
from kinolog.core.timebase import Unwrapper, rescale
from kinolog.core.units import duration_ms, rfc3339, show_duration, size_bytes, unix_ms


def test_a_name_is_a_collection_and_a_stream() -> None:
    assert StreamName.parse("demo/camera-1") == ("demo", "camera-1")
    assert str(StreamName("demo", "camera")) == "demo/camera"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("demo/a/b", "a slash too many"),
        ("demo", "no collection"),
        ("Demo/cam", "collection name 'Demo'"),
        ("demo/cam.1", "stream name 'cam.1'"),
        ("demo/", "stream name ''"),
        ("demo/" + "a" * 49, "not valid"),
        ("../etc", "collection name '..'"),
    ],
)
def test_a_wrong_name_says_what_is_wrong_and_how_to_write_it(text: str, says: str) -> None:
    with pytest.raises(NameError_) as error:
        StreamName.parse(text)
    assert says in str(error.value)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90s", 90_000), ("10m", 600_000), ("1.5h", 5_400_000), ("7d", 604_800_000), ("forever", -1)],
)
def test_durations(text: str, ms: int) -> None:
    assert duration_ms(text) == ms
    assert duration_ms(show_duration(ms)) == ms


@pytest.mark.parametrize("text", ["", "10", "m", "-5m", "10 years", "1e3s", "١٠m", "9" * 400 + "d"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(InputError):
        duration_ms(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("500MB", 500_000_000), ("2GiB", 2 << 30), ("1000", 1000), ("1.5k", 1500), ("unlimited", -1)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "MB", "5iB", "five", "-1", "٥MB", "9" * 400, "9" * 30 + "GB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError):
        size_bytes(text)


def test_times_are_relative_absolute_or_unix() -> None:
    now = 1_700_000_000_000
    assert unix_ms("-10m", now) == now - 600_000
    assert unix_ms("now", now) == now
    assert unix_ms("1700000000.5", now) == now + 500
    assert unix_ms("2023-11-14T22:13:20Z", 0) == now
    assert unix_ms("2023-11-14T23:13:20+01:00", 0) == now
    assert unix_ms("2023-11-14t22:13:20.25z", 0) == now + 250
    leap = unix_ms("2016-12-31T23:59:60.5Z", 0)
    assert leap == unix_ms("2017-01-01T00:00:00.5Z", 0)
    assert unix_ms("2017-01-01 01:59:60.5+02:00", 0) == leap


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("yesterday", "is not a time"),
        ("2023-11-14T22:13:20", "no time zone"),
        ("2023-11-14T22:13:20+02:60", "is not a time"),
        ("2023-11-14T22:60:20Z", "is not a time"),
        ("2023-11-14T22:13:60Z", "is not a time"),
        ("2023-11-14T23:59:60+01:00", "is not a time"),
        ("-", "'-' is not a time"),
        ("-10", "'-10' is not a time"),
        ("-forever", "is not a time"),
        ("+5", "is not a time"),
        ("1_700_000_000", "is not a time"),
        ("-١٠m", "is not a time"),
        ("١٧٠٠٠٠٠٠٠٠", "is not a time"),
        ("٢٠٢٣-١١-١٤T22:13:20Z", "is not a time"),
        ("inf", "is not a time"),
        ("nan", "is not a time"),
        ("1e300", "between 1970 and 2199"),
        ("1e306", "between 1970 and 2199"),
        ("1.7e308", "between 1970 and 2199"),
        ("-99999999d", "longer than 1000 years"),
        ("-1m", "between 1970 and 2199"),
        ("1969-12-31T23:59:59Z", "between 1970 and 2199"),
        ("2200-01-01T00:00:00Z", "between 1970 and 2199"),
    ],
)
def test_what_is_no_time(text: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        unix_ms(text, 0)


def test_a_time_is_told_to_the_millisecond() -> None:
    for ms in (0, 999, 1_767_225_600_007, 7_258_118_399_999):
        assert unix_ms(rfc3339(ms), 0) == ms
    assert rfc3339(1_767_225_600_007) == "2026-01-01T00:00:00.007Z"


def test_milliseconds_in_place_of_seconds_are_told() -> None:
    with pytest.raises(InputError) as told:
        unix_ms("1767225600000", 0)
    assert "not milliseconds" in told.value.hint
    with pytest.raises(InputError) as told:
        unix_ms("2999-01-01T00:00:00Z", 0)
    assert told.value.hint == ""


@given(st.integers(0, 1 << 50), st.integers(1, 200_000), st.integers(1, 200_000))
def test_rescaling_is_right_to_half_a_tick(ticks: int, source: int, target: int) -> None:
    assert abs(rescale(ticks, source, target) * source - ticks * target) * 2 <= source


@given(
    st.sampled_from([24, 32, 33]),
    st.integers(0, 1 << 40),
    st.lists(st.integers(-1_000_000, 1_000_000), max_size=50),
)
def test_counters_are_unwrapped(bits: int, start: int, steps: list[int]) -> None:
    unwrap = Unwrapper(bits)
    true = start
    offset = unwrap(true % (1 << bits)) - true
    for step in steps:
        true += step
        assert unwrap(true % (1 << bits)) - true == offset
