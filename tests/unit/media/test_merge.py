"""Merged init segments and renumbered chunks: what FFmpeg makes of them, and what is refused."""

from __future__ import annotations

import contextlib
import io
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import MediaError, UnsupportedCodec
from kinolog.ingest.encode_audio import AudioEncoder
from kinolog.ingest.encode_video import VideoEncoder, VideoTarget
from kinolog.media.boxes import boxes, find
from kinolog.media.cmaf import Sample, chunk, parse_chunk
from kinolog.media.decoder_config import video_config
from kinolog.media.init import init_segment
from kinolog.media.merge import merge_inits, retrack
from kinolog.media.types import Codec, TrackFormat


def video_format(codec: Codec = "h264") -> TrackFormat:
    return VideoEncoder(
        VideoTarget(codec),
        track=0,
        width=320,
        height=180,
        frame_rate=Fraction(25),
        timescale=90_000,
    ).format


def inits() -> list[bytes]:
    audio = AudioEncoder("aac", track=1).format
    return [init_segment(one).data for one in (video_format(), audio)]


def test_a_merged_init_has_every_track() -> None:
    merged = merge_inits(inits())
    assert [box.type for box in boxes(merged)] == [b"ftyp", b"moov"]
    moov = find(merged, b"moov")
    kinds = [box.type for box in boxes(merged, moov.body, moov.end)]
    assert kinds == [b"mvhd", b"trak", b"trak", b"mvex"]
    with av.open(io.BytesIO(merged), "r") as container:
        assert [(s.id, s.type) for s in container.streams] == [(1, "video"), (2, "audio")]


def test_one_track_merged_is_itself() -> None:
    (video, _) = inits()
    assert merge_inits([video]) == video


@given(
    track_id=st.integers(1, 0xFFFF_FFFF),
    sequence=st.integers(0, 1 << 40),
    time=st.integers(0, (1 << 64) - 1),
    data=st.data(),
)
def test_a_chunk_renumbered(track_id: int, sequence: int, time: int, data: st.DataObject) -> None:
    shift = data.draw(st.integers(0, time))
    before = chunk(3, time, [Sample(b"abc", 10, 4, True), Sample(b"de", 10, -4, False)])
    after = retrack(before, track_id=track_id, sequence_number=sequence, shift_ticks=shift)
    assert len(after) == len(before)
    was, now = parse_chunk(before), parse_chunk(after)
    assert now == was._replace(
        sequence_number=sequence & 0xFFFF_FFFF, base_decode_time=time - shift
    )
    tfhd = find(after, b"moof/traf/tfhd")
    assert int.from_bytes(after[tfhd.body + 4 : tfhd.body + 8], "big") == track_id


def test_what_is_refused() -> None:
    with pytest.raises(MediaError, match="no track"):
        merge_inits([])
    with pytest.raises(MediaError, match="has 2"):
        merge_inits([merge_inits(inits())])
    good = chunk(1, 5, [Sample(b"abc", 10, 0, True)])
    with pytest.raises(MediaError, match="renumbered"):
        retrack(good, track_id=1, sequence_number=1, shift_ticks=6)
    with pytest.raises(MediaError):
        retrack(good[:40], track_id=1, sequence_number=1)


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_the_decoder_configuration_is_read_back(codec: Codec) -> None:
    format = video_format(codec)
    config = video_config(init_segment(format).data)
    assert config.codec == codec
    assert config.extradata == (b"" if codec == "vp9" else format.extradata)


def test_audio_has_no_video_configuration() -> None:
    with pytest.raises(UnsupportedCodec, match="mp4a"):
        video_config(inits()[1])


video_format_once = video_format()


@given(st.binary(max_size=200), st.integers(0, 600))
def test_garbage_is_refused(junk: bytes, at: int) -> None:
    """Damaged anywhere, an init segment is read or refused; nothing else."""
    init = init_segment(video_format_once).data
    with contextlib.suppress(MediaError):
        video_config(init[:at] + junk + init[at + len(junk) :])
