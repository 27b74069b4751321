"""After a failed delivery the log decides what is replayed (docs/adr/0002), on real brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from failover_kit import (
    assert_nothing_lost,
    media_numbers,
    new_name,
    numbers_of,
    pause_all,
    read_back,
    resume_all,
)

from kinolog.cluster import Cluster
from kinolog.core.clock import SystemClock
from kinolog.core.errors import Replaced
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLog
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.desk import LocalDesk
from kinolog.ingest.services import Services
from kinolog.ingest.source import SourceEvent
from kinolog.log.client import KafkaSettings
from kinolog.log.writer import LogWriter
from kinolog.runtime.roles import Backend, backend

pytestmark = pytest.mark.cluster

FRAMES = 240
CAMERA = f"test:320x180@30?seconds={FRAMES // 30}"


def camera_batches() -> list[list[SourceEvent]]:
    return list(SyntheticCamera(CAMERA).events(1_900_000_000_000))


class Ingest:
    """A desk of its own: writer, ack log, backend."""

    def __init__(self, base: Backend, writer: LogWriter, desk: LocalDesk, acks: Path) -> None:
        self.base, self.writer, self.desk, self.acks = base, writer, desk, acks


@asynccontextmanager
async def ingest(
    bootstrap: str, acks: Path, *, delivery_timeout_ms: int = 60_000
) -> AsyncIterator[Ingest]:
    kafka = KafkaSettings(bootstrap)
    async with backend(kafka) as base:
        writer = LogWriter(kafka, delivery_timeout_ms=delivery_timeout_ms)
        log = AckLog(acks)
        desk = LocalDesk(
            Services(base.catalog, writer, base.reader, SystemClock(), log, end_grace_ms=600_000)
        )
        try:
            yield Ingest(base, writer, desk, acks)
        finally:
            await desk.close()
            await writer.close()
            log.close()


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def feed(ticket: object, batches: Sequence[list[SourceEvent]]) -> None:
    for batch in batches:
        await ticket.feed(batch)  # type: ignore[attr-defined]


def test_what_a_paused_cluster_did_not_take_is_replayed(
    healthy_cluster3: Cluster, tmp_path: Path
) -> None:
    """The delivery timeout passes while all brokers are stopped, with requests under way: those
    land when they go on, or do not; what is read back is each frame once, in order."""
    cluster = healthy_cluster3
    name = StreamName(new_name("replay"), "cam")
    batches = camera_batches()

    async def work() -> None:
        async with ingest(
            cluster.bootstrap_servers, tmp_path / "acks", delivery_timeout_ms=3000
        ) as here:
            ticket = await here.desk.publish(name, publisher="test", live=False)
            await feed(ticket, batches[:100])
            await until(lambda: ticket.session.unacked_bytes == 0)
            first_epoch = ticket.session.epoch
            pause_all(cluster)
            try:
                await feed(ticket, batches[100:200])
                assert ticket.session.unacked_bytes > 0
                failed = here.writer.generation
                rest = asyncio.create_task(_feed_slowly(ticket, batches[200:], here, failed))
                await until(lambda: here.writer.generation > failed)
            finally:
                resume_all(cluster)
            await rest
            await ticket.close("done")
            assert ticket.session.epoch > first_epoch, "no new epoch: nothing failed"
            found = await read_back(here.base, name)
            assert_nothing_lost(here.acks, found)
            assert len(found.opens) > 1
            assert numbers_of(found.codes()) == list(range(FRAMES))
            numbers = media_numbers(found)
            assert numbers == list(range(numbers[-1] + 1))
            discs = [chunk.header.disc for chunk in found.of("video")]
            assert discs == sorted(discs)
            assert discs[-1] > discs[0]

    asyncio.run(work())


async def _feed_slowly(
    ticket: object, batches: Sequence[list[SourceEvent]], here: Ingest, failed: int
) -> None:
    """Feed one batch again and again until the failure is noticed, as a live source would."""
    left = list(batches)
    while left:
        await ticket.feed([left.pop(0)] if False else left.pop(0))  # type: ignore[attr-defined]
        if here.writer.generation == failed:
            await asyncio.sleep(0.1)
