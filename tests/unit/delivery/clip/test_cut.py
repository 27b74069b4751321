"""Which samples a clip has: of random streams with reordered frames, holes and restarts."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.timebase import rescale
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import (
    NoSyncError,
    Opening,
    Stretch,
    heard,
    lengths,
    room_before,
    stretch,
    unbroken,
)
from kinolog.delivery.clip.lay import At, Piece, TrackLayer
from kinolog.delivery.clip.spool import Spool
from kinolog.media.sample_tables import SampleTables
from kinolog.record.control import SegmentEntry
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row

VIDEO, AUDIO = 90_000, 48_000
FRAME, SOUND = 3_000, 1_024
GROUP = (0, 3, 1, 2, 6, 4, 5, 9, 7, 8, 12, 10, 11)
"""Order of presentation, in the order of decoding: two B-frames after each other frame."""


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
            cts = [(shown - n) * FRAME for n, shown in enumerate(GROUP)]
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


def part_of(columns: Columns, segments: list[int]) -> Columns:
    """Some segments of them."""
    hidden = Columns()
    hidden.__dict__ |= columns.__dict__
    hidden.gap = columns.gap[:]
    for n in range(len(columns)):
        hidden.gap[n] = n not in segments
    return hidden.usable()


def row_of(columns: Columns, n: int) -> Row:
    flags = GAP if columns.gap[n] else 0
    return Row(columns.epoch[n], 1, columns.msn[n], columns.dts[n], columns.dur[n],
               columns.wall[n], n, n, 1, n, flags)  # fmt: skip


def cut_of(
    columns: Columns, start_ms: int, end_ms: int, *, scale: int = VIDEO, complete: bool = True
) -> list[Stretch]:
    """As the maker: of each unbroken run, its ends say what is shown."""
    scales = dict.fromkeys(columns.epoch, scale)
    runs: list[list[int]] = []
    before: Row | None = None
    for n in range(len(columns)):
        row = row_of(columns, n)
        if not unbroken(before, row, scales):
            runs.append([])
        if columns.gap[n]:
            runs.pop()
        else:
            runs[-1].append(n)
        before = row
    found: list[Stretch] = []
    for run in runs:
        early = sum(columns.wall[n] < start_ms for n in run)
        ends = part_of(columns, [*run[: early + 2], *run[-3:]])
        got = stretch(ends, scale, start_ms, end_ms, by_sample=scale == AUDIO, complete=complete)
        if got is not None:
            found.append(got[0])
    return found


def inside(columns: Columns, one: Stretch) -> list[int]:
    """The segments of a stretch."""
    return [
        n
        for n in range(len(columns))
        if columns.epoch[n] == one.epoch
        and one.first <= columns.msn[n] <= one.last
        and not columns.gap[n]
    ]


def shown_frames(columns: Columns, found: list[Stretch]) -> list[tuple[int, int]]:
    """(epoch, PTS) of the frames that are seen."""
    seen = []
    for one in found:
        pts: list[int] = []
        for n in inside(columns, one):
            begin, end = one.samples(columns, n)
            first = columns.samples(n)[0]
            dts = columns.decode_times(n, n + 1)[begin - first : end - first]
            pts += (dts + np.array(columns.cts[begin:end])).tolist()
        seen += [(one.epoch, p) for p in sorted(pts) if one.shown <= p < one.until]
    return seen


class Laid:
    """A track laid: of each sample its DTS, and of each piece where its samples are."""

    def __init__(self, scale: int) -> None:
        self.layer = TrackLayer(SampleTables(Spool()), scale)
        self.pieces: list[tuple[int, Piece]] = []

    def add(self, columns: Columns, section: int, piece: Piece, at: At) -> None:
        if piece.begin < piece.end:
            self.layer.add(columns, [piece], at, [0], [0])
            self.pieces.append((section, piece))

    def done(self) -> Laid:
        self.layer.finish()
        tables = self.layer.tables
        self.durations = runs_of(tables.durations().read(0, tables.durations().size))
        self.dts = np.cumsum(self.durations) - self.durations
        offsets = tables.offsets(self.layer.late)
        self.cts = runs_of(offsets.read(0, offsets.size)) if offsets else np.zeros_like(self.dts)
        return self


def runs_of(data: bytes) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    rows = np.frombuffer(data, ">i4").reshape(-1, 2).astype(np.int64)
    return np.repeat(rows[:, 1], rows[:, 0])


def lay_lead(columns: Columns, found: list[Stretch], scale: int = VIDEO) -> Laid:
    laid = Laid(scale)
    places = lengths(found, dict.fromkeys(columns.epoch, scale))
    for number, one in enumerate(found):
        for n in inside(columns, one):
            at = At(scale, one.shown, places[number])
            laid.add(columns, number, Piece(n, *one.samples(columns, n)), at)
    return laid.done()


def lay_sound(sound: Columns, found: list[Stretch]) -> Laid:
    laid = Laid(AUDIO)
    places = lengths(found, dict.fromkeys((one.epoch for one in found), VIDEO))
    for number, one in enumerate(found):
        of_epoch = [n for n in range(len(sound)) if sound.epoch[n] == one.epoch]
        room: int | None = None
        if number + 1 < len(found):
            after = found[number + 1]
            of_next = [n for n in range(len(sound)) if sound.epoch[n] == after.epoch]
            room = room_before(part_of(sound, of_next), after, VIDEO, AUDIO)
        what = heard(one, VIDEO, AUDIO, opens=number == 0, room=room)
        at = At(AUDIO, what.shown, rescale(places[number], VIDEO, AUDIO))
        for n in of_epoch:
            if what.overlaps(sound.dts[n], sound.dur[n]):
                laid.add(sound, number, Piece(n, *what.samples(sound, n)), at)
    return laid.done()


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
        least = columns.dts[segment]
        for place in range(len(GROUP)):
            date = columns.wall[segment] + Fraction(1000 * place * FRAME, VIDEO)
            if start_ms <= date < start_ms + length_ms:
                expected.append((columns.epoch[segment], least + place * FRAME))
    found = cut_of(columns, start_ms, start_ms + length_ms)
    assert shown_frames(columns, found) == expected
    for one in found:
        assert columns.sync[one.samples(columns, inside(columns, one)[0])[0]]


def amid_groups(*borders: int) -> Columns:
    """Pictures in the order in which they are decoded, cut into segments there."""
    columns = Columns()
    for msn, (begin, end) in enumerate(pairwise(borders)):
        order = [(n // 13 * 13) + GROUP[n % 13] for n in range(begin, end)]
        cts = [(shown - n) * FRAME for n, shown in enumerate(order, begin)]
        add(
            columns, epoch=5, msn=msn, dts=begin * FRAME, wall=begin * FRAME * 1000 // VIDEO,
            durations=[FRAME] * len(cts), cts=cts, sync=[0] if begin % 13 == 0 else [],
        )  # fmt: skip
    return columns


@pytest.mark.parametrize("cut", range(1, 12))
@pytest.mark.parametrize("rest", [11, 12])
def test_what_is_left_of_a_group_may_be_shown_before_what_was_decoded(cut: int, rest: int) -> None:
    """A picture or two of them, which are a segment of their own."""
    columns = amid_groups(0, *sorted({cut, rest}), 13, 26)
    for number in range(26):
        about_ms = 1000 * number * FRAME // VIDEO
        frames = shown_frames(columns, cut_of(columns, about_ms - 10, about_ms + 10))
        assert frames == [(5, number * FRAME)]


PACED = (0, 10, 40, 45, 50, 200, 205, 210, 215, 220, 225, 400, 420)
"""When the pictures of a group are shown, in hundreds of ticks: at no steady rate."""


def test_at_a_variable_rate_a_frame_has_its_own_date() -> None:
    """DTS follow the pictures' times by three pictures: a segment's first DTS is then as far from
    what it shows first as they were apart."""
    columns = Columns()
    shown = [100 * (430 * group + at) for group in range(4) for at in PACED]
    decoded = [0, *range(1, 3), *(at + shown[3] for at in shown[1:])][: len(shown)]
    order = [13 * group + place for group in range(4) for place in GROUP]
    for msn in range(4):
        own = range(13 * msn, 13 * msn + 13)
        ends = [*decoded[1:], decoded[-1] + 3000]
        add(
            columns, epoch=5, msn=msn, dts=decoded[own[0]], wall=decoded[own[0]] * 1000 // VIDEO,
            durations=[ends[n] - decoded[n] for n in own], sync=[0],
            cts=[shown[order[n]] - decoded[n] for n in own],
        )  # fmt: skip
    dates = [pts * 1000 / VIDEO for pts in shown]
    for first, last in ((0, 51), (3, 3), (12, 13), (13, 14), (20, 30), (26, 26), (38, 40)):
        found = cut_of(columns, dates[first] - 2, dates[last] + 2)
        assert [pts for _, pts in shown_frames(columns, found)] == shown[first : last + 1]


def test_without_the_keyframe_more_is_asked_for() -> None:
    columns = Columns()
    add(columns, epoch=1, msn=5, dts=0, wall=1000, durations=[FRAME] * 10, cts=[0] * 10, sync=[6])
    with pytest.raises(NoSyncError):
        cut_of(columns, 1100, 1300, complete=False)
    (only,) = cut_of(columns, 1100, 1300)
    assert (only.begin, only.shown) == (6, 6 * FRAME)
    (later,) = cut_of(columns, 1250, 1300, complete=False)
    assert (later.begin, later.shown) == (6, 8 * FRAME)


def test_a_segment_with_a_hole_is_left_out() -> None:
    columns = pictures((1, 0, 5), gaps=(2,))
    found = cut_of(columns, 0, 60_000)
    assert [(one.first, one.last) for one in found] == [(0, 1), (3, 4)]
    places = lengths(found, {1: VIDEO})
    assert places == [0, 2 * len(GROUP) * FRAME, 4 * len(GROUP) * FRAME]
    lead = lay_lead(columns, found)
    composed = np.sort(lead.dts + lead.cts) - lead.layer.media_time
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
    found = cut_of(lead, start_ms, start_ms + length_ms)
    if not found:
        return
    video = lay_lead(lead, found)
    audio = lay_sound(sound, found)
    assert (np.diff(audio.dts) > 0).all()
    places = lengths(found, scales)
    for cut, columns, scale in ((video, lead, VIDEO), (audio, sound, AUDIO)):
        at = 0
        for number, piece in cut.pieces:
            section = found[number]
            own = columns.decode_times(piece.segment, piece.segment + 1)
            own = own[piece.begin - columns.samples(piece.segment)[0] :][: piece.end - piece.begin]
            # In the clip and in the session, it is as far from what the section shows first.
            begins = cut.layer.media_time - cut.layer.late
            in_clip = Fraction(int(cut.dts[at]) - begins, scale) - Fraction(places[number], VIDEO)
            in_session = Fraction(int(own[0]), scale) - Fraction(section.shown, VIDEO)
            assert abs(in_clip - in_session) < Fraction(1, 1000)
            at += piece.end - piece.begin
        assert at == len(cut.dts)


def test_sound_alone_is_cut_to_the_sample() -> None:
    sound = sounds((1, 1_000, 0, 100))

    def cut(start_ms: int, end_ms: int) -> Stretch:
        (only,) = cut_of(sound, start_ms, end_ms, scale=AUDIO)
        return only

    one, other = cut(1_500, 1_700), cut(1_700, 2_001)
    # Walls are whole milliseconds, of 48 samples.
    assert [one.shown, one.until] == pytest.approx([24_000, 33_600], abs=48)
    assert [other.shown, other.until] == [one.until, pytest.approx(48_048, abs=48)]
    begins = one.samples(sound, inside(sound, one)[0])[0]
    assert begins * SOUND <= one.shown - 80 * 48
    laid = lay_lead(sound, [one], AUDIO)
    assert laid.layer.media_time == one.shown - begins * SOUND


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


OPENS = (3, 1, 2, 6, 4, 5, 9, 7, 8)
"""An open GOP, in the order of decoding: two pictures are shown before its keyframe."""


@pytest.mark.parametrize(
    ("borders", "expected"),
    [
        ((0, 9), [[(0, 1), (3, 9)]]),
        ((0, 3, 9), [[(0, 1)], [(3, 9)]]),
        ((0, 2, 9), [[(0, 1)], [(3, 9)]]),
        ((0, 1, 9), [[(0, 1)], [(3, 9)]]),
        ((0, 1, 2, 4, 9), [[(0, 1)], [], [(3, 4)], [(4, 9)]]),
    ],
)
def test_pictures_that_are_shown_before_the_first_keyframe_are_left_out(
    borders: tuple[int, ...], expected: list[list[tuple[int, int]]]
) -> None:
    """In whichever segments they are; of the next stretch, again."""
    columns = Columns()
    for msn, (begin, end) in enumerate(pairwise(borders)):
        add(
            columns, epoch=5, msn=msn, dts=begin * FRAME, wall=begin * FRAME * 1000 // VIDEO,
            durations=[FRAME] * (end - begin), sync=[0] if not begin else [],
            cts=[(OPENS[n] - n) * FRAME for n in range(begin, end)],
        )  # fmt: skip
    opening = Opening()
    for number in range(2):
        pieces = [
            opening.pieces(columns, Piece(n, *columns.samples(n)), number, first=not n)
            for n in range(len(columns))
        ]
        assert [[(one.begin, one.end) for one in own] for own in pieces] == expected


def test_where_none_is_shown_before_the_first_keyframe_all_are_kept() -> None:
    columns = amid_groups(0, 13, 26)
    opening = Opening()
    for piece, first in ((Piece(0, 0, 13), True), (Piece(1, 13, 26), False)):
        assert opening.pieces(columns, piece, 0, first=first) == [piece]
    alone = Piece(1, 13, 14)
    assert opening.pieces(columns, alone, 1, first=True) == [alone]
    # Another stretch, whose beginning is not to be had: nothing is known of it.
    assert opening.pieces(columns, Piece(0, 0, 13), 2, first=False) == [Piece(0, 0, 13)]


def test_a_second_field_of_a_keyframe_is_kept() -> None:
    columns = Columns()
    cts = [0, -FRAME, *[0] * 3]
    add(columns, epoch=5, msn=0, dts=0, wall=0, durations=[FRAME] * 5, cts=cts, sync=[0])
    assert Opening().pieces(columns, Piece(0, 0, 5), 0, first=True) == [Piece(0, 0, 5)]
