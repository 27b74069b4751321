"""`kinolog demo` beside what is there already: collections keep their video, Kafka runs on."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kit.server import free_ports, kinolog, run_well, wait_for

from kinolog.cluster import KAFKA_FOLDER, Cluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow]
_START_S = 120.0


@contextmanager
def demo(state: Path) -> Iterator[Path]:
    """`kinolog demo` from when it says where to watch to its end by Ctrl-C; what it says."""
    http_port, rtmp_port = free_ports(2)
    log = state.with_suffix(f".{http_port}.log")
    flags = ["--http-port", str(http_port), "--rtmp-port", str(rtmp_port), "--data-dir", str(state)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            kinolog("demo", *flags, "--source", "test:320x180@15"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    try:
        wait_for(lambda: "watch" in log.read_text() or process.poll() is not None, "demo", _START_S)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(60)
    assert code == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def collections(state: Path) -> dict[str, Any]:
    listed = run_well(kinolog("collections", "list", "--json", "--data-dir", state))
    return {row["collection"]: row for row in json.loads(listed)}


def test_the_video_and_the_kafka_that_were_there_stay(tmp_path: Path) -> None:
    state = tmp_path / "state"
    where = ("--data-dir", state)
    with Cluster.start(state / KAFKA_FOLDER, 1, owned=True) as cluster:
        run_well(kinolog("collections", "create", "demo", "--retention", "7d", *where))
        with demo(state) as log:
            assert "collection demo was there before" in log.read_text()
            run_well(kinolog("publish", "test:320x180@15?seconds=1", "made/film", *where))
            wait_for(lambda: collections(state)["made"]["retention"] == "1h", "the demo's limits")
        assert cluster.running, "the demo stopped a Kafka that it did not start"
        assert collections(state)["demo"]["retention"] == "7d"
        assert collections(state)["demo"]["retention_size"] == "unlimited"

        # What somebody chose for it later counts, as for any other collection.
        run_well(kinolog("collections", "alter", "made", "--retention", "7d", *where))
        with demo(state):
            assert collections(state)["made"]["retention"] == "7d"


def test_the_kafka_that_a_demo_started_ends_with_it(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with demo(state):
        cluster = Cluster.find(state / KAFKA_FOLDER)
        assert cluster is not None
        assert cluster.running
        with demo(state):
            pass
        assert cluster.running, "the second demo stopped the first one's Kafka"
        assert collections(state)["demo"]["retention"] == "1h"
    assert [broker.state for broker in cluster.status()] == ["stopped"]
