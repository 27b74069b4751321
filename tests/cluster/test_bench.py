"""`kinolog bench` on a real broker: what it prints has the right shape, and figures that can be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sdk_streams import new_prefix

from kinolog.bench.latency import STAGES
from kinolog.bench.sender import FRAME_RATE, Clip, Sender
from kinolog.cluster import KAFKA_FOLDER

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from kit.server import Server, kinolog, run, serving, wait_for

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]

RATES = ("kinolog_mb_s", "producer_performance_mb_s", "ratio")
CPU = ("kinolog_cpu_s_per_gb", "kinolog_cpu_percent", "producer_performance_cpu_s_per_gb")
HOLD_BACK_S = 0.627
"""Three parts of 209 ms (docs/adr/0009)."""


@pytest.fixture
def data_dir(one_broker: str, cluster_root: Path, tmp_path: Path) -> Path:
    """A data directory in which this run's broker is found, and ProducerPerformance by it."""
    (tmp_path / KAFKA_FOLDER).symlink_to(cluster_root / "one")
    return tmp_path


def bench(*arguments: str | Path) -> dict[str, Any]:
    """The JSON of a run that ended well; it must have said what it is doing, too."""
    done = run(kinolog("bench", *arguments, "--json"))
    assert done.returncode == 0, done.stderr
    assert "run" in done.stderr or "playing" in done.stderr
    found: dict[str, Any] = msgspec.json.decode(done.stdout)
    assert found["bench"] == arguments[0]
    assert {"at", "machine"} <= found.keys()
    return found


def check_spread(figure: dict[str, Any], n: int, least: float = 0.0) -> None:
    assert figure["n"] == n
    assert least < figure["min"] <= figure["p50"] <= figure["p95"] <= figure["p99"] <= figure["max"]


def collections(servers: str, prefix: str) -> list[Any]:
    command = kinolog("collections", "list", "--json", "--bootstrap-servers", servers)
    done = run([*command, "--topic-prefix", prefix])
    found: list[Any] = msgspec.json.decode(done.stdout)
    return found


@pytest.mark.slow
def test_ingest_compares_the_writer_and_tells_what_a_stream_costs(data_dir: Path) -> None:
    found = bench(
        *(
            "ingest",
            "--data-dir",
            data_dir,
            "--topic-prefix",
            new_prefix(),
            "--runs",
            "1",
            "--megabytes",
            "4",
        ),
        *("--sizes", "131072", "--streams", "2", "--seconds", "2", "--mbps", "0.5"),
    )
    (writer,) = found["writer"]
    assert (writer["record_bytes"], writer["replication_factor"]) == (131_072, 1)
    for key in (*RATES, *CPU[:2]):
        check_spread(writer[key], 1)
    assert writer["producer_performance_cpu_s_per_gb"]["n"] == 1
    (streams,) = found["streams"]
    assert (streams["streams"], streams["seconds"]) == (2, 2)
    assert streams["mbps_per_stream"] == pytest.approx(0.5, rel=0.2)
    for key in ("cpu_percent_per_stream", "cpu_percent", "rss_mb", "brokers_cpu_percent"):
        check_spread(streams[key], 1)
    assert streams["cpu_percent"]["max"] < 200, "two streams do not take two cores"


@pytest.mark.slow
def test_live_publishes_a_stream_of_its_own(one_broker: str) -> None:
    prefix = new_prefix()
    where = ("--bootstrap-servers", one_broker, "--topic-prefix", prefix)
    found = bench("live", "--seconds", "3", *where)
    assert found["capture_clock"] == "sender"
    assert (found["epochs"], found["ended"]) == (1, False)
    assert found["parts"] >= 5, "of about 15"
    assert list(found["stages"]) == list(STAGES)
    assert found["stages"]["acknowledged_to_client_s"]["n"] == found["parts"]
    # Nothing is anywhere before it was captured. Which of ingest and reader is told first of an
    # acknowledged chunk is chance.
    for stage in STAGES:
        if stage != "acknowledged_to_client_s":
            check_spread(found["stages"][stage], found["parts"])
    assert _p50(found, "first_frame_to_client_s") > _p50(found, "last_frame_to_client_s")
    assert found["hold_back_s"] == HOLD_BACK_S
    for viewers in (found["live_latency_s"], found["client_live_latency_s"]):
        check_spread(viewers, viewers["n"], HOLD_BACK_S - 1 / FRAME_RATE)
    assert found["stream_clock_off_s"]["n"] > found["parts"]
    assert collections(one_broker, prefix) == [], "what it made is deleted"


@pytest.mark.slow
def test_live_follows_a_stream_into_a_new_epoch(one_broker: str, tmp_path: Path) -> None:
    """A publisher that goes and comes back while it is measured."""
    prefix = new_prefix()
    where = ("--bootstrap-servers", one_broker, "--topic-prefix", prefix)
    clip = Clip(320, 180, 300_000, audio=True)
    with serving(one_broker, tmp_path, *where[2:]) as server:
        with sent(clip, server, "lab/cam") as camera:
            command = kinolog(
                *("bench", "live", "lab/cam", "--edge", server.http, "--json"),
                *("--ack-log", server.ack_log, "--seconds", "8", *where),
            )
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            assert process.stderr is not None
            told = ""
            for line in process.stderr:
                told += line
                if line.startswith("playing"):
                    break
            assert "playing" in told, told
            sent_before = len(camera.captured)
            wait_for(lambda: len(camera.captured) > sent_before + 2 * FRAME_RATE, "two seconds")
        server.wait_idle()
        with sent(clip, server, "lab/cam"):
            output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    found = msgspec.json.decode(output)
    assert found["capture_clock"] == "stream"
    assert found["epochs"] == 2
    parts = found["stages"]["last_frame_to_client_s"]["n"]
    assert parts > 10
    assert found["stages"]["last_frame_to_acknowledged_s"]["n"] == parts


@contextmanager
def sent(clip: Clip, server: Server, name: str) -> Iterator[Sender]:
    """A publisher of a clip, there as long as the block is."""
    sender = Sender(clip, server.rtmp_url(name))
    sender.start()
    try:
        wait_for(lambda: server.publishers() == 1, "the publisher")
        acknowledged = server.ack_log.read_bytes()
        # A publisher is counted from its first byte on; what is measured is a stream in the log.
        wait_for(lambda: server.ack_log.read_bytes() != acknowledged, "an acknowledged part")
        yield sender
    finally:
        sender.stop()
        sender.join()


def _p50(found: dict[str, Any], stage: str) -> float:
    return float(found["stages"][stage]["p50"])
