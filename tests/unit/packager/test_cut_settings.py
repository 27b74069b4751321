"""A stream's fixed durations."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kinolog.packager import CutSettings, has_parts, plan_cut

F = Fraction


USUAL = [F(rate) for rate in (24, 25, 30, 50, 60)] + [
    F(rate, 1001) for rate in (24_000, 30_000, 60_000)
]


@pytest.mark.parametrize(
    ("rate", "part_ms"),
    [
        *((rate, 209) for rate in USUAL),
        (F(15), 209),
        (F(5), 209),
        (F(12), 167),
        (F(8), 250),
        (F(13, 2), 154),  # 153.85 ms: a tick of 1/12800 s more would be over 153.9
    ],
    ids=str,
)
def test_part_is_filled_by_whole_frames(rate: Fraction, part_ms: int) -> None:
    assert plan_cut(rate, True) == CutSettings(2000, part_ms, "low", True)


def test_a_part_suits_whatever_the_stream_is_published_from_later() -> None:
    """The first session decides for life; the camera of the next has another rate."""
    for first in USUAL:
        part_ms = plan_cut(first, True).part_ms
        for later in USUAL:
            assert has_parts([1 / later, F(1024, 48_000)], part_ms)


def test_other_durations_than_the_default() -> None:
    assert plan_cut(F(30), True, part_ms=500).part_ms == 500
    assert plan_cut(F(30), True, part_ms=1000).part_ms == 1000
    assert plan_cut(F(30), True, part_ms=100).part_ms == 100  # up to 110 ms nothing suits all


def test_unknown_rates_keep_what_was_asked_for() -> None:
    assert plan_cut(None, True, 4000, 333) == CutSettings(4000, 333)
    assert plan_cut(None, False) == CutSettings(part_ms=209)
    assert plan_cut(F(0), True, profile="frame") == CutSettings(part_ms=209, profile="frame")


@pytest.mark.parametrize(
    ("rate", "target_ms"), [(F(4), 2000), (F(1), 2000), (F(1, 2), 2000), (F(1, 5), 5000),
                            (F(3, 10), 3334)]
)  # fmt: skip
def test_slow_sources_have_no_parts_and_a_target_of_a_frame_at_least(rate, target_ms) -> None:
    assert plan_cut(rate, True) == CutSettings(target_ms, 200, "low", False)


@pytest.mark.parametrize(
    ("rate", "part_ms", "parts"),
    [(5, 209, True), (4, 209, False), (24, 209, True), (24, 200, False), (12, 209, False),
     (F(30000, 1001), 200, False), (F(30000, 1001), 201, True), (7, 200, False)],
)  # fmt: skip
def test_a_later_session_has_parts_only_where_its_frames_fill_them(rate, part_ms, parts) -> None:
    """24 frames/s: four are 83 % of 200 ms."""
    assert has_parts([1 / F(rate)], part_ms) == parts
    assert has_parts([], part_ms)


def test_audio_that_would_not_fill_a_part_moves_it() -> None:
    assert plan_cut(F(30), True, audio_frames=[F(12, 100)]).part_ms == 134
    assert plan_cut(None, False, audio_frames=[F(12, 100)]).part_ms == 240
    assert plan_cut(F(30), True, audio_frames=[F(1)]) == CutSettings(parts=False)


@pytest.mark.parametrize("frame", [F(1024, 48_000), F(1024, 44_100), F(1, 50)], ids=str)
def test_usual_audio_fills_the_parts_of_usual_rates(frame: Fraction) -> None:
    for rate in (F(24), F(24000, 1001), F(25), F(30000, 1001), F(30), F(50), F(60), F(15)):
        plain = plan_cut(rate, True)
        assert plan_cut(rate, True, audio_frames=[frame]) == plain
        part_s = F(plain.part_ms, 1000)
        assert (part_s // frame) * frame >= F(85, 100) * part_s
