"""How many replicas new topics get while brokers are down, on real brokers."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from kinolog.cluster import Cluster
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, KafkaUnavailable
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.writer import LogWriter, Target

pytestmark = pytest.mark.cluster
_DEADLINE_S = 30


@asynccontextmanager
async def catalog(kafka: KafkaSettings, *, few_brokers: bool = False) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(kafka, SystemClock(), few_brokers=few_brokers)
    try:
        yield opened
    finally:
        await opened.close()


def namespace(servers: str) -> KafkaSettings:
    return KafkaSettings(servers, prefix=f"t{uuid.uuid4().hex[:10]}")


async def replicas_of(admin: Admin, topic: str) -> int:
    """Once the broker that is asked knows the topic: another may have told of it."""
    async with asyncio.timeout(_DEADLINE_S):
        while not (found := (await admin.describe(topic)).topics.get(topic)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return len(found[0].replicas)


async def all_tell_of(admin: Admin, brokers: int) -> None:
    """Wait until each of so many brokers knows that there are no others: any may be asked."""
    async with asyncio.timeout(_DEADLINE_S):
        while len(info := (await admin.describe()).brokers) > brokers:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        for server in info.values():
            # The first question of a client goes to its bootstrap server, there is no other yet.
            while len((await Admin(namespace(server)).describe()).brokers) > brokers:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


def test_with_a_broker_down_nothing_new_is_made_with_fewer_replicas(
    healthy_cluster3: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    """What there is goes on; who names a number of replicas gets it, and a warning."""
    cluster = healthy_cluster3
    kafka, fresh = namespace(cluster.bootstrap_servers), namespace(cluster.bootstrap_servers)
    admin = Admin(kafka)

    async def work() -> None:
        async with catalog(kafka) as one:
            await one.ensure_collection("old")
            assert one.collection("old").replication_factor == 3
            cluster.kill(3)
            await all_tell_of(admin, 2)

            with pytest.raises(KafkaUnavailable, match="2 of 3 brokers are up; a new coll") as no:
                await one.ensure_collection("new")
            assert "wants 3 replicas" in str(no.value)
            assert "--replication-factor 2" in no.value.hint
            assert f"{kafka.prefix}.new.media" not in (await admin.describe()).topics

            await one.ensure_collection("old")
            (place,) = (await one.place(StreamName("old", "cam")))[0].placements
            writer = LogWriter(kafka)
            await writer.append(
                Target(f"{place.base}.media", place.partition, b"cam"), None, b"x", 1
            )
            await writer.close()

            with caplog.at_level("WARNING", "kinolog"):
                await one.create("two", msgspec.structs.replace(one.defaults(2), partitions=1))
            assert await replicas_of(admin, f"{kafka.prefix}.two.media") == 2
            (warning,) = [told.message for told in caplog.records if told.name == "kinolog.log"]
            assert "replicas=2" in warning
            assert "brokers=2" in warning

        with pytest.raises(KafkaUnavailable, match="registry wants 3 replicas"):
            await Catalog.open(fresh, SystemClock())
        async with catalog(fresh, few_brokers=True):
            assert await replicas_of(admin, f"{fresh.prefix}.registry") == 2

    asyncio.run(work())


def test_the_clusters_own_default_is_wanted_where_no_topic_tells_of_more_brokers(
    tmp_path: Path,
) -> None:
    own = {"default.replication.factor": "3"}

    async def work(servers: str) -> None:
        with pytest.raises(KafkaUnavailable, match="1 of 3 brokers are up"):
            await Catalog.open(namespace(servers), SystemClock())

    with Cluster.start(tmp_path, 1, settings=own, owned=True) as cluster:
        asyncio.run(work(cluster.bootstrap_servers))


def test_topics_that_are_there_with_fewer_replicas_are_refused(cluster3: Cluster) -> None:
    """min.insync.replicas=2 on a topic of one replica would stop it for good."""
    kafka = namespace(cluster3.bootstrap_servers)

    async def work() -> None:
        await Admin(kafka).create([TopicSpec(f"{kafka.prefix}.pre.media", 4, 1, {})])
        async with catalog(kafka) as one:
            with pytest.raises(ConfigError, match="replicas: 1, not 3"):
                await one.ensure_collection("pre")

    asyncio.run(work())
