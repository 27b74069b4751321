"""An edge whose Kafka is away says so quickly, whatever of the past is asked for, and serves it
again when it is back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from hls_stage import stage, until

from kinolog.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.slow, pytest.mark.timeout(180)]
SECONDS = 6
KNOWN_S = 6.0
"""After so long an edge knows that Kafka is away."""


class Said(NamedTuple):
    path: str
    status: int
    retry_after: str | None
    after_s: float


def asked(base: str, paths: Sequence[str]) -> list[Said]:
    """All at once."""

    def one(path: str) -> Said:
        begun = time.monotonic()
        answer = httpx.get(f"{base}/{path}", timeout=60)
        after_s = time.monotonic() - begun
        return Said(path, answer.status_code, answer.headers.get("retry-after"), after_s)

    with ThreadPoolExecutor(len(paths)) as pool:
        return list(pool.map(one, paths))


def test_the_past_is_503_at_once_and_there_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        Cluster.start(tmp_path / "kafka", 1, owned=True) as cluster,
        stage(cluster.bootstrap_servers, tmp_path) as played,
    ):
        edge = played.edge()
        begun_s = int(time.time()) - 600
        played.published("away/it", f"gop=1&seconds={SECONDS}", f"--at={begun_s}")
        span = f"start={begun_s}&end={begun_s + SECONDS}"
        base = f"{edge}/media/away/it"
        at = begun_s + 2
        paths = [f"video.m3u8?{span}", f"clip.mp4?{span}", f"still.jpg?at={at}",
                 f"timeline?{span}", f"events?{span}", f"manifest.mpd?{span}"]  # fmt: skip
        # Nothing of it is asked for before, so that nothing is at hand.
        listed = f"{edge}/api/streams"
        until(lambda: '"name":"it"' in httpx.get(listed, timeout=60).text, "the stream at the edge")
        (node,) = cluster.broker_ids
        cluster.kill(node)
        gone = time.monotonic()
        found = asked(base, paths)
        with capsys.disabled():
            print(*found, sep="\n")
        assert {one.status for one in found} == {503}
        assert max(one.after_s for one in found) < 6  # 5 s, and what a busy machine adds
        assert {one.retry_after for one in found} == {"2"}
        until(lambda: time.monotonic() - gone > KNOWN_S, "an edge that knows")
        again = asked(base, paths)
        with capsys.disabled():
            print(*again, sep="\n")
        assert {one.status for one in again} == {503}
        assert max(one.after_s for one in again) < 1
        Cluster.start(tmp_path / "kafka")
        until(lambda: httpx.get(f"{base}/timeline", timeout=60).status_code == 200, "Kafka")
        assert {one.status for one in asked(base, paths)} == {200}
