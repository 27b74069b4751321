"""Real encoders publish to the RTMP server: every packet that was sent arrives, unchanged."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from kinolog.core.errors import KinologError, Refused
from kinolog.core.names import StreamName
from kinolog.ingest.rtmp import RtmpServer
from kinolog.ingest.scheduling import scheduled_as_before
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media.types import Packet

Command = Callable[[Path, str], list[str]]
LOOPBACK = "127.0.0.1"


class MemoryPublication:
    """Keeps what it is fed."""

    def __init__(self, publisher: str) -> None:
        self.publisher = publisher
        self.events: list[SourceEvent] = []
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def feed(self, events: Sequence[SourceEvent]) -> None:
        self.events += events

    async def close(self, reason: str) -> None:
        if not self.closed.done():
            self.closed.set_result(reason)

    def formats(self) -> list[Format]:
        return [event for event in self.events if isinstance(event, Format)]

    def packets(self, track: int) -> list[Packet]:
        return [
            event for event in self.events if isinstance(event, Packet) and event.track == track
        ]


class MemoryDesk:
    """Lets everybody in, once a name."""

    def __init__(self) -> None:
        self.publications: dict[str, MemoryPublication] = {}

    async def publish(
        self,
        name: StreamName,
        *,
        publisher: str,
        sender: str = "",
        at_ms: int | None = None,
        live: bool = True,
        owner: str = "",
        cut_off: Callable[[KinologError], None] | None = None,
    ) -> MemoryPublication:
        if str(name) in self.publications:
            raise Refused(f"{name} was replaced; try again in 10 s")
        publication = self.publications[str(name)] = MemoryPublication(publisher)
        return publication


def make_file(
    path: Path,
    *,
    video: str | None = None,
    audio: str | None = None,
    frames: int = 60,
    options: dict[str, str] | None = None,
) -> Path:
    """A file of `frames` pictures at 30/s and as much sound."""
    with scheduled_as_before(), av.open(path, "w") as container:
        streams = []
        if video is not None:
            stream = container.add_stream(video, rate=30, options=options or {})
            stream.width, stream.height, stream.pix_fmt = 192, 108, "yuv420p"
            streams.append(stream)
        sound = container.add_stream(audio, rate=48000) if audio is not None else None
        if video is not None:
            for number in range(frames):
                picture = np.full((108, 192, 3), number * 4 % 256, np.uint8)
                picture[:, (number * 3) % 192 :] = 255 - number % 256
                frame = av.VideoFrame.from_ndarray(picture, "rgb24")
                frame.pts = number
                frame.time_base = Fraction(1, 30)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if sound is not None:
            samples = (np.sin(np.arange(1600 * frames) / 20) * 9000).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), "s16", "mono")
            frame.sample_rate, frame.pts = 48000, 0
            resampler = av.AudioResampler(sound.format, sound.layout, 48000, sound.frame_size)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


# In a process of its own, since PyAV keeps the GIL while it opens a network output.
PUSH = """
import sys, av
with av.open(sys.argv[1]) as source, av.open(sys.argv[2], "w", format="flv") as sink:
    streams = {s.index: sink.add_stream_from_template(s, opaque=True) for s in source.streams}
    for packet in source.demux():
        if packet.dts is not None:
            packet.stream = streams[packet.stream_index]
            sink.mux(packet)
"""


def pyav_command(path: Path, url: str) -> list[str]:
    """Send a file's packets with PyAV's FFmpeg, which speaks Enhanced RTMP."""
    return [sys.executable, "-c", PUSH, str(path), url]


def ffmpeg_command(path: Path, url: str) -> list[str]:
    """Send a file's packets with the system's ffmpeg."""
    quiet = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin"]
    return [*quiet, "-i", str(path), "-c", "copy", "-f", "flv", url]


async def run(command: list[str]) -> tuple[int, str]:
    """Run to the end, with a deadline; exit code and what it wrote to stderr."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            _, errors = await process.communicate()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return process.returncode, errors.decode(errors="replace")


async def publish(path: Path, command: Command = pyav_command) -> MemoryPublication:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server:
        code, errors = await run(command(path, f"rtmp://{LOOPBACK}:{server.port}/demo/camera"))
        assert code == 0, errors
        publication = desk.publications["demo/camera"]
        await asyncio.wait_for(publication.closed, 10)
    return publication


def assert_same_as_file(publication: MemoryPublication, path: Path) -> None:
    """Every packet of the file is there, equal in bytes, order and, within 1 ms, time."""
    with av.open(path) as source:
        sent: dict[str, list[av.Packet]] = {"video": [], "audio": []}
        for packet in source.demux():
            if packet.dts is not None:
                sent[packet.stream.type].append(packet)
    kinds = {"video": 0, "audio": 1}
    for kind, track in kinds.items():
        got = publication.packets(track)
        assert len(got) == len(sent[kind]), kind
        if not got:
            continue
        (track_format,) = [f.format for f in publication.formats() if f.track == track]
        assert [p.data for p in got] == [bytes(p) for p in sent[kind]]
        assert [p.keyframe for p in got] == [p.is_keyframe or kind == "audio" for p in sent[kind]]
        base = sent[kind][0].time_base
        for attribute in ("pts", "dts"):
            at = [Fraction(getattr(p, attribute), track_format.timescale) for p in got]
            was = [getattr(p, attribute) * base for p in sent[kind]]
            shift = at[0] - was[0]
            assert max(abs(a - w - shift) for a, w in zip(at, was, strict=True)) <= Fraction(1, 999)


CASES = {
    "h264-b-frames+aac": ("libx264", "aac", {"bf": "3", "g": "30"}),
    "h264": ("libx264", None, {"tune": "zerolatency"}),
    "aac": (None, "aac", {}),
    "hevc+aac": ("libx265", "aac", {"x265-params": "log-level=none:bframes=3:keyint=30"}),
    "av1": ("libsvtav1", None, {"preset": "12"}),
    "vp9": ("libvpx-vp9", None, {"deadline": "realtime", "cpu-used": "8"}),
    "vp9+opus": ("libvpx-vp9", "libopus", {"deadline": "realtime", "cpu-used": "8"}),
}


@pytest.mark.parametrize("case", CASES)
def test_pyav_publishes_every_packet(case: str, tmp_path: Path) -> None:
    video, audio, options = CASES[case]
    path = make_file(tmp_path / "in.mp4", video=video, audio=audio, options=options)
    publication = asyncio.run(publish(path))
    assert_same_as_file(publication, path)


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("case", ["h264-b-frames+aac", "aac"])
def test_system_ffmpeg_publishes_every_packet(case: str, tmp_path: Path) -> None:
    video, audio, options = CASES[case]
    path = make_file(tmp_path / "in.mp4", video=video, audio=audio, options=options)
    publication = asyncio.run(publish(path, ffmpeg_command))
    assert_same_as_file(publication, path)


def test_two_publishers_at_once(tmp_path: Path) -> None:
    first = make_file(tmp_path / "a.mp4", video="libx264", audio="aac", options={"bf": "2"})
    second = make_file(tmp_path / "b.mp4", video="libx264", frames=90)
    desk = MemoryDesk()

    async def publish_both() -> None:
        async with RtmpServer(desk, LOOPBACK, 0) as server:
            url = f"rtmp://{LOOPBACK}:{server.port}/demo"
            codes = await asyncio.gather(
                run(pyav_command(first, f"{url}/first")),
                run(pyav_command(second, f"{url}/second")),
            )
            assert [code for code, _ in codes] == [0, 0], codes
            for publication in desk.publications.values():
                await asyncio.wait_for(publication.closed, 10)

    asyncio.run(publish_both())
    assert_same_as_file(desk.publications["demo/first"], first)
    assert_same_as_file(desk.publications["demo/second"], second)


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(
    ("path_of_url", "said"),
    [
        ("demo/camera", "demo/camera was replaced; try again in 10 s"),
        ("demo/a/b", "a slash too many"),
        ("demo/Camera_1", "is not valid"),
    ],
)
def test_the_refused_are_told_why(path_of_url: str, said: str, tmp_path: Path) -> None:
    path = make_file(tmp_path / "in.mp4", video="libx264")
    desk = MemoryDesk()

    async def publish_refused() -> tuple[int, str]:
        async with RtmpServer(desk, LOOPBACK, 0) as server:
            await desk.publish(StreamName("demo", "camera"), publisher="another")
            return await run(ffmpeg_command(path, f"rtmp://{LOOPBACK}:{server.port}/{path_of_url}"))

    code, errors = asyncio.run(publish_refused())
    assert code != 0
    assert said in errors


@pytest.mark.needs("ffmpeg")
def test_mp3_becomes_aac(tmp_path: Path) -> None:
    path = make_file(tmp_path / "in.mp4", video="libx264", audio="libmp3lame")
    publication = asyncio.run(publish(path, ffmpeg_command))
    assert not [event for event in publication.events if isinstance(event, Skipped)]
    assert Expect(2) in publication.events
    assert [f.format.codec for f in publication.formats()] == ["h264", "aac"]
    assert len(publication.packets(0)) == 60
    sound = publication.packets(1)
    assert abs(sum(packet.duration or 0 for packet in sound) - 96_000) <= 4096
