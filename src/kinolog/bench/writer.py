"""The writer beside Kafka's own ProducerPerformance: same topic, acks, record size, in turn."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kinolog.bench.figures import ratios, spread
from kinolog.bench.usage import children_cpu_s, own_cpu_s
from kinolog.cluster.cluster import Cluster
from kinolog.core.errors import ClusterError, KinologError
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.writer import LogWriter, Target
from kinolog.record.header import VERSION, Header

_UNDER_WAY_BYTES = 32 * 1024 * 1024
_PARTITIONS = 3


class Written(NamedTuple):
    """One run of one writer."""

    mb_s: float
    cpu_s: float
    """CPU of the writing process."""
    size_bytes: int

    @property
    def cpu_s_per_gb(self) -> float:
        """CPU seconds for 10^9 payload bytes."""
        return self.cpu_s / self.size_bytes * 1e9

    @property
    def cpu_percent(self) -> float:
        """CPU at the rate that was reached, in percent of a core."""
        return 100 * self.cpu_s * self.mb_s * 1e6 / self.size_bytes


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
    """For each record size: rate and CPU of both, run by run in turn, and the ratios.

    Raises ClusterError where a record is not acknowledged, or ProducerPerformance fails.
    """
    found = []
    for size in sizes:
        records = max(1, megabytes * 1_000_000 // size)
        ours: list[Written] = []
        theirs: list[Written] = []
        progress(f"{size} B, {runs} runs of {megabytes} MB each after one to warm up")
        for run in range(runs + 1):
            topic = await _fresh_topic(kafka, f"{size}-{run}", replication_factor)
            try:
                mine = await _ours(kafka, topic, size, records)
                peer = await _theirs(kafka, cluster, topic, size, records)
            finally:
                await Admin(kafka).delete([topic])
            which = f"run {run} of {runs}" if run else "warming up"
            progress(
                f"{size} B, {which}: kinolog {mine.mb_s:.1f} MB/s, "
                f"ProducerPerformance {peer.mb_s:.1f} MB/s"
            )
            if run:
                ours.append(mine)
                theirs.append(peer)
        found.append(row(size, replication_factor, ours, theirs))
    return found


def row(
    size: int, replication_factor: int, ours: list[Written], theirs: list[Written]
) -> dict[str, Any]:
    """Spread of both and of the ratios, the runs paired in order."""
    found: dict[str, Any] = {"record_bytes": size, "replication_factor": replication_factor}
    for name, runs in (("kinolog", ours), ("producer_performance", theirs)):
        found |= {
            f"{name}_mb_s": spread([run.mb_s for run in runs], 1),
            f"{name}_cpu_s_per_gb": spread([run.cpu_s_per_gb for run in runs], 2),
            f"{name}_cpu_percent": spread([run.cpu_percent for run in runs], 1),
        }
    found["ratio"] = ratios([a.mb_s for a in ours], [b.mb_s for b in theirs])
    found["cpu_ratio"] = ratios([a.cpu_s_per_gb for a in ours], [b.cpu_s_per_gb for b in theirs])
    return found


async def _fresh_topic(kafka: KafkaSettings, name: str, replication_factor: int) -> str:
    topic = f"{kafka.prefix}-bench-{name}-{time.time_ns() // 1_000_000}"
    config = {
        "retention.bytes": "300000000",
        "min.insync.replicas": str(min(2, replication_factor)),
    }
    await Admin(kafka).create([TopicSpec(topic, _PARTITIONS, replication_factor, config)])
    return topic


async def _ours(kafka: KafkaSettings, topic: str, size: int, records: int) -> Written:
    """LogWriter, with the header that every chunk has."""
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

    cpu_before_s = own_cpu_s()
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
    cpu_s = own_cpu_s() - cpu_before_s
    await writer.close()
    if state["failed"]:
        raise ClusterError(f"{state['failed']} of {records} records were not acknowledged")
    return Written(size * records / seconds / 1e6, cpu_s, size * records)


async def _theirs(
    kafka: KafkaSettings, cluster: Cluster, topic: str, size: int, records: int
) -> Written:
    """ProducerPerformance, less the CPU that it takes to start and to send one record: its rate
    does not count that either."""
    _, start_cpu_s = await _producer_performance(kafka, cluster, topic, size, 1)
    mb_s, cpu_s = await _producer_performance(kafka, cluster, topic, size, records)
    return Written(mb_s, max(0.0, cpu_s - start_cpu_s), size * records)


async def _producer_performance(
    kafka: KafkaSettings, cluster: Cluster, topic: str, size: int, records: int
) -> tuple[float, float]:
    """Its MB/s and CPU seconds: the same acks, idempotence, batches and bytes under way."""
    command = cluster.tool(
        "org.apache.kafka.tools.ProducerPerformance",
        *("--topic", topic, "--num-records", str(records), "--record-size", str(size)),
        *("--throughput", "-1", "--producer-props"),
        *(f"bootstrap.servers={kafka.bootstrap_servers}", "acks=all", "linger.ms=0"),
        # As our writer has them; its own default, 16 KB a batch, is several times slower.
        *("batch.size=1000000", f"buffer.memory={_UNDER_WAY_BYTES}", "max.request.size=1048576"),
    )
    cpu_before_s = children_cpu_s()
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 300)
    except BaseException:
        process.kill()
        raise
    found = re.findall(r"\(([\d.]+) MB/sec\)", output.decode())
    if process.returncode or not found:
        raise ClusterError(f"ProducerPerformance failed: {output.decode()[-300:]}")
    # It counts in MiB.
    return float(found[-1]) * 1.048576, children_cpu_s() - cpu_before_s
