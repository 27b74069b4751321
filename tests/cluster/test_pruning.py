"""The registry forgets the epochs whose media are gone, and no other."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer

from failover_kit import Roles, stream_of
from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.pruning import MOST_AT_ONCE, prune
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import Open
from kinolog.record.registry import CollectionEntry, EpochEntry

pytestmark = pytest.mark.cluster

NAME = StreamName("cams", "gate")


def test_epochs_go_with_their_media_a_few_at_a_time(one_broker: str) -> None:
    """Fifteen epochs in one place and two in another; of a log of which nothing, then some, then
    all but the end has been deleted."""
    kafka = KafkaSettings(one_broker, prefix=f"t{uuid.uuid4().hex[:10]}")
    base, media = f"{kafka.prefix}.cams", f"{kafka.prefix}.cams.media"

    async def work() -> None:
        catalog = await Catalog.open(kafka, SystemClock())
        reader, admin = RandomReader(kafka), Admin(kafka)
        registry = catalog.registry
        try:
            settings = CollectionEntry(partitions=2, replication_factor=1, retention_ms=3_600_000)
            await catalog.create("cams", settings)
            await catalog.place(NAME)
            await write(one_broker, media, 100)
            # Epochs 4 and 5 were in partition 1. Each began five records after the one before.
            entries = [
                EpochEntry(
                    epoch=number,
                    disc=number,
                    open_offset=5 * number,
                    partition=int(number in (4, 5)),
                    base=base,
                    wall=number,
                    open=Open("s", "p", "t", 2000, 200, []),
                )
                for number in range(1, 18)
            ]
            tell = registry.change_epoch
            await asyncio.gather(
                *(tell(NAME, one.epoch, lambda _, one=one: one) for one in entries)
            )

            assert await prune(registry, reader, NAME) == []
            await admin.delete_records(media, 0, 15)  # where epoch 3 begins
            assert await prune(registry, reader, NAME) == [1, 2]
            await admin.delete_records(media, 0, 100)
            gone = [await prune(registry, reader, NAME) for _ in range(2)]
            assert gone == [[3, *range(6, 6 + MOST_AT_ONCE - 1)], [15, 16]]
            assert await prune(registry, reader, NAME) == []

            other = await Catalog.open(kafka, SystemClock())
            try:
                # In partition 1 nothing was deleted; the newest stays in any case.
                assert sorted(other.registry.epochs[NAME]) == [4, 5, 17]
            finally:
                await other.close()
        finally:
            await reader.close()
            await catalog.close()

    asyncio.run(work())


@pytest.mark.slow
def test_a_new_session_prunes_and_the_stream_goes_on(one_broker: str, tmp_path: Path) -> None:
    """Three sessions; the media of the first two deleted before the third."""
    name = StreamName(f"prune-{uuid.uuid4().hex[:8]}", "cam")
    with Roles(one_broker, tmp_path) as roles:

        def publish() -> None:
            roles.kinolog("publish", "test:192x108@30?seconds=3", name).ended_well(60)

        publish()
        publish()
        before = asyncio.run(epochs_of(one_broker, name))
        assert len(before) == 2
        asyncio.run(give_up_media(one_broker, before[-1]))
        publish()
        after = asyncio.run(epochs_of(one_broker, name))
        # The third opens where the log begins: nothing of the first two is left.
        assert [entry.disc for entry in after] == [2]
        assert len(stream_of(one_broker, name).opens) == 1


async def write(servers: str, topic: str, records: int) -> None:
    """So many records in partition 0, and one in partition 1."""
    producer = Producer({"bootstrap.servers": servers})
    for _ in range(records):
        producer.produce(topic, b"record", partition=0)
    producer.produce(topic, b"record", partition=1)
    assert await asyncio.to_thread(producer.flush, 30) == 0


async def epochs_of(servers: str, name: StreamName) -> list[EpochEntry]:
    catalog = await Catalog.open(KafkaSettings(servers), SystemClock())
    try:
        known = catalog.registry.epochs.get(name, {})
        return [known[number] for number in sorted(known)]
    finally:
        await catalog.close()


async def give_up_media(servers: str, entry: EpochEntry) -> None:
    """Delete all that the partition holds."""
    kafka = KafkaSettings(servers)
    reader = RandomReader(kafka)
    try:
        _, end = await reader.bounds(f"{entry.base}.media", entry.partition)
        await Admin(kafka).delete_records(f"{entry.base}.media", entry.partition, end)
    finally:
        await reader.close()
