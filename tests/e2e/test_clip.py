"""Clips: exactly the frames of a range, sound in time with them, for every player."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import random
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import httpx
import numpy as np
import psutil
import pytest
from clip_stage import RATE, RESTART_S, Recorded, ranges, record
from hls_stage import KINOLOG, PATIENCE_S, Stage, stage, stop, until
from kit.media import ffmpeg, make

from kinolog.testing.av_sync import measure_av_sync
from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

IN_SYNC_S = 0.025


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("clip")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def plain(played: Stage, edge: str) -> Recorded:
    """With chunks of one frame: the most records, and durations that are nominal."""
    return record(played, edge, "clip/plain", "", "--profile", "frame")


@pytest.fixture(scope="module")
def reordered(played: Stage, edge: str) -> Recorded:
    return record(played, edge, "clip/reordered", "&bframes=2")


@pytest.fixture(scope="module")
def forced(played: Stage, edge: str) -> Recorded:
    """Segments that begin amid a GOP: frames of them are shown before the last one before."""
    return record(played, edge, "clip/forced", "&bframes=3&gop=5")


def check_clip(client: httpx.Client, recorded: Recorded, start_s: float, end_s: float) -> bytes:
    """The frames and the sound of a clip are those of the range."""
    answer = client.get(recorded.url(start_s, end_s))
    assert answer.status_code == 200, answer.text
    seen = read_block_codes(io.BytesIO(answer.content))
    numbers = recorded.numbers(start_s, end_s)
    assert [frame.number for frame in seen] == numbers, (start_s, end_s)
    times = [frame.pts_seconds for frame in seen]
    assert times == pytest.approx([n / RATE for n in range(len(times))], abs=0.002)
    offsets = measure_av_sync(io.BytesIO(answer.content))
    assert max(map(abs, offsets), default=0) <= IN_SYNC_S, (start_s, end_s, offsets)
    # Nothing heard goes on after the picture, nor ends before it by more than a joint costs.
    assert sound_s(answer.content) == pytest.approx(len(numbers) / RATE, abs=0.05)
    return answer.content


def sound_s(data: bytes) -> float:
    """How long the sound is, as the file says."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.audio[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        return float(stream.duration * stream.time_base)


@pytest.mark.parametrize("name", ["plain", "reordered", "forced"])
def test_a_clip_has_the_frames_of_its_range(
    request: pytest.FixtureRequest, client: httpx.Client, name: str
) -> None:
    recorded: Recorded = request.getfixturevalue(name)
    for start_s, end_s in ranges(recorded, 15, seed=4):
        check_clip(client, recorded, start_s, end_s)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["plain", "reordered", "forced"])
def test_two_hundred_clips_have_the_frames_of_their_ranges(
    request: pytest.FixtureRequest, client: httpx.Client, name: str
) -> None:
    recorded: Recorded = request.getfixturevalue(name)
    for start_s, end_s in ranges(recorded, 200, seed=5):
        check_clip(client, recorded, start_s, end_s)


@pytest.mark.parametrize("name", ["reordered", "forced"])
def test_clips_that_follow_one_another_share_nothing(
    request: pytest.FixtureRequest, client: httpx.Client, name: str
) -> None:
    """At frames' edges, too, where the millisecond of a date decides."""
    recorded: Recorded = request.getfixturevalue(name)
    chance = random.Random(6)
    cuts_s = sorted({0.0, *(round(chance.uniform(0, 20) * RATE) / RATE for _ in range(12)), 20.0})
    numbers: list[int | None] = []
    for start_s, end_s in itertools.pairwise(cuts_s):
        content = client.get(recorded.url(start_s, end_s)).content
        numbers += [frame.number for frame in read_block_codes(io.BytesIO(content))]
    assert numbers == list(range(20 * RATE))


def test_a_clip_that_ends_with_a_sessions_first_picture_is_without_it(
    reordered: Recorded, client: httpx.Client
) -> None:
    """Also where its sound began a moment before, and is all that the range has."""
    for start_s, end_s in ((-3, 0), (55, RESTART_S)):
        answer = client.get(reordered.url(start_s, end_s))
        if answer.status_code == 404:
            continue
        with av.open(io.BytesIO(answer.raise_for_status().content)) as container:
            assert [stream.type for stream in container.streams] == ["audio"]


def test_a_session_that_broke_off_amid_reordered_pictures(
    played: Stage, edge: str, reordered: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    """What was decoded last is shown behind a hole, which its media segment's duration, by the
    count of frames, does not reach: it is in one of two clips that meet anywhere there."""
    whole, film = tmp_path / "whole.mp4", tmp_path / "broken.mkv"
    whole.write_bytes(client.get(reordered.url(0, 6)).raise_for_status().content)
    with av.open(whole) as source, av.open(film, "w") as into:
        track = source.streams.video[0]
        copied = into.add_stream_from_template(track)
        packets = [packet for packet in source.demux(track) if packet.pts is not None]
        last = next(n for n in range(100, 180) if packets[n].pts > packets[n + 2].pts)
        for packet in packets[: last + 1]:
            packet.stream = copied
            into.mux(packet)
    shown = [frame.number for frame in read_block_codes(film)]
    assert shown[-1] > shown[-2] + 1
    begun_s = int(time.time()) - 3000
    publish_file(played, film, "clip/broken", begun_s)
    base = f"{edge}/media/clip/broken/clip.mp4"
    ends_s = begun_s + len(shown) / RATE
    for cut in range(-3, 5):
        cut_s = ends_s + (cut + 0.5) / RATE
        numbers: list[int | None] = []
        for start_s, end_s in ((ends_s - 1, cut_s), (cut_s, ends_s + 3)):
            answer = client.get(f"{base}?start={start_s:.3f}&end={end_s:.3f}")
            if answer.status_code == 200:
                seen = read_block_codes(io.BytesIO(answer.content))
                numbers += [frame.number for frame in seen]
            else:
                assert (answer.status_code, start_s) == (404, cut_s)  # nothing is after the last
        assert numbers == [n for n in shown if n >= numbers[0]], cut
        assert len(numbers) == RATE - 1 or len(numbers) == RATE


def test_over_an_absence_both_tracks_go_on_at_the_same_moment(
    reordered: Recorded, client: httpx.Client
) -> None:
    """The sound's beeps stay with their flashes behind the joint."""
    data = check_clip(client, reordered, 13.51, RESTART_S + 5.51)
    flashes = measure_av_sync(io.BytesIO(data))
    assert len(flashes) >= 9
    with av.open(io.BytesIO(data)) as container:
        times = [float(p.pts * p.time_base) for p in container.demux(audio=0) if p.pts is not None]
    steps = np.diff(times)
    assert max(steps) < 0.065  # a frame lasts 21 ms: at the joint less than two are missing
    assert np.median(steps) == pytest.approx(1024 / 48000, abs=1e-4)


def test_pieces_of_a_clip_are_those_of_the_whole(plain: Recorded, client: httpx.Client) -> None:
    url = plain.url(3.3, 17.7)
    whole = client.get(url)
    size = len(whole.content)
    head = client.head(url)
    assert head.headers["content-length"] == str(size)
    assert head.headers["etag"] == whole.headers["etag"]
    assert whole.headers["accept-ranges"] == "bytes"
    chance = random.Random(7)
    for _ in range(25):
        first, last = sorted(chance.randrange(size) for _ in range(2))
        wanted, expected = f"bytes={first}-{last}", (first, last)
        if chance.random() < 0.2:
            wanted, expected = f"bytes={first}-", (first, size - 1)
        elif chance.random() < 0.2:
            wanted, expected = f"bytes=-{size - first}", (first, size - 1)
        answer = client.get(url, headers={"range": wanted})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes {expected[0]}-{expected[1]}/{size}"
        assert answer.content == whole.content[expected[0] : expected[1] + 1]
    beyond = client.get(url, headers={"range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    other = client.get(url, headers={"range": "bytes=0-9", "if-range": '"another"'})
    assert (other.status_code, len(other.content)) == (200, size)
    same = client.get(url, headers={"if-none-match": whole.headers["etag"]})
    assert same.status_code == 304


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("", 400, "a start is needed"),
        ("start=tomorrow", 400, "not a time"),
        ("start=4000000000", 400, "future"),
        ("start=-5m&end=-10m", 400, "end is not after start"),
        ("end=-5m", 400, "end needs a start"),
        ("dvr=2h", 400, "a start is needed"),
        ("start=now", 400, "begins now or later"),
        ("start=0&end=1000", 404, "nothing is kept"),
        ("start=-50m&end=-49m", 404, "nothing is kept"),
    ],
)
def test_what_cannot_be_is_said(
    plain: Recorded, client: httpx.Client, query: str, status: int, why: str
) -> None:
    answer = client.get(f"{plain.base}/clip.mp4?{query}")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


def test_a_clip_has_a_name(plain: Recorded, client: httpx.Client) -> None:
    shown = client.head(plain.url(2.01, 12.01)).headers["content-disposition"]
    assert shown.startswith('inline; filename="plain-')
    assert shown.endswith('Z-10s.mp4"')
    saved = client.head(plain.url(2.01, 12.01) + "&download=1").headers["content-disposition"]
    assert saved.startswith("attachment; ")


@pytest.mark.needs("ffprobe", "ffmpeg")
def test_ffmpeg_shows_the_same_frames(
    reordered: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    """The system's own, by URL and from a file."""
    url = reordered.url(14.55, RESTART_S + 3.05)
    count = len(reordered.numbers(14.55, RESTART_S + 3.05))
    counted = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", url, "-map", "0:v", "-fps_mode", "passthrough",
         "-f", "rawvideo", "-pix_fmt", "gray", "-s", "16x16", "-"],
        check=True, capture_output=True,
    )  # fmt: skip
    assert counted.stderr == b""
    assert len(counted.stdout) == count * 256
    path = tmp_path / "clip.mp4"
    path.write_bytes(client.get(url).content)
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", path],
        check=True, capture_output=True,
    )  # fmt: skip
    assert probed.stderr == b""
    told = json.loads(probed.stdout)
    assert float(told["format"]["duration"]) == pytest.approx(count / RATE, abs=0.03)
    assert [one["codec_name"] for one in told["streams"]] == ["h264", "aac"]


@pytest.mark.needs("gst-launch-1.0")
def test_gstreamer_plays_it(reordered: Recorded, client: httpx.Client, tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(client.get(reordered.url(14.55, RESTART_S + 3.05)).content)
    words = (
        f"filesrc location={path} ! qtdemux name=d d.video_0 ! queue ! decodebin ! videoconvert ! "
        "fakesink d.audio_0 ! queue ! decodebin ! audioconvert ! fakesink"
    )
    done = subprocess.run(["gst-launch-1.0", "-q", *words.split()], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web page of no origin of ours, to show videos in."""
    (tmp_path / "index.html").write_text("<!doctype html><title>clip</title>")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


PLAY = """url => new Promise((done, fail) => {
  const video = document.createElement('video')
  video.muted = true
  video.crossOrigin = 'anonymous'
  video.onerror = () => fail(new Error(video.error.message))
  const seen = []
  const read = (_, data) => {
    const canvas = document.createElement('canvas')
    canvas.width = video.videoWidth
    canvas.height = video.videoHeight
    const context = canvas.getContext('2d')
    context.drawImage(video, 0, 0)
    const {data: rgba} = context.getImageData(0, 0, canvas.width, canvas.height)
    let gray = ''
    for (let i = 0; i < rgba.length; i += 4) gray += String.fromCharCode(rgba[i + 1])
    seen.push([data.mediaTime, canvas.width, canvas.height, btoa(gray)])
    video.requestVideoFrameCallback(read)
  }
  video.requestVideoFrameCallback(read)
  video.onended = () => done([video.duration, seen])
  video.src = url
  video.play()
})"""


@pytest.mark.needs("chromium")
def test_chromium_shows_the_right_frames(reordered: Recorded, browser: Any, site: str) -> None:
    """It may leave frames out; those that it shows stand at their times, the first one first."""
    import base64

    from kinolog.media import blockcode

    numbers = reordered.numbers(15.55, RESTART_S + 1.05)
    page = browser.new_page()
    page.goto(site)
    duration_s, seen = page.evaluate(PLAY, reordered.url(15.55, RESTART_S + 1.05))
    page.close()
    assert duration_s == pytest.approx(len(numbers) / RATE, abs=0.05)
    assert len(seen) > len(numbers) / 4
    newer = 0
    for media_s, width, height, gray in seen:
        picture = np.frombuffer(base64.b64decode(gray), np.uint8).reshape(height, width)
        at, number = round(media_s * RATE), blockcode.read(picture)
        # A callback that is late draws a newer picture than that of which it tells.
        assert number in numbers[at : at + 4], (media_s, at)
        newer += number != numbers[at]
    assert newer <= len(seen) / 10


def test_what_just_happened_is_waited_for(played: Stage, edge: str, client: httpx.Client) -> None:
    """`start=-4s` of a live stream: up to the moment of the request."""
    camera = played.camera("clip/live", "gop=1")
    base = f"{edge}/media/clip/live"
    until(
        lambda: client.get(f"{base}/clip.mp4?start=-5s&end=-4s").status_code == 200, "five seconds"
    )
    asked_s = time.time()
    answer = client.get(f"{base}/clip.mp4?start=-4s", timeout=20)
    assert answer.status_code == 200, answer.text
    seen = read_block_codes(io.BytesIO(answer.content))
    numbers = [frame.number for frame in seen]
    assert None not in numbers
    assert numbers == list(range(numbers[0] or 0, (numbers[0] or 0) + len(numbers)))
    # What was captured up to the request is there, save what a date may be off.
    assert len(numbers) == pytest.approx(4 * RATE, abs=4)
    assert time.time() - asked_s < 10
    moved = client.get(f"{base}/clip.mp4?start=-4s", headers={"range": "bytes=0-"})
    assert moved.status_code == 307
    assert moved.headers["location"].startswith("clip.mp4?start=1")
    part = client.get(moved.url.join(moved.headers["location"]), headers={"range": "bytes=4-7"})
    assert part.content == b"ftyp"
    stop(camera)


def cut(played: Stage, folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """`kinolog clip …` to its end."""
    kafka = ["--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix]
    command = [str(KINOLOG), "clip", *words, *kafka]
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=60)


def test_the_shell_writes_to_what_is_there(
    played: Stage, reordered: Recorded, tmp_path: Path
) -> None:
    """A pipe is written to and stays one; of a link, what it names. Any name will do."""
    begun_s = reordered.begun_s
    words = ["clip/reordered", "--start", str(begun_s + 3), "--end", str(begun_s + 4), "--force"]
    long = tmp_path / f"{'x' * 245}.mp4"
    assert cut(played, tmp_path, *words, "-o", str(long)).returncode == 0
    whole = long.read_bytes()
    (tmp_path / "named.mp4").write_bytes(b"before")
    (tmp_path / "link.mp4").symlink_to("named.mp4")
    assert cut(played, tmp_path, *words, "-o", "link.mp4").returncode == 0
    assert (tmp_path / "link.mp4").is_symlink()
    assert (tmp_path / "named.mp4").read_bytes() == whole
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_bytes)
        assert cut(played, tmp_path, *words, "-o", "pipe.mp4").returncode == 0
        assert read.result(10) == whole
    assert pipe.is_fifo()
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    looped = cut(played, tmp_path, *words, "-o", "loop.mp4")
    assert looped.returncode == 2
    assert b"links that name one another" in looped.stderr
    assert not list(tmp_path.glob(".*"))


@pytest.mark.slow
def test_the_shell_cuts_the_same_clip(
    played: Stage, reordered: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    """From Kafka, without an edge; a file that is there is safe, and none is left half."""
    span = [
        "--start",
        f"{reordered.begun_s + 3.31:.2f}",
        "--end",
        f"{reordered.begun_s + 7.77:.2f}",
    ]
    served = client.get(reordered.url(3.31, 7.77)).content
    done = cut(played, tmp_path, "clip/reordered", *span, "-o", "clip.mp4", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["file"], told["bytes"]) == ("clip.mp4", len(served))
    assert (tmp_path / "clip.mp4").read_bytes() == served
    again = cut(played, tmp_path, "clip/reordered", *span, "-o", "clip.mp4")
    assert again.returncode == 2
    assert b"is there already\n  --force replaces it" in again.stderr
    forced = cut(played, tmp_path, "clip/reordered", *span, "-o", "clip.mp4", "--force")
    assert forced.returncode == 0
    piped = cut(played, tmp_path, "clip/reordered", *span, "-o", "-")
    assert piped.stdout == served
    named = cut(played, tmp_path, "clip/reordered", *span)
    assert named.returncode == 0
    (other,) = (path.name for path in tmp_path.iterdir() if path.name != "clip.mp4")
    assert re.fullmatch(r"reordered-\d{8}T\d{6}Z-4s\.mp4", other)
    assert cut(played, tmp_path, "clip/nothing", *span).returncode == 2


def publish_file(played: Stage, path: Path, stream: str, at_s: int) -> None:
    process = played.start("publish", str(path), stream, "--fast", f"--at={at_s}")
    assert process.wait(PATIENCE_S) == 0


@pytest.mark.needs("ffmpeg")
def test_sound_alone_is_cut_to_the_sample(
    played: Stage, edge: str, client: httpx.Client, tmp_path: Path
) -> None:
    path = make(tmp_path / "sound.mp4", "-c:a", "aac", seconds=12, video=False)
    begun_s = int(time.time()) - 3600
    publish_file(played, path, "clip/sound", begun_s)
    base = f"{edge}/media/clip/sound/clip.mp4"
    for start_s, end_s in ((2.5, 7.25), (0.5, 0.75), (7.25, 9.001)):
        answer = client.get(f"{base}?start={begun_s + start_s}&end={begun_s + end_s}")
        assert answer.status_code == 200, answer.text
        assert sound_s(answer.content) == pytest.approx(end_s - start_s, abs=0.0021)
        with av.open(io.BytesIO(answer.content)) as container:
            heard = list(container.decode(audio=0))
        assert heard[0].pts is not None
        # The decoder drops what is hidden, and nothing of what is heard.
        assert heard[0].time == pytest.approx(0, abs=0.022)
        assert sum(frame.samples for frame in heard) >= (end_s - start_s - 0.0021) * 48000


@pytest.mark.needs("ffmpeg")
@pytest.mark.slow
def test_all_sounds_are_there_and_sessions_may_differ(
    played: Stage, edge: str, client: httpx.Client, tmp_path: Path
) -> None:
    """Two languages; the second session has another size of picture."""
    begun_s = int(time.time()) - 3600
    for number, size in enumerate(("320x180", "480x270")):
        path = tmp_path / f"{number}.mp4"
        ffmpeg(
            "-f", "lavfi", "-i", f"testsrc2=size={size}:rate=25", "-f", "lavfi", "-i", "sine=440",
            "-f", "lavfi", "-i", "sine=880", "-map", "0", "-map", "1", "-map", "2", "-t", "6",
            "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50",
            "-pix_fmt", "yuv420p",
            "-c:a", "aac", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu",
            path,
        )  # fmt: skip
        publish_file(played, path, "clip/languages", begun_s + 30 * number)
    query = f"start={begun_s + 3}.02&end={begun_s + 33}.02"
    answer = client.get(f"{edge}/media/clip/languages/clip.mp4?{query}")
    assert answer.status_code == 200, answer.text
    with av.open(io.BytesIO(answer.content)) as container:
        assert [one.language for one in container.streams.audio] == ["eng", "deu"]
        frames = [(frame.width, frame.time) for frame in container.decode(video=0)]
    widths = [width for width, _ in frames]
    # B-frames: the first session's date is that of its first DTS, two frames before its PTS.
    assert widths.count(320) == pytest.approx(75, abs=1)
    assert widths.count(480) == pytest.approx(75, abs=1)
    assert np.diff([moment or 0 for _, moment in frames]) == pytest.approx(0.04, abs=0.003)
    refused = client.get(f"{edge}/media/clip/languages/clip.m4s?{query}")
    assert (refused.status_code, "changes its parameters" in refused.text) == (400, True)
    answer = client.get(f"{edge}/media/clip/languages/clip.ts?{query}")
    assert answer.status_code == 200, answer.text
    with av.open(io.BytesIO(answer.content)) as container:
        assert [one.language for one in container.streams.audio] == ["eng", "deu"]
        shown = [(frame.width, frame.time or 0.0) for frame in container.decode(video=0)]
    # From the keyframe on, and what is decoded before the last one.
    assert [width for width, _ in shown].count(480) == pytest.approx(76, abs=2)
    assert 75 <= [width for width, _ in shown].count(320) <= 102
    # The last one is not in the range, and the B-frame before it is not there.
    assert np.diff([moment for _, moment in shown[:-1]]) == pytest.approx(0.04, abs=0.003)


def resident_mb(pid: int) -> float:
    """The most memory that a process has had since its peak was reset."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no peak")


LONG_S = 7200


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_hours_of_a_stream_take_little_memory(
    played: Stage, client: httpx.Client, tmp_path: Path
) -> None:
    """Two hours of pictures and sound, also for clients that take nothing."""
    begun_s = int(time.time()) - LONG_S - 600
    source = f"test:160x90@30?gop=2&bframes=2&seconds={LONG_S}"
    process = played.start("publish", source, "clip/long", "--fast", f"--at={begun_s}")
    assert process.wait(1200) == 0
    url = played.edge()
    base = f"{url}/media/clip/long"
    (pid,) = (
        one.info["pid"]
        for one in psutil.process_iter(["pid", "cmdline"])
        if f"--http-port {httpx.URL(url).port}" in " ".join(one.info["cmdline"] or ())
        and played.prefix in " ".join(one.info["cmdline"] or ())
    )
    # What an edge in use has: connections to Kafka, pages of the index.
    for warm in (f"clip.mp4?start={begun_s}&end={begun_s + 20}",
                 f"video.m3u8?start={begun_s}&end={begun_s + LONG_S}"):  # fmt: skip
        assert client.get(f"{base}/{warm}").status_code == 200
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    before_mb = resident_mb(pid)
    whole = f"{base}/clip.mp4?start={begun_s + 0.51}&end={begun_s + LONG_S - 0.49}"
    path = tmp_path / "long.mp4"
    asked_s = time.monotonic()
    with client.stream("GET", whole, timeout=120) as answer, path.open("wb") as file:
        first_s = time.monotonic() - asked_s
        assert answer.status_code == 200
        for part in answer.iter_bytes():
            file.write(part)
        size = int(answer.headers["content-length"])
    assert path.stat().st_size == size
    grown_mb = resident_mb(pid) - before_mb
    print(f"2 h clip of {size / 1e6:.0f} MB: {grown_mb:.0f} MB more from {before_mb:.0f} MB")
    print(f"first byte after {first_s:.1f} s")
    assert grown_mb < 64
    with av.open(path) as container:
        assert sum(bool(packet.size) for packet in container.demux(video=0)) >= 30 * (LONG_S - 1)
    with contextlib.ExitStack() as stack:
        for _ in range(8):
            slow = stack.enter_context(httpx.Client(timeout=120))
            stack.enter_context(slow.stream("GET", whole))
        # Once the edge has sent what it may, it stops reading.
        settled = [psutil.Process(pid).io_counters().read_chars]

        def rests() -> bool:
            settled.append(psutil.Process(pid).io_counters().read_chars)
            return settled[-1] - settled[-2] < 100_000

        until(rests, "an edge that rests")
        grown_mb = resident_mb(pid) - before_mb
    print(f"and with 8 clients that take nothing: {grown_mb:.0f} MB more")
    assert grown_mb < 64 + 8 * 12
