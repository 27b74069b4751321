"""`kinolog play` with real players: every packet, bit-identical pictures, all tracks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from sdk_streams import START_MS, camera, new_prefix, packets, published

from kinolog.ingest.source import SourceEvent
from kinolog.log.client import KafkaSettings
from kinolog.testing import record

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
DEADLINE_S = 90


@pytest.fixture
def kafka(one_broker: str) -> KafkaSettings:
    return KafkaSettings(one_broker, prefix=new_prefix())


def command(kafka: KafkaSettings, *arguments: str) -> list[str]:
    return [
        sys.executable, "-c", "from kinolog.cli import main; main()", "play", *arguments,
        "--bootstrap-servers", kafka.bootstrap_servers, "--topic-prefix", kafka.prefix,
    ]  # fmt: skip


def play(kafka: KafkaSettings, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(kafka, *arguments), capture_output=True, timeout=DEADLINE_S, check=False
    )


def played(kafka: KafkaSettings, *arguments: str) -> bytes:
    done = play(kafka, "lab/cam", "--from", "earliest", "--no-follow", *arguments)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def probe(data: bytes) -> list[dict[str, str]]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_streams", "-of", "json", "-"],
        input=data, capture_output=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    streams: list[dict[str, str]] = json.loads(done.stdout)["streams"]
    return streams


def complaints(said: bytes) -> list[str]:
    """What was said beside that a slow machine waits."""
    waits = ("connecting to", "is away: waiting")
    return [line for line in said.decode().splitlines() if not any(w in line for w in waits)]


def pictures(data: bytes, kind: str) -> list[str]:
    """The MD5 of each decoded picture, or frame of sound."""
    done = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", "-", "-map", f"0:{kind}", "-fps_mode", "passthrough",
         "-f", "framemd5", "-"],
        input=data, capture_output=True, timeout=DEADLINE_S, check=True,
    )  # fmt: skip
    assert done.stderr == b""
    lines = done.stdout.decode().splitlines()
    return [line.split(",")[-1].strip() for line in lines if not line.startswith("#")]


def sent(kafka: KafkaSettings, *urls: str) -> list[list[SourceEvent]]:
    sessions = [camera(url) for url in urls]
    published(kafka, "lab/cam", *((START_MS + 60_000 * i, s) for i, s in enumerate(sessions)))
    return sessions


@pytest.mark.needs("ffmpeg", "ffprobe")
def test_every_packet_and_picture(kafka: KafkaSettings) -> None:
    (events,) = sent(kafka, "test:320x180@25?seconds=6&bframes=2")
    data = played(kafka)
    video, audio = probe(data)
    assert (video["codec_name"], audio["codec_name"]) == ("h264", "aac")
    assert int(video["nb_read_packets"]) == len(packets(events, 0))
    assert int(audio["nb_read_packets"]) == len(packets(events, 1))
    assert 0 <= float(video["start_time"]) < 0.2
    assert abs(float(video["start_time"]) - float(audio["start_time"])) < 0.15
    source = record(events)
    assert pictures(data, "v") == pictures(source, "v")
    assert pictures(data, "a") == pictures(source, "a")


@pytest.mark.needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize("codec", ["vp9", "av1", "hevc"])
def test_other_codecs(kafka: KafkaSettings, codec: str) -> None:
    (events,) = sent(kafka, f"test:320x180@25?seconds=2&codec={codec}")
    video, audio = probe(played(kafka))
    assert video["codec_name"] == codec
    assert int(video["nb_read_packets"]) == len(packets(events, 0))
    assert int(audio["nb_read_packets"]) == len(packets(events, 1))


@pytest.mark.needs("ffprobe")
def test_one_track_from_a_moment_with_its_times(kafka: KafkaSettings) -> None:
    sent(kafka, "test:320x180@25?seconds=6")
    start = str(START_MS / 1000 + 3)
    done = play(
        kafka, "lab/cam", "--from", start, "--to", str(START_MS / 1000 + 5), "--no-follow",
        "--track", "video", "--keep-times",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    (video,) = probe(done.stdout)
    assert START_MS / 1000 + 1.9 < float(video["start_time"]) <= START_MS / 1000 + 3.001
    assert (
        abs(int(video["nb_read_packets"]) / 25 - (START_MS / 1000 + 5 - float(video["start_time"])))
        < 0.15
    )


@pytest.mark.needs("ffmpeg", "ffprobe")
def test_a_reconnect_goes_on_in_the_same_file(kafka: KafkaSettings) -> None:
    url = "test:320x180@25?seconds=2"
    first, second = sent(kafka, url, url)
    data = played(kafka)
    video, _ = probe(data)
    assert int(video["nb_read_packets"]) == len(packets(first, 0)) + len(packets(second, 0))
    assert pictures(data, "v") == pictures(record(first), "v") * 2
    assert data.count(b"moov") == 1


@pytest.mark.needs("ffprobe")
def test_other_tracks_end_the_file(kafka: KafkaSettings) -> None:
    first, _ = sent(kafka, "test:320x180@25?seconds=2", "test:192x108@25?seconds=2")
    done = play(kafka, "lab/cam", "--from", "earliest", "--no-follow")
    assert done.returncode == 0
    assert b"its tracks change here" in done.stderr
    video, _ = probe(done.stdout)
    assert int(video["nb_read_packets"]) == len(packets(first, 0))
    assert played(kafka, "--across").count(b"moov") == 2


@pytest.mark.needs("gst-launch-1.0")
def test_gstreamer_plays_it(kafka: KafkaSettings, tmp_path: Path) -> None:
    sent(kafka, "test:320x180@25?seconds=2")
    with subprocess.Popen(
        command(kafka, "lab/cam", "--from", "earliest", "--no-follow"), stdout=subprocess.PIPE
    ) as source:
        done = subprocess.run(
            ["gst-launch-1.0", "-q", "fdsrc", "!", "qtdemux", "name=d", "d.video_0", "!", "queue",
             "!", "h264parse", "!", "avdec_h264", "!", "video/x-raw,format=I420", "!", "filesink",
             f"location={tmp_path}/out.yuv"],
            stdin=source.stdout, capture_output=True, timeout=DEADLINE_S, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert (tmp_path / "out.yuv").stat().st_size == 50 * 320 * 180 * 3 // 2


def test_a_file(kafka: KafkaSettings, tmp_path: Path) -> None:
    sent(kafka, "test:320x180@25?seconds=2")
    path = tmp_path / "out.mp4"
    assert played(kafka, "-o", str(path)) == b""
    assert path.read_bytes() == played(kafka)


def test_a_file_that_was_there_is_kept_until_there_is_another(
    kafka: KafkaSettings, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.mp4"
    kept.write_bytes(b"of yesterday")
    done = play(kafka, "lab/nobody", "-o", str(kept))
    assert done.returncode == 2
    assert kept.read_bytes() == b"of yesterday"
    done = play(kafka, "lab/nobody", "-o", str(tmp_path / "none.mp4"))
    assert not (tmp_path / "none.mp4").exists()


def test_a_reader_that_leaves(kafka: KafkaSettings) -> None:
    """A live play into a closed pipe ends quietly."""
    sent(kafka, "test:320x180@25?seconds=2")
    with subprocess.Popen(
        command(kafka, "lab/cam", "--from", "earliest"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as source:  # fmt: skip
        assert source.stdout is not None
        assert source.stderr is not None
        assert len(source.stdout.read(1000)) == 1000
        source.stdout.close()
        assert source.wait(DEADLINE_S) == 141
        assert complaints(source.stderr.read()) == []


def test_an_interrupt_ends_it(kafka: KafkaSettings) -> None:
    sent(kafka, "test:320x180@25?seconds=2")
    with subprocess.Popen(
        command(kafka, "lab/cam", "--from", "earliest"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as source:  # fmt: skip
        assert source.stdout is not None
        assert source.stderr is not None
        assert source.stdout.read(1000)
        source.send_signal(2)
        source.stdout.read()
        assert source.wait(DEADLINE_S) == 0
        assert complaints(source.stderr.read()) == []


@pytest.mark.parametrize("moment", ["earliest", "live"])
def test_a_stream_that_is_away_is_waited_for_and_said_to_be(
    kafka: KafkaSettings, moment: str
) -> None:
    sent(kafka, "test:320x180@25?seconds=2")
    with subprocess.Popen(
        command(kafka, "lab/cam", "--from", moment),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as source:  # fmt: skip
        assert source.stderr is not None
        said = next(line for line in source.stderr if b"connecting" not in line)
        assert b"lab/cam is away: waiting for it; --no-follow ends at the present" in said
        source.send_signal(2)
        assert source.wait(DEADLINE_S) == 0
        assert complaints(source.stderr.read()) == []


def test_what_is_wrong_is_said(kafka: KafkaSettings) -> None:
    for arguments, said in {
        ("lab/none", "--no-follow"): "there is no stream lab/none",
        ("lab/a/b",): "a slash too many",
        ("lab/cam", "--from", "yesterday"): "'yesterday' is not a time",
        ("lab/cam", "-o", "/nowhere/out.mp4"): "cannot write /nowhere/out.mp4",
    }.items():
        done = play(kafka, *arguments)
        assert done.returncode == 2
        assert said in done.stderr.decode()
        assert "Traceback" not in done.stderr.decode()
