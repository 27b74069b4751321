"""The writer beside Kafka's own ProducerPerformance: same topic, acks, record size, in turn."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from typing import Any

from kinolog.bench.figures import spread
from kinolog.cluster.cluster import Cluster
from kinolog.core.errors import ClusterError, KinologError
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.writer import LogWriter, Target
from kinolog.record.header import VERSION, Header

_UNDER_WAY_BYTES = 32 * 1024 * 1024
_PARTITIONS = 3


async def compare(
    kafka: KafkaSettings,
    cluster: Cluster,
    *,
    sizes: tuple[int, ...] = (131_072, 16_384),
    runs: int = 5,
    megabytes: int = 200,
    replication_factor: int = 3,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """For each record size: MB/s of both, run by run in turn, and the ratio ours / theirs."""
    found = []
    for size in sizes:
        records = megabytes * 1_000_000 // size
        ours: list[float] = []
        theirs: list[float] = []
        for run in range(runs + 1):
            topic = await _fresh_topic(kafka, f"{size}-{run}", replication_factor)
            mine = await _ours(kafka, topic, size, records)
            peer = await _theirs(kafka, cluster, topic, size, records)
            await Admin(kafka).delete([topic])
            progress(f"{size} B, run {run}: {mine:.1f} and {peer:.1f} MB/s")
            if run:  # the first warms both up
                ours.append(mine)
                theirs.append(peer)
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        found.append(
            {
                "record_bytes": size,
                "replication_factor": replication_factor,
                "kinolog_mb_s": spread(ours, 1),
                "producer_performance_mb_s": spread(theirs, 1),
                "ratio": spread(ratios, 2),
            }
        )
    return found


async def _fresh_topic(kafka: KafkaSettings, name: str, replication_factor: int) -> str:
    topic = f"{kafka.prefix}-bench-{name}-{time.time_ns() // 1_000_000}"
    config = {
        "retention.bytes": "300000000",
        "min.insync.replicas": str(min(2, replication_factor)),
    }
    await Admin(kafka).create([TopicSpec(topic, _PARTITIONS, replication_factor, config)])
    return topic


async def _ours(kafka: KafkaSettings, topic: str, size: int, records: int) -> float:
    """MB/s of LogWriter, with the header that every chunk has."""
    writer = LogWriter(kafka)
    await writer.refresh(topic)
    payload = os.urandom(size)
    header = Header(VERSION, "chunk", 1, track="video", msn=1, part=2, chunk=3, dts=4, dur=5)
    room = asyncio.Event()
    state = {"under_way": 0, "failed": 0}

    def done(error: KinologError | None, _: int) -> None:
        state["under_way"] -= size
        state["failed"] += error is not None
        room.set()

    begun = time.perf_counter()
    for number in range(records):
        while state["under_way"] > _UNDER_WAY_BYTES:
            room.clear()
            await room.wait()
        state["under_way"] += size
        target = Target(topic, number % _PARTITIONS, b"bench")
        writer.send(target, header, payload, 1_700_000_000_000, done)
    while state["under_way"]:
        room.clear()
        await room.wait()
    seconds = time.perf_counter() - begun
    await writer.close()
    if state["failed"]:
        raise ClusterError(f"{state['failed']} of {records} records were not acknowledged")
    return size * records / seconds / 1e6


async def _theirs(
    kafka: KafkaSettings, cluster: Cluster, topic: str, size: int, records: int
) -> float:
    """MB/s of ProducerPerformance: the same acks, idempotence, batches and bytes under way."""
    command = cluster.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        *("--topic", topic, "--num-records", str(records), "--record-size", str(size)),
        *("--throughput", "-1", "--producer-props"),
        *(f"bootstrap.servers={kafka.bootstrap_servers}", "acks=all", "linger.ms=0"),
        # As our writer has them; its own default, 16 KB a batch, is several times slower.
        *("batch.size=1000000", f"buffer.memory={_UNDER_WAY_BYTES}", "max.request.size=1048576"),
    )
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await asyncio.wait_for(process.communicate(), 300)
    found = re.findall(r"\(([\d.]+) MB/sec\)", output.decode())
    if process.returncode or not found:
        raise ClusterError(f"ProducerPerformance failed: {output.decode()[-300:]}")
    return float(found[-1]) * 1.048576  # it counts in MiB
