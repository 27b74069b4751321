"""Parameter sets, headers and configurations: written examples, and what encoders make."""

from __future__ import annotations

import io
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_clips import FRAGMENTED, clip, remux

from kinolog.core.errors import MediaError
from kinolog.media import aac, av1, h264, hevc, nal, opus, vp9
from kinolog.media.bits import BitReader
from kinolog.media.codec_string import codec_string
from kinolog.media.describe import describe
from kinolog.media.init import init_segment
from kinolog.media.normaliser import normaliser
from kinolog.media.types import TrackFormat

START = b"\0\0\0\1"


def extradata(data: bytes) -> bytes:
    with av.open(io.BytesIO(data)) as source:
        return source.streams[0].codec_context.extradata or b""


def packets(data: bytes) -> list[bytes]:
    with av.open(io.BytesIO(data)) as source:
        return [bytes(packet) for packet in source.demux(source.streams[0]) if packet.size]


def parts(config: bytes) -> tuple[bytes, bytes]:
    """SPS and PPS of an avcC with one of each."""
    parsed = h264.parse_avcc(config)
    return parsed.sps[0], parsed.pps[0]


# -- bits and NAL units -----------------------------------------------------------------------


def test_exp_golomb_codes() -> None:
    """ISO/IEC 14496-10, table 9-2: 1, 010, 011, 00100 are 0, 1, 2, 3."""
    bits = BitReader(bytes([0b1_010_011_0, 0b0100_0000]))
    assert [bits.ue() for _ in range(4)] == [0, 1, 2, 3]
    bits = BitReader(bytes([0b1_010_011_0, 0b0100_0000]))
    assert [bits.se() for _ in range(4)] == [0, 1, -1, 2]


def test_reading_past_the_end() -> None:
    with pytest.raises(MediaError):
        BitReader(b"\0\0").ue()
    with pytest.raises(MediaError):
        BitReader(bytes(9)).ue()


# A NAL unit has no start code inside (emulation prevention) and does not end with a zero.
unit = st.binary(min_size=1, max_size=30).map(lambda b: b.replace(b"\0", b"\2"))


@given(st.lists(unit, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_annexb_and_lengths_hold_the_same_units(units: list[bytes], long: list[bool]) -> None:
    stream = b"".join(
        (START if four else START[1:]) + one for one, four in zip(units, long, strict=False)
    )
    assert nal.split_annexb(stream) == units
    assert nal.split_lengths(nal.join_lengths(units)) == units


def test_trailing_zeros_are_no_part_of_a_unit() -> None:
    assert nal.split_annexb(START + b"ab\0\0" + START + b"c\0\0\0") == [b"ab", b"c"]


def test_a_length_that_ends_outside() -> None:
    with pytest.raises(MediaError):
        nal.split_lengths(b"\0\0\0\5abcd")
    with pytest.raises(MediaError):
        nal.split_lengths(b"\0\0")


def test_emulation_prevention() -> None:
    assert nal.unescape(b"\1\0\0\3\1\0\0\3\0\0\3\3") == b"\1\0\0\1\0\0\0\0\3"


# -- H.264 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(128, 96), (130, 98), (64, 64)])
def test_an_h264_configuration_is_rebuilt_to_the_byte(size: tuple[int, int]) -> None:
    config = extradata(clip("h264", None, size=size))
    parsed = h264.parse_avcc(config)
    assert h264.build_avcc(parsed.sps, parsed.pps) == config
    sps = h264.parse_sps(parsed.sps[0])
    assert (sps.width, sps.height, sps.frame_rate) == (*size, 30)


@pytest.mark.parametrize("size", [(128, 96), (130, 98)])
def test_an_hevc_configuration_says_what_ffmpegs_says(size: tuple[int, int]) -> None:
    config = extradata(clip("hevc", None, size=size))
    parsed = hevc.parse_hvcc(config)
    ours = hevc.build_hvcc(parsed.vps, parsed.sps, parsed.pps)
    assert ours[:13] == config[:13]  # profile, tier, compatibility, level
    assert ours[16:19] == config[16:19]  # chroma and bit depths
    assert ours[21:23] == config[21:23]
    assert hevc.parse_hvcc(ours) == parsed
    sps = hevc.parse_sps(parsed.sps[0])
    assert (sps.width, sps.height, sps.frame_rate) == (*size, 30)


def test_repeated_parameter_sets_are_taken_out_and_changed_ones_change_the_format() -> None:
    sps, pps = parts(extradata(clip("h264", None)))
    other_sps, other_pps = parts(extradata(clip("h264", None, size=(64, 64))))
    idr, slice_ = b"\x65abc", b"\x41def"
    convert = normaliser(TrackFormat("h264", 90_000))

    (first,) = convert(b"".join(START + u for u in (b"\x09\xf0", sps, pps, idr)))
    assert first.format is not None
    assert (first.format.width, first.format.height) == (128, 96)
    assert (first.data, first.keyframe) == (nal.join_lengths([idr]), True)

    (again,) = convert(b"".join(START + u for u in (sps, pps, idr)))
    assert (again.data, again.format) == (first.data, None)
    (inter,) = convert(START + slice_)
    assert (inter.data, inter.keyframe) == (nal.join_lengths([slice_]), False)

    assert convert(START + other_sps + START + other_pps) == []
    (changed,) = convert(START + idr)
    assert changed.format is not None
    assert (changed.format.width, changed.format.height) == (64, 64)
    assert h264.parse_avcc(changed.format.extradata).sps == (other_sps,)


def test_a_set_that_changes_between_keyframes_stays_in_the_sample() -> None:
    sps, pps = parts(extradata(clip("h264", None)))
    other = pps + b"\x01"
    convert = normaliser(TrackFormat("h264", 90_000, h264.build_avcc([sps], [pps])))
    (inter,) = convert(nal.join_lengths([other, b"\x41x"]))
    assert (inter.data, inter.format) == (nal.join_lengths([other, b"\x41x"]), None)
    # A decoder now needs the first one again, although it is the configuration's.
    (key,) = convert(nal.join_lengths([pps, b"\x65x"]))
    assert (key.data, key.format) == (nal.join_lengths([pps, b"\x65x"]), None)
    (next_key,) = convert(nal.join_lengths([pps, b"\x65x"]))
    assert next_key.data == nal.join_lengths([b"\x65x"])


def test_two_byte_lengths_become_four() -> None:
    sps, pps = parts(extradata(clip("h264", None)))
    config = bytearray(h264.build_avcc([sps], [pps]))
    config[4] = 0xFD
    convert = normaliser(TrackFormat("h264", 90_000, bytes(config)))
    assert convert.format is not None
    assert convert.format.extradata[4] == 0xFF
    assert convert(b"\0\3\x65xy")[0].data == nal.join_lengths([b"\x65xy"])


def test_open_gops_start_at_recovery_points_if_wanted() -> None:
    sps, pps = parts(extradata(clip("h264", None)))
    config = h264.build_avcc([sps], [pps])
    recovery, later = b"\x06\x06\x01\xc4\x80", b"\x06\x06\x01\x44\x80"
    for open_gop in (True, False):
        convert = normaliser(TrackFormat("h264", 90_000, config), open_gop=open_gop)
        assert convert(nal.join_lengths([recovery, b"\x41x"]))[0].keyframe is open_gop
        assert not convert(nal.join_lengths([later, b"\x41x"]))[0].keyframe


@pytest.mark.parametrize(("kind", "closed"), [(19, True), (20, True), (21, False), (16, False)])
def test_hevc_random_access_pictures(kind: int, closed: bool) -> None:
    config = extradata(clip("hevc", None))
    sample = nal.join_lengths([bytes((kind << 1, 1)) + b"x"])
    for open_gop in (True, False):
        convert = normaliser(TrackFormat("hevc", 90_000, config), open_gop=open_gop)
        assert convert(sample)[0].keyframe is (closed or open_gop)


# -- AV1 and VP9 -------------------------------------------------------------------------------


def test_av1_configuration_from_the_first_keyframe_is_that_of_the_container() -> None:
    data = remux(clip("av1", None), "mp4", FRAGMENTED)
    found = packets(data)
    sequence = av1.find_sequence(found[0])
    assert sequence is not None
    assert av1.config_record(sequence)[:4] == extradata(data)[:4]
    assert (av1.is_keyframe(found[0]), av1.is_keyframe(found[1])) == (True, False)
    parsed = av1.parse_sequence(sequence)
    assert (parsed.width, parsed.height, parsed.bit_depth) == (128, 96, 8)


def test_av1_temporal_delimiters_and_padding_go() -> None:
    delimiter, padding, frame = b"\x12\0", b"\x7a\2\0\x80", b"\x32\1\x10"
    assert av1.to_sample(delimiter + frame + padding) == frame
    assert av1.to_sample(frame) is frame


def test_vp9_keyframes_tell_the_configuration() -> None:
    found = packets(clip("vp9", None))
    header = vp9.parse_header(found[0])
    assert (header.keyframe, header.width, header.height, header.profile) == (True, 128, 96, 0)
    assert not vp9.is_keyframe(found[1])
    assert vp9.vp9_config(found[0], Fraction(30)).record()[:3] == bytes((0, 10, 0x82))
    with pytest.raises(MediaError):
        vp9.vp9_config(found[1])


def test_vp9_superframes() -> None:
    index = bytes((0b110_00_001, 3, 2, 0b110_00_001))
    assert vp9.split_superframe(b"abcde" + index) == [b"abc", b"de"]
    assert vp9.split_superframe(b"abc") == [b"abc"]
    with pytest.raises(MediaError):
        vp9.split_superframe(b"abc" + index)


@pytest.mark.parametrize(
    ("size", "rate", "level"),
    [((256, 144), 15, 10), ((640, 360), 30, 21), ((1280, 720), 30, 31), ((3840, 2160), 60, 51)],
)
def test_vp9_levels(size: tuple[int, int], rate: int, level: int) -> None:
    assert vp9.level(*size, Fraction(rate)) == level


# -- AAC and Opus ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("1190", (2, 48_000, 2, 1024)),
        ("1210", (2, 44_100, 2, 1024)),
        ("2b118800", (5, 48_000, 2, 2048)),  # SBR: 24 kHz core
        ("eb8a0800", (29, 44_100, 2, 2048)),  # PS: mono core, 22.05 kHz
        ("1690", None),  # reserved rate
        ("", None),
    ],
)
def test_audio_specific_config(config: str, expected: tuple[int, ...] | None) -> None:
    if expected is None:
        with pytest.raises(MediaError):
            aac.parse_config(bytes.fromhex(config))
    else:
        assert tuple(aac.parse_config(bytes.fromhex(config))) == expected


def adts(payload: bytes, *, crc: bool = False) -> bytes:
    size = len(payload) + (9 if crc else 7)
    head = 0xFFF << 44 | (not crc) << 40 | 1 << 38 | 3 << 34 | 2 << 30 | size << 13 | 0x7FF << 2
    return head.to_bytes(7, "big") + (b"\0\0" if crc else b"") + payload


def test_adts_is_taken_off() -> None:
    header, frames = aac.strip_adts(adts(b"one") + adts(b"two!", crc=True))
    assert frames == [b"one", b"two!"]
    assert header.config() == bytes.fromhex("1190")
    with pytest.raises(MediaError):
        aac.strip_adts(adts(b"one")[:-1])
    (unit, _) = normaliser(TrackFormat("aac", 48_000))(adts(b"one") + adts(b"two"))
    assert (unit.data, unit.samples) == (b"one", 1024)
    assert unit.format is not None
    assert (unit.format.sample_rate, unit.format.channels) == (48_000, 2)


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        ("00", 480), ("18", 2880), ("60", 480), ("80", 120), ("fc", 960), ("fd", 1920),
        ("ff03", 2880), ("ff00", None), ("ff3f", None), ("ff", None), ("", None),
    ],
)  # fmt: skip
def test_opus_durations(packet: str, samples: int | None) -> None:
    """RFC 6716, table 2 and section 3.2."""
    if samples is None:
        with pytest.raises(MediaError):
            opus.packet_samples(bytes.fromhex(packet))
    else:
        assert opus.packet_samples(bytes.fromhex(packet)) == samples


def test_opus_heads() -> None:
    head = opus.default_head(2)
    assert opus.parse_head(head).head() == head
    surround = b"OpusHead\1\6" + bytes(6) + b"\0\0\1\4\2" + bytes(range(6))
    assert opus.parse_head(surround).head() == surround
    with pytest.raises(MediaError):
        opus.parse_head(surround[:-1])


# -- formats -----------------------------------------------------------------------------------


def test_codec_strings() -> None:
    avc = h264.build_avcc(*[[u] for u in parts(extradata(clip("h264", None)))])
    strings = {
        TrackFormat("h264", 1, avc[:1] + b"\x64\x00\x1f" + avc[4:]): "avc1.64001F",
        TrackFormat("vp9", 1, bytes((0, 31, 0x82, 2, 2, 2, 0, 0))): "vp09.00.31.08",
        TrackFormat("vp9", 1, bytes((2, 51, 0xA2, 9, 16, 9, 0, 0))): (
            "vp09.02.51.10.01.09.16.09.00"
        ),
        TrackFormat("aac", 1, bytes.fromhex("1190")): "mp4a.40.2",
        TrackFormat("aac", 1, bytes.fromhex("2b118800")): "mp4a.40.5",
        TrackFormat("aac", 1, bytes.fromhex("eb098800")): "mp4a.40.29",
        TrackFormat("opus", 1, opus.default_head(2)): "opus",
    }
    assert {found: codec_string(found) for found in strings} == strings
    hvc = b"\1\1" + bytes.fromhex("60000000") + bytes.fromhex("b00000000000") + b"\x5d" + bytes(10)
    assert codec_string(TrackFormat("hevc", 1, hvc)) == "hvc1.1.6.L93.B0"


def test_av1_codec_string() -> None:
    found = describe(TrackFormat("av1", 1, extradata(clip("av1", None))))
    assert codec_string(found) == "av01.0.00M.08"


@pytest.mark.parametrize("timescale", [1, 90_000, 12_800, 2**32 - 1])
def test_the_time_scale_is_exactly_the_formats(timescale: int) -> None:
    found = TrackFormat("vp9", timescale, width=64, height=48, language="deu")
    ours = init_segment(found)
    assert ours == init_segment(found)
    assert (ours.timescale, ours.width, ours.height) == (timescale, 64, 48)
    if timescale < 2**31:  # FFmpeg counts in 31 bits
        with av.open(io.BytesIO(ours.data)) as container:
            assert container.streams[0].time_base == Fraction(1, timescale)
            assert container.streams[0].language == "deu"


@pytest.mark.parametrize(
    "broken",
    [
        TrackFormat("vp9", 90_000),
        TrackFormat("vp9", 0, width=64, height=48),
        TrackFormat("vp9", 2**32, width=64, height=48),
        TrackFormat("h264", 90_000, b"\1"),
        TrackFormat("hevc", 90_000),
        TrackFormat("av1", 90_000, b"\x81\0\0\0"),
        TrackFormat("aac", 48_000, b"\x11\x80"),
        TrackFormat("opus", 48_000, b"OpusHead"),
    ],
)
def test_an_init_segment_needs_a_whole_format(broken: TrackFormat) -> None:
    with pytest.raises(MediaError):
        init_segment(broken)
