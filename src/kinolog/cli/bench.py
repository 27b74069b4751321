"""`kinolog bench`: measure on your own machine, beside a peer or a limit, with spread."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from kinolog.bench import archive as archive_bench
from kinolog.bench import live as live_bench
from kinolog.bench import report
from kinolog.bench import streams as streams_bench
from kinolog.bench import viewers as viewers_bench
from kinolog.bench import writer as writer_bench
from kinolog.cli.common import Json, KafkaFlags, kafka_of, note, settings_of, show
from kinolog.cli.parameters import PARAMETERS
from kinolog.cluster import KAFKA_FOLDER, Cluster
from kinolog.core.errors import ConfigError
from kinolog.core.names import StreamName
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

app = App(
    name="bench",
    default_parameter=PARAMETERS,
    help="""Measure latency by stage, the writer and live streams, viewers.

    Try it:

        kinolog bench live

        kinolog bench ingest --runs 5

        kinolog bench viewers demo/camera --edge-pid 4711 --swarm ./swarm
    """,
)
_KAFKA = KafkaFlags()
_EDGE = "http://127.0.0.1:8080"
_Count = Annotated[int, Parameter(validator=Number(gte=1))]
_Counts = Annotated[tuple[int, ...], Parameter(validator=Number(gte=1), negative="")]
_Seconds = Annotated[float, Parameter(validator=Number(gte=1))]


@app.command
def live(
    stream: str | None = None,
    /,
    *,
    edge: str | None = None,
    ack_log: Path | None = None,
    seconds: _Seconds = 20.0,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Latency by stage: a frame captured, acknowledged, readable at an edge, at a client.

    Without STREAM it publishes one itself, by RTMP into a `kinolog serve` that it starts beside
    the others: then it is known exactly when each frame was captured. With STREAM it follows
    one that is live, by the capture times in the log; these count from when ingest had the first
    packets, so what is counted from a capture comes out too small by what those took.

    The client reloads playlists as players do and asks for hinted parts before they exist. Live
    latency is what viewers see who join at any time and play at the playlist's PART-HOLD-BACK,
    three parts: reckoned from when each part was at the client.

    Try it:

        kinolog bench live

        kinolog bench live demo/camera --edge https://edge.example --ack-log acks.jsonl --seconds 60

    Parameters
    ----------
    stream
        collection/name, published now with parts, on this machine's clock. [default: one of its
        own]
    edge
        The edge to play STREAM from; http or https (SSL_CERT_FILE names a CA of your own).
        [default: http://127.0.0.1:8080]
    ack_log
        The --ack-log file of the ingest that STREAM is published to: when it acknowledged.
    seconds
        How long to play.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream) if stream is not None else None
    if name is None and (edge or ack_log):
        raise ConfigError("--edge and --ack-log are for a STREAM that is published already")

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            if name is not None:
                return await live_bench.measure(
                    base, name, edge or _EDGE, seconds, ack_log=ack_log, progress=note
                )
            return await live_bench.measure_own(
                base,
                settings.kafka_config,
                seconds,
                replication_factor=await _replicas(base, None),
                progress=note,
            )

    found = roles.run(work())
    if json:
        _print_json("live", **found)
        return
    show(report.stage_table(found), report.STAGE_COLUMNS, as_json=False)
    if name is not None:
        note("by the capture times in the log, which may be too late: see --help")
    note(
        f"{found['parts']} parts in {found['epochs']} epochs; {found['missed_parts']} missed, "
        f"{found['stalls']} stalls of {found['stalled_s']:g} s in all"
    )


@app.command
def ingest(
    *,
    no_writer: Annotated[bool, Parameter(negative="")] = False,
    sizes: _Counts = (131_072, 16_384),
    megabytes: _Count = 200,
    streams: Annotated[int, Parameter(validator=Number(gte=0))] = 10,
    mbps: Annotated[float, Parameter(validator=Number(gte=0.2, lte=100))] = 1.0,
    seconds: _Seconds = 10.0,
    runs: _Count = 5,
    replication_factor: _Count | None = None,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """The writer beside Kafka's ProducerPerformance, and what each live stream costs ingest.

    First both write the same records in turn, with the same acks, replication and batches: MB/s,
    and the CPU of the process that writes. Then live streams are sent by RTMP into a `kinolog
    ingest` that it starts: CPU and memory of that process. The topics are deleted afterwards.

    Try it:

        kinolog bench ingest

        kinolog bench ingest --sizes 131072 --megabytes 1000 --streams 0

        kinolog bench ingest --no-writer --streams 30 --mbps 1 --seconds 20

    Parameters
    ----------
    no_writer
        Live streams only: ProducerPerformance is run from the embedded Kafka.
    sizes
        Record sizes in bytes.
    megabytes
        In each run of a writer.
    streams
        How many live streams at once; 0: none.
    mbps
        Mb/s of each.
    seconds
        In each run of the streams.
    runs
        Of each; the writers one more, to warm up.
    replication_factor
        Of what is written. [default: 3, or as many as there are brokers]
    """
    settings = settings_of(kafka)
    cluster = Cluster.find(settings.data_dir / KAFKA_FOLDER)
    if cluster is None and not no_writer:
        raise ConfigError(
            "ProducerPerformance is run from the embedded Kafka, and there is none",
            hint="`kinolog cluster start --brokers 3`, or pass --no-writer",
        )

    async def work() -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {"writer": [], "streams": []}
        async with roles.backend(kafka_of(settings)) as base:
            replicas = await _replicas(base, replication_factor)
            if cluster is not None and not no_writer:
                found["writer"] = await writer_bench.compare(
                    base.kafka,
                    cluster,
                    sizes=sizes,
                    runs=runs,
                    megabytes=megabytes,
                    replication_factor=replicas,
                    progress=note,
                )
            if streams:
                row = await streams_bench.measure(
                    base,
                    settings.kafka_config,
                    streams=streams,
                    mbps=mbps,
                    seconds=seconds,
                    runs=runs,
                    replication_factor=replicas,
                    brokers=_broker_pids(settings, cluster),
                    progress=note,
                )
                found["streams"].append(row)
        return found

    found = roles.run(work())
    if json:
        _print_json("ingest", **found)
        return
    if found["writer"]:
        show(report.writer_table(found["writer"]), report.WRITER_COLUMNS, as_json=False)
    if found["streams"]:
        show(report.stream_table(found["streams"]), report.STREAM_COLUMNS, as_json=False)


@app.command
def viewers(
    stream: str,
    /,
    *,
    edge: str = _EDGE,
    edge_pid: _Counts = (),
    peer: str | None = None,
    peer_pid: _Counts = (),
    beside_pid: _Counts = (),
    swarm: Path | None = None,
    viewers: _Counts = (200, 500),
    plain: Annotated[bool, Parameter(negative="")] = False,
    rewinders: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    seconds: _Count = 15,
    runs: _Count = 3,
    json: Json = False,
) -> None:
    """CPU of the server for each second of each HLS viewer, beside a peer's server.

    The swarm plays our edge, then the peer, in turn. With a peer, the last row for each number
    of viewers is the ratio, ours to the peer's, run by run.

    Try it:

        kinolog bench viewers demo/camera --edge-pid 4711 --swarm ./swarm

        kinolog bench viewers demo/camera --edge-pid 4711 --beside-pid 4700 --swarm ./swarm
        --peer http://127.0.0.1:8888/camera/index.m3u8 --peer-pid 4712

        kinolog bench viewers demo/camera --edge-pid 4711 --swarm ./swarm --plain --viewers 1000

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
    plain
        They load whole segments and reload without blocking, though the playlist has parts.
    rewinders
        So many more viewers of our edge who jump to random moments of the stream's past meanwhile.
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
            plain=plain,
            rewinders=rewinders,
            beside=beside_pid,
            progress=note,
        )
    )
    if json:
        _print_json("viewers", rows=rows)
    else:
        show(report.viewer_table(rows), report.VIEWER_COLUMNS, as_json=False)
        for line in report.rewinding(rows):
            note(line)


@app.command
def archive(
    *,
    days: _Count = 30,
    others: Annotated[int, Parameter(validator=Number(gte=0))] = 20,
    long: str | None = None,
    short: str | None = None,
    rounds: _Count = 3,
    moments: _Count = 30,
    keep: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """What a moment in the middle of a long archive costs, beside one of 10 minutes.

    Makes both, with other streams in the same partition, which takes some 20 s a day of archive.
    Each round starts an edge of its own for each: the first request to it counts as cold.

    Try it:

        kinolog bench archive --days 2 --others 4

        kinolog bench archive --long cams/gate --short cams/door

    Parameters
    ----------
    days
        How long the long archive is.
    others
        How many streams of half a day are published beside it.
    long
        An archive that is there already, in place of making one.
    short
        Another, to compare it with.
    rounds
        How often, each with new edges.
    moments
        Windows of an hour in each round.
    keep
        Leave the archives that were made.
    """
    settings = settings_of(kafka)
    if (long is None) != (short is None):
        raise ConfigError("--long and --short go together")

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            made = None
            if long is not None and short is not None:
                names = StreamName.parse(long), StreamName.parse(short)
            else:
                names = await archive_bench.make(base.catalog, base.kafka, days, others, note)
                made = names[0].collection
            try:
                found = await archive_bench.measure(
                    base.kafka,
                    settings.kafka_config,
                    *names,
                    rounds=rounds,
                    moments=moments,
                    progress=note,
                )
            finally:
                if made is not None and not keep:
                    await base.catalog.delete(made)
            return found | {"archives": [str(name) for name in names]}

    found = roles.run(work())
    if json:
        _print_json("archive", **found)
    else:
        show(report.archive_table(found), report.ARCHIVE_COLUMNS, as_json=False)


async def _replicas(base: roles.Backend, wanted: int | None) -> int:
    return wanted or await base.catalog.replicas()


def _broker_pids(settings: Settings, cluster: Cluster | None) -> tuple[int, ...]:
    """Those of the embedded cluster, where it is the one that is measured."""
    if cluster is None or settings.named:
        return ()
    return tuple(broker.pid for broker in cluster.status() if broker.pid is not None)


def _print_json(name: str, **found: Any) -> None:
    about = {
        "bench": name,
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
    }
    print(msgspec.json.format(msgspec.json.encode(about | found), indent=2).decode())
