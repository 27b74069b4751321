"""Every container gives the same samples and times; init and chunks play them back."""

from __future__ import annotations

import asyncio
import io
import random
import sys
import threading
from contextlib import aclosing
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from kinolog.core.errors import MediaError, Overloaded, Unavailable, UnsupportedCodec
from kinolog.ingest.demux import PushedBytes, demux
from kinolog.ingest.demux_time import AudioGrid, Unwrap, derive_dts, video_timescale
from kinolog.ingest.encode_video import parse_target
from kinolog.ingest.gate import Shift
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media import blockcode
from kinolog.media.cmaf import Sample, chunk
from kinolog.media.init import init_segment
from kinolog.media.types import Packet, TrackFormat
from kinolog.packager import CutSettings, Packager, TrackPlan
from kinolog.testing import compare, read_block_codes, record

sys.path.insert(0, str(Path(__file__).parents[1] / "media"))

from media_clips import FRAGMENTED, clip, decoded, remux


class Read(NamedTuple):
    """What a source gave, by track."""

    events: list[SourceEvent]
    formats: dict[int, list[TrackFormat]]
    packets: dict[int, list[Packet]]

    def track(self, kind: str) -> tuple[TrackFormat, list[Packet]]:
        number = next(n for n, found in self.formats.items() if found[0].kind == kind)
        return self.formats[number][0], self.packets[number]


async def _collect(source: str | PushedBytes, **options) -> Read:
    read = Read([], {}, {})
    async with aclosing(demux(source, **options)) as batches:
        async for events in batches:
            assert events
            read.events.extend(events)
    for event in read.events:
        if isinstance(event, Format):
            read.formats.setdefault(event.track, []).append(event.format)
        elif isinstance(event, Packet):
            read.packets.setdefault(event.track, []).append(event)
    return read


async def _push(data: bytes, seed: int = 0, **options) -> Read:
    pushed = PushedBytes(capacity_bytes=20_000)
    pieces = random.Random(seed)

    async def send() -> None:
        at = 0
        while at < len(data):
            size = pieces.randint(1, 9_000)
            await pushed.feed(data[at : at + size])
            at += size
        pushed.finish()

    sender = asyncio.create_task(send())
    try:
        async with asyncio.timeout(30):
            return await _collect(pushed, **options)
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)


def push(data: bytes, seed: int = 0) -> Read:
    return asyncio.run(_push(data, seed))


def open_file(path: Path) -> Read:
    return asyncio.run(_collect(str(path)))


def seconds(found: TrackFormat, packets: list[Packet]) -> list[Fraction]:
    return [Fraction(packet.pts - packets[0].pts, found.timescale) for packet in packets]


def as_cmaf(found: TrackFormat, packets: list[Packet], a_chunk: int = 3) -> bytes:
    """Init segment and chunks, from time zero."""
    ends = [packet.dts for packet in packets[1:]]
    ends.append(2 * packets[-1].dts - packets[-2].dts)
    samples = [
        Sample(packet.data, end - packet.dts, packet.pts - packet.dts, packet.keyframe)
        for packet, end in zip(packets, ends, strict=True)
    ]
    parts = [init_segment(found).data]
    for number, at in enumerate(range(0, len(samples), a_chunk)):
        base = packets[at].dts - packets[0].dts
        parts.append(chunk(number + 1, base, samples[at : at + a_chunk]))
    return b"".join(parts)


CODECS = [("h264", "aac"), ("hevc", "aac"), ("av1", "opus"), ("vp9", "opus")]


@pytest.mark.parametrize(("video", "audio"), CODECS)
def test_init_and_chunks_decode_to_the_source(video: str, audio: str, tmp_path: Path) -> None:
    data = clip(video, audio)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data)
    read = open_file(path)
    assert read.events[0] == Expect(2)
    for kind, codec in (("video", video), ("audio", audio)):
        found, packets = read.track(kind)
        assert found.codec == codec
        expected = decoded(data, kind)
        assert len(expected) >= 40
        assert decoded(as_cmaf(found, packets), kind) == expected


@pytest.mark.parametrize(("video", "audio"), CODECS)
def test_the_configuration_agrees_with_ffmpegs_muxer(video: str, audio: str) -> None:
    """vpcC, av1C, dOps and the AAC config, byte for byte; the same sizes and time scale."""
    theirs = remux(clip(video, audio), "mp4", FRAGMENTED)
    read = push(theirs)
    for kind in ("video", "audio"):
        found, packets = read.track(kind)
        ours = init_segment(found)
        for box in (b"vpcC", b"av1C", b"dOps"):
            at = ours.data.find(box)
            if at >= 0:
                size = int.from_bytes(ours.data[at - 4 : at], "big")
                assert ours.data[at - 4 : at - 4 + size] in theirs
        if found.codec == "aac":
            assert found.extradata in theirs
        assert ours == init_segment(found)  # deterministic
        with av.open(io.BytesIO(as_cmaf(found, packets))) as container:
            stream = container.streams[0]
            assert stream.id == 1
            assert stream.time_base == Fraction(1, found.timescale)
            assert [packet.dts for packet in container.demux(stream) if packet.size] == [
                packet.dts - packets[0].dts for packet in packets
            ]


CONTAINERS = [
    ("h264", "aac", "mpegts", {}, 90_000),
    ("h264", "aac", "matroska", {}, 1000),
    ("h264", "aac", "flv", {}, 1000),
    ("h264", "aac", "mp4", FRAGMENTED, 15_360),
    ("hevc", "aac", "mpegts", {}, 90_000),
    ("hevc", "aac", "matroska", {}, 1000),
    ("hevc", "aac", "mp4", FRAGMENTED, 15_360),
    ("h264", "opus", "mpegts", {}, 90_000),
    ("av1", "opus", "matroska", {}, 1000),
    ("av1", "opus", "mp4", FRAGMENTED, 15_360),
    ("vp9", "opus", "webm", {}, 1000),
    ("vp9", "opus", "mp4", FRAGMENTED, 15_360),
]


@pytest.mark.parametrize(("video", "audio", "container", "options", "tick"), CONTAINERS)
def test_containers_give_the_same_samples(
    video: str, audio: str, container: str, options: dict[str, str], tick: int, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(clip(video, audio))
    reference = open_file(path)
    data = remux(clip(video, audio), container, options)
    path.write_bytes(data)
    read, pushed = open_file(path), push(data, seed=7)
    assert pushed.formats.keys() == read.formats.keys()
    for number, packets in read.packets.items():  # durations depend on what FFmpeg has read ahead
        assert [p._replace(duration=None) for p in pushed.packets[number]] == [
            p._replace(duration=None) for p in packets
        ]
    for kind in ("video", "audio"):
        want_format, want = reference.track(kind)
        got_format, got = read.track(kind)
        assert [p.data for p in got] == [p.data for p in want]
        assert [p.keyframe for p in got] == [p.keyframe for p in want]
        wanted = zip(seconds(want_format, want), seconds(got_format, got), strict=True)
        assert max(abs(a - b) for a, b in wanted) <= Fraction(1, tick)
        assert all(a.dts < b.dts for a, b in pairwise(got))
        assert all(p.dts <= p.pts for p in got)
        if kind == "video":
            if video in ("h264", "hevc"):
                assert any(b.pts < a.pts for a, b in pairwise(got)), "the clip has B-frames"
            assert got_format.extradata == want_format.extradata
            assert (got_format.width, got_format.height) == (128, 96)


def test_audio_of_a_transport_stream_lies_on_the_sample_grid() -> None:
    _, packets = push(remux(clip("h264", "aac", rate=44_100), "mpegts")).track("audio")
    assert {b.pts - a.pts for a, b in pairwise(packets)} == {1024}
    assert {packet.duration for packet in packets} == {1024}


def test_changed_parameter_sets_make_a_new_format() -> None:
    """The same PIDs, another picture size, time going on: as an encoder that was reconfigured."""
    first = remux(clip("h264", None), "mpegts")
    second = remux(clip("h264", None, size=(64, 64)), "mpegts", {"output_ts_offset": "2"})
    read = push(first + second)
    sizes = [(f.width, f.height) for f in read.formats[0]]
    assert sizes == [(128, 96), (64, 64)]
    at = [type(event) is Format for event in read.events].index(True)
    changed = next(i for i, event in enumerate(read.events) if isinstance(event, Format) and i > at)
    following = read.events[changed + 1]
    assert isinstance(following, Packet)
    assert following.keyframe
    assert len(read.packets[0]) == 80


def test_unsupported_tracks_are_named(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height = 64, 64
        sound = out.add_stream("flac", rate=48_000)
        frame = av.VideoFrame(64, 64, "yuv420p")
        frame.pts = 0
        out.mux([*video.encode(frame), *video.encode(None)])
        audio = av.AudioFrame(format="s16", layout="stereo", samples=1024)
        audio.sample_rate, audio.pts = 48_000, 0
        out.mux([*sound.encode(audio), *sound.encode(None)])
    read = open_file(path)
    assert read.events[:2] == [Expect(2), Skipped(1, "flac")]


def test_nothing_that_can_be_carried(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s24le", rate=8_000)
        audio = av.AudioFrame(format="s32", layout="stereo", samples=1024)
        audio.sample_rate, audio.pts = 8_000, 0
        out.mux([*sound.encode(audio), *sound.encode(None)])
    with pytest.raises(UnsupportedCodec, match="pcm_s24le"):
        open_file(path)


@pytest.mark.parametrize(
    ("codec", "container"),
    [("libmp3lame", "matroska"), ("ac3", "mpegts"), ("pcm_mulaw", "flv"), ("mp2", "mpegts")],
)
def test_other_sound_becomes_aac(codec: str, container: str, tmp_path: Path) -> None:
    path = tmp_path / "clip"
    rate = 8_000 if codec == "pcm_mulaw" else 48_000
    with av.open(str(path), "w", format=container) as out:
        video = out.add_stream("libx264", rate=30)
        video.width, video.height = 64, 64
        sound = out.add_stream(codec, rate=rate)
        for number in range(60):
            frame = av.VideoFrame(64, 64, "yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 30)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        audio = av.AudioFrame(format="s16", layout="stereo", samples=2 * rate)
        audio.sample_rate, audio.pts = rate, 0
        resampler = av.AudioResampler(sound.format, sound.layout, rate, sound.frame_size or 320)
        for piece in [*resampler.resample(audio), *resampler.resample(None), None]:
            out.mux(sound.encode(piece))
    read = push(path.read_bytes())
    assert [f.codec for f in read.formats[1]] == ["aac"]
    packets = read.packets[1]
    assert all(a.dts + (a.duration or 0) == b.dts for a, b in pairwise(packets))
    first = read.packets[0][0].pts / 90_000
    assert abs((packets[0].dts + 1024) / 48_000 - first) < 0.1
    assert sum(p.duration or 0 for p in packets) == pytest.approx(96_000, abs=4096)


@pytest.mark.parametrize(
    ("source", "error", "text"),
    [
        ("/no/such/clip.mp4", MediaError, "no such file"),
        ("rtmp://127.0.0.1:1/live/x", Unavailable, "refused"),
        ("rtsp://user:secret@127.0.0.1:1/x", Unavailable, r"^rtsp://127\.0\.0\.1:1/x: "),
        ("nothing://here", MediaError, "protocol"),
        (__file__, MediaError, "not a media format"),
    ],
)
def test_errors_speak_to_a_person(source: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        asyncio.run(_collect(source))


def _film(path: Path, flags: str = "faststart") -> bytes:
    """Three seconds of a film, whose index comes first."""
    with (
        av.open(io.BytesIO(clip("h264", "aac"))) as given,
        av.open(str(path), "w", options={"movflags": flags} if flags else {}) as made,
    ):
        tracks = {s.index: made.add_stream_from_template(s) for s in given.streams}
        for packet in given.demux():
            if packet.dts is not None:
                packet.stream = tracks[packet.stream_index]
                made.mux(packet)
    return path.read_bytes()


def test_a_film_that_is_pushed_with_its_index_behind_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(MediaError) as caught:
        push(_film(tmp_path / "film.mp4", flags=""))
    assert "fragmented, or have its moov box first" in caught.value.hint


@pytest.mark.parametrize("take_bytes", [-1, -500, -5000])
def test_a_file_that_is_cut_short_is_told_after_what_it_holds(
    take_bytes: int, tmp_path: Path
) -> None:
    """Wherever the cut is, in a picture or in sound."""
    path = tmp_path / "film.mp4"
    whole = _film(path)
    path.write_bytes(whole[:take_bytes])
    for source in (str(path), None):
        with pytest.raises(MediaError, match="cut short or damaged: the last sample") as caught:
            push(whole[:take_bytes]) if source is None else asyncio.run(_collect(source))
        assert str(caught.value).startswith(source or "what was sent")
        assert caught.value.hint


@pytest.mark.parametrize(
    ("name", "content", "text", "hint"),
    [
        ("empty.mp4", b"", "empty.mp4 is empty", "another file"),
        ("cut.mp4", b"\0\0\0\x10ftypisom\0\0\0\0", "no index", "without its index"),
        ("rnd.bin", bytes(random.Random(1).randbytes(16_000)), "not a media format", "--format"),
        ("notes.txt", b"not a film\n" * 1000, "not a media format", "--format"),
    ],
)
def test_a_file_that_is_no_media_is_not_called_a_pushed_one(
    name: str, content: bytes, text: str, hint: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MediaError, match=text) as caught:
        open_file(tmp_path / name)
    assert not isinstance(caught.value, UnsupportedCodec)
    assert hint in caught.value.hint
    assert "pushed" not in caught.value.hint


def test_a_body_in_a_container_that_is_not_taken_is_told_which_are(tmp_path: Path) -> None:
    path = tmp_path / "film.mpg"
    with av.open(str(path), "w", format="mpeg") as made:
        track = made.add_stream("mpeg2video", rate=25, options={})
        track.width, track.height, track.pix_fmt = 64, 48, "yuv420p"
        for _ in range(10):
            made.mux(track.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8))))
        made.mux(track.encode(None))
    with pytest.raises(MediaError, match="not MPEG-TS, fragmented MP4, Matroska/WebM or FLV"):
        push(path.read_bytes())


@pytest.mark.parametrize("cut", range(20, 300, 40))
def test_a_body_that_ends_in_its_headers_is_the_senders_fault(cut: int) -> None:
    with pytest.raises(MediaError) as caught:
        push(remux(clip("av1", "opus"), "matroska")[:cut])
    assert not caught.value.retriable


def test_pushed_playlists_open_nothing(tmp_path: Path) -> None:
    """A body that names files of the server must not be followed."""
    secret = tmp_path / "secret.ts"
    secret.write_bytes(remux(clip("h264", None), "mpegts"))
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{secret}\n#EXT-X-ENDLIST\n"
    for body in (playlist, f"ffconcat version 1.0\nfile {secret}\n"):
        with pytest.raises(MediaError):
            push(body.encode())


def test_an_aborted_sender_is_heard_at_once() -> None:
    async def run() -> None:
        pushed = PushedBytes()
        data = remux(clip("h264", "aac"), "mpegts")
        await pushed.feed(data[: len(data) // 2])
        async with aclosing(demux(pushed)) as batches:
            assert await anext(batches)
            pushed.abort(Unavailable("the connection was lost"))
            with pytest.raises(Unavailable, match="was lost"):
                async for _ in batches:
                    pass
        with pytest.raises(Unavailable, match="was lost"):
            await pushed.feed(b"more")

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_cancelled_reader_lets_its_thread_go() -> None:
    async def run() -> None:
        pushed = PushedBytes()
        await pushed.feed(remux(clip("h264", "aac"), "mpegts"))
        batches = demux(pushed)
        assert await anext(batches)
        waiting = asyncio.create_task(_drain(batches))
        await asyncio.wait({waiting}, timeout=0.2)  # the reader now waits for more bytes
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await batches.aclose()
        assert "kinolog-demux" not in {thread.name for thread in threading.enumerate()}
        with pytest.raises(MediaError):
            await pushed.feed(b"more")

    asyncio.run(asyncio.wait_for(run(), 30))


async def _drain(batches) -> None:
    async for _ in batches:
        pass


def test_a_writer_waits_for_its_reader_and_a_reader_for_its_writer() -> None:
    async def run() -> None:
        pushed = PushedBytes(capacity_bytes=10, feed_timeout_s=5)
        await pushed.feed(b"0123456789")
        blocked = asyncio.create_task(pushed.feed(b"ab"))
        done, _ = await asyncio.wait({blocked}, timeout=0.05)
        assert not done
        assert await asyncio.to_thread(pushed.read, 4) == b"0123"
        await blocked
        assert [pushed.read(), pushed.read()] == [b"456789", b"ab"]
        pushed.finish()
        assert pushed.read() == b""

    asyncio.run(asyncio.wait_for(run(), 30))


def test_both_ends_have_a_deadline() -> None:
    async def run() -> None:
        pushed = PushedBytes(capacity_bytes=1, feed_timeout_s=0.01, read_timeout_s=0.01)
        with pytest.raises(Unavailable):
            pushed.read()
        await pushed.feed(b"x")
        with pytest.raises(Overloaded):
            await pushed.feed(b"y")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("time_base", "timescale"),
    [
        (Fraction(1), 90_000),
        (Fraction(1, 7), 90_006),
        (Fraction(1, 10), 90_000),
        (Fraction(1, 25), 90_000),
        (Fraction(1, 30), 90_000),
        (Fraction(1, 600), 90_000),
        (Fraction(1, 1000), 90_000),
        (Fraction(100, 2997), 92_907),
        (Fraction(1, 15_360), 15_360),
        (Fraction(1001, 24_000), 24_000),
        (Fraction(1, 90_000), 90_000),
        (Fraction(1, 1_000_000), 1_000_000),
        (Fraction(1, 10_000_000), 90_000),
    ],
    ids=str,
)
def test_time_scales(time_base: Fraction, timescale: int) -> None:
    assert video_timescale(time_base) == timescale


@pytest.mark.parametrize("rate", [1, 10, 24, 25, 30])
def test_a_container_that_counts_in_frames(rate: int, tmp_path: Path) -> None:
    """AVI: the times stay exact, the lips in step wherever media time begins, and no part of one
    frame a chunk is too long."""
    path = tmp_path / "clip.avi"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate)
        stream.width = stream.height = 64
        stream.options = {"preset": "ultrafast", "tune": "zerolatency"}
        picture = av.VideoFrame(64, 64, "yuv420p")
        for number in range(3 * rate + 3):
            picture.pts, picture.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    found, packets = open_file(path).track("video")
    assert seconds(found, packets) == [Fraction(i, rate) for i in range(3 * rate + 3)]
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
    for base_ms in range(1_700_000_000_000, 1_700_000_000_100, 7):
        begun = Fraction(Shift(base_ms, 0, 48_000).ticks(found.timescale), found.timescale)
        assert abs(begun - Fraction(base_ms, 1000)) < Fraction(1, 10_000)
    cutter = Packager(
        [TrackPlan("video", found)],
        CutSettings(2000, 209, "frame"),
        epoch=1,
        disc=0,
        wall_of=lambda dts, timescale: 1000 * dts / timescale,
    )
    cuts = [cut for packet in packets for cut in cutter.push(packet._replace(track=0))]
    parts: dict[tuple[int, int], list[int]] = {}
    for header in (cut.header for cut in cuts):
        parts.setdefault((header.msn, header.part), []).append(header.dur)
    assert all(
        len(ticks) == 1 or 1000 * sum(ticks) <= 209 * found.timescale for ticks in parts.values()
    )


def test_counters_that_end_go_on() -> None:
    unwrap = Unwrap("mpegts")
    assert unwrap(2**33 - 3000, 2**33 - 1) == (2**33 - 3000, 2**33 - 1)
    assert unwrap(0, 3000) == (2**33, 2**33 + 3000)
    assert unwrap(None, None) == (None, None)
    assert Unwrap("mov,mp4")(5, None) == (5, None)


def test_the_audio_grid_follows_a_jump() -> None:
    grid = AudioGrid(Fraction(1, 1000), 48_000)
    assert [grid.place(pts, 1024) for pts in (0, 21, 43, 64, 1064, None)] == [
        0, 1024, 2048, 3072, 51_072, 52_096,
    ]  # fmt: skip


def test_decode_times_that_nobody_told() -> None:
    assert derive_dts([0, 120], 0, 40) == [-80, -40]
    assert derive_dts([0, 120, 40, 80], None, 40) == [-40, 0, 40, 80]


@pytest.mark.parametrize("codec", ["mjpeg", "rawvideo", "libx264"])
def test_any_video_is_encoded_where_that_is_asked_for(codec: str, tmp_path: Path) -> None:
    """A webcam's, or what could be carried as it is: every picture, at its time."""
    path = tmp_path / "webcam.mkv"
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=20)
        stream.width, stream.height = 320, 180
        stream.pix_fmt = {"mjpeg": "yuvj422p", "rawvideo": "yuyv422"}.get(codec, "yuv420p")
        for index in range(20):
            grey = np.full((180, 320), 128, np.uint8)
            blockcode.draw(grey, index)
            frame = av.VideoFrame.from_ndarray(grey, "gray").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = index, Fraction(1, 20)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    read = asyncio.run(_collect(str(path), encode=parse_target("vp9")))
    found, packets = read.track("video")
    assert (found.codec, found.width, found.height) == ("vp9", 320, 180)
    assert [packet.pts for packet in packets] == [index * 4500 for index in range(20)]
    seen = read_block_codes(io.BytesIO(record(read.events)))
    assert compare(range(20), seen).clean, compare(range(20), seen)
    if codec != "libx264":
        with pytest.raises(UnsupportedCodec, match=codec) as caught:
            asyncio.run(_collect(str(path)))
        assert "--encode" in caught.value.hint
