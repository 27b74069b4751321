"""`kinolog publish` and each kind of source: file, device, playlist, camera."""

from __future__ import annotations

import io
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle, islice, pairwise
from pathlib import Path

import pytest
from kit.camera import LIBRARY, RtspCamera
from kit.media import FFMPEG, ffmpeg, file_packets, make
from kit.publish import HTTP_FORMATS, by_http, by_rtmp
from kit.readback import KeptStream, read_stream
from kit.server import HOST, free_ports, kinolog, run, run_well, serving, wait_for

from kinolog.core.errors import NotFound
from kinolog.ingest.camera import SyntheticCamera
from kinolog.log.partitioner import murmur2_partition
from kinolog.testing import compare, read_block_codes, record

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three seconds with B-frames and sound, not a whole number of audio frames."""
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "25", "-pix_fmt", "yuv420p"]
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    return make(path, *x264, "-c:a", "aac", seconds=3, size="320x180", rate="25")


@contextmanager
def publishing(folder: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """`kinolog publish` in the background, its output in `folder`/publish.log; ended by Ctrl-C,
    which it must obey in good order."""
    with (folder / "publish.log").open("wb") as log:
        process = subprocess.Popen(kinolog("publish", *arguments), stdout=log, stderr=log)
    try:
        yield process
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (folder / "publish.log").read_text()
    finally:
        process.kill()
        process.wait()


def kept(bootstrap: str, stream: str) -> KeptStream | None:
    """What the log holds of a stream; None where nobody has published it yet."""
    try:
        return read_stream(bootstrap, stream)
    except (KeyError, NotFound):
        return None


def frames(bootstrap: str, stream: str) -> list[int]:
    """How many video frames each epoch of a stream holds now."""
    found = kept(bootstrap, stream)
    return [len(epoch.tracks["video"].samples) for epoch in found.epochs] if found else []


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("fast", [False, True], ids=["own-pace", "fast"])
def test_a_file_is_copied_at_its_own_pace_or_faster(
    fast: bool, one_broker: str, film: Path
) -> None:
    stream = f"sources/film-{'fast' if fast else 'paced'}"
    before_s = time.time()
    flags = ["--fast"] if fast else []
    run_well(kinolog("publish", film, stream, *flags, "--bootstrap-servers", one_broker))
    after_s = time.time()
    epoch = read_stream(one_broker, stream).only()
    for name, track in epoch.tracks.items():
        assert [s.data for s in track.samples] == [p.data for p in file_packets(film, name)]
    video = epoch.tracks["video"]
    begin_s = video.samples[0].dts / video.info.timescale
    end_s = video.samples[-1].dts / video.info.timescale
    # At its own pace it begins now and nothing is sent before it is due; fast, it ends now.
    assert end_s <= after_s
    assert (begin_s <= after_s - 2.9) if fast else (begin_s >= before_s)


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("form", ["mp4", pytest.param("mpegts", marks=pytest.mark.slow)])
def test_a_loop_goes_on_in_one_epoch(
    form: str, one_broker: str, film: Path, tmp_path: Path
) -> None:
    """Also of a file whose format must be named: that makes no device of it."""
    path, flags = film, []
    if form == "mpegts":
        path, flags = tmp_path / "film.bin", ["--format", "mpegts"]
        ffmpeg("-i", film, "-c", "copy", "-an", "-f", "mpegts", path)
    stream = f"sources/loop-{form}"
    once = file_packets(path, "video")
    with publishing(
        tmp_path, path, stream, "--loop", *flags, "--bootstrap-servers", one_broker
    ) as process:
        wait_for(lambda: sum(frames(one_broker, stream)) > 2 * len(once), "the third round", 60)
        assert process.poll() is None
    epoch = read_stream(one_broker, stream).only()
    samples = epoch.tracks["video"].samples
    units = [s.data for s in samples]
    assert len(set(units[: len(once)])) == len(once)
    assert units == list(islice(cycle(units[: len(once)]), len(units)))
    ticks = epoch.tracks["video"].info.timescale // 25
    steps = [b.dts - a.dts for a, b in pairwise(samples)]
    seams = steps[len(once) - 1 :: len(once)]
    # A round lasts as long as its longest track: the sound, by a part of a frame.
    assert all(ticks - 1 <= step <= 2 * ticks for step in seams)
    del steps[len(once) - 1 :: len(once)]
    assert all(abs(step - ticks) <= 1 for step in steps)
    if form == "mp4":
        assert units[: len(once)] == [p.data for p in once]


def test_a_device_is_encoded(one_broker: str, tmp_path: Path) -> None:
    """FFmpeg's own device: raw pictures and raw sound, as a webcam has them."""
    picture = "testsrc=size=320x180:rate=10:duration=3[out0]"
    sound = "sine=frequency=440:sample_rate=44100:duration=3[out1]"
    flags = ["--format", "lavfi", "--encode", "h264", "--bootstrap-servers", one_broker]
    run_well(kinolog("publish", f"{picture};{sound}", "sources/device", *flags))
    epoch = read_stream(one_broker, "sources/device").only()
    video, audio = epoch.tracks["video"], epoch.tracks["audio"]
    assert (video.info.width, video.info.height) == (320, 180)
    assert video.info.codec.startswith("avc1.")
    assert [(s.pts - video.samples[0].pts) / video.info.timescale for s in video.samples] == (
        pytest.approx([n / 10 for n in range(30)])
    )
    assert audio.info.codec == "mp4a.40.2"
    assert sum(s.duration for s in audio.samples) == pytest.approx(3 * 48_000, abs=3 * 1024)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["/dev/video0", "--format", "v4l2", "--loop"], "never ends"),
        (["rtsp://127.0.0.1:9/x", "--loop"], "never ends"),
        (["test:", "--loop"], "never ends"),
        (["testsrc", "--format", "lavfi"], "--encode h264"),
    ],
)
def test_what_cannot_be_published_is_refused(
    arguments: list[str], said: str, one_broker: str
) -> None:
    source, *flags = arguments
    done = run(kinolog("publish", source, "sources/no", *flags, "--bootstrap-servers", one_broker))
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_wrong_address_is_an_error_at_once(scheme: str, one_broker: str) -> None:
    (port,) = free_ports(1)
    url = f"{scheme}://{HOST}:{port}/camera"
    done = run(kinolog("publish", url, "sources/nobody", "--bootstrap-servers", one_broker))
    assert done.returncode == 1
    assert "the connection was refused" in done.stderr
    assert "again" not in done.stderr
    assert kept(one_broker, "sources/nobody") is None


@pytest.mark.needs("ffmpeg")
@pytest.mark.slow
def test_a_playlist_is_copied_to_its_end(one_broker: str, tmp_path: Path) -> None:
    """From the edge's own playlist of a stream that goes on meanwhile and then ends."""
    path = tmp_path / "original.mkv"
    camera = SyntheticCamera("test:320x180@20?seconds=12&bframes=2")
    path.write_bytes(record([e for batch in camera.events(0) for e in batch]))
    with serving(one_broker, tmp_path, "--end-grace-s", "0.5") as server:
        sink = [*HTTP_FORMATS["mkv"], "-method", "PUT", server.ingest_url("sources/origin")]
        sender = subprocess.Popen([*FFMPEG, "-re", "-i", str(path), "-c", "copy", *sink])
        try:
            wait_for(lambda: sum(frames(one_broker, "sources/origin")) > 50, "the original")
            url = server.playlist_url("sources/origin")
            flags = ["--option", "live_start_index=0", "--bootstrap-servers", one_broker]
            run_well(kinolog("publish", url, "sources/relay", *flags))
            assert sender.wait(30) == 0
        finally:
            sender.kill()
            sender.wait()
    was = read_stream(one_broker, "sources/origin").only()
    got = read_stream(one_broker, "sources/relay").only()
    for name, track in was.tracks.items():
        assert [s.data for s in got.tracks[name].samples] == [s.data for s in track.samples]
    codes = read_block_codes(io.BytesIO(got.tracks["video"].file()))
    assert compare(range(240), codes).clean, compare(range(240), codes)


@pytest.mark.needs(LIBRARY)
class TestRtspCamera:
    """An RTSP camera, its death and return."""

    @pytest.fixture
    def camera(self, tmp_path: Path) -> Iterator[RtspCamera]:
        path = tmp_path / "camera.mkv"
        source = SyntheticCamera("test:320x180@20?seconds=30&audio=0")
        path.write_bytes(record([e for batch in source.events(0) for e in batch]))
        camera = RtspCamera(path)
        yield camera
        camera.kill()

    def test_a_camera_that_restarts_goes_on_in_a_new_epoch(
        self, camera: RtspCamera, one_broker: str, tmp_path: Path
    ) -> None:
        stream = "sources/rtsp"
        flags = ["--bootstrap-servers", one_broker]
        with publishing(tmp_path, camera.url, stream, *flags):
            wait_for(lambda: sum(frames(one_broker, stream)) > 40, "the camera's frames")
            camera.kill()
            wait_for(lambda: "connecting again" in (tmp_path / "publish.log").read_text(), "news")
            camera.start()
            wait_for(lambda: [*frames(one_broker, stream), 0, 0][1] > 40, "frames after it")
        found = read_stream(one_broker, stream)
        assert found.holes == 0
        first, second = found.epochs
        for epoch in (first, second):
            codes = read_block_codes(io.BytesIO(epoch.tracks["video"].file()))
            assert len(codes) == len(epoch.tracks["video"].samples)
            assert [code.number for code in codes] == list(range(len(codes)))
            steps = [b.dts - a.dts for a, b in pairwise(epoch.tracks["video"].samples)]
            assert sum(steps) / len(steps) / 90_000 == pytest.approx(0.05, rel=0.05)
        last, again = (e.tracks["video"].headers for e in (first, second))
        assert again[0].msn == last[-1].msn + 1
        assert again[0].disc == last[-1].disc + 1

    @pytest.mark.slow
    def test_a_camera_that_hangs_is_found_out(
        self, camera: RtspCamera, one_broker: str, tmp_path: Path
    ) -> None:
        """It says no good-bye: only its silence tells."""
        stream = "sources/rtsp-hangs"
        log = tmp_path / "publish.log"
        with publishing(tmp_path, camera.url, stream, "--bootstrap-servers", one_broker):
            wait_for(lambda: sum(frames(one_broker, stream)) > 10, "the camera's frames")
            camera.hang()
            wait_for(lambda: "no answer in time" in log.read_text(), "that it is missed")
            camera.go_on()
            wait_for(lambda: [*frames(one_broker, stream), 0, 0][1] > 10, "frames after it", 60)

    def test_without_reconnect_its_end_is_the_end(
        self, camera: RtspCamera, one_broker: str, tmp_path: Path
    ) -> None:
        stream = "sources/rtsp-once"
        flags = ["--no-reconnect", "--bootstrap-servers", one_broker]
        log = tmp_path / "once.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                kinolog("publish", camera.url, stream, *flags), stdout=output, stderr=output
            )
        try:
            wait_for(lambda: sum(frames(one_broker, stream)) > 10, "the camera's frames")
            camera.kill()
            assert process.wait(30) in (0, 1)
        finally:
            process.kill()
            process.wait()
        assert "again" not in log.read_text()
        assert read_stream(one_broker, stream).only().closed

    def test_ctrl_c_ends_the_wait_for_a_camera(
        self, camera: RtspCamera, one_broker: str, tmp_path: Path
    ) -> None:
        stream = "sources/rtsp-wait"
        with publishing(tmp_path, camera.url, stream, "--bootstrap-servers", one_broker):
            wait_for(lambda: sum(frames(one_broker, stream)) > 10, "the camera's frames")
            camera.kill()
            wait_for(lambda: "connecting again" in (tmp_path / "publish.log").read_text(), "news")
        assert read_stream(one_broker, stream).only().closed


@pytest.mark.needs("ffmpeg")
@pytest.mark.slow
def test_the_owner_decides_the_partition(one_broker: str, film: Path, tmp_path: Path) -> None:
    """By the flag of `publish`, and by the query of an address."""
    servers = ["--bootstrap-servers", one_broker]
    run_well(kinolog("collections", "create", "owned", "--partition-strategy", "owner", *servers))
    camera = "test:320x180@10?seconds=1&audio=0"
    refused = run(kinolog("publish", camera, "owned/a", *servers))
    assert refused.returncode == 2
    assert "--owner" in refused.stderr
    run_well(kinolog("publish", camera, "owned/flag", "--owner", "ann", *servers))
    with serving(one_broker, tmp_path) as server:
        by_rtmp(server, film, "owned/rtmp?owner=ann")
        by_http("ts")(server, film, "owned/http?owner=ann")
        server.wait_idle()
    for name, frames_sent in {"flag": 10, "rtmp": 75, "http": 75}.items():
        found = read_stream(one_broker, f"owned/{name}")
        assert found.entry.owner == "ann"
        assert found.entry.placements[0].partition == murmur2_partition("ann", 4)
        assert len(found.only().tracks["video"].samples) == frames_sent
