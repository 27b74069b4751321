"""A hub follows a stream that moves, once in each place, whatever else the registry says."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.hub import Hub
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.record.registry import CollectionEntry, StreamEntry

pytestmark = pytest.mark.cluster

NAME = StreamName("cams", "gate")


class SlowReader(RandomReader):
    """A reader whose answers about a partition's bounds wait until they are let go."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()

    async def bounds(self, topic: str, partition: int, key: str | None = None) -> tuple[int, int]:
        found = await super().bounds(topic, partition)
        self.asked.set()
        await self.free.wait()
        return found

    def hold_up(self) -> None:
        self.free.clear()
        self.asked.clear()


@asynccontextmanager
async def hub_of(one_broker: str) -> AsyncIterator[tuple[Catalog, SlowReader, Hub]]:
    kafka = KafkaSettings(one_broker, prefix=f"t{uuid.uuid4().hex[:10]}")
    catalog = await Catalog.open(kafka, SystemClock())
    reader = SlowReader(kafka)
    try:
        await catalog.create(
            "cams", CollectionEntry(partitions=3, replication_factor=1, retention_ms=3_600_000)
        )
        await catalog.place(NAME)
        hub = Hub(kafka, catalog, reader, SystemClock())
        try:
            yield catalog, reader, hub
        finally:
            await hub.close()
    finally:
        await reader.close()
        await catalog.close()


async def change_twice(catalog: Catalog) -> None:
    """What ingest does too: raise the floor, tell the bit rate."""
    for bit_rate in (1, 2):

        def rate(entry: StreamEntry | None, bit_rate: int = bit_rate) -> StreamEntry | None:
            return entry and msgspec.structs.replace(entry, bit_rate=bit_rate)

        await catalog.registry.change_stream(NAME, rate)


async def places(hub: Hub) -> list[int]:
    """The partitions that the stream is followed in, once the hub has followed its moves."""
    async with asyncio.timeout(30):
        while hub._moves:
            await asyncio.wait(hub._moves.values())
    return [partition for _, partition in hub.channels[NAME].places]


def test_a_place_is_added_once_however_often_the_entry_changes(one_broker: str) -> None:
    async def work() -> None:
        async with hub_of(one_broker) as (catalog, reader, hub):
            await hub.join(NAME)
            home = catalog.registry.streams[NAME].placements[0].partition
            away = (home + 1) % 3
            reader.hold_up()
            await catalog.move(NAME, away, 5)
            await asyncio.wait_for(reader.asked.wait(), 30)
            await change_twice(catalog)
            reader.free.set()
            assert await places(hub) == [home, away]
            followed = [p.channels for p in hub._partitions.values()]
            assert [len(channels["gate"]) for channels in followed] == [1, 1]

            await catalog.delete_stream(NAME)
            assert not hub.channels
            assert not hub._partitions

    asyncio.run(work())


def test_a_move_while_the_stream_is_being_joined_is_followed(one_broker: str) -> None:
    async def work() -> None:
        async with hub_of(one_broker) as (catalog, reader, hub):
            home = catalog.registry.streams[NAME].placements[0].partition
            reader.hold_up()
            joining = asyncio.create_task(hub.join(NAME))
            await asyncio.wait_for(reader.asked.wait(), 30)
            await catalog.move(NAME, (home + 1) % 3, 5)
            await catalog.move(NAME, (home + 2) % 3, 6)
            reader.free.set()
            await joining
            assert sorted(await places(hub)) == [0, 1, 2]

    asyncio.run(work())


def test_a_stream_that_goes_while_it_moves_leaves_nothing_behind(one_broker: str) -> None:
    async def work() -> None:
        async with hub_of(one_broker) as (catalog, reader, hub):
            await hub.join(NAME)
            home = catalog.registry.streams[NAME].placements[0].partition
            reader.hold_up()
            await catalog.move(NAME, (home + 1) % 3, 5)
            await asyncio.wait_for(reader.asked.wait(), 30)
            (moving,) = hub._moves.values()
            await catalog.delete_stream(NAME)
            reader.free.set()
            await asyncio.wait([moving])
            assert moving.cancelled()
            assert not hub._partitions

    asyncio.run(work())
