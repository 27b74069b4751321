"""A stream's fixed durations."""

from __future__ import annotations

from fractions import Fraction

import pytest

from kinolog.packager import CutSettings, has_parts, plan_cut

F = Fraction


@pytest.mark.parametrize(
    ("rate", "part_ms"),
    [
        (F(30), 200),
        (F(30000, 1001), 201),
        (F(25), 200),
        (F(24), 209),
        (F(24000, 1001), 209),
        (F(15), 200),
        (F(50), 200),
        (F(60), 200),
        (F(60000, 1001), 201),
        (F(12), 167),
        (F(5), 200),
        (F(13937, 524), 189),  # 187.99 ms: a tick of 1/12800 s more would be over 188
    ],
    ids=str,
)
def test_part_is_whole_frames(rate: Fraction, part_ms: int) -> None:
    assert plan_cut(rate, True) == CutSettings(2000, part_ms, "low", True)


def test_unknown_rates_keep_what_was_asked_for() -> None:
    assert plan_cut(None, True, 4000, 333) == CutSettings(4000, 333)
    assert plan_cut(None, False) == CutSettings()
    assert plan_cut(Fraction(0), True, profile="frame") == CutSettings(profile="frame")


@pytest.mark.parametrize(
    ("rate", "target_ms"), [(F(4), 2000), (F(1), 2000), (F(1, 2), 2000), (F(1, 5), 5000),
                            (F(3, 10), 3334)]
)  # fmt: skip
def test_slow_sources_have_no_parts_and_a_target_of_a_frame_at_least(rate, target_ms) -> None:
    assert plan_cut(rate, True) == CutSettings(target_ms, 200, "low", False)


def test_has_parts() -> None:
    assert has_parts(F(5), 200)
    assert not has_parts(F(499, 100), 200)
    assert has_parts(None, 200)


def test_audio_that_would_not_fill_a_part_moves_it() -> None:
    he_aac_24k = F(1024, 24_000)  # 42.67 ms: four in 201 ms are 84.9 %
    assert plan_cut(F(30000, 1001), True).part_ms == 201
    assert plan_cut(F(30000, 1001), True, audio_frames=[he_aac_24k]).part_ms == 234
    assert plan_cut(None, False, audio_frames=[F(12, 100)]).part_ms == 240
    never = F(1)
    assert plan_cut(F(30), True, audio_frames=[never]).part_ms == 200


@pytest.mark.parametrize("frame", [F(1024, 48_000), F(1024, 44_100), F(1, 50)], ids=str)
def test_usual_audio_fills_the_parts_of_usual_rates(frame: Fraction) -> None:
    for rate in (F(24), F(24000, 1001), F(25), F(30000, 1001), F(30), F(50), F(60), F(15)):
        plain = plan_cut(rate, True)
        assert plan_cut(rate, True, audio_frames=[frame]) == plain
        part_s = F(plain.part_ms, 1000)
        assert (part_s // frame) * frame >= F(85, 100) * part_s
