"""Streams for the tests of what reads them: published from the camera or by hand, in process."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.desk import LocalDesk
from kinolog.ingest.services import Services
from kinolog.ingest.source import SourceEvent
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter
from kinolog.media.types import Packet

START_MS = 1000 * (int(time.time()) - 7200)  # a whole second, kept by any retention


def new_prefix() -> str:
    """A prefix of this test's own: collections and streams of others do not show."""
    return f"t{uuid.uuid4().hex[:8]}"


def camera(url: str = "test:320x180@25?seconds=6&bframes=2&gop=1") -> list[SourceEvent]:
    """All events of a camera's run."""
    return [event for batch in SyntheticCamera(url).events(START_MS) for event in batch]


def packets(events: Sequence[SourceEvent], track: int = 0) -> list[Packet]:
    """The packets of one track."""
    return [e for e in events if isinstance(e, Packet) and e.track == track]


@asynccontextmanager
async def opened_desk(kafka: KafkaSettings) -> AsyncIterator[tuple[LocalDesk, Catalog]]:
    """A desk to publish at."""
    catalog = await Catalog.open(kafka, SystemClock())
    reader, writer = RandomReader(kafka), LogWriter(kafka)
    services = Services(catalog=catalog, writer=writer, reader=reader, clock=SystemClock())
    desk = LocalDesk(services)
    try:
        yield desk, catalog
    finally:
        await desk.close()
        await writer.close()
        await reader.close()
        await catalog.close()


async def publish_at(
    desk: LocalDesk, name: str, events: Sequence[SourceEvent], at_ms: int = START_MS
) -> None:
    """One session, captured from `at_ms` on; waits until it is acknowledged and indexed."""
    ticket = await desk.publish(StreamName.parse(name), publisher="test", at_ms=at_ms, live=False)
    await ticket.feed(events)
    await ticket.close("done")


def published(
    kafka: KafkaSettings, name: str, *sessions: tuple[int, Sequence[SourceEvent]]
) -> None:
    """Publish sessions one after another: (at_ms, events) each."""

    async def work() -> None:
        async with opened_desk(kafka) as (desk, _):
            for at_ms, events in sessions:
                await publish_at(desk, name, events, at_ms)

    asyncio.run(work())
