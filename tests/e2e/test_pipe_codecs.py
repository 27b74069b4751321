"""Every codec goes through whole: numbered pictures are counted after the log, and in a browser."""

from __future__ import annotations

import asyncio
import functools
import io
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path

import av
import numpy as np
import pytest
from kit.media import ffmpeg, file_packets, make, picture_hashes
from kit.publish import Way, by_enhanced_rtmp, by_file, by_http, by_rtmp
from kit.readback import KeptEpoch, read_stream
from kit.server import Server, kinolog, run_well, serving

from kinolog.core.clock import SystemClock
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.source import SourceEvent
from kinolog.testing import compare, read_block_codes, record

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]

SECONDS, RATE = 5, 30
FRAMES = range(SECONDS * RATE)
SOUND = {"vp9": "libopus", "hevc": "aac", "av1": "libopus"}
CODEC_STRING = {"vp9": "vp09.", "hevc": "hvc1.", "av1": "av01."}
WAYS: dict[str, tuple[str, Way]] = {
    "vp9-file": ("vp9", by_file),
    "vp9-webm": ("vp9", by_http("webm")),
    "hevc-file": ("hevc", by_file),
    "hevc-mkv": ("hevc", by_http("mkv")),
    "hevc-fmp4": ("hevc", by_http("fmp4", "-tag:v", "hvc1")),
    "hevc-rtmp": ("hevc", by_enhanced_rtmp),
    "av1-file": ("av1", by_file),
    "av1-mkv": ("av1", by_http("mkv")),
    "av1-fmp4": ("av1", by_http("fmp4")),
    "av1-rtmp": ("av1", by_enhanced_rtmp),
}


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("codecs")) as running:
        yield running


async def _camera(codec: str) -> list[SourceEvent]:
    bframes = "&bframes=2" if codec == "hevc" else ""
    url = f"test:320x180@{RATE}?codec={codec}&seconds={SECONDS}{bframes}"
    async with aclosing(SyntheticCamera(url).run(SystemClock(), fast=True)) as batches:
        return [event async for batch in batches for event in batch]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A file of numbered pictures in a codec."""
    folder = tmp_path_factory.mktemp("media")

    def make(codec: str) -> Path:
        camera, path = folder / f"{codec}-camera.mkv", folder / f"{codec}.mp4"
        camera.write_bytes(record(asyncio.run(_camera(codec))))
        ffmpeg("-i", camera, "-c:v", "copy", "-c:a", SOUND[codec], path)
        assert compare(FRAMES, read_block_codes(path)).clean
        return path

    return functools.cache(make)


def assert_every_picture(epoch: KeptEpoch) -> None:
    report = compare(FRAMES, read_block_codes(io.BytesIO(epoch.tracks["video"].file())))
    print(report)
    assert report.clean, str(report)


@pytest.mark.parametrize("case", WAYS)
def test_every_codec_arrives_whole(case: str, server: Server, made: Callable[[str], Path]) -> None:
    codec, publish = WAYS[case]
    path = made(codec)
    publish(server, path, f"codecs/{case}")
    server.wait_idle()
    epoch = read_stream(server.bootstrap, f"codecs/{case}").only()
    assert epoch.tracks["video"].info.codec.startswith(CODEC_STRING[codec])
    for name, kept in epoch.tracks.items():
        assert [s.data for s in kept.samples] == [p.data for p in file_packets(path, name)], name
    assert len(epoch.tracks) == 2
    assert_every_picture(epoch)
    assert picture_hashes(epoch.tracks["video"].file()) == picture_hashes(path)


@pytest.mark.parametrize("codec", ["vp9", "h264"])
def test_the_camera_encoded_by_publish(codec: str, server: Server) -> None:
    stream = f"codecs/encoded-{codec}"
    source = f"test:320x180@{RATE}?seconds={SECONDS}"
    run_well(
        kinolog("publish", source, stream, "--encode", codec, "--fast",
                "--bootstrap-servers", server.bootstrap)
    )  # fmt: skip
    epoch = read_stream(server.bootstrap, stream).only()
    prefix = {"vp9": "vp09.", "h264": "avc1."}[codec]
    assert epoch.tracks["video"].info.codec.startswith(prefix)
    assert_every_picture(epoch)


OTHER_SOUND: dict[str, tuple[list[str], Way]] = {
    "mp3-mkv": (["-c:a", "libmp3lame"], by_http("mkv")),
    "ac3-ts": (["-c:a", "ac3"], by_http("ts")),
    "mp3-rtmp": (["-c:a", "libmp3lame", "-ar", "44100"], by_rtmp),
    "alaw-rtmp": (["-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"], by_rtmp),
}


@pytest.mark.parametrize("case", OTHER_SOUND)
def test_other_sound_arrives_as_aac(case: str, server: Server, tmp_path: Path) -> None:
    encoding, publish = OTHER_SOUND[case]
    video = ["-c:v", "libx264", "-preset", "veryfast", "-g", "30", "-pix_fmt", "yuv420p"]
    path = make(tmp_path / "in.mkv", *video, *encoding, seconds=SECONDS, size="160x90")
    publish(server, path, f"codecs/{case}")
    server.wait_idle()
    epoch = read_stream(server.bootstrap, f"codecs/{case}").only()
    assert len(epoch.tracks["video"].samples) == len(file_packets(path, "video"))
    kept = epoch.tracks["audio"]
    assert kept.info.codec == "mp4a.40.2"
    assert abs(sum(s.duration for s in kept.samples) - SECONDS * 48_000) <= 6 * 1024
    assert {s.duration for s in kept.samples[:-1]} == {1024}
    with av.open(io.BytesIO(kept.file())) as file:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])
    second = sound[48_000:96_000]
    assert int(np.abs(np.fft.rfft(second)).argmax()) == 440


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("codec", ["vp9", "av1"])
def test_chromium_plays(codec: str, server: Server) -> None:
    from playwright.sync_api import sync_playwright

    stream = f"codecs/live-{codec}"
    camera = subprocess.Popen(
        kinolog("publish", f"test:320x180@{RATE}?codec={codec}", stream,
                "--bootstrap-servers", server.bootstrap),
        stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"),
                args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            )
            page = browser.new_page()
            page.goto(f"{server.http}/watch/{stream}")
            page.wait_for_selector("video", state="attached", timeout=60_000)
            begun = page.wait_for_function(
                "() => { const v = document.querySelector('video');"
                " return v && v.currentTime > 0 && !v.paused && v.readyState > 2"
                " && v.getVideoPlaybackQuality().totalVideoFrames > 0 && v.currentTime }",
                timeout=60_000,
            ).json_value()
            page.wait_for_function(
                f"() => document.querySelector('video').currentTime > {begun} + 3", timeout=60_000
            )
            seen = page.evaluate(
                "() => { const v = document.querySelector('video');"
                " const q = v.getVideoPlaybackQuality();"
                " return {width: v.videoWidth, height: v.videoHeight,"
                " frames: q.totalVideoFrames - q.droppedVideoFrames,"
                " corrupted: q.corruptedVideoFrames || 0, player: typeof window.kinolog} }"
            )
            browser.close()
    finally:
        camera.send_signal(signal.SIGTERM)
        _, said = camera.communicate(timeout=60)
    print(codec, seen)
    assert camera.returncode == 0, said
    assert (seen["width"], seen["height"]) == (320, 180)
    assert seen["frames"] > 0
    assert seen["corrupted"] == 0
    assert seen["player"] == "object"
