"""`/ready` says whether Kafka answers; `/health` that the process lives."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from hls_stage import stage, until

from kinolog.cluster import Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.mark.slow
def test_an_edge_without_kafka_is_not_ready(cluster_root: Path, tmp_path: Path) -> None:
    with (
        Cluster.start(cluster_root / "ready", 1, owned=True) as cluster,
        stage(cluster.bootstrap_servers, tmp_path) as played,
        httpx.Client(base_url=played.edge(), timeout=30) as client,
    ):
        cluster.kill(1)
        until(lambda: client.get("/ready").status_code == 503, "an edge that is not ready")
        state = client.get("/ready").json()
        print(f"not ready after {state['kafka_answered_s_ago']} s without an answer")
        assert state["ok"] is False
        assert client.get("/health").status_code == 200
        cluster.restart(1)
        until(lambda: client.get("/ready").status_code == 200, "an edge that is ready again")
