"""The gate: first keyframe, one time line, jumps."""

from __future__ import annotations

import pytest

from kinolog.ingest.gate import HOLD_BYTES, Gate, Jump, Shift
from kinolog.ingest.left_out import LeftOut
from kinolog.media.types import Packet, TrackFormat

VIDEO = TrackFormat("h264", 90_000, b"\x01")
AUDIO = TrackFormat("aac", 48_000, b"\x12\x10", sample_rate=48_000, channels=2)
BASE_MS = 1_700_000_000_000


def video(ms: int, *, key: bool = False) -> Packet:
    return Packet(0, ms * 90, ms * 90, None, key, b"v")


def audio(ms: int) -> Packet:
    return Packet(1, ms * 48, ms * 48, 1024, True, b"a")


class Placed:
    """A gate whose time 0 is BASE_MS."""

    def __init__(self, *tracks: TrackFormat, slowest_ms: int = 0) -> None:
        self.refused = LeftOut("a test")
        self.gate = Gate(dict(enumerate(tracks)), self.refused, slowest_ms)
        self.gate.place(Shift(BASE_MS, 0, 1000), Packet(0, 0, 0, None, True, b""))

    def push(self, packet: Packet) -> list[Packet]:
        timed = [self.gate.timed(p) for p in self.gate.admit(packet)]
        return [p for p in timed if p is not None]


def test_media_time_is_unix_time() -> None:
    gate = Placed(VIDEO, AUDIO)
    assert gate.push(video(0, key=True))[0].dts == BASE_MS * 90
    assert gate.push(audio(20))[0].dts == (BASE_MS + 20) * 48


def test_video_waits_for_a_keyframe_and_audio_with_it() -> None:
    gate = Placed(VIDEO, AUDIO)
    assert gate.push(audio(0)) == []
    assert gate.push(video(0)) == []
    assert gate.push(audio(40)) == []
    assert gate.push(video(33)) == []
    passed = gate.push(video(40, key=True))
    assert [(p.track, p.data) for p in passed] == [(1, b"a"), (0, b"v")]
    assert passed[0].dts == (BASE_MS + 40) * 48
    assert gate.refused.total == 3  # two video frames, and the audio before the keyframe


def test_audio_priming_before_a_first_keyframe_is_kept() -> None:
    gate = Placed(VIDEO, AUDIO)
    assert gate.push(audio(-21)) == []
    assert len(gate.push(video(0, key=True))) == 2
    assert gate.refused.total == 0


def test_audio_alone_passes_at_once() -> None:
    gate = Placed(AUDIO)
    assert len(gate.push(Packet(0, 0, 0, 1024, True, b"a"))) == 1


@pytest.mark.parametrize("to_ms", [40_000, -3_000])
def test_a_jump_ends_the_epoch(to_ms: int) -> None:
    gate = Placed(VIDEO)
    gate.push(video(0, key=True))
    gate.push(video(33))
    with pytest.raises(Jump):
        gate.push(video(to_ms, key=True))


def test_a_small_step_back_is_clamped_and_counted() -> None:
    gate = Placed(VIDEO)
    gate.push(video(0, key=True))
    gate.push(video(33))
    (packet,) = gate.push(video(20))
    assert packet.dts == (BASE_MS + 33) * 90 + 1
    assert gate.gate.clamped == 1


def test_a_keyframe_is_not_shown_before_it_is_decoded() -> None:
    """Milliseconds, of 30 pictures a second, two of them ahead: 66.67 is 66 or 67."""
    gate = Placed(VIDEO)
    gate.push(Packet(0, 0, 67 * 90, None, True, b"v"))
    times = [(33, 167), (67, 100), (100, 133), (133, 267), (2001, 2067), (2034, 2100)]
    for dts_ms, pts_ms in times:
        key = dts_ms == 2001
        (packet,) = gate.push(Packet(0, dts_ms * 90, pts_ms * 90, None, key, b"v"))
        moved_ms = 66 if key else 67
        assert packet.dts == (BASE_MS + dts_ms + moved_ms) * 90
        assert packet.pts == (BASE_MS + pts_ms) * 90
    # Where the picture before was decoded later than that, it stays.
    (packet,) = gate.push(Packet(0, 2067 * 90, 2050 * 90, None, True, b"v"))
    assert packet.dts == (BASE_MS + 2067 + 67) * 90


def test_one_frame_a_second_is_no_jump() -> None:
    gate = Placed(VIDEO)
    for second in range(5):
        assert len(gate.push(video(second * 1000, key=True))) == 1


def test_slow_sources_may_step_by_their_own_frames() -> None:
    gate = Placed(VIDEO, slowest_ms=12_500)
    gate.push(video(0, key=True))
    assert len(gate.push(video(5_000, key=True))) == 1


def test_strays_from_before_a_jump_are_left_out() -> None:
    gate = Placed(VIDEO, AUDIO)
    gate.push(video(0, key=True))
    assert gate.push(audio(-60_000)) == []
    assert len(gate.push(audio(0))) == 1
    assert gate.refused.total == 1


def test_what_is_held_before_the_keyframe_is_bounded() -> None:
    gate = Placed(VIDEO, AUDIO)
    for number in range(2_000):
        gate.push(audio(number * 21))
    assert len(gate.push(video(1_999 * 21, key=True))) <= 513
    assert gate.refused.total >= 2_000 - 512
    large = Placed(VIDEO, AUDIO)
    for number in range(64):
        large.push(audio(number * 21)._replace(data=bytes(1 << 20)))
    assert sum(len(p.data) for p in large.gate.held) <= HOLD_BYTES


@pytest.mark.parametrize("pause_ms", [1_500, 2_000, 6_000, 9_900])
def test_a_pause_is_no_jump(pause_ms: int) -> None:
    gate = Placed(VIDEO)
    gate.push(video(0, key=True))
    assert len(gate.push(video(pause_ms))) == 1
    assert len(gate.push(video(pause_ms + 33))) == 1


def test_a_track_that_comes_back_where_the_others_are_had_paused() -> None:
    gate = Placed(VIDEO, AUDIO)
    gate.push(video(0, key=True))
    gate.push(audio(0))
    for second in range(60):
        assert len(gate.push(video(second * 1000 + 33))) == 1
    assert len(gate.push(audio(60_000))) == 1
    with pytest.raises(Jump):
        gate.push(audio(80_000))  # 21 s after the newest picture


def test_sound_that_begins_late_is_no_stray() -> None:
    gate = Placed(VIDEO, AUDIO)
    gate.push(video(0, key=True))
    for second in range(1, 13):
        gate.push(video(second * 1000))
    assert len(gate.push(audio(12_000))) == 1
    assert gate.refused.total == 0


def test_a_second_video_track_waits_for_its_own_keyframe_and_not_for_the_first() -> None:
    gate = Placed(VIDEO, VIDEO)

    def second(ms: int, *, key: bool = False) -> Packet:
        return video(ms, key=key)._replace(track=1)

    assert gate.push(second(0, key=True)) == []
    assert gate.push(video(0)) == []
    passed = gate.push(video(40, key=True))
    assert [(p.track, p.keyframe) for p in passed] == [(0, True)]
    assert gate.push(second(40)) == []
    assert gate.push(video(80))[0].track == 0
    assert gate.push(second(80, key=True))[0].track == 1
    assert gate.push(second(120))[0].track == 1
    gate.gate.wait_again()
    assert gate.push(second(160)) == []
    assert len(gate.push(video(160))) == 1


def test_a_second_video_track_whose_keyframe_comes_just_before_the_firsts_is_whole() -> None:
    gate = Placed(VIDEO, VIDEO)
    assert gate.push(video(0, key=True)._replace(track=1)) == []
    assert [p.track for p in gate.push(video(0, key=True))] == [1, 0]


def test_video_that_sends_nothing_is_waited_for_five_seconds() -> None:
    gate = Placed(VIDEO, AUDIO)
    for ms in range(0, 5_000, 20):
        gate.push(audio(ms))
        assert not gate.gate.held_long
    gate.push(audio(5_000))
    assert gate.gate.held_long
    assert gate.gate.lead_unseen
    gate.push(video(5_000))
    assert not gate.gate.lead_unseen


def test_what_is_refused_until_a_keyframe_is_named_by_track() -> None:
    gate = Placed(VIDEO, AUDIO)
    gate.push(audio(-60_000))  # of a time line that has ended: counted, and not named
    for ms in (0, 40, 80):
        gate.push(video(ms))
        gate.push(audio(ms))
    assert len(gate.push(video(120, key=True))) == 1
    assert gate.refused.total == 7
    sound, picture = gate.refused.take_gaps({0: "video", 1: "audio"}, gate.gate.shift)
    assert (picture.track, picture.frames) == ("video", 3)
    assert (picture.from_dts, picture.to_dts) == (BASE_MS * 90, (BASE_MS + 120) * 90)
    assert (sound.track, sound.frames) == ("audio", 3)
    assert (sound.from_dts, sound.to_dts) == (BASE_MS * 48, (BASE_MS + 120) * 48)
    assert gate.refused.take_gaps({0: "video", 1: "audio"}, {}) == []


def test_a_gate_for_other_tracks_goes_on_from_the_one_before() -> None:
    tracks = {0: VIDEO, 1: AUDIO}
    old = Placed(VIDEO, AUDIO)
    old.push(video(0, key=True))
    old.push(audio(0))
    new = Placed(VIDEO)
    new.gate = Gate({**tracks, 2: AUDIO}, new.refused, 0, old.gate)
    new.gate.place(Shift(BASE_MS, 0, 1000), video(33, key=True))
    assert len(new.push(video(33, key=True))) == 1
    assert new.push(audio(-3))[0].dts == BASE_MS * 48 + 1  # on one time line still
