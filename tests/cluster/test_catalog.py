"""Collections, placements and the registry's compare-and-set, on a real broker."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, NotFound
from kinolog.core.names import StreamName
from kinolog.log import catalog as catalog_module
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.partitioner import murmur2_partition
from kinolog.record.registry import CollectionEntry, StreamEntry
from kinolog.record.topics import SUFFIXES, Suffix

pytestmark = pytest.mark.cluster


@pytest.fixture
def kafka(one_broker: str) -> KafkaSettings:
    """A namespace of this test's own on the shared broker."""
    return KafkaSettings(one_broker, prefix=f"t{uuid.uuid4().hex[:10]}")


@asynccontextmanager
async def catalog(kafka: KafkaSettings) -> AsyncIterator[Catalog]:
    opened = await Catalog.open(kafka, SystemClock())
    try:
        yield opened
    finally:
        await opened.close()


def small(**changes: Any) -> CollectionEntry:
    entry = CollectionEntry(partitions=2, replication_factor=1, retention_ms=3_600_000)
    return msgspec.structs.replace(entry, **changes)


def run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(work())


def test_a_collection_is_four_topics_with_settings_that_fit_video(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("cams", small(retention_bytes=2_000_000_000))
            info = await Admin(kafka).describe()
            base = f"{kafka.prefix}.cams"
            for suffix in ("media", "renditions", "index", "events"):
                assert len(info.topics[f"{base}.{suffix}"]) == 2
            media = await Admin(kafka).config(f"{base}.media")
            assert media["retention.ms"] == "3600000"
            assert media["segment.ms"] == "360000"
            assert int(media["segment.bytes"]) <= 200_000_000
            assert media["unclean.leader.election.enable"] == "false"
            assert media["compression.type"] == "producer"
            index = await Admin(kafka).config(f"{base}.index")
            assert index["compression.type"] == "zstd"

    run(work)


def test_settings_change_while_it_runs_and_others_see_it(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one, catalog(kafka) as other:
            await one.create("cams", small())
            await one.alter("cams", retention_ms=7_200_000, partitions=3)
            await other.registry.catch_up()
            assert other.collection("cams").retention_ms == 7_200_000
            assert other.collection("cams").partitions == 3
            media = f"{kafka.prefix}.cams.media"
            assert (await Admin(kafka).config(media))["retention.ms"] == "7200000"
            assert len((await Admin(kafka).describe(media)).topics[media]) == 3
            with pytest.raises(ConfigError, match="cannot take any away"):
                await one.alter("cams", partitions=1)

    run(work)


def test_more_replicas_than_brokers_is_refused_before_anything_is_made(
    kafka: KafkaSettings,
) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            with pytest.raises(ConfigError, match="replication factor 3"):
                await one.create("cams", small(replication_factor=3))
            assert f"{kafka.prefix}.cams.media" not in (await Admin(kafka).describe()).topics

    run(work)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"part_ms": 49}, "a part duration of 49 ms"),
        ({"target_ms": 1000, "part_ms": 1001}, "to the target duration, 1000 ms"),
        ({"target_ms": 499}, "a target duration of 499 ms"),
        ({"target_ms": 30_001}, "a target duration of 30001 ms"),
        ({"target_ms": -1}, "a target duration of -1 ms"),
    ],
)
def test_durations_that_cannot_be_are_refused(
    changes: dict[str, int], said: str, kafka: KafkaSettings
) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            with pytest.raises(ConfigError, match=said):
                await one.create("cams", small(**changes))
            assert "cams" not in one.registry.collections
            await one.create("cams", small())
            with pytest.raises(ConfigError, match=said):
                await one.alter("cams", **changes)
            assert one.collection("cams").part_ms == 200

    run(work)


def test_balanced_takes_empty_partitions_first_then_adds_some(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("cams", small(max_partitions=4))
            names = [StreamName("cams", f"c{number}") for number in range(6)]
            placed = [(await one.place(name))[0].placements[0].partition for name in names]
            assert sorted(placed[:4]) == [0, 1, 2, 3]
            assert max(Counter(placed).values()) == 2
            assert one.collection("cams").partitions == 4

    run(work)


def test_balanced_goes_by_bit_rate_and_refuses_what_is_too_much(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("cams", small(partitions=2, max_partitions=2, partition_mbps=20))

            async def put(name: str, mbps: int) -> int:
                stream = StreamName("cams", name)
                placed, _ = await one.place(stream)
                rated = msgspec.structs.replace(placed, bit_rate=mbps * 1_000_000)
                await one.registry.change_stream(stream, lambda _: rated)
                return placed.placements[0].partition

            heavy, light = await put("heavy", 19), await put("light", 3)
            assert {heavy, light} == {0, 1}
            assert [await put(f"c{n}", 5) for n in range(4)] == [light] * 4
            assert await put("another", 5) == heavy
            with pytest.raises(ConfigError, match="20 Mb/s") as refused:
                await one.place(StreamName("cams", "too-much"))
            assert "--max-partitions 4" in (refused.value.hint or "")
            await one.alter("cams", partition_mbps=0)
            await one.place(StreamName("cams", "too-much"))

    run(work)


def test_by_stream_and_by_owner_are_kafkas_own_hash(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("s", small(strategy="stream", partitions=7))
            await one.create("o", small(strategy="owner", partitions=7))
            entry, _ = await one.place(StreamName("s", "gate"))
            assert entry.placements[0].partition == murmur2_partition("gate", 7)
            homes = {
                (await one.place(StreamName("o", f"c{n}"), owner="ann"))[0].placements[0].partition
                for n in range(3)
            }
            assert homes == {murmur2_partition("ann", 7)}
            with pytest.raises(ConfigError, match="by owner"):
                await one.place(StreamName("o", "nobodys"))

    run(work)


def test_a_dedicated_stream_has_topics_of_its_own_which_go_with_it(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("d", small(strategy="dedicated"))
            name = StreamName("d", "big")
            entry, new = await one.place(name)
            assert new
            own = f"{kafka.prefix}.d.big"
            assert entry.placements[0].base == own
            assert f"{own}.media" in (await Admin(kafka).describe()).topics
            assert await one.delete_stream(name) == []
            assert f"{own}.media" not in (await Admin(kafka).describe()).topics
            assert name not in one.registry.streams
            with pytest.raises(NotFound):
                await one.delete_stream(name)

    run(work)


def test_many_processes_place_one_stream_once(kafka: KafkaSettings) -> None:
    """Eight catalogs at once: the registry's compare-and-set lets one win, all see the same."""

    async def work() -> None:
        async with catalog(kafka) as first:
            await first.create("cams", small(max_partitions=2))
            others = [await Catalog.open(kafka, SystemClock()) for _ in range(8)]
            try:
                name = StreamName("cams", "gate")
                results = await asyncio.gather(*(one.place(name) for one in others))
            finally:
                for one in others:
                    await one.close()
            assert sum(new for _, new in results) == 1
            assert len({entry.placements[0].partition for entry, _ in results}) == 1

    run(work)


def test_no_compare_and_set_is_lost(kafka: KafkaSettings) -> None:
    """Four writers each add one, five times: 20 in the end, whoever was fenced tried again."""

    async def work() -> None:
        async with catalog(kafka) as first:
            await first.create("cams", small())
            name = StreamName("cams", "gate")
            await first.place(name)
            others = [await Catalog.open(kafka, SystemClock()) for _ in range(4)]

            def add(entry: StreamEntry | None) -> StreamEntry:
                assert entry is not None
                return msgspec.structs.replace(entry, msn_floor=entry.msn_floor + 1)

            async def five(one: Catalog) -> None:
                for _ in range(5):
                    await one.registry.change_stream(name, add)

            try:
                await asyncio.gather(*(five(one) for one in others))
            finally:
                for one in others:
                    await one.close()
            await first.registry.catch_up()
            assert first.registry.streams[name].msn_floor == 20

    run(work)


def test_deleting_a_collection_takes_all_of_it(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("cams", small())
            await one.place(StreamName("cams", "gate"))
            assert await one.report_topics() == set()
            made = [await one.ensure_reports("cams") for _ in range(2)]
            assert made == [True, False]
            assert await one.report_topics() == {f"{kafka.prefix}.cams.qoe"}
            found = await Admin(kafka).config(f"{kafka.prefix}.cams.qoe")
            assert (found["compression.type"], found["retention.ms"]) == ("zstd", "604800000")
            await one.delete("cams")
            assert "cams" not in one.registry.collections
            assert not one.registry.streams
            topics = (await Admin(kafka).describe()).topics
            assert not [name for name in topics if name.startswith(f"{kafka.prefix}.cams.")]
            with pytest.raises(NotFound):
                await one.delete("cams")

    run(work)


def test_a_cluster_that_fixes_some_settings_is_taken_as_it_is(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Confluent Cloud does. The broker refuses for real: there is no such compression."""
    made = catalog_module.topic_config

    def fixed(entry: CollectionEntry, suffix: Suffix) -> dict[str, str]:
        return made(entry, suffix) | {"compression.type": "none-of-these"}

    monkeypatch.setattr(catalog_module, "topic_config", fixed)

    async def work() -> None:
        async with catalog(kafka) as one:
            await one.create("managed", small(retention_ms=7_200_000))
            admin = Admin(kafka)
            media = f"{kafka.prefix}.managed.media"
            config = await admin.config(media)
            assert (config["retention.ms"], config["cleanup.policy"]) == ("7200000", "delete")
            await one.alter("managed", retention_ms=10_800_000)
            assert (await admin.config(media))["retention.ms"] == "10800000"

    run(work)


def test_topics_that_are_there_already_get_the_settings_or_are_refused(
    kafka: KafkaSettings,
) -> None:
    """Made by somebody else, or by a create that was interrupted before the registry knew of it."""

    async def work() -> None:
        admin = Admin(kafka)
        topics = [f"{kafka.prefix}.pre.{suffix}" for suffix in SUFFIXES]
        week = {"retention.ms": str(7 * 24 * 3_600_000)}
        async with catalog(kafka) as one:
            await admin.create([TopicSpec(name, 2, 1, week) for name in topics])
            async with asyncio.timeout(10):
                with pytest.raises(ConfigError, match="partitions: 2, not 4") as refused:
                    await one.create("pre", small(partitions=4))
            assert topics[0] in str(refused.value)
            assert "--partitions 2" in refused.value.hint
            assert "pre" not in one.registry.collections
            assert (await admin.config(topics[0]))["retention.ms"] == week["retention.ms"]

            await one.create("pre", small(partitions=2, retention_ms=7_200_000))
            for name in topics:
                assert (await admin.config(name))["retention.ms"] == "7200000"
            kept = await one.create("pre", small(partitions=4, retention_ms=3_600_000))
            assert (kept.partitions, kept.retention_ms) == (2, 7_200_000)
            assert (await admin.config(topics[0]))["retention.ms"] == "7200000"

    run(work)


def test_the_command_line_says_what_it_made_and_changed_as_json(
    kafka: KafkaSettings,
) -> None:
    def command(*words: str) -> dict[str, Any]:
        at = ("--bootstrap-servers", kafka.bootstrap_servers, "--topic-prefix", kafka.prefix)
        said = subprocess.run(
            [sys.executable, "-m", "kinolog", "collections", *words, "--json", *at],
            capture_output=True,
            check=True,
            timeout=60,
        )
        (row,) = msgspec.json.decode(said.stdout)
        return dict(row)

    made = command("create", "cams", "--partitions", "2", "--retention", "1h")
    assert (made["collection"], made["partitions"], made["retention"]) == ("cams", 2, "1h")
    changed = command("alter", "cams", "--retention", "2h", "--partition-strategy", "stream")
    assert changed == made | {"retention": "2h", "strategy": "stream"}


def test_more_partitions_than_allowed_names_the_flag(kafka: KafkaSettings) -> None:
    async def work() -> None:
        async with catalog(kafka) as one:
            with pytest.raises(ConfigError, match="1 to 48, not 50") as error:
                await one.create("cams", small(partitions=50))
            assert "--max-partitions 50" in error.value.hint

    run(work)
