"""FLV and Enhanced RTMP tag bodies made source events."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtmp_support import ASC_48K_STEREO, AVC_RECORD

from kinolog.core.errors import MediaError
from kinolog.ingest.rtmp.amf0 import Value, encode_all
from kinolog.ingest.rtmp.message import Message
from kinolog.ingest.rtmp.track_clock import SampleGrid
from kinolog.ingest.rtmp.tracks import Tracks
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media.types import Packet

HEVC_RECORD = b"\x01" + bytes(20) + b"\x03" + b"\x00"
OPUS_HEAD = b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"


class Feeder:
    """Gives tags to a fresh Tracks and hands back the new events."""

    def __init__(self, *, transcode_audio: bool = True) -> None:
        self.tracks = Tracks(transcode_audio=transcode_audio)

    def _take(self, type_id: int, time_ms: int, body: bytes) -> list[SourceEvent]:
        events: list[SourceEvent] = []
        self.tracks.take(Message(type_id, 1, time_ms, memoryview(body)), events)
        return events

    def video(self, body: bytes, time_ms: int = 0) -> list[SourceEvent]:
        return self._take(9, time_ms, body)

    def audio(self, body: bytes, time_ms: int = 0) -> list[SourceEvent]:
        return self._take(8, time_ms, body)

    def data(self, *values: Value) -> list[SourceEvent]:
        return self._take(18, 0, encode_all(*values))


def only_format(events: list[SourceEvent]) -> Format:
    (event,) = events
    assert isinstance(event, Format)
    return event


def only_packet(events: list[SourceEvent]) -> Packet:
    (event,) = events
    assert isinstance(event, Packet)
    return event


def test_avc_with_negative_composition_time() -> None:
    feeder = Feeder()
    video = only_format(feeder.video(b"\x17\x00\x00\x00\x00" + AVC_RECORD))
    assert (video.track, video.format.codec, video.format.extradata) == (0, "h264", AVC_RECORD)
    assert feeder.video(b"\x17\x01\x00\x00\x42abcd", 40) == [
        Packet(0, 3600, 3600 + 66 * 90, None, True, b"abcd")
    ]
    assert only_packet(feeder.video(b"\x27\x01\xff\xff\xfeabcd", 80)).pts == 7200 - 180
    assert feeder.video(b"\x17\x02\x00\x00\x00", 120) == []  # end of sequence
    assert feeder.video(b"\x57\x00", 120) == []  # seek command
    assert feeder.video(b"", 120) == []


def test_repeated_headers_say_nothing_changed_ones_do() -> None:
    feeder = Feeder()
    changed = AVC_RECORD[:-1] + b"\x01"
    assert len(feeder.video(b"\x17\x00\x00\x00\x00" + AVC_RECORD)) == 1
    assert feeder.video(b"\x17\x00\x00\x00\x00" + AVC_RECORD) == []
    assert only_format(feeder.video(b"\x17\x00\x00\x00\x00" + changed)).track == 0
    assert len(feeder.audio(b"\xaf\x00" + ASC_48K_STEREO)) == 1
    assert feeder.audio(b"\xaf\x00" + ASC_48K_STEREO) == []
    assert only_format(feeder.audio(b"\xaf\x00\x12\x10")).format.sample_rate == 44100


def test_frames_before_their_header_are_dropped() -> None:
    feeder = Feeder()
    assert feeder.video(b"\x17\x01\x00\x00\x00abcd") == []
    assert feeder.audio(b"\xaf\x01abcd") == []


def test_short_nal_lengths_are_widened() -> None:
    feeder = Feeder()
    record = AVC_RECORD[:4] + b"\xfd" + AVC_RECORD[5:]  # lengths of 2 bytes
    assert only_format(feeder.video(b"\x17\0\0\0\0" + record)).format.extradata == AVC_RECORD
    packet = only_packet(feeder.video(b"\x17\x01\0\0\0\x00\x02ab\x00\x01c"))
    assert packet.data == b"\x00\x00\x00\x02ab\x00\x00\x00\x01c"
    with pytest.raises(MediaError, match="NAL unit"):
        feeder.video(b"\x17\x01\0\0\0\x00\x09ab")


def test_codec_id_12_is_hevc() -> None:
    feeder = Feeder()
    assert only_format(feeder.video(b"\x1c\0\0\0\0" + HEVC_RECORD)).format.codec == "hevc"
    assert only_packet(feeder.video(b"\x2c\x01\0\0\x01abcd", 1)).pts == 180


@pytest.mark.parametrize(
    ("fourcc", "codec", "record"),
    [
        (b"avc1", "h264", AVC_RECORD),
        (b"hvc1", "hevc", HEVC_RECORD),
        (b"av01", "av1", b"\x81\x00\x0c\x00"),
        (b"vp09", "vp9", b"\x00\x0a\x82\x02\x02\x02\x00\x00"),
    ],
)
def test_enhanced_video(fourcc: bytes, codec: str, record: bytes) -> None:
    feeder = Feeder()
    video = only_format(feeder.video(b"\x90" + fourcc + record)).format
    assert (video.codec, video.extradata) == (codec, record)
    with_composition = codec in ("h264", "hevc")
    composition = b"\x00\x00\x05" if with_composition else b""
    packet = only_packet(feeder.video(b"\x91" + fourcc + composition + b"data", 10))
    assert packet == Packet(0, 900, 1350 if with_composition else 900, None, True, b"data")
    packet = only_packet(feeder.video(b"\xa3" + fourcc + b"data", 20))  # CodedFramesX
    assert packet == Packet(0, 1800, 1800, None, False, b"data")
    assert feeder.video(b"\x92" + fourcc, 30) == []  # SequenceEnd
    assert feeder.video(b"\xd4" + fourcc + encode_all("colorInfo", {}), 30) == []  # Metadata


def test_av1_temporal_delimiter_and_vp9_full_box_are_taken_off() -> None:
    feeder = Feeder()
    feeder.video(b"\x90av01\x81\x00\x0c\x00")
    assert only_packet(feeder.video(b"\x91av01\x12\x00\x0aX")).data == b"\x0aX"
    record = b"\x00\x0a\x82\x02\x02\x02\x00\x00"
    full_box = b"\x01\x00\x00\x00" + record
    assert only_format(Feeder().video(b"\x90vp09" + full_box)).format.extradata == record


def test_vp9_needs_no_sequence_start() -> None:
    first, second = Feeder().video(b"\x91vp09data")
    assert isinstance(first, Format)
    assert isinstance(second, Packet)


def test_sequence_start_in_mpeg2ts_form_is_refused() -> None:
    with pytest.raises(MediaError, match="MPEG-2 TS"):
        Feeder().video(b"\x95av01\x80")


def test_mod_ex_adds_nanoseconds() -> None:
    feeder = Feeder()
    feeder.video(b"\x90vp09")
    mod_ex = b"\x97" + b"\x02" + (500_000).to_bytes(3, "big") + b"\x01"
    assert only_packet(feeder.video(mod_ex + b"vp09data", 1)).dts == 90 + 45
    unknown = b"\x97" + b"\xff" + (299).to_bytes(2, "big") + bytes(300) + b"\x31"
    assert only_packet(feeder.video(unknown + b"vp09data", 2)).dts == 180


def test_multitrack() -> None:
    feeder = Feeder()
    record = b"\x00\x0a\x82\x02\x02\x02\x00\x00"

    def sized(track_id: int, body: bytes) -> bytes:
        return bytes((track_id,)) + len(body).to_bytes(3, "big") + body

    one = only_format(feeder.video(b"\x96\x00vp09\x03" + record))
    assert one.track == 6
    many = feeder.video(b"\x96\x10vp09" + sized(0, record) + sized(1, record))
    assert [e.track for e in many if isinstance(e, Format)] == [0, 2]
    mixed = feeder.audio(
        b"\x95\x20" + b"mp4a" + sized(0, ASC_48K_STEREO) + b"Opus" + sized(1, OPUS_HEAD)
    )
    assert [(e.track, e.format.codec) for e in mixed if isinstance(e, Format)] == [
        (1, "aac"),
        (3, "opus"),
    ]
    frames = feeder.audio(b"\x95\x21" + b"mp4a" + sized(0, b"aa") + b"Opus" + sized(1, b"\xfcbb"))
    assert [(e.track, e.duration) for e in frames if isinstance(e, Packet)] == [(1, 1024), (3, 960)]
    with pytest.raises(MediaError, match="truncated"):
        feeder.video(b"\x96\x10vp09" + sized(0, record)[:-1])


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b"\xb2s", "Speex"),
        (b"\x52s", "Nellymoser"),
        (b"\x91fLaCx", "FLAC"),
        (b"\x90\x00\x01\x02\x03", "0x00010203"),
    ],
)
def test_other_audio_is_named_once(body: bytes, name: str) -> None:
    feeder = Feeder()
    assert feeder.audio(body) == [Skipped(1, name)]
    assert feeder.audio(body) == []


def test_telephone_sound_becomes_aac() -> None:
    feeder = Feeder()
    tag = b"\x72" + bytes([0x55, 0xD5] * 80)  # 20 ms of A-law
    events = [event for number in range(50) for event in feeder.audio(tag, 20 * number)]
    found = only_format([event for event in events if isinstance(event, Format)]).format
    assert (found.codec, found.sample_rate, found.channels) == ("aac", 48_000, 1)
    events += feeder.tracks.finish()
    packets = [event for event in events if isinstance(event, Packet)]
    assert {packet.track for packet in packets} == {1}
    assert 47_000 <= sum(packet.duration or 0 for packet in packets) <= 51_000
    assert feeder.tracks.finish() == []


@pytest.mark.parametrize("body", [b"\x2fmp3", b"\x90ac-3", b"\x91ec-3xx", b"\x90.mp3"])
def test_damaged_sound_in_other_codecs_is_passed_over(body: bytes) -> None:
    assert not [e for e in Feeder().audio(body) if isinstance(e, (Packet, Skipped))]


@pytest.mark.parametrize(
    ("body", "name"), [(b"\x14x", "VP6"), (b"\x22x", "Sorenson H.263"), (b"\x90vvc1", "vvc1")]
)
def test_other_video_is_named_once(body: bytes, name: str) -> None:
    feeder = Feeder()
    assert feeder.video(body) == [Skipped(0, name)]
    assert feeder.video(body) == []


def test_aac_formats() -> None:
    aac = only_format(Feeder().audio(b"\xaf\x00" + ASC_48K_STEREO)).format
    assert (aac.timescale, aac.sample_rate, aac.channels) == (48000, 48000, 2)
    feeder = Feeder()
    # HE-AAC, signalled: AAC LC at 24 kHz inside, 48 kHz outside.
    he_aac = only_format(feeder.audio(b"\xaf\x00\x2b\x11\x88\x00")).format
    assert (he_aac.timescale, he_aac.channels) == (48000, 2)
    assert only_packet(feeder.audio(b"\xaf\x01x")).duration == 2048
    feeder = Feeder()
    feeder.audio(b"\xaf\x00\x11\x94")  # frameLengthFlag
    assert only_packet(feeder.audio(b"\xaf\x01x")).duration == 960


@pytest.mark.parametrize(
    "body",
    [
        b"\xaf",
        b"\xaf\x00\x11",
        b"\xaf\x00\x17\x80",
        b"\x90Op",
        b"\x90OpusOpusHead",
        b"\x95",
        b"\x97",
    ],
)
def test_malformed_audio_raises(body: bytes) -> None:
    with pytest.raises(MediaError):
        Feeder().audio(body)


@pytest.mark.parametrize("body", [b"\x17\x00", b"\x17\0\0\0\0short", b"\x91hvc1\x00", b"\x96"])
def test_malformed_video_raises(body: bytes) -> None:
    with pytest.raises(MediaError):
        Feeder().video(body)


def test_metadata_tells_size_rate_and_tracks() -> None:
    feeder = Feeder()
    properties: dict[str, Value] = {
        "width": 1280.0, "height": 720.0, "framerate": 30000 / 1001,
        "videocodecid": 7.0, "audiocodecid": "mp4a",
    }  # fmt: skip
    assert feeder.data("@setDataFrame", "onMetaData", properties) == [Expect(2)]
    assert feeder.data("onMetaData", properties) == []
    video = only_format(feeder.video(b"\x17\0\0\0\0" + AVC_RECORD)).format
    assert (video.width, video.height, video.frame_rate) == (1280, 720, Fraction(30000, 1001))


@pytest.mark.parametrize(
    ("properties", "expected"),
    [
        ({"videocodecid": 7.0}, [Expect(1)]),
        ({"videocodecid": 7.0, "audiocodecid": 0.0}, [Expect(1)]),
        ({"videocodecid": 7.0, "videoTrackIdInfoMap": {"1": {}, "2": {}}}, [Expect(3)]),
        ({"width": float("inf"), "height": -1.0, "framerate": float("nan")}, []),
        ({}, []),
    ],
)
def test_expected_tracks(properties: dict[str, Value], expected: list[Expect]) -> None:
    feeder = Feeder()
    assert feeder.data("onMetaData", properties) == expected
    video = only_format(feeder.video(b"\x17\0\0\0\0" + AVC_RECORD)).format
    assert (video.width, video.height, video.frame_rate) == (0, 0, None)


def test_times_unwrap_across_tracks() -> None:
    feeder = Feeder()
    feeder.video(b"\x90vp09", 0xFFFFFF00)
    feeder.audio(b"\xaf\x00" + ASC_48K_STEREO, 0xFFFFFF00)
    before = only_packet(feeder.audio(b"\xaf\x01x", 0xFFFFFFF0))
    after = only_packet(feeder.video(b"\x91vp09x", 0x10))
    assert before.dts == 0xFFFFFFF0 * 48
    assert after.dts == (0xFFFFFFF0 + 0x20) * 90


@given(
    st.sampled_from((44100, 48000, 32000, 11025)),
    st.integers(0, 10**9),
    st.sampled_from((round, int)),
)
def test_grid_is_exact_however_milliseconds_are_rounded(
    rate: int, first_ms: int, rounding: type[int]
) -> None:
    grid = SampleGrid(rate)
    starts = [
        grid.place(first_ms + rounding(number * 1024 * 1000 / rate), 0, 1024)
        for number in range(500)
    ]
    assert {b - a for a, b in pairwise(starts)} == {1024}


def test_grid_follows_a_jump() -> None:
    grid = SampleGrid(48000)
    assert grid.place(0, 0, 1024) == 0
    assert grid.place(23, 0, 1024) == 1024  # 21.3 within 2 ms
    assert grid.place(100, 0, 1024) == 4800
    assert grid.place(121, 0, 1024) == 4800 + 1024
    assert grid.place(50, 500_000, 1024) == 2424


def test_only_foreign_sound_is_work_for_a_thread() -> None:
    mp3, aac, cut_off = b"\x2f\xff", b"\xaf\x01\x21", b"\x95"
    tracks = Tracks()
    found = [tracks.transcodes(Message(8, 1, 0, memoryview(body))) for body in (mp3, aac, cut_off)]
    assert found == [True, False, False]
    assert not Tracks(transcode_audio=False).transcodes(Message(8, 1, 0, memoryview(mp3)))


def test_foreign_sound_is_named_and_skipped_where_that_is_switched_off() -> None:
    feeder = Feeder(transcode_audio=False)
    assert feeder.audio(b"\x2f\xff\xfb\x90") == [Skipped(1, "MP3")]
    assert feeder.audio(b"\x2f\xff\xfb\x90", 26) == []
    assert feeder.tracks.finish() == []
