"""Which samples a clip has: of random streams with reordered frames, holes and restarts."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import (
    NoSyncError,
    Section,
    cut_lead,
    cut_sound,
    lengths,
    sections,
)
from kinolog.record.control import SegmentEntry
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row

VIDEO, AUDIO = 90_000, 48_000
FRAME, SOUND = 3_000, 1_024
GROUP = (0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11)
"""Order of presentation, in the order of decoding: two B-frames after each other frame."""
DELAY = 2 * FRAME


def add(
    columns: Columns,
    *,
    epoch: int,
    msn: int,
    dts: int,
    wall: int,
    durations: list[int],
    cts: list[int],
    sync: list[int],
    gap: bool = False,
) -> None:
    count, total = len(durations), sum(durations)
    flags = (INDEPENDENT if 0 in sync else 0) | (GAP if gap else 0)
    row = Row(epoch, epoch, msn, dts, total, wall, 10 * msn, 10 * msn, count, msn, flags)
    entry = SegmentEntry(
        "track", epoch, epoch, msn, dts, total, wall, 0 in sync, 1, [10 * msn], [count],
        [count], [100], list(range(1, count + 1)), durations, cts, sync, not gap,
    )  # fmt: skip
    columns.append(row, entry)


def pictures(*sessions: tuple[int, int, int], gaps: tuple[int, ...] = ()) -> Columns:
    """Sessions of (epoch, wall ms, segments); each segment is a group of pictures. `gaps`: the
    numbers of segments with a hole."""
    columns = Columns()
    msn = 0
    for epoch, wall, count in sessions:
        for index in range(count):
            at = index * len(GROUP) * FRAME
            cts = [DELAY + (shown - n) * FRAME for n, shown in enumerate(GROUP)]
            add(
                columns, epoch=epoch, msn=msn, dts=at, wall=wall + at * 1000 // VIDEO,
                durations=[FRAME] * len(GROUP), cts=cts, sync=[0], gap=msn in gaps,
            )  # fmt: skip
            msn += 1
    return columns


def sounds(*sessions: tuple[int, int, int, int]) -> Columns:
    """Sessions of (epoch, wall ms, DTS, frames), in segments of 20 frames."""
    columns = Columns()
    msn = 0
    for epoch, wall, dts, frames in sessions:
        for first in range(0, frames, 20):
            count = min(20, frames - first)
            add(
                columns, epoch=epoch, msn=msn, dts=dts + first * SOUND,
                wall=wall + first * SOUND * 1000 // AUDIO, durations=[SOUND] * count,
                cts=[0] * count, sync=list(range(count)),
            )  # fmt: skip
            msn += 1
    return columns


def shown_frames(columns: Columns, found: list[Section]) -> list[tuple[int, int]]:
    """(epoch, PTS) of the frames that are seen."""
    seen = []
    for one in found:
        base = columns.samples(one.first)[0]
        dts = columns.decode_times(one.first, one.stop)
        pts = dts + np.frombuffer(columns.cts, np.int32)[base : base + len(dts)]
        inside = pts[one.begin - base : one.end - base]
        seen += [(one.epoch, int(p)) for p in sorted(inside) if one.shown <= p < one.until]
    return seen


def cut_of(columns: Columns, start_ms: int, end_ms: int) -> list[Section]:
    scales = dict.fromkeys(columns.epoch, VIDEO)
    return sections(columns, scales, start_ms, end_ms, by_sample=False, complete=True)


TWO = ((1, 1_000, 4), (2, 9_000, 3))
LENGTH_MS = len(GROUP) * FRAME * 1000 // VIDEO


@given(st.lists(st.integers(0, 12_000), min_size=1, max_size=8))
def test_clips_that_follow_one_another_have_each_frame_once(cuts: list[int]) -> None:
    columns = pictures(*TWO)
    bounds = [0, *sorted(cuts), 20_000]
    seen = []
    for start_ms, end_ms in pairwise(bounds):
        seen += shown_frames(columns, cut_of(columns, start_ms, end_ms))
    assert seen == shown_frames(columns, cut_of(columns, 0, 20_000))
    assert len(seen) == 7 * len(GROUP)


@given(st.integers(0, 12_000), st.integers(1, 12_000))
def test_a_clip_has_the_frames_whose_dates_are_in_it(start_ms: int, length_ms: int) -> None:
    columns = pictures(*TWO)
    expected = []
    for segment in range(len(columns)):
        least = columns.dts[segment] + DELAY
        for place in range(len(GROUP)):
            date = columns.wall[segment] + Fraction(1000 * place * FRAME, VIDEO)
            if start_ms <= date < start_ms + length_ms:
                expected.append((columns.epoch[segment], least + place * FRAME))
    found = cut_of(columns, start_ms, start_ms + length_ms)
    assert shown_frames(columns, found) == expected
    for one in found:
        assert columns.sync[one.begin]


def test_without_the_keyframe_more_is_asked_for() -> None:
    columns = Columns()
    add(columns, epoch=1, msn=5, dts=0, wall=1000, durations=[FRAME] * 10, cts=[0] * 10, sync=[6])
    scales = {1: VIDEO}
    with pytest.raises(NoSyncError):
        sections(columns, scales, 1100, 1300, by_sample=False, complete=False)
    (only,) = sections(columns, scales, 1100, 1300, by_sample=False, complete=True)
    assert (only.begin, only.shown) == (6, 6 * FRAME)
    (later,) = sections(columns, scales, 1250, 1300, by_sample=False, complete=False)
    assert (later.begin, later.shown) == (6, 8 * FRAME)


def test_a_segment_with_a_hole_is_left_out() -> None:
    columns = pictures((1, 0, 5), gaps=(2,))
    found = cut_of(columns, 0, 60_000)
    assert [(one.first, one.stop) for one in found] == [(0, 2), (3, 5)]
    places = lengths(found, {1: VIDEO})
    assert places == [0, 2 * len(GROUP) * FRAME, 4 * len(GROUP) * FRAME]
    lead = cut_lead(columns, found, {1: VIDEO})
    composed = np.sort(lead.dts + lead.cts) - lead.media_time
    assert composed.tolist() == [n * FRAME for n in range(4 * len(GROUP))]
    assert (np.diff(lead.dts) > 0).all()


@given(
    st.integers(0, 3 * LENGTH_MS), st.integers(100, 9_000),
    st.integers(-5_000, 5_000), st.integers(-5_000, 5_000),
)  # fmt: skip
def test_sound_stays_with_the_pictures(
    start_ms: int, length_ms: int, first_late: int, second_late: int
) -> None:
    """At every joint, whatever comes first in a session: media time alone counts."""
    lead = pictures((1, 0, 4), (2, 9_000, 3))
    # A whole second before the pictures' zero, which is none of the sound's.
    frames = 4 * LENGTH_MS * AUDIO // 1000 // SOUND + 100
    base = 50_000
    late = {1: first_late, 2: second_late}
    for segment in range(len(lead)):
        lead.dts[segment] += base * VIDEO // AUDIO // 10 * 10
    sound = sounds(*((e, 0, base + late[e] - 20 * SOUND, frames) for e in (1, 2)))
    scales = {1: VIDEO, 2: VIDEO}
    found = sections(lead, scales, start_ms, start_ms + length_ms, by_sample=False, complete=True)
    if not found:
        return
    video = cut_lead(lead, found, scales)
    audio = cut_sound(sound, found, scales, {1: AUDIO, 2: AUDIO})
    assert audio is not None
    assert (np.diff(audio.dts) > 0).all()
    places = lengths(found, scales)
    for cut, columns, scale in ((video, lead, VIDEO), (audio, sound, AUDIO)):
        at = 0
        for piece in cut.pieces:
            section = found[piece.section]
            own = columns.decode_times(piece.segment, piece.segment + 1)
            own = own[piece.begin - columns.samples(piece.segment)[0] :][: piece.end - piece.begin]
            # In the clip and in the session, it is as far from what the section shows first.
            in_clip = Fraction(int(cut.dts[at]) - cut.media_time, scale) - Fraction(
                places[piece.section], VIDEO
            )
            in_session = Fraction(int(own[0]), scale) - Fraction(section.shown, VIDEO)
            assert abs(in_clip - in_session) < Fraction(1, 1000)
            at += piece.end - piece.begin
        assert at == len(cut.dts)


def test_sound_alone_is_cut_to_the_sample() -> None:
    sound = sounds((1, 1_000, 0, 100))
    scales = {1: AUDIO}

    def heard(start_ms: int, end_ms: int) -> Section:
        (only,) = sections(sound, scales, start_ms, end_ms, by_sample=True, complete=True)
        return only

    one, other = heard(1_500, 1_700), heard(1_700, 2_001)
    # Walls are whole milliseconds, of 48 samples.
    assert [one.shown, one.until] == pytest.approx([24_000, 33_600], abs=48)
    assert [other.shown, other.until] == [one.until, pytest.approx(48_048, abs=48)]
    assert one.begin * SOUND <= one.shown - 80 * 48
    cut = cut_lead(sound, [one], scales)
    assert cut.media_time == one.shown - one.begin * SOUND


def test_an_entry_that_contradicts_itself_is_a_gap() -> None:
    columns = Columns()
    row = Row(1, 1, 1, 0, 2, 1000, 10, 10, 3, 7, INDEPENDENT)
    good = SegmentEntry(
        "track", 1, 1, 1, 0, 2, 1000, True, 1, [10], [3], [2], [100], [1, 2], [1, 1], [0, 0], [0]
    )
    for wrong in (
        {"sample_sizes": [1]},
        {"chunk_samples": [3]},
        {"mdat": []},
        {"sync": [2]},
        {"sample_durations": [1, -1]},
        {"sample_cts": [0, 1 << 40]},
        {"offsets": []},
    ):
        fields = {name: getattr(good, name) for name in good.__struct_fields__}
        columns.append(row, SegmentEntry(**(fields | wrong)))
    columns.append(row, None)
    assert list(columns.gap) == [1] * 8
    columns.append(row, good)
    assert columns.gap[-1] == 0
    assert columns.samples(8) == (0, 2)
