"""Silence: whole frames beside the pictures, for as long as they go on."""

from __future__ import annotations

import io
from fractions import Fraction
from itertools import pairwise

import av
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.timebase import rescale
from kinolog.ingest.silence import SILENT_TRACK, Silence, last_sound
from kinolog.media.cmaf import Sample, chunk
from kinolog.media.init import init_segment
from kinolog.media.types import Packet
from kinolog.record.control import Open, OpenTrack
from kinolog.record.registry import EpochEntry

AAC = OpenTrack("audio", "audio", "mp4a.40.2", 44_100, b"", sample_rate=44_100, channels=2)
MONO = msgspec.structs.replace(AAC, channels=1, language="deu")
SURROUND = msgspec.structs.replace(AAC, codec="mp4a.40.5", channels=6)
OPUS = msgspec.structs.replace(AAC, codec="opus", timescale=48_000)
VIDEO = OpenTrack("video", "video", "avc1.64001f", 90_000, b"")
BEGIN = 1_767_225_600 * 90_000
"""Media time is Unix time."""
HOUR_S = 3_600


def samples_at(dts: int) -> int:
    return rescale(dts, 90_000, 48_000)


def heard(silence: Silence, pictures: list[int]) -> list[Packet]:
    return [packet for dts in pictures for packet in silence.beside(dts, 90_000)]


def assert_back_to_back(packets: list[Packet], frame: int) -> None:
    assert all(p.dts == p.pts and p.duration == frame and p.keyframe for p in packets)
    assert {b.dts - a.dts for a, b in pairwise(packets)} <= {frame}


@pytest.mark.parametrize(("like", "frame"), [(AAC, 1024), (OPUS, 960)], ids=["aac", "opus"])
def test_an_hour_at_29_97_does_not_drift(like: OpenTrack, frame: int) -> None:
    silence = Silence(like)
    count, step = round(HOUR_S * Fraction(30_000, 1001)), 3003
    packets: list[Packet] = []
    for number in range(count):
        dts = BEGIN + number * step
        packets += silence.beside(dts, 90_000)
        # As far as the picture, and under two frames further.
        assert 0 <= packets[-1].dts - samples_at(dts) < frame
    packets += silence.rest()
    assert packets[0].dts == samples_at(BEGIN)
    assert_back_to_back(packets, frame)
    length = samples_at(BEGIN + count * step) - samples_at(BEGIN)
    assert 0 <= len(packets) * frame - length < 2 * frame
    assert {p.track for p in packets} == {SILENT_TRACK}


@given(st.lists(st.integers(1, 900_000), max_size=60))
def test_it_is_beside_every_picture_however_they_come(steps: list[int]) -> None:
    silence, dts = Silence(AAC), BEGIN
    packets = heard(silence, [dts])
    for step in steps:
        dts += step
        packets += heard(silence, [dts])
        assert 0 <= packets[-1].dts - samples_at(dts) < 1024
    assert_back_to_back(packets, 1024)


def test_the_rest_lasts_as_long_as_the_last_picture() -> None:
    silence = Silence(AAC)
    packets = heard(silence, [BEGIN, BEGIN + 90_000])
    end = samples_at(BEGIN + 2 * 90_000)
    packets += silence.rest()
    assert 0 <= packets[-1].dts + 1024 - end < 1024
    assert_back_to_back(packets, 1024)
    assert list(silence.rest()) == []


def test_a_last_picture_after_a_long_pause_is_not_long_itself() -> None:
    silence = Silence(AAC)
    last = BEGIN + 60 * 90_000
    heard(silence, [BEGIN, last])
    rest = list(silence.rest())
    assert 0 <= rest[-1].dts + 1024 - samples_at(last + 2 * 90_000) < 1024


def test_before_the_first_picture_and_after_a_lone_one_there_is_no_rest() -> None:
    silence = Silence(AAC)
    assert list(silence.rest()) == []
    assert len(heard(silence, [BEGIN])) == 1
    assert list(silence.rest()) == []


@pytest.mark.parametrize("leap_s", [3, -3, 86_400])
def test_it_leaps_with_the_pictures(leap_s: int) -> None:
    silence = Silence(AAC)
    heard(silence, [BEGIN + i * 3000 for i in range(90)])
    silence.leap()
    assert list(silence.rest()) == []
    again = BEGIN + (3 + leap_s) * 90_000
    packets = heard(silence, [again + i * 3000 for i in range(90)])
    assert packets[0].dts == samples_at(again)
    assert_back_to_back(packets, 1024)


@pytest.mark.parametrize(
    ("like", "codec", "channels"),
    [(AAC, "aac", 2), (MONO, "aac", 1), (SURROUND, "aac", 2), (OPUS, "opus", 2)],
    ids=["aac", "mono", "surround", "opus"],
)
def test_decoders_hear_nothing(like: OpenTrack, codec: str, channels: int) -> None:
    silence = Silence(like)
    found = silence.format
    assert (found.codec, found.channels, found.language) == (codec, channels, like.language)
    assert found.timescale == found.sample_rate == 48_000
    packets = heard(silence, [BEGIN, BEGIN + 90_000])
    sound = [Sample(p.data, p.duration or 0, 0, True) for p in packets]
    file = init_segment(found).data + chunk(1, packets[0].dts, sound)
    with av.open(io.BytesIO(file)) as read:
        frames = list(read.decode(audio=0))
    assert sum(f.samples for f in frames) >= 47_000
    assert {f.layout.nb_channels for f in frames} == {channels}
    assert max(np.abs(f.to_ndarray()).max() for f in frames) < 1e-4
    assert sum(len(p.data) for p in packets) < 500  # a second


def epoch(number: int, *tracks: OpenTrack) -> EpochEntry:
    opened = Open("s", "p", "k", 2000, 200, list(tracks))
    return EpochEntry(number, 0, 0, 0, "b", number, opened)


SILENT = msgspec.structs.replace(AAC, silence=True)


def test_the_newest_sound_counts_that_is_no_silence() -> None:
    german = msgspec.structs.replace(AAC, name="audio-2")
    found = [
        epoch(4, VIDEO, SILENT),
        epoch(2, VIDEO, OPUS, german),
        epoch(3, VIDEO),
        epoch(1, VIDEO, AAC),
    ]
    epochs = {entry.epoch: entry for entry in found}
    assert last_sound(epochs, 0) == OPUS
    assert last_sound(epochs, 3) is None
    assert last_sound({4: found[0]}, 0) is None
    assert last_sound({}, 0) is None
