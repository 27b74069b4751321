"""Clips over a publisher that comes back with another codec, or with another size."""

from __future__ import annotations

import io
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hls_stage import KINOLOG, Stage, stage

from kinolog.core.units import rfc3339
from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(120)]
LATER_S = 10
LENGTH_S = 3
RATE = 30


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("changes")
    with stage(one_broker, folder) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    return played.edge("--clips", str(tmp_path_factory.mktemp("kept")))


def two_sessions(played: Stage, stream: str, size: str, query: str = "") -> int:
    """Two short sessions, the second of other pictures; when the first begins, Unix seconds."""
    begun_s = int(time.time()) - 600
    length = f"gop=1&seconds={LENGTH_S}"
    played.published(stream, length, f"--at={begun_s}")
    source = f"test:{size}@{RATE}?{length}&start_number=5000{query}"
    again = played.start("publish", source, stream, "--fast", f"--at={begun_s + LATER_S}")
    assert again.wait(60) == 0
    return begun_s


def clip(played: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix]
    command = [str(KINOLOG), "clip", *words, *where]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_another_codec_is_refused_and_each_part_is_given(
    played: Stage, edge: str, tmp_path: Path
) -> None:
    stream = "changes/codec"
    begun_s = two_sessions(played, stream, "320x180", "&codec=vp9")
    media = f"{edge}/media/{stream}"
    start, end = begun_s, begun_s + LATER_S + LENGTH_S
    moment = rfc3339(1000 * (begun_s + LATER_S))
    for ending in ("mp4", "m4s"):
        refused = httpx.get(f"{media}/clip.{ending}?start={start}&end={end}", timeout=60)
        assert refused.status_code == 400, refused.text
        assert f"at {moment} from avc1" in refused.text
        assert "to vp09" in refused.text
    kept = httpx.post(f"{media}/clips", json={"start": start, "end": end}, timeout=60)
    assert kept.status_code == 400
    assert moment in kept.text
    file = tmp_path / "it.mp4"
    done = clip(played, stream, f"--start={start}", f"--end={end}", f"-o{file}")
    assert done.returncode != 0
    assert moment in done.stderr
    assert not file.exists()
    # The moment that was told is an end, and a start: no frame is missed, none is in both.
    numbers: list[int | None] = []
    for part in (f"start={start}&end={moment}", f"start={moment}&end={end}"):
        answer = httpx.get(f"{media}/clip.mp4?{part}", timeout=60)
        assert answer.status_code == 200, answer.text
        assert "kinolog-changes" not in answer.headers
        numbers += [frame.number for frame in read_block_codes(io.BytesIO(answer.content))]
    assert numbers == [*range(LENGTH_S * RATE), *range(5000, 5000 + LENGTH_S * RATE)]


def test_another_size_is_told_and_read_whole_by_ffmpeg(
    played: Stage, edge: str, tmp_path: Path
) -> None:
    stream = "changes/size"
    begun_s = two_sessions(played, stream, "640x360")
    start, end = begun_s, begun_s + LATER_S + LENGTH_S
    moment = rfc3339(1000 * (begun_s + LATER_S))
    answer = httpx.get(f"{edge}/media/{stream}/clip.mp4?start={start}&end={end}", timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.headers["kinolog-changes"] == moment
    assert "kinolog-changes" in answer.headers["access-control-expose-headers"]
    file = tmp_path / "it.mp4"
    done = clip(played, stream, f"--start={start}", f"--end={end}", f"-o{file}", "--json")
    assert done.returncode == 0, done.stderr
    assert f"at {moment}" in done.stderr
    assert json.loads(done.stdout)["changes"] == [moment]
    assert file.read_bytes() == answer.content
    probe = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v", "-show_entries",
             "stream=nb_read_frames", "-of", "csv=p=0", str(file)]  # fmt: skip
    read = subprocess.run(probe, capture_output=True, text=True, timeout=60, check=True)
    assert int(read.stdout.strip().strip(",")) == 2 * LENGTH_S * RATE
    parted = httpx.get(f"{edge}/media/{stream}/clip.m4s?start={start}&end={end}", timeout=60)
    assert parted.status_code == 400
    assert f"at {moment}" in parted.text
