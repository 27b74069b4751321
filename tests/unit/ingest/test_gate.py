"""The gate: first keyframe, one time line, jumps."""

from __future__ import annotations

import pytest

from kinolog.ingest.gate import Gate, Jump, Shift
from kinolog.media.types import Packet, TrackFormat

VIDEO = TrackFormat("h264", 90_000, b"\x01")
AUDIO = TrackFormat("aac", 48_000, b"\x12\x10", sample_rate=48_000, channels=2)
BASE_MS = 1_700_000_000_000


def video(ms: int, *, key: bool = False) -> Packet:
    return Packet(0, ms * 90, ms * 90, None, key, b"v")


def audio(ms: int) -> Packet:
    return Packet(1, ms * 48, ms * 48, 1024, True, b"a")


def placed(*tracks: TrackFormat) -> Gate:
    gate = Gate(dict(enumerate(tracks)))
    gate.place(Shift(BASE_MS, 0, 90_000))
    return gate


def test_media_time_is_unix_time() -> None:
    gate = placed(VIDEO, AUDIO)
    assert gate.push(video(0, key=True))[0].dts == BASE_MS * 90
    assert gate.push(audio(20))[0].dts == (BASE_MS + 20) * 48


def test_video_waits_for_a_keyframe_and_audio_with_it() -> None:
    gate = placed(VIDEO, AUDIO)
    assert gate.push(audio(0)) == []
    assert gate.push(video(0)) == []
    assert gate.push(audio(40)) == []
    assert gate.push(video(33)) == []
    passed = gate.push(video(40, key=True))
    assert [(p.track, p.data) for p in passed] == [(1, b"a"), (0, b"v")]
    assert passed[0].dts == (BASE_MS + 40) * 48
    assert gate.dropped == 3  # two video frames, and the audio before the keyframe


def test_audio_priming_before_a_first_keyframe_is_kept() -> None:
    gate = placed(VIDEO, AUDIO)
    assert gate.push(audio(-21)) == []
    assert len(gate.push(video(0, key=True))) == 2
    assert gate.dropped == 0


def test_audio_alone_passes_at_once() -> None:
    gate = Gate({0: AUDIO})
    gate.place(Shift(BASE_MS, 0, 48_000))
    assert len(gate.push(Packet(0, 0, 0, 1024, True, b"a"))) == 1


@pytest.mark.parametrize("to_ms", [40_000, -3_000])
def test_a_jump_over_a_second_ends_the_epoch(to_ms: int) -> None:
    gate = placed(VIDEO)
    gate.push(video(0, key=True))
    gate.push(video(33))
    with pytest.raises(Jump) as jump:
        gate.push(video(to_ms, key=True))
    assert jump.value.packet.dts == to_ms * 90


def test_a_small_step_back_is_clamped_and_counted() -> None:
    gate = placed(VIDEO)
    gate.push(video(0, key=True))
    gate.push(video(33))
    (packet,) = gate.push(video(20))
    assert packet.dts == (BASE_MS + 33) * 90 + 1
    assert gate.clamped == 1


def test_one_frame_a_second_is_no_jump() -> None:
    gate = placed(VIDEO)
    for second in range(5):
        assert len(gate.push(video(second * 1000, key=True))) == 1


def test_slow_sources_may_step_by_their_own_frames() -> None:
    gate = Gate({0: VIDEO}, slowest_ms=12_500)
    gate.place(Shift(BASE_MS, 0, 90_000))
    gate.push(video(0, key=True))
    assert len(gate.push(video(5_000, key=True))) == 1


def test_strays_from_before_a_jump_are_left_out() -> None:
    gate = placed(VIDEO, AUDIO)
    gate.push(video(0, key=True))
    assert gate.push(audio(-60_000)) == []
    assert len(gate.push(audio(0))) == 1
    assert gate.dropped == 1


def test_what_is_held_before_the_keyframe_is_bounded() -> None:
    gate = placed(VIDEO, AUDIO)
    for number in range(2_000):
        gate.push(audio(number * 21))
    assert len(gate.push(video(1_999 * 21, key=True))) <= 513
