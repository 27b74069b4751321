"""Exact numbers of the cut, source by source."""

from __future__ import annotations

from fractions import Fraction

import pytest
from cut_streams import (
    AAC_44K,
    AAC_48K,
    AAC_MS,
    MSN,
    OPUS,
    UNIX_S,
    at,
    audio,
    check_all,
    check_numbers,
    check_samples,
    cut,
    duration_ms,
    frames,
    interleave,
    packager,
    parts,
    segments,
    unused,
    video,
    video_format,
)

from kinolog.media.cmaf import parse_chunk, reference_time
from kinolog.media.types import Packet, TrackFormat
from kinolog.packager import CutSettings, plan_cut

RATES = [
    Fraction(30),
    Fraction(30000, 1001),
    Fraction(25),
    Fraction(24),
    Fraction(24000, 1001),
    Fraction(15),
    Fraction(60),
    Fraction(60000, 1001),
    Fraction(50),
]
S = Fraction


def test_thirty_frames_a_second_to_the_chunk() -> None:
    form = video_format()
    packets = video(form, S(30), S(4), 60)
    (chunks,) = check_all([form], CutSettings(), packets)
    assert [chunk.header.msn for chunk in chunks] == [MSN] * 20 + [MSN + 1] * 20
    assert [chunk.header.part for chunk in chunks[:20]] == [n // 2 for n in range(20)]
    assert [chunk.header.ends for chunk in chunks[:20]] == ["", "part"] * 9 + ["", "segment"]
    assert [chunk.header.ind for chunk in chunks[:20]] == [True] + [False] * 19
    assert [frames([chunk]) for chunk in chunks] == [3] * 40
    assert [chunk.header.dts for chunk in chunks] == [UNIX_S * 90_000 + n * 9000 for n in range(40)]
    assert {chunk.header.dur for chunk in chunks} == {9000}
    assert [chunk.header.wall for chunk in chunks] == [UNIX_S * 1000 + n * 100 for n in range(40)]


def test_the_first_chunk_of_each_segment_tells_when_it_was_captured() -> None:
    form = video_format()
    (chunks,) = check_all([form], CutSettings(), video(form, S(30), S(4), 60))
    for chunk in chunks:
        header = chunk.header
        if header.chunk:
            assert chunk.payload[4:8] == b"moof"
        else:
            reference = reference_time(header.dts, header.wall)
            assert chunk.payload[: len(reference) + 8].endswith(b"moof")
            assert chunk.payload.startswith(reference)


def test_a_chunk_leaves_as_soon_as_the_packet_after_its_last_one_is_there() -> None:
    form = video_format()
    cutter = packager([form], CutSettings())
    leaves = [len(cutter.push(packet)) for packet in video(form, S(30), S(2), 60)]
    assert leaves == [0, 0, 0] + [1, 0, 0] * 19
    assert len(cutter.flush()) == 1
    assert cutter.flush() == []


@pytest.mark.parametrize("profile", ["low", "standard"])
@pytest.mark.parametrize("sound", [AAC_48K, AAC_44K, AAC_MS, OPUS], ids=["48k", "44k", "ms", "op"])
@pytest.mark.parametrize("timescale", [1000, 90_000])
@pytest.mark.parametrize("rate", RATES, ids=str)
def test_constant_frame_rates(rate, timescale, sound, profile) -> None:
    form = video_format(timescale, rate)
    settings = plan_cut(rate, True, profile=profile)
    assert settings.parts
    packets = interleave(
        [form, sound],
        [video(form, rate, S(7), round(2 * rate), b_frames=2), audio(sound, S(7))],
    )
    seen, heard = check_all([form, sound], settings, packets)
    for segment in segments(seen)[:-1]:
        assert frames(segment) == round(2 * rate)
        assert segment[0].header.ind
    if profile == "standard":
        for chunks in (seen, heard):
            assert all(len(part) == 1 for segment in segments(chunks) for part in parts(segment))
    for before, after in zip(segments(seen), segments(heard), strict=True):
        late = S(after[0].header.dts, sound.timescale) - S(before[0].header.dts, timescale)
        assert 0 <= late < S(1024, 44_100) + S(1, 1000)


@pytest.mark.parametrize(
    ("rate", "frames_a_part"),
    [
        (S(30), 6),
        (S(30000, 1001), 6),
        (S(25), 5),
        (S(24), 5),
        (S(24000, 1001), 5),
        (S(15), 3),
        (S(60), 12),
        (S(50), 10),
    ],
    ids=str,
)
def test_frames_a_part_in_millisecond_ticks(rate, frames_a_part) -> None:
    form = video_format(1000, rate)
    settings = plan_cut(rate, True)
    (chunks,) = cut([form], settings, video(form, rate, S(8), round(2 * rate)))
    counted = [[frames(part) for part in parts(segment)] for segment in segments(chunks)[:3]]
    whole, rest = divmod(round(2 * rate), frames_a_part)
    assert counted == [[frames_a_part] * whole + ([rest] if rest else [])] * 3


def test_a_frame_that_ends_at_the_limit_by_rounding_is_cut_before() -> None:
    """29 frames of 86.2 ms last 2499.8 ms, in whole ms 2500: no segment may."""
    rate = S(4501, 388)
    form = video_format(1000, rate)
    check_all([form], plan_cut(rate, True), video(form, rate, S(5), 57))


def test_a_frame_that_fills_its_part_to_the_tick_may_be_a_tick_longer() -> None:
    """Expected to last 8 ms like the one before, it lasts 9, and begins a part of its own."""
    rate = S(12_527, 110)
    form = video_format(1000, rate)
    check_all([form], plan_cut(rate, True), video(form, rate, S(5), 1))


def test_audio_parts_are_whole_frames() -> None:
    for sound, part_frames, chunk_frames in ((AAC_48K, 9, 5), (AAC_44K, 8, 4), (OPUS, 10, 5)):
        (chunks,) = check_all([sound], CutSettings(), audio(sound, S(6), track=0))
        first = parts(segments(chunks)[0])
        assert {frames(part) for part in first[:-1]} == {part_frames}
        assert frames([first[0][0]]) == chunk_frames


def test_audio_alone_is_cut_at_the_target() -> None:
    (chunks,) = check_all([AAC_48K], CutSettings(), audio(AAC_48K, S(10), track=0))
    assert [frames(segment) for segment in segments(chunks)] == [94] * 4 + [468 - 4 * 94]


def test_a_camera_whose_clock_is_fast_is_still_cut_at_its_keyframes() -> None:
    form = video_format()
    packets = video(form, S(30 * 2000, 1995), S(20), 60)
    (chunks,) = check_all([form], plan_cut(S(30), True), packets, fill=False)
    assert all(segment[0].header.ind for segment in segments(chunks))
    assert {duration_ms(segment, 90_000) for segment in segments(chunks)[:-1]} == {S(1995)}


def test_a_keyframe_before_the_target_begins_a_chunk_and_no_part() -> None:
    form = video_format()
    packets = video(form, S(30), S(4), 16)
    (chunks,) = check_all([form], CutSettings(), packets)
    first = segments(chunks)[0]
    assert frames(first) == 64  # the keyframe at 48 is 1.6 s in, that at 64 2.13 s
    assert [frames(part) for part in parts(first)] == [6] * 10 + [4]
    for chunk in first:
        sync = parse_chunk(chunk.payload).sync
        assert not any(sync[1:])
    assert [frames([chunk]) for chunk in parts(first)[2]] == [3, 1, 2]  # frames 12-14, 15, 16-17


def test_long_gop_is_cut_by_force() -> None:
    form = video_format()
    packets = interleave([form, AAC_48K], [video(form, S(30), S(20), 300), audio(AAC_48K, S(20))])
    seen, heard = check_all([form, AAC_48K], CutSettings(), packets)
    # 74 frames are 2.467 s; one more would reach 2.5 s. The keyframe at 300 ends what a forced
    # cut began, so that the second GOP begins a segment.
    assert [frames(segment) for segment in segments(seen)] == [74, 74, 74, 74, 4] * 2
    assert [segment[0].header.ind for segment in segments(seen)] == [True, *[False] * 4] * 2
    assert len(segments(heard)) == len(segments(seen))


def test_one_frame_a_second() -> None:
    form = video_format(1000, S(1))
    settings = plan_cut(S(1), True)
    assert settings == CutSettings(parts=False)
    packets = interleave([form, AAC_48K], [video(form, S(1), S(12), 2), audio(AAC_48K, S(12))])
    seen, heard = check_all([form, AAC_48K], settings, packets)
    assert [frames([chunk]) for chunk in seen] == [1] * 12
    assert [chunk.header.ends for chunk in seen] == ["", "segment"] * 6
    assert {chunk.header.part for chunk in seen + heard} == {0}
    assert {chunk.header.ends for chunk in heard} == {"", "segment"}
    assert {frames([chunk]) for chunk in segments(heard)[1][:-1]} == {4}


def test_one_frame_in_five_seconds() -> None:
    form = video_format(1000, S(1, 5))
    settings = plan_cut(S(1, 5), True)
    assert (settings.target_ms, settings.parts) == (5000, False)
    for gop in (1, 4):
        (chunks,) = check_all([form], settings, video(form, S(1, 5), S(40), gop))
        assert [frames(segment) for segment in segments(chunks)] == [1] * 8


def test_audio_that_lags_three_seconds_is_cut_at_the_same_times() -> None:
    form = video_format()
    tracks = [video(form, S(30), S(12), 60), audio(AAC_48K, S(12))]
    together = cut([form, AAC_48K], CutSettings(), interleave([form, AAC_48K], tracks))
    lagging = check_all(
        [form, AAC_48K], CutSettings(), interleave([form, AAC_48K], tracks, [S(0), S(3)])
    )
    assert lagging == together


def test_audio_that_runs_ahead_is_cut_at_its_next_unwritten_frame() -> None:
    form = video_format()
    tracks = [video(form, S(30), S(20), 60), audio(AAC_48K, S(20))]
    ahead = interleave([form, AAC_48K], tracks, [S(3), S(0)])
    seen, heard = check_all([form, AAC_48K], CutSettings(), ahead)
    assert {frames(segment) for segment in segments(seen)} == {60}
    lengths = [duration_ms(segment, 48_000) for segment in segments(heard)]
    assert 2450 < lengths[0] < 2500  # no video yet: by force
    # Two boundaries come while the audio is 3 s past them, then each 2 s.
    assert all(1900 <= length < 2500 for length in lengths[1:-1])


def test_audio_slightly_ahead_is_cut_at_the_boundary_where_that_is_unwritten() -> None:
    form = video_format()
    tracks = [video(form, S(30), S(8), 60), audio(AAC_48K, S(8))]
    ahead = interleave([form, AAC_48K], tracks, [S(1, 25), S(0)])
    _, heard = check_all([form, AAC_48K], CutSettings(), ahead)
    late = [
        S(segment[0].header.dts, 48_000) - UNIX_S - boundary
        for segment, boundary in zip(segments(heard)[1:], (2, 4, 6), strict=True)
    ]
    # Two frames ahead: where they are written already, the one after them stays with them.
    assert [item // S(1024, 48_000) for item in late] == [2, 0, 2]


def test_audio_goes_on_when_video_stalls() -> None:
    form = video_format()
    tracks = [video(form, S(30), S(3), 60), audio(AAC_48K, S(12))]
    _, heard = check_all([form, AAC_48K], CutSettings(), interleave([form, AAC_48K], tracks))
    # 2.005 s, then steps of 2.496 s: one frame more would be over 2.5 s.
    assert [frames(segment) for segment in segments(heard)] == [94, 117, 117, 117, 117]


def test_late_audio_joins_at_the_next_boundary() -> None:
    form = video_format()
    tracks = [video(form, S(30), S(8), 60), audio(AAC_48K, S(4), start=S(15, 4))]
    _, heard = check_all([form, AAC_48K], CutSettings(), interleave([form, AAC_48K], tracks))
    assert [frames(segment) for segment in segments(heard)] == [12, 94, 81]


def test_a_second_video_track_is_cut_by_its_own_keyframes() -> None:
    big, small = video_format(), video_format(1000)
    packets = interleave(
        [big, small], [video(big, S(30), S(8), 60), video(small, S(25), S(8), 75, track=1)]
    )
    first, second = check_all([big, small], CutSettings(), packets)
    assert [frames(segment) for segment in segments(first)] == [60] * 4
    # A GOP of 3 s: by force after 62 frames (2.48 s), then at the keyframe.
    assert [frames(segment) for segment in segments(second)][:4] == [62, 13, 62, 13]


def paused(form: TrackFormat, pause_s: Fraction, told_ms: int | None = None) -> list[Packet]:
    """About 30 pictures a second for 0.5 s, a pause after the last, and again for 1.5 s."""
    times = [*range(0, 500, 33), *range(495 + int(pause_s * 1000), 2000 + int(pause_s * 1000), 33)]
    return [
        Packet(0, at(form, S(t, 1000)), at(form, S(t, 1000)), told_ms if t == 495 else None,
               n == 0, b"%d" % n)
        for n, t in enumerate(times)
    ]  # fmt: skip


def test_a_frame_far_longer_than_expected_stands_alone() -> None:
    """Screen sharing: a picture stays for 2.2 s. No part and no segment grows over it."""
    form = video_format(1000)
    packets = paused(form, S(11, 5))
    (chunks,) = cut([form], CutSettings(), packets)
    check_samples(chunks, packets)
    check_numbers(chunks, MSN, exact=False)
    lengths = [duration_ms(segment, 1000) for segment in segments(chunks)]
    assert [frames(segment) for segment in segments(chunks)][:2] == [15, 1]
    assert lengths[:2] == [495, 2200]


@pytest.mark.parametrize("profile", ["low", "standard", "frame"])
@pytest.mark.parametrize(
    ("pause_s", "told_ms", "lasts_ms", "left_out"),
    [
        (S(5, 2), None, 33, 2),
        (S(4), None, 33, 2),
        (S(6), None, 33, 3),
        (S(6), 1_000, 1_000, 3),
        (S(6), 6_000, 2_000, 2),  # no segment may be so long: it gets the target
        (S(6033, 1000), None, 33, 3),
        (S(6034, 1000), None, 33, 4),
        (S(3600), None, 33, 1800),
    ],
)
def test_a_hole_in_which_no_frame_could_last_leaves_numbers_out(
    profile, pause_s, told_ms, lasts_ms, left_out
) -> None:
    """Each stands for a target duration at the most. What comes next is cut as before the hole."""
    form = video_format(1000, S(30))
    packets = paused(form, pause_s, told_ms)
    settings = CutSettings(profile=profile)
    (chunks,) = cut([form], settings, packets)
    check_samples(chunks, packets, tiled=False)
    *before, second = segments(chunks)
    assert frames(second) == len(packets) - 16
    assert sum(duration_ms(segment, 1000) for segment in before) == 495 + lasts_ms
    assert second[0].header.msn == before[-1][0].header.msn + 1 + left_out
    check_numbers(chunks, MSN, exact=False, unused=unused(chunks, settings, 1000))
    # 33 ms a picture, as before the hole.
    assert {parse_chunk(c.payload).durations[0] for c in second} == {33}
    if profile != "frame":
        assert before[-1][-1].header.ends == "segment"
        assert len(parts(second)[0]) == (1 if profile == "standard" else 2)


@pytest.mark.parametrize("profile", ["low", "frame"])
def test_sound_that_was_away_begins_a_segment_and_follows_video_again(profile) -> None:
    form = video_format()
    pictures = video(form, S(30), S(12), 60)
    sounds = [
        p for p in audio(AAC_48K, S(12)) if not 3 * 48_000 <= p.dts - at(AAC_48K, S(0)) < 432_000
    ]
    settings = CutSettings(profile=profile)
    packets = interleave([form, AAC_48K], [pictures, sounds])
    seen, heard = cut([form, AAC_48K], settings, packets)
    check_samples(heard, sounds, tiled=False)
    check_numbers(heard, MSN + 10, exact=False, unused=unused(heard, settings, 48_000))
    check_numbers(seen, MSN, exact=False)
    starts = [S(s[0].header.dts, 48_000) - UNIX_S for s in segments(heard)]
    assert [round(start) for start in starts] == [0, 2, 9, 10]
    assert [s[0].header.msn - MSN - 10 for s in segments(heard)] == [0, 1, 5, 6]


@pytest.mark.parametrize("profile", ["low", "frame"])
def test_after_a_hole_amid_a_gop_the_next_keyframe_begins_a_segment(profile) -> None:
    form = video_format()
    packets = [p for p in video(form, S(30), S(12), 300)
               if not 90_000 <= p.dts - at(form, S(0)) < 8.5 * 90_000]  # fmt: skip
    (chunks,) = cut([form], CutSettings(profile=profile), packets)
    check_samples(chunks, packets, tiled=False)
    assert [s[0].header.ind for s in segments(chunks)] == [True, False, True]
    assert [s[0].header.msn - MSN for s in segments(chunks)] == [0, 5, 6]


def test_two_parts_at_a_rounding_edge_do_not_end_early() -> None:
    """Five frames of 167 ms and one expected of 34 ms seem to be over 200 ms, and are not."""
    form = video_format(1000)
    deltas = [33, 34, 33, 33, 34, 33] * 10
    dts, packets = UNIX_S * 1000, []
    for n, delta in enumerate(deltas):
        packets.append(Packet(0, dts, dts, None, n == 0, b"x"))
        dts += delta
    (chunks,) = cut([form], CutSettings(), packets)
    assert [frames(part) for part in parts(segments(chunks)[0])] == [6] * 10


def test_profile_frame_writes_each_packet_at_once() -> None:
    form = video_format(90_000, S(30))
    tracks = [video(form, S(30), S(8), 60), audio(AAC_48K, S(8))]
    packets = interleave([form, AAC_48K], tracks)
    settings = CutSettings(profile="frame")
    cutter = packager([form, AAC_48K], settings)
    for packet in packets:
        (chunk,) = cutter.push(packet)
        assert chunk.header.dts == packet.dts
    assert cutter.flush() == []
    seen, heard = cut([form, AAC_48K], settings, packets)
    for chunks, source, msn in zip((seen, heard), tracks, (MSN, MSN + 10), strict=True):
        check_samples(chunks, source)
        check_numbers(chunks, msn, exact=False)
    assert [frames(segment) for segment in segments(seen)] == [60] * 4
    assert [frames(part) for part in parts(segments(seen)[0])] == [6] * 10
    # The part is known to be full; that a keyframe follows is not known.
    assert [chunk.header.ends for chunk in segments(seen)[0]][-7:] == ["part", *[""] * 5, "part"]
    assert {frames(part) for part in parts(segments(heard)[0])[:-1]} == {9}


def test_profile_frame_foresees_a_forced_cut() -> None:
    form = video_format()
    packets = video(form, S(30), S(6), 300)
    (chunks,) = cut([form], CutSettings(profile="frame"), packets)
    check_numbers(segments(chunks)[0], MSN)
    assert [frames(segment) for segment in segments(chunks)] == [74, 74, 32]


def test_profile_frame_takes_the_containers_duration() -> None:
    form = video_format(1000)
    packets = [p._replace(duration=40) for p in video(form, S(25), S(1), 25)]
    (chunks,) = cut([form], CutSettings(profile="frame"), packets)
    assert {chunk.header.dur for chunk in chunks} == {40}
    unknown = [p._replace(duration=None) for p in packets]
    (chunks,) = cut([video_format(1000, S(20))], CutSettings(profile="frame"), unknown)
    assert [chunk.header.dur for chunk in chunks] == [50] + [40] * 24


def test_next_msn() -> None:
    form = video_format()
    cutter = packager([form, AAC_48K], CutSettings())
    assert (cutter.next_msn(0), cutter.next_msn(1)) == (MSN, MSN + 10)
    for packet in video(form, S(30), S(3), 60):
        cutter.push(packet)
    assert (cutter.next_msn(0), cutter.next_msn(1)) == (MSN + 2, MSN + 10)
    cutter.flush()
    assert (cutter.next_msn(0), cutter.next_msn(1)) == (MSN + 2, MSN + 10)


def test_a_single_packet_gets_a_duration_at_the_end() -> None:
    for form, ticks in (
        (video_format(90_000, S(50)), 1800),
        (video_format(1000), 40),
        (AAC_48K, 1024),
        (AAC_MS, 23),
        (OPUS, 960),
    ):
        packet = Packet(0, at(form, S(0)), at(form, S(0)), None, True, b"only")
        (chunks,) = check_all([form], CutSettings(), [packet])
        assert [chunk.header.dur for chunk in chunks] == [ticks]


def test_a_source_whose_time_stands_still_is_held_in_bounds() -> None:
    form = video_format(1000)
    still = [Packet(0, UNIX_S * 1000, UNIX_S * 1000, None, n == 0, b"x") for n in range(2000)]
    cutter = packager([form], CutSettings())
    assert [len(chunks) for chunks in map(cutter.push, still) if chunks] == [1] * 3
    large = [packet._replace(data=bytes(6 << 20)) for packet in still[:9]]
    cutter = packager([form], CutSettings())
    assert [len(chunks) for chunks in map(cutter.push, large) if chunks] == [1] * 2
