"""Encoding again: every picture, at its time; audio untouched; formats that change."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from kinolog.core.errors import ConfigError, MediaError, UnsupportedCodec
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.encode import Encoder, encoded
from kinolog.ingest.encode_audio import AudioTranscoder
from kinolog.ingest.encode_video import VideoTarget, parse_bitrate, parse_target
from kinolog.ingest.source import Expect, Format, SourceEvent
from kinolog.media.types import Packet, TrackFormat
from kinolog.testing import compare, measure_av_sync, read_block_codes, record


def made(url: str) -> list[SourceEvent]:
    return [event for batch in SyntheticCamera(url).events(0) for event in batch]


def again(events: list[SourceEvent], target: VideoTarget) -> list[SourceEvent]:
    encoder = Encoder(target)
    return [*encoder.feed(events), *encoder.flush()]


def packets(events: list[SourceEvent], track: int) -> list[Packet]:
    return [event for event in events if isinstance(event, Packet) and event.track == track]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("h264&bframes=2", "vp9:200k"),
        ("h264", "av1:200k"),
        ("h264", "hevc"),
        ("vp9", "h264"),
        ("hevc&bframes=2", "h264"),
        ("av1", "h264"),
    ],
)
def test_every_picture_comes_out_at_its_time(source: str, target: str) -> None:
    before = made(f"test:320x180@25?seconds=2&codec={source}")
    after = again(before, parse_target(target))
    assert sorted(p.pts for p in packets(before, 0)) == sorted(p.pts for p in packets(after, 0))
    assert {p.duration for p in packets(after, 0)} == {3600}
    assert packets(before, 1) == packets(after, 1)
    formats = {e.track: e.format for e in after if isinstance(e, Format)}
    assert formats[0].codec == target.partition(":")[0]
    assert (formats[0].width, formats[0].height) == (320, 180)
    seen = read_block_codes(io.BytesIO(record(after)))
    assert compare(range(50), seen).clean, compare(range(50), seen)


def test_sound_and_picture_stay_together() -> None:
    after = again(made("test:320x180@30?seconds=3&bframes=2"), parse_target("vp9"))
    offsets = measure_av_sync(io.BytesIO(record(after)))
    assert len(offsets) == 2
    assert all(abs(offset) < 0.005 for offset in offsets)


def test_the_same_bytes_each_time() -> None:
    source = made("test:320x180@25?seconds=1")
    assert again(source, parse_target("vp9")) == again(source, parse_target("vp9"))


def test_keyframes_at_the_interval_asked_for() -> None:
    target = VideoTarget("h264", keyframe_seconds=Fraction(1, 2))
    after = packets(again(made("test:320x180@20?seconds=2&gop=2"), target), 0)
    assert [p.pts / 90_000 for p in after if p.keyframe] == [0, 0.5, 1, 1.5]


def shifted(events: list[SourceEvent], ticks: int) -> list[SourceEvent]:
    return [
        e._replace(dts=e.dts + ticks, pts=e.pts + ticks) if isinstance(e, Packet) else e
        for e in events
    ]


def test_another_codec_of_the_same_size_goes_on_in_the_same_format() -> None:
    first = made("test:320x180@25?seconds=1&audio=0")
    second = made("test:320x180@25?seconds=1&audio=0&codec=vp9&start_number=25")
    after = again([*first, *shifted(second, 90_000)], parse_target("h264"))
    assert sum(isinstance(e, Format) for e in after) == 1
    assert compare(range(50), read_block_codes(io.BytesIO(record(after)))).clean


def test_another_size_is_a_new_format() -> None:
    first = made("test:320x180@25?seconds=1&audio=0")
    second = shifted(made("test:160x90@25?seconds=1&audio=0"), 90_000)
    after = again([*first, *second], parse_target("h264"))
    found = [e.format for e in after if isinstance(e, Format)]
    assert [(f.width, f.height) for f in found] == [(320, 180), (160, 90)]
    assert len(packets(after, 0)) == 50
    at = after.index(Format(0, found[1]))
    assert next(e for e in after[at:] if isinstance(e, Packet)).keyframe


def test_time_that_goes_back_begins_anew() -> None:
    once = made("test:160x90@25?seconds=2&audio=0")
    after = again([*once, *once], parse_target("h264"))
    assert len(packets(after, 0)) == 100
    assert sum(isinstance(e, Format) for e in after) == 2


def test_damage_is_counted_and_got_over() -> None:
    source = made("test:320x180@25?seconds=2&audio=0")
    broken = [
        e._replace(data=b"\0\0\0\xff" + e.data[4:])
        if isinstance(e, Packet) and e.dts == 3600
        else e
        for e in source
    ]
    encoder = Encoder(parse_target("h264"))
    out = [*encoder.feed(broken), *encoder.flush()]
    assert encoder.damaged == 1
    assert len(packets(out, 0)) == 49


def test_video_that_never_decodes_is_given_up() -> None:
    head = made("test:160x90@25?seconds=1&audio=0")[:2]
    rubbish = [Packet(0, n, n, 1, True, b"\0\0\0\xff\x65rubbish") for n in range(400)]
    with pytest.raises(MediaError, match="does not decode"):
        Encoder(parse_target("vp9")).feed([*head, *rubbish])


def test_async_gives_the_same() -> None:
    source = made("test:160x90@25?seconds=1")

    async def batches() -> AsyncGenerator[list[SourceEvent], None]:
        for at in range(0, len(source), 10):
            yield source[at : at + 10]

    async def run() -> list[SourceEvent]:
        encoder = Encoder(parse_target("h264"))
        return [event async for batch in encoded(batches(), encoder) for event in batch]

    result = asyncio.run(run())
    assert result == again(source, parse_target("h264"))
    assert result[0] == Expect(2)


def tone(codec: str, rate: int, channels: int) -> tuple[list[tuple[bytes, int]], int]:
    """Three seconds of sound in `codec`: packets with a PTS in ms, as FLV gives it."""
    writer = av.CodecContext.create(codec, "w")
    writer.sample_rate, writer.layout = rate, "stereo" if channels == 2 else "mono"
    writer.format = writer.codec.audio_formats[0].name
    writer.time_base = Fraction(1, rate)
    writer.open()
    samples = writer.frame_size or 320
    mono = np.sin(np.arange(rate * 3) * 2 * np.pi * 440 / rate)
    resampler = av.AudioResampler(writer.format.name, writer.layout.name, rate, samples)
    frame = av.AudioFrame.from_ndarray(
        np.tile((mono * 16_000).astype(np.int16), (channels, 1)),
        format="s16p",
        layout=writer.layout.name,
    )
    frame.sample_rate = rate
    frame.pts = 0
    frame.time_base = Fraction(1, rate)
    found = []
    for part in [*resampler.resample(frame), *resampler.resample(None), None]:
        found += [(bytes(p), int((p.pts or 0) * 1000 // rate)) for p in writer.encode(part)]
    return found, rate


@pytest.mark.parametrize(
    ("codec", "rate", "channels"),
    [("pcm_alaw", 8000, 1), ("pcm_mulaw", 8000, 1), ("ac3", 48_000, 2), ("mp2", 44_100, 2)],
)
def test_other_audio_becomes_contiguous_aac(codec: str, rate: int, channels: int) -> None:
    coded, _ = tone(codec, rate, channels)
    transcoder = AudioTranscoder(
        codec, track=1, timescale=1000, sample_rate=rate, channels=channels
    )
    out = [p for data, pts in coded for p in transcoder.feed(data, pts)] + transcoder.flush()
    assert transcoder.format.codec == "aac"
    assert (transcoder.format.sample_rate, transcoder.format.channels) == (48_000, channels)
    assert all(a.dts + (a.duration or 0) == b.dts for a, b in pairwise(out))
    assert out[-1].dts + (out[-1].duration or 0) == pytest.approx(3 * 48_000, abs=4096)
    with av.open(io.BytesIO(record([Format(1, transcoder.format), *out]))) as file:
        sound = np.concatenate([f.to_ndarray()[0] for f in file.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(sound[48_000:96_000]))
    assert int(spectrum.argmax()) == 440


def test_a_jump_of_the_sound_is_followed() -> None:
    coded, rate = tone("pcm_alaw", 8000, 1)
    transcoder = AudioTranscoder("pcm_alaw", track=1, timescale=1000, sample_rate=rate, channels=1)
    half = len(coded) // 2
    out = [p for data, pts in coded[:half] for p in transcoder.feed(data, pts)]
    out += [p for data, pts in coded[half:] for p in transcoder.feed(data, pts + 5000)]
    out += transcoder.flush()
    gaps = [b.dts - a.dts for a, b in pairwise(out) if b.dts - a.dts > 2048]
    assert len(gaps) == 1
    assert gaps[0] == pytest.approx(5 * 48_000, abs=2048)


def test_a_change_of_rate_and_every_jump_are_followed() -> None:
    """MP2 at 44.1 kHz, then at 48 kHz, then twice elsewhere in time, one of them back."""
    slow, _ = tone("mp2", 44_100, 2)
    fast, _ = tone("mp2", 48_000, 1)
    transcoder = AudioTranscoder("mp2", track=1, timescale=1000, sample_rate=48_000, channels=2)
    turns = [(slow, 0), (fast, 3_000), (fast, 20_000), (slow, 10_000)]
    out = [p for coded, at in turns for data, pts in coded for p in transcoder.feed(data, pts + at)]
    out += transcoder.flush()
    assert transcoder.damaged == 0
    steps = [b.dts - a.dts for a, b in pairwise(out)]
    assert sum(abs(step - 1024) > 4096 for step in steps) == 2
    assert sum(p.duration or 0 for p in out) == pytest.approx(12 * 48_000, abs=5 * 4096)


def test_audio_that_is_not_transcoded_is_refused() -> None:
    with pytest.raises(UnsupportedCodec, match="wmav2"):
        AudioTranscoder("wmav2", track=1, timescale=1000, sample_rate=44_100, channels=2)


def test_targets_as_typed() -> None:
    assert parse_target("vp9:2.5M") == VideoTarget("vp9", 2_500_000)
    assert parse_target("H264") == VideoTarget("h264")
    assert parse_bitrate("800000") == parse_bitrate("800k")


@pytest.mark.parametrize("text", ["", "mpeg4", "h264:", "h264:x", "vp9:1", "vp9:1/2M", "h264:-3M"])
def test_wrong_targets_are_named(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_target(text)
    assert caught.value.hint


def test_a_target_that_cannot_be_is_refused() -> None:
    with pytest.raises(UnsupportedCodec):
        VideoTarget("opus")
    with pytest.raises(ConfigError):
        VideoTarget("h264", 1)


def test_a_format_of_no_video_passes() -> None:
    sound = Format(4, TrackFormat("opus", 48_000))
    assert Encoder(VideoTarget("h264")).feed([Expect(1), sound]) == [Expect(1), sound]
