"""Clips as fragmented MP4 and as MPEG-TS have the frames of the same clip.mp4."""

from __future__ import annotations

import io
import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import av
import httpx
import pytest
from clip_stage import RATE, RESTART_S, Recorded, ranges, record
from hls_stage import KINOLOG, Stage, stage

from kinolog.testing.av_sync import measure_av_sync
from kinolog.testing.frames import read_block_codes

REORDERED = 2
"""So many frames behind the last one shown may have to be decoded before it."""
pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("formats")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def recorded(played: Stage, edge: str) -> Recorded:
    return record(played, edge, "formats/reordered", "&bframes=2")


def samples(data: bytes) -> dict[str, list[bytes]]:
    """Of each kind, the bytes of all samples, in decoding order."""
    found: dict[str, list[bytes]] = {}
    with av.open(io.BytesIO(data), options={"ignore_editlist": "1"}) as container:
        for packet in container.demux():
            if packet.size:
                found.setdefault(packet.stream.type, []).append(bytes(packet))
    return found


def around(seen: list[int | None], numbers: list[int]) -> tuple[int, int]:
    """How many frames more there are before those of the range, which must be there, and after."""
    before = seen.index(numbers[0])
    assert seen[before : before + len(numbers)] == numbers
    return before, len(seen) - before - len(numbers)


def test_fragments_have_the_samples_of_the_clip(recorded: Recorded, client: httpx.Client) -> None:
    for start_s, end_s in ranges(recorded, 8, seed=21):
        whole = client.get(recorded.url(start_s, end_s)).content
        answer = client.get(recorded.url(start_s, end_s, "clip.m4s"))
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-length"] == str(len(answer.content))
        assert samples(answer.content) == samples(whole)
        seen = [frame.number for frame in read_block_codes(io.BytesIO(answer.content))]
        numbers = recorded.numbers(start_s, end_s)
        assert around(seen, numbers)[1] <= REORDERED
        assert max(map(abs, measure_av_sync(io.BytesIO(answer.content))), default=0) <= 0.025


def test_pieces_of_a_fragmented_clip_are_those_of_the_whole(
    recorded: Recorded, client: httpx.Client
) -> None:
    url = recorded.url(3.3, RESTART_S + 7.7, "clip.m4s")
    whole = client.get(url)
    size = len(whole.content)
    assert client.head(url).headers["content-length"] == str(size)
    assert whole.headers["accept-ranges"] == "bytes"
    chance = random.Random(7)
    for _ in range(25):
        first, last = sorted(chance.randrange(size) for _ in range(2))
        answer = client.get(url, headers={"range": f"bytes={first}-{last}"})
        assert (answer.status_code, len(answer.content)) == (206, last - first + 1)
        assert answer.content == whole.content[first : last + 1]
    tail = client.get(url, headers={"range": f"bytes={size - 5}-"})
    assert tail.content == whole.content[-5:]


def test_a_transport_stream_begins_at_the_keyframe(
    recorded: Recorded, client: httpx.Client
) -> None:
    for start_s, end_s in ranges(recorded, 8, seed=22):
        answer = client.get(recorded.url(start_s, end_s, "clip.ts"))
        assert answer.status_code == 200, answer.text
        assert (answer.headers["content-type"], len(answer.content) % 188) == ("video/mp2t", 0)
        assert "accept-ranges" not in answer.headers
        seen = [frame.number for frame in read_block_codes(io.BytesIO(answer.content))]
        numbers = recorded.numbers(start_s, end_s)
        preroll_s = float(answer.headers["kinolog-preroll"])
        before, after = around(seen, numbers)
        assert before <= preroll_s * RATE + 1
        assert after <= REORDERED
        assert max(map(abs, measure_av_sync(io.BytesIO(answer.content))), default=0) <= 0.025


@pytest.mark.needs("ffprobe", "ffmpeg")
@pytest.mark.parametrize("ending", ["m4s", "ts"])
def test_ffmpeg_reads_it_without_a_complaint(
    recorded: Recorded, client: httpx.Client, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"clip.{ending}"
    numbers = recorded.numbers(14.02, RESTART_S + 3.05)
    path.write_bytes(client.get(recorded.url(14.02, RESTART_S + 3.05, f"clip.{ending}")).content)
    probed = subprocess.run(
        ["ffprobe", "-v", "error", "-count_packets", "-show_format", "-show_streams",
         "-of", "json", path],
        check=True, capture_output=True,
    )  # fmt: skip
    assert probed.stderr == b""
    told = json.loads(probed.stdout)
    assert [one["codec_name"] for one in told["streams"]] == ["h264", "aac"]
    assert len(numbers) <= int(told["streams"][0]["nb_read_packets"]) <= len(numbers) + 2 * RATE
    decoded = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", path, "-f", "null", "-"], check=True, capture_output=True
    )
    assert decoded.stderr == b""


@pytest.mark.needs("gst-launch-1.0")
@pytest.mark.parametrize("ending", ["m4s", "ts"])
def test_gstreamer_plays_it(
    recorded: Recorded, client: httpx.Client, tmp_path: Path, ending: str
) -> None:
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(client.get(recorded.url(14.02, RESTART_S + 3.05, f"clip.{ending}")).content)
    words = (
        f"filesrc location={path} ! decodebin name=d d. ! queue ! fakesink d. ! queue ! fakesink"
    )
    done = subprocess.run(["gst-launch-1.0", "-q", *words.split()], capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
def test_what_a_transport_stream_cannot_carry_is_said(
    played: Stage, edge: str, client: httpx.Client
) -> None:
    vp9 = record(played, edge, "formats/vp9", "&codec=vp9")
    answer = client.get(vp9.url(2, 5, "clip.ts"))
    assert answer.status_code == 400
    assert "a transport stream cannot carry vp09" in answer.text
    assert client.get(vp9.url(2, 5, "clip.m4s")).status_code == 200
    for name in ("clip.mkv", "clip.", "clip.mp4.ts"):
        assert client.get(vp9.url(2, 5, name)).status_code == 404
    assert client.get(f"{vp9.base}/clip.ts?start=tomorrow").status_code == 400


def test_the_shell_picks_by_suffix(
    played: Stage, recorded: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    start, end = f"{recorded.begun_s + 3.31:.2f}", f"{recorded.begun_s + 7.77:.2f}"
    for ending in ("m4s", "ts"):
        path = tmp_path / f"clip.{ending}"
        done = subprocess.run(
            [str(KINOLOG), "clip", "formats/reordered", "--start", start, "--end", end,
             "-o", path, "--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix],
            capture_output=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        served = client.get(recorded.url(3.31, 7.77, path.name)).content
        assert path.read_bytes() == served
