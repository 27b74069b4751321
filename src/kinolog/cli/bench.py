"""`kinolog bench`: measure on your own machine, beside a peer or a limit, with spread."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from cyclopts import App

from kinolog.bench import live as live_bench
from kinolog.bench import viewers as viewers_bench
from kinolog.bench import writer as writer_bench
from kinolog.cli.common import Json, KafkaFlags, kafka_of, note, settings_of, show
from kinolog.cli.parameters import PARAMETERS
from kinolog.cluster import KAFKA_FOLDER, Cluster
from kinolog.core.errors import ConfigError
from kinolog.core.names import StreamName
from kinolog.runtime import roles

app = App(
    name="bench",
    default_parameter=PARAMETERS,
    help="""Measure latency by stage, the writer, viewers.

    Try it:

        kinolog bench live demo/camera --edge http://127.0.0.1:8080

        kinolog bench ingest --runs 5

        kinolog bench viewers demo/camera --edge-pid 4711 --swarm ./swarm
    """,
)
_KAFKA = KafkaFlags()


@app.command
def live(
    stream: str,
    /,
    *,
    edge: str = "http://127.0.0.1:8080",
    seconds: float = 20.0,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Latency of a live stream by stage: its frames captured, readable, at a client.

    Try it:

        kinolog bench live demo/camera --seconds 60

    Parameters
    ----------
    stream
        collection/name, published now with parts, on this machine's clock.
    edge
        The edge to play from.
    seconds
        How long.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            if name not in base.catalog.registry.streams:
                raise ConfigError(f"there is no stream {name}")
            try:
                return await live_bench.measure(base, name, edge, seconds)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                raise ConfigError(f"{name} cannot be played from {edge}: {error}") from error

    found = roles.run(work())
    rows = [
        {"stage": label, **found[key]}
        for key, label in (
            ("last_frame_to_readable_s", "last frame captured → readable in the log"),
            ("last_frame_to_client_s", "last frame captured → part's last byte at a client"),
            ("first_frame_to_client_s", "first frame captured → part's last byte at a client"),
        )
    ]
    _report("live", rows, {"stage": "STAGE (seconds)", **_SPREAD}, as_json=json)


@app.command
def ingest(
    *,
    sizes: tuple[int, ...] = (131_072, 16_384),
    runs: int = 5,
    megabytes: int = 200,
    replication_factor: int = 3,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """The writer beside Kafka's ProducerPerformance: same acks, replication, record size.

    Try it:

        kinolog bench ingest --sizes 131072 --runs 5

    Parameters
    ----------
    sizes
        Record sizes in bytes.
    runs
        Of each, in turn, after one to warm up.
    megabytes
        In each run.
    replication_factor
        Of the topic that is written to, and deleted.
    """
    settings = settings_of(kafka)
    cluster = Cluster.find(settings.data_dir / KAFKA_FOLDER)
    if cluster is None:
        raise ConfigError(
            "ProducerPerformance is run from the embedded Kafka, and there is none",
            hint="`kinolog cluster start --brokers 3`",
        )
    rows = roles.run(
        writer_bench.compare(
            kafka_of(settings),
            cluster,
            sizes=sizes,
            runs=runs,
            megabytes=megabytes,
            replication_factor=replication_factor,
            progress=note,
        )
    )
    table = [
        {
            "record": row["record_bytes"],
            "ours": _short(row["kinolog_mb_s"]),
            "theirs": _short(row["producer_performance_mb_s"]),
            "ratio": _short(row["ratio"]),
        }
        for row in rows
    ]
    columns = {
        "record": "RECORD BYTES",
        "ours": "KINOLOG MB/s",
        "theirs": "PRODUCERPERFORMANCE MB/s",
        "ratio": "RATIO",
    }
    _report("ingest", rows if json else table, columns, as_json=json)


@app.command
def viewers(
    stream: str,
    /,
    *,
    edge: str = "http://127.0.0.1:8080",
    edge_pid: tuple[int, ...] = (),
    peer: str | None = None,
    peer_pid: tuple[int, ...] = (),
    beside_pid: tuple[int, ...] = (),
    swarm: Path | None = None,
    viewers: tuple[int, ...] = (200, 500),
    seconds: int = 15,
    runs: int = 3,
    json: Json = False,
) -> None:
    """CPU of the server for each second of each LL-HLS viewer, beside a peer's server.

    Try it:

        kinolog bench viewers demo/camera --edge-pid 4711 --viewers 200 --viewers 500

    Parameters
    ----------
    stream
        collection/name.
    edge
        Our edge.
    edge_pid
        Its process; every one, if several.
    peer
        A peer's playlist of the same video, running beside.
    peer_pid
        Its process.
    beside_pid
        Processes whose CPU is told too: brokers.
    swarm
        The viewer swarm's program. [default: `swarm` on the PATH]
    viewers
        How many, one run after the other.
    seconds
        Measured in each run.
    runs
        Of each, in turn.
    """
    name = StreamName.parse(stream)
    settings_of(None)
    program = swarm or Path(shutil.which("swarm") or "swarm")
    servers = [viewers_bench.Server("kinolog", f"{edge}/media/{name}/index.m3u8", edge_pid)]
    if peer is not None:
        servers.append(viewers_bench.Server("peer", peer, peer_pid))
    rows = asyncio.run(
        viewers_bench.compare(
            program,
            servers,
            viewers=viewers,
            seconds=seconds,
            runs=runs,
            beside=beside_pid,
            progress=note,
        )
    )
    table = [_viewer_row(row) for row in rows]
    columns = {
        "server": "SERVER",
        "viewers": "VIEWERS",
        "cpu": "CPU ms/VIEWER-s",
        "latency": "LIVE LATENCY p50 s",
        "stalls": "STALLS",
        "rss": "RSS MB",
        "beside": "BESIDE cores",
    }
    _report("viewers", rows if json else table, columns, as_json=json)


_SPREAD = {"n": "N", "min": "MIN", "p50": "P50", "p95": "P95", "p99": "P99", "max": "MAX"}


def _viewer_row(row: dict[str, Any]) -> dict[str, Any]:
    runs = row["runs"]
    return {
        "server": row["server"],
        "viewers": row["viewers"],
        "cpu": _short(viewers_bench.figures(row, "server_cpu_ms_per_viewer_s")),
        "latency": " ".join(str(run["live_latency_s"]["p50"]) for run in runs),
        "stalls": " ".join(str(run["stalls"]) for run in runs),
        "rss": " ".join(str(round(run.get("server_rss_MB", 0))) for run in runs),
        "beside": " ".join(f"{run['beside_cpu_share']:.2f}" for run in runs),
    }


def _short(figures: dict[str, Any]) -> str:
    """`median (least to most)`."""
    return f"{figures.get('p50')} ({figures.get('min')} to {figures.get('max')})"


def _report(
    name: str, rows: list[dict[str, Any]], columns: dict[str, str], *, as_json: bool
) -> None:
    if as_json:
        report = {
            "bench": name,
            "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
            "rows": rows,
        }
        print(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
    else:
        show(rows, columns, as_json=False)
