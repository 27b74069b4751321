"""Collections and the placement of streams: settings in the registry, topics in Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TypeGuard

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import ConfigError, KafkaRefused, NotFound
from kinolog.core.names import StreamName, check_part
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.partitioner import murmur2_partition
from kinolog.log.registry import Registry
from kinolog.log.replication import ENOUGH, replicas, warn_of_few
from kinolog.record.registry import CollectionEntry, Placement, StreamEntry
from kinolog.record.topics import (
    SUFFIXES,
    Suffix,
    collection_base,
    dedicated_base,
    qoe_topic,
    registry_topic,
    topic,
)

HOUR_MS = 3_600_000
DEFAULT_RETENTION_MS = 24 * HOUR_MS
QOE_RETENTION_MS = 7 * 24 * HOUR_MS
"""How long players' reports are kept; and at most a gigabyte of them a collection."""
DEFAULT_PARTITIONS = 4
_UNKNOWN_BIT_RATE = 4_000_000
"""What a stream that nobody has measured yet is taken for."""
_TEN_YEARS_MS = 10 * 365 * 24 * HOUR_MS
_TARGETS_MS = (500, 30_000)
_LEAST_PART_MS = 50
_LEAST_SEGMENT_BYTES = 4 * 1024 * 1024
_MOST_SEGMENT_BYTES = 1024 * 1024 * 1024
LEAST_RETENTION_BYTES = 10 * _LEAST_SEGMENT_BYTES
"""A limit by size is no smaller than that, per partition."""


class Catalog:
    """The collections and streams of one cluster under one prefix."""

    def __init__(
        self, settings: KafkaSettings, admin: Admin, registry: Registry, clock: Clock
    ) -> None:
        self._settings = settings
        self._admin = admin
        self._clock = clock
        self._placing: dict[str, asyncio.Lock] = {}
        self.registry = registry

    @classmethod
    async def open(
        cls,
        settings: KafkaSettings,
        clock: Clock,
        *,
        few_brokers: bool = False,
        seldom_writes: bool = False,
    ) -> Catalog:
        """Make the registry topic where it is missing, and read it. `few_brokers`: with the
        brokers that are up; else KafkaUnavailable where it wants more. `seldom_writes`: as of
        Registry.open."""
        admin = Admin(settings)
        await ensure_registry(settings, admin, few_brokers=few_brokers)
        return cls(
            settings, admin, await Registry.open(settings, seldom_writes=seldom_writes), clock
        )

    async def close(self) -> None:
        """Stop following the registry."""
        await self.registry.close()

    def defaults(self, replication_factor: int) -> CollectionEntry:
        """What a collection gets that is made by publishing to it."""
        return CollectionEntry(
            partitions=DEFAULT_PARTITIONS,
            replication_factor=replication_factor,
            retention_ms=DEFAULT_RETENTION_MS,
            created_ms=self._clock.unix_ms(),
        )

    async def replicas(self) -> int:
        """How many replicas a new collection gets. KafkaUnavailable while too few brokers are
        up for them."""
        return await replicas(self._admin, await self._admin.describe())

    async def ensure_collection(
        self, name: str, wanted: CollectionEntry | None = None
    ) -> CollectionEntry:
        """The collection, made with `wanted` or the defaults where it is not there yet."""
        found = self.registry.collections.get(name)
        if _stays(found):
            return found
        return await self.create(name, wanted or self.defaults(await self.replicas()))

    async def create(self, name: str, wanted: CollectionEntry) -> CollectionEntry:
        """Make a collection and its topics. One that is there already keeps its settings; topics
        that are there without it get those wanted, or ConfigError where they cannot."""
        check_part(name, "collection")
        _check(wanted)
        await self.registry.catch_up()
        found = self.registry.collections.get(name)
        if _stays(found):
            return found
        brokers = len((await self._admin.describe()).brokers)
        if wanted.replication_factor > brokers:
            raise ConfigError(
                f"replication factor {wanted.replication_factor} needs as many brokers, "
                f"the cluster has {brokers}",
                hint="start more brokers, or pass a smaller --replication-factor",
            )
        await self._create_topics(collection_base(self._settings.prefix, name), wanted)
        warn_of_few(f"collection {name}", wanted.replication_factor, brokers)
        made = await self.registry.change_collection(
            name, lambda entry: entry if _stays(entry) else wanted
        )
        assert made is not None
        return made

    async def alter(self, name: str, **changes: object) -> CollectionEntry:
        """Change a collection's settings, its topics' too. Partitions can only grow."""
        before = self.collection(name)
        after = msgspec.structs.replace(before, **changes)
        _check(after)
        if after.partitions < before.partitions:
            raise ConfigError(
                f"collection {name} has {before.partitions} partitions; Kafka cannot take any away"
            )
        if after.replication_factor != before.replication_factor:
            raise ConfigError(
                "the replication factor of existing topics is changed by Kafka's own "
                "kafka-reassign-partitions",
                hint="make a new collection, or reassign and publish on",
            )
        for base in self._bases(name):
            for suffix in SUFFIXES:
                await self._admin.set_config(topic(base, suffix), topic_config(after, suffix))
        if after.partitions > before.partitions:
            await self._grow(name, after.partitions)
        changed = await self.registry.change_collection(
            name, lambda entry: msgspec.structs.replace(entry or before, **changes)
        )
        assert changed is not None
        return changed

    def collection(self, name: str) -> CollectionEntry:
        """A collection's settings, else NotFound."""
        found = self.registry.collections.get(name)
        if found is None:
            raise NotFound(
                f"there is no collection {name!r}",
                hint="`kinolog collections list` names those there are",
            )
        return found

    def media_replicas(self, name: str) -> int:
        """How many replicas those partitions of a collection's media topics have, all together,
        in which streams are or were."""
        places = {
            (placement.base, placement.partition)
            for stream, entry in self.registry.streams.items()
            if stream.collection == name
            for placement in entry.placements
        }
        return len(places) * self.collection(name).replication_factor

    async def delete(self, name: str) -> None:
        """Delete a collection with all its streams, records and settings."""
        self.collection(name)
        await self.registry.change_collection(
            name,
            lambda entry: None if entry is None else msgspec.structs.replace(entry, deleting=True),
        )
        bases = self._bases(name)
        for stream in [s for s in self.registry.streams if s.collection == name]:
            await self._forget(stream)
        topics = [topic(base, suffix) for base in bases for suffix in SUFFIXES]
        await self._admin.delete([*topics, qoe_topic(self._settings.prefix, name)])
        await self.registry.change_collection(name, lambda _: None)

    async def delete_stream(self, stream: StreamName) -> list[str]:
        """Forget a stream, and delete its topics where they are its own. Returns the topics in
        which its records stay until retention takes them (Kafka deletes no single key)."""
        entry = self.registry.streams.get(stream)
        if entry is None:
            raise NotFound(f"there is no stream {stream}", hint="`kinolog streams` lists them")
        own = dedicated_base(self._settings.prefix, stream)
        await self._forget(stream)
        bases = {placement.base for placement in entry.placements}
        if own in bases:
            await self._admin.delete([topic(own, suffix) for suffix in SUFFIXES])
        return [topic(base, "media") for base in sorted(bases - {own})]

    async def ensure_reports(self, collection: str) -> bool:
        """Make the topic of what players report of a collection's streams, where it is missing;
        whether it was. KafkaRefused without the right to it."""
        entry = self.collection(collection)
        name = qoe_topic(self._settings.prefix, collection)
        if name in (await self._admin.describe()).topics:
            return False
        try:
            await self._admin.create([TopicSpec(name, 1, entry.replication_factor, _qoe(entry))])
        except KafkaRefused:
            # Another may have made it meanwhile, and who may write need not be allowed to alter.
            if name not in (await self._admin.describe()).topics:
                raise
        return True

    async def report_topics(self) -> set[str]:
        """The topics of reports that there are."""
        wanted = {qoe_topic(self._settings.prefix, one) for one in self.registry.collections}
        return wanted.intersection((await self._admin.describe()).topics)

    async def _forget(self, stream: StreamName) -> None:
        # The stream first: who is about to tell of an epoch sees that it is gone.
        await self.registry.change_stream(stream, lambda _: None)
        for epoch in list(self.registry.epochs.get(stream, {})):
            await self.registry.change_epoch(stream, epoch, lambda _: None)

    async def place(
        self,
        stream: StreamName,
        *,
        owner: str = "",
        target_ms: int = 0,
        part_ms: int = 0,
        msn_floor: int = 0,
    ) -> tuple[StreamEntry, bool]:
        """The stream's entry, placed by the collection's strategy where it is new; and whether
        this call made it (then the log holds nothing of it). What else is given is a new
        stream's only."""
        found = self.registry.streams.get(stream)
        if found is not None:
            return found, False
        settings = self.collection(stream.collection)
        async with self._placing.setdefault(stream.collection, asyncio.Lock()):
            now_ms = self._clock.unix_ms()
            placement = await self._choose(stream, settings, owner)
            new = StreamEntry(
                # A stream of this name may have been deleted: what the log has of it is not this.
                placements=[msgspec.structs.replace(placement, from_epoch=now_ms)],
                owner=owner,
                target_ms=target_ms,
                part_ms=part_ms,
                msn_floor=msn_floor,
                created_ms=now_ms,
            )
            entry = await self.registry.change_stream(stream, lambda entry: entry or new)
        assert entry is not None
        return entry, entry is new

    async def has_topic(self, base: str, suffix: Suffix, timeout_s: float = 10.0) -> bool:
        """Whether a topic is there. All are asked for: to ask for one may make it."""
        return topic(base, suffix) in (await self._admin.describe(timeout_s=timeout_s)).topics

    async def ensure_events(self, stream: StreamName) -> None:
        """Make the events topic of the stream's newest place where it is missing, as of a
        collection that was made without one."""
        base = self.registry.streams[stream].placements[-1].base
        await self.ensure_topic(stream.collection, base, "events")

    async def ensure_topic(self, collection: str, base: str, suffix: Suffix) -> None:
        """Make one of a collection's topics where it is missing, like its media topic."""
        entry = self.collection(collection)
        found = (await self._admin.describe()).topics
        name, media = topic(base, suffix), found.get(topic(base, "media"), {})
        if name not in found:
            config = topic_config(entry, suffix)
            partitions = len(media) or entry.partitions
            spec = TopicSpec(name, partitions, entry.replication_factor, config)
            await self._admin.create([spec])

    async def move(self, stream: StreamName, partition: int, from_epoch: int) -> StreamEntry:
        """Place a stream in another partition from an epoch on; its past stays where it is."""
        settings = self.collection(stream.collection)
        if not 0 <= partition < settings.partitions:
            raise ConfigError(
                f"collection {stream.collection} has partitions 0 to {settings.partitions - 1}, "
                f"none is {partition}",
                hint="choose one of them; "
                f"`kinolog collections alter {stream.collection} --partitions N` makes more",
            )
        base = collection_base(self._settings.prefix, stream.collection)

        def change(entry: StreamEntry | None) -> StreamEntry:
            if entry is None:
                raise NotFound(f"there is no stream {stream}", hint="`kinolog streams` lists them")
            placement = Placement(base, partition, from_epoch)
            return msgspec.structs.replace(entry, placements=[*entry.placements, placement])

        moved = await self.registry.change_stream(stream, change)
        assert moved is not None
        return moved

    async def _choose(self, stream: StreamName, settings: CollectionEntry, owner: str) -> Placement:
        base = collection_base(self._settings.prefix, stream.collection)
        match settings.strategy:
            case "stream":
                return Placement(base, murmur2_partition(stream.name, settings.partitions))
            case "owner":
                if not owner:
                    raise ConfigError(
                        f"collection {stream.collection} places streams by owner; none was given",
                        hint="pass --owner NAME (RTMP and HTTP: ?owner=NAME)",
                    )
                return Placement(base, murmur2_partition(owner, settings.partitions))
            case "dedicated":
                own = dedicated_base(self._settings.prefix, stream)
                await self._create_topics(own, msgspec.structs.replace(settings, partitions=1))
                return Placement(own, 0)
            case "balanced":
                return Placement(base, await self._least_loaded(stream.collection, base))

    async def _least_loaded(self, collection: str, base: str) -> int:
        """An empty partition first, then a new one, then the one with the fewest bits a second."""
        settings = self.collection(collection)
        streams = Counter(dict.fromkeys(range(settings.partitions), 0))
        load = Counter(streams)
        for stream, entry in self.registry.streams.items():
            if stream.collection == collection and entry.placements[-1].base == base:
                partition = entry.placements[-1].partition
                streams[partition] += 1
                newest = self.registry.newest_epoch(stream)
                if newest is None or newest.state != "ended":
                    load[partition] += entry.bit_rate or _UNKNOWN_BIT_RATE
        partition = min(streams, key=lambda one: (streams[one] > 0, load[one], streams[one], one))
        if streams[partition] == 0:
            return partition
        if settings.partitions >= settings.max_partitions:
            most = settings.partition_mbps
            if most and load[partition] >= most * 1_000_000:
                raise ConfigError(
                    f"every partition of collection {collection} carries {most} Mb/s or more",
                    hint=f"kinolog collections alter {collection} --max-partitions "
                    f"{settings.max_partitions * 2}; or --partition-mbps 0 for no limit",
                )
            return partition
        grown = min(settings.max_partitions, settings.partitions * 2)
        await self.alter(collection, partitions=grown)
        return settings.partitions

    async def _grow(self, name: str, partitions: int) -> None:
        base = collection_base(self._settings.prefix, name)
        for suffix in SUFFIXES:
            await self._admin.add_partitions(topic(base, suffix), partitions)

    def _bases(self, collection: str) -> list[str]:
        own = {
            placement.base
            for stream, entry in self.registry.streams.items()
            if stream.collection == collection
            for placement in entry.placements
        }
        return sorted(own | {collection_base(self._settings.prefix, collection)})

    async def _create_topics(self, base: str, entry: CollectionEntry) -> None:
        await self._admin.create(
            [
                TopicSpec(
                    topic(base, suffix),
                    entry.partitions,
                    entry.replication_factor,
                    topic_config(entry, suffix),
                )
                for suffix in SUFFIXES
            ]
        )


def _stays(entry: CollectionEntry | None) -> TypeGuard[CollectionEntry]:
    """Whether a collection is there, and not about to be deleted."""
    return entry is not None and not entry.deleting


async def ensure_registry(
    settings: KafkaSettings, admin: Admin, *, few_brokers: bool = False
) -> None:
    """Make the registry topic where it is missing: one partition, compacted. `few_brokers`: with
    the brokers that are up; else KafkaUnavailable where it wants more."""
    info = await admin.describe()
    name = registry_topic(settings.prefix)
    if name in info.topics:
        return
    replication = (
        min(ENOUGH, len(info.brokers))
        if few_brokers
        else await replicas(admin, info, "kinolog's registry")
    )
    config = {
        "cleanup.policy": "compact",
        "compression.type": "zstd",
        "min.cleanable.dirty.ratio": "0.2",
        "segment.ms": str(24 * HOUR_MS),
        "min.insync.replicas": str(min(2, replication)),
        "unclean.leader.election.enable": "false",
    }
    await admin.create([TopicSpec(name, 1, replication, config)])
    warn_of_few("the registry", replication, len(info.brokers))


def topic_config(entry: CollectionEntry, suffix: Suffix) -> dict[str, str]:
    """A topic's settings: a log segment spans at most a tenth of the retention, so that data
    leaves in steps of a tenth."""
    compression = entry.compression if suffix in ("media", "renditions") else "zstd"
    segment_ms = entry.retention_ms // 10 if entry.retention_ms > 0 else 7 * 24 * HOUR_MS
    segment_bytes = _MOST_SEGMENT_BYTES // 2
    if entry.retention_bytes > 0:
        segment_bytes = entry.retention_bytes // 10
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(entry.retention_ms),
        "retention.bytes": str(entry.retention_bytes),
        "segment.ms": str(max(10_000, min(segment_ms, 7 * 24 * HOUR_MS))),
        "segment.bytes": str(max(_LEAST_SEGMENT_BYTES, min(segment_bytes, _MOST_SEGMENT_BYTES))),
        "min.insync.replicas": str(min(2, entry.replication_factor)),
        "unclean.leader.election.enable": "false",
        "compression.type": "producer" if compression == "none" else compression,
        # Capture times may run ahead of the brokers' clocks: a file published faster than it plays.
        "message.timestamp.after.max.ms": str(_TEN_YEARS_MS),
    }


def _qoe(entry: CollectionEntry) -> dict[str, str]:
    """Settings of a topic of reports: some days, whatever is kept of the media."""
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(QOE_RETENTION_MS),
        "retention.bytes": str(_MOST_SEGMENT_BYTES),
        "segment.ms": str(12 * HOUR_MS),
        "segment.bytes": str(_MOST_SEGMENT_BYTES // 16),
        "min.insync.replicas": str(min(2, entry.replication_factor)),
        "unclean.leader.election.enable": "false",
        "compression.type": "zstd",
    }


def _check(entry: CollectionEntry) -> None:
    if not 1 <= entry.partitions <= entry.max_partitions:
        raise ConfigError(
            f"partitions must be 1 to {entry.max_partitions}, not {entry.partitions}",
            hint=f"--max-partitions {entry.partitions} allows as many"
            if entry.partitions > 0
            else "",
        )
    if entry.partition_mbps < 0:
        raise ConfigError("a partition's Mb/s cannot be negative", hint="0 means no limit")
    least, most = _TARGETS_MS
    if not least <= entry.target_ms <= most:
        raise ConfigError(
            f"a target duration of {entry.target_ms} ms is outside {least} ms to {most // 1000} s",
            hint="2s suits live; longer media segments mean fewer requests and a later start",
        )
    if not _LEAST_PART_MS <= entry.part_ms <= entry.target_ms:
        raise ConfigError(
            f"a part duration of {entry.part_ms} ms is outside {_LEAST_PART_MS} ms to the target "
            f"duration, {entry.target_ms} ms",
            hint="200ms suits live; a player stays three parts behind",
        )
    if entry.replication_factor < 1:
        raise ConfigError(
            "the replication factor must be at least 1", hint="3 survives the death of a broker"
        )
    if entry.retention_ms != -1 and entry.retention_ms < 60_000:
        raise ConfigError("retention must be at least a minute", hint="for example 1h, 7d, forever")
    if entry.retention_bytes != -1 and entry.retention_bytes < LEAST_RETENTION_BYTES:
        raise ConfigError(
            f"retention by size must be at least {LEAST_RETENTION_BYTES >> 20} MiB a partition"
        )
