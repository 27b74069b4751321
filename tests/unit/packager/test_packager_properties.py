"""Rules of the cut that hold for any source."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from cut_streams import (
    AAC_44K,
    AAC_48K,
    AAC_MS,
    MSN,
    OPUS,
    UNIX_S,
    audio,
    check_all,
    check_fill,
    check_limits,
    check_numbers,
    check_samples,
    cut,
    interleave,
    segments,
    unused,
    video,
    video_format,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kinolog.media.types import Packet
from kinolog.packager import CutSettings, plan_cut

PROFILES = st.sampled_from(["low", "standard"])
SOUNDS = st.sampled_from([AAC_48K, AAC_44K, AAC_MS, OPUS])
TIMESCALES = st.sampled_from([1000, 12_800, 90_000, 1_000_000])
SECONDS = st.fractions(0, 4, max_denominator=20)


@st.composite
def irregular(draw: st.DrawFn, timescale: int, track: int = 0) -> list[Packet]:
    """Frames at any distance up to 1.5 s and at times 9, keyframes, composition offsets and
    durations at will."""
    step = st.one_of(
        st.integers(timescale // 60, timescale // 20),
        st.integers(0, 3 * timescale // 2),
        st.integers(0, 9 * timescale),
    )
    frame = st.tuples(step, st.integers(0, 9), st.integers(-2, 5), st.integers(0, 2))
    dts, packets = UNIX_S * timescale, []
    for index, (ticks, chance, cts, source) in enumerate(
        draw(st.lists(frame, min_size=1, max_size=60))
    ):
        key = index == 0 or chance == 0
        told = (None, ticks, timescale // 30)[source]
        pts = dts + cts * timescale // 30
        packets.append(Packet(track, dts, pts, told, key, b"%d" % index))
        dts += ticks
    return packets


def check_tiled_within_segments(chunks) -> None:
    """Holes are between segments only."""
    for segment in segments(chunks):
        for before, after in pairwise(segment):
            assert before.header.dts + before.header.dur == after.header.dts


def check_without_fill(chunks, packets, msn, options, timescale) -> None:
    check_samples(chunks, packets, tiled=False)
    check_tiled_within_segments(chunks)
    check_numbers(chunks, msn, exact=False, unused=unused(chunks, options, timescale))
    check_limits(chunks, options, timescale)
    # A mark is never wrong, and missing only before a frame that nobody could foresee.
    for before, after in pairwise(chunks):
        if before.header.ends == "segment":
            assert after.header.msn > before.header.msn
        elif before.header.ends == "part":
            next_part = (before.header.msn, before.header.part + 1)
            next_segment = (before.header.msn + 1, 0)
            assert (after.header.msn, after.header.part) in (next_part, next_segment)
            assert options.parts
    assert chunks[-1].header.ends == "segment"


@example(  # two frames are 177.98 ms, and 177 by timestamps in ms
    rate=Fraction(3169, 282),
    timescale=1000,
    gop=4,
    b_frames=0,
    sound=AAC_48K,
    late=(Fraction(0), Fraction(0)),
    profile="low",
)
@settings(max_examples=30)
@given(
    rate=st.fractions(Fraction(15, 2), 120, max_denominator=1001),
    timescale=TIMESCALES,
    gop=st.integers(1, 400),
    b_frames=st.integers(0, 3),
    sound=SOUNDS,
    late=st.tuples(SECONDS, SECONDS),
    profile=PROFILES,
)
def test_any_constant_rate_any_gop_any_interleaving(
    rate, timescale, gop, b_frames, sound, late, profile
) -> None:
    form = video_format(timescale, rate)
    frame = Fraction(1024 if sound.codec == "aac" else 960, sound.sample_rate)
    options = plan_cut(rate, True, profile=profile, audio_frames=[frame])
    packets = interleave(
        [form, sound],
        [video(form, rate, Fraction(5), gop, b_frames=b_frames), audio(sound, Fraction(5))],
        late,
    )
    check_all([form, sound], options, packets)


@settings(max_examples=50)
@given(st.data(), TIMESCALES, PROFILES, st.booleans(), SOUNDS, st.tuples(SECONDS, SECONDS))
def test_irregular_sources(data, timescale, profile, with_parts, sound, late) -> None:
    form = video_format(timescale)
    pictures = data.draw(irregular(timescale))
    length = Fraction(pictures[-1].dts, timescale) - UNIX_S
    sounds = audio(sound, min(length + 1, Fraction(8)))
    options = CutSettings(profile=profile, parts=with_parts)
    seen, heard = cut([form, sound], options, interleave([form, sound], [pictures, sounds], late))
    check_without_fill(seen, pictures, MSN, options, timescale)
    check_without_fill(heard, sounds, MSN + 10, options, sound.timescale)
    check_numbers(heard, MSN + 10)  # regular frames: the marks are exact, whatever video does
    if with_parts:
        check_fill(heard, options, sound)


@settings(max_examples=50)
@given(st.data(), TIMESCALES, PROFILES)
def test_irregular_sources_with_true_durations_have_exact_marks(data, timescale, profile) -> None:
    form = video_format(timescale)
    packets = data.draw(irregular(timescale))
    told = [packet._replace(duration=after.dts - packet.dts) for packet, after in pairwise(packets)]
    told.append(packets[-1]._replace(duration=timescale // 30))
    moving = [packet for packet in told if packet.duration] or told[-1:]
    options = CutSettings(profile=profile)
    (chunks,) = cut([form], options, moving)
    check_samples(chunks, moving, tiled=False)
    check_limits(chunks, options, timescale)
    check_numbers(chunks, MSN, unused=unused(chunks, options, timescale))


@settings(max_examples=30)
@given(
    rate=st.sampled_from([Fraction(25), Fraction(30), Fraction(30000, 1001), Fraction(60)]),
    jitter_ms=st.lists(st.integers(-5, 5), min_size=150, max_size=150),
    profile=PROFILES,
)
def test_jitter_of_a_camera(rate, jitter_ms, profile) -> None:
    """Keyframes each 2 s, give or take: all segments begin with one."""
    form = video_format(1000, rate)
    gop = round(2 * rate)
    packets = [
        packet._replace(dts=packet.dts + late, pts=packet.pts + late)
        for packet, late in zip(video(form, rate, Fraction(5), gop), jitter_ms, strict=False)
    ]
    options = plan_cut(rate, True, profile=profile)
    (chunks,) = cut([form], options, packets)
    check_without_fill(chunks, packets, MSN, options, 1000)
    assert all(segment[0].header.ind for segment in segments(chunks))


@settings(max_examples=30)
@given(st.data(), TIMESCALES, st.booleans(), SOUNDS, st.tuples(SECONDS, SECONDS))
def test_profile_frame(data, timescale, with_parts, sound, late) -> None:
    form = video_format(timescale)
    pictures = data.draw(irregular(timescale))
    sounds = audio(sound, Fraction(6))
    options = CutSettings(profile="frame", parts=with_parts)
    tracks = cut([form, sound], options, interleave([form, sound], [pictures, sounds], late))
    for chunks, packets, msn in zip(tracks, (pictures, sounds), (MSN, MSN + 10), strict=True):
        check_samples(chunks, packets, tiled=False)
        scale = form.timescale if chunks[0].header.track == "v0" else sound.timescale
        check_numbers(chunks, msn, exact=False, unused=unused(chunks, options, scale))
        for segment in segments(chunks):
            first, last = segment[0].header, segment[-1].header
            assert last.dts - first.dts < scale * 5 // 2
    check_limits(tracks[1], options, sound.timescale)


@settings(max_examples=25)
@given(st.data(), PROFILES)
def test_the_same_packets_give_the_same_bytes(data, profile) -> None:
    form = video_format(90_000)
    packets = data.draw(irregular(90_000))
    options = CutSettings(profile=profile)
    assert cut([form], options, packets) == cut([form], options, packets)
