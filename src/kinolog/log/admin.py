"""Topics: made, listed, altered, deleted through Kafka's Admin API."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from kinolog.core.errors import ConfigError, KafkaRefused, KafkaUnavailable
from kinolog.core.log import get_logger
from kinolog.log.client import KafkaSettings, checked, kafka_errors

ESSENTIAL = frozenset({"cleanup.policy", "retention.ms", "retention.bytes", "min.insync.replicas"})
"""What a topic cannot do without. Managed clusters fix others of its settings, or bound them:
Confluent Cloud sets compression.type itself, and takes no segment.ms below four hours."""

_REQUEST_S = 30.0
_LOOK_AGAIN_S = 0.05
_TURNS_S = (1.0, 2.0, 4.0)
_PASSING = (KafkaError._PARTIAL, KafkaError._TRANSPORT, KafkaError._TIMED_OUT)
T = TypeVar("T")
_log = get_logger("kinolog.log")


class TopicSpec(NamedTuple):
    """A topic to make. Configuration values as Kafka writes them."""

    name: str
    partitions: int
    replication_factor: int
    config: Mapping[str, str]


class PartitionState(NamedTuple):
    """A partition's replicas as the controller sees them."""

    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


class ClusterInfo(NamedTuple):
    """Brokers (id to `host:port`), and each topic's partitions."""

    brokers: dict[int, str]
    topics: dict[str, dict[int, PartitionState]]


class Admin:
    """Admin calls, each awaited; errors are those of core/errors.py."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._client, self._seen = checked(settings, AdminClient)

    async def describe(self, topic: str | None = None, *, timeout_s: float = 10.0) -> ClusterInfo:
        """Brokers and topics (or one topic). Raises KafkaUnavailable, KafkaRefused."""
        given_up = threading.Event()

        def ask() -> ClusterInfo:
            found = self._metadata(topic, timeout_s, given_up)
            topics = {
                name: {
                    number: PartitionState(p.leader, tuple(p.replicas), tuple(p.isrs))
                    for number, p in meta.partitions.items()
                }
                for name, meta in found.topics.items()
                if meta.error is None
            }
            brokers = {number: f"{b.host}:{b.port}" for number, b in found.brokers.items()}
            return ClusterInfo(brokers, topics)

        try:
            return await self._ask(ask)
        finally:
            given_up.set()

    def _metadata(self, topic: str | None, timeout_s: float, given_up: threading.Event) -> Any:
        """Kafka's answer; asked again while no broker is in service, as after a restart, and none
        can be reached. In short turns at first: who gives up waits for the end of one."""
        deadline = time.monotonic() + timeout_s
        for most_s in itertools.chain(_TURNS_S, itertools.repeat(timeout_s)):
            try:
                left_s = max(_LOOK_AGAIN_S, deadline - time.monotonic())
                return self._client.list_topics(topic, timeout=min(most_s, left_s))
            except KafkaException as raised:
                passes = raised.args[0].code() in _PASSING
                if not passes or given_up.is_set() or time.monotonic() >= deadline:
                    raise
                time.sleep(_LOOK_AGAIN_S)
        raise AssertionError("endless")

    async def create(self, specs: Sequence[TopicSpec]) -> None:
        """Make topics, and wait until brokers tell of them. One that is there already gets the
        settings; ConfigError where it has other numbers of partitions or replicas.

        Where the cluster refuses a setting, they are made with the essential ones alone.
        """
        try:
            there = await self._create(specs)
        except KafkaRefused as refused:
            essential = [spec._replace(config=_essential(spec.config)) for spec in specs]
            there = await self._create(essential)
            names = [spec.name for spec in specs]
            _log.warning("topics made with essential settings only", topics=names, why=str(refused))
        found = [spec for spec in specs if spec.name in there]
        await self._known({spec.name: spec.partitions for spec in specs}, found)
        for spec in found:
            await self.set_config(spec.name, spec.config)

    async def _create(self, specs: Sequence[TopicSpec]) -> set[str]:
        """The names of those that are there already."""

        def ask() -> set[str]:
            new = [
                NewTopic(s.name, s.partitions, s.replication_factor, config=dict(s.config))
                for s in specs
            ]
            futures = self._client.create_topics(new, operation_timeout=_REQUEST_S)
            return _wait(futures, allowed={KafkaError.TOPIC_ALREADY_EXISTS})

        return await self._ask(ask)

    async def delete(self, topics: Sequence[str]) -> None:
        """Delete topics; one that is not there is no error."""
        await self._ask(
            lambda: _wait(
                self._client.delete_topics(list(topics), operation_timeout=_REQUEST_S),
                allowed={KafkaError.UNKNOWN_TOPIC_OR_PART},
            )
        )

    async def add_partitions(self, topic: str, total: int) -> None:
        """Grow a topic to `total` partitions; one that has as many already is left."""
        await self._ask(
            lambda: _wait(
                self._client.create_partitions([NewPartitions(topic, total)]),
                allowed={KafkaError.INVALID_PARTITIONS},
            )
        )
        await self._known({topic: total})

    async def set_config(self, topic: str, config: Mapping[str, str]) -> None:
        """Set some of a topic's settings, the others stay. Where the cluster refuses one, the
        essential ones alone are set."""
        try:
            await self._set_config(topic, config)
        except KafkaRefused as refused:
            await self._set_config(topic, _essential(config))
            _log.warning("only essential settings were set", topic=topic, why=str(refused))

    async def _set_config(self, topic: str, config: Mapping[str, str]) -> None:
        def ask() -> None:
            entries = [
                ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
                for key, value in config.items()
            ]
            resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
            _wait(self._client.incremental_alter_configs([resource]))

        await self._ask(ask)

    async def config(self, topic: str) -> dict[str, str]:
        """A topic's settings in force."""
        return await self._config(ConfigResource(ResourceType.TOPIC, topic))

    async def broker_config(self, broker: int) -> dict[str, str]:
        """A broker's settings in force. KafkaRefused without the right to ask."""
        return await self._config(ConfigResource(ResourceType.BROKER, str(broker)))

    async def _config(self, resource: ConfigResource) -> dict[str, str]:
        def ask() -> dict[str, str]:
            (future,) = self._client.describe_configs([resource]).values()
            found: dict[str, ConfigEntry] = future.result(_REQUEST_S)
            return {key: entry.value or "" for key, entry in found.items()}

        return await self._ask(ask)

    async def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Give up a partition's records below an offset."""
        place = TopicPartition(topic, partition, before)
        await self._ask(lambda: _wait(self._client.delete_records([place])))

    async def _known(self, wanted: Mapping[str, int], found: Sequence[TopicSpec] = ()) -> None:
        """Wait until the brokers tell of so many partitions, each with a leader. ConfigError
        where what was `found` is not as wanted."""
        deadline = time.monotonic() + _REQUEST_S
        while True:
            topics = (await self.describe()).topics
            for spec in found:
                _check_alike(spec, topics.get(spec.name, {}))
            if all(
                sum(p.leader >= 0 for p in topics.get(name, {}).values()) >= partitions
                for name, partitions in wanted.items()
            ):
                return
            if time.monotonic() > deadline:
                raise KafkaUnavailable(f"topics without a leader: {', '.join(sorted(wanted))}")
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self, work: Callable[[], T]) -> T:
        with kafka_errors(self._settings, self._seen):
            return await asyncio.to_thread(work)


def _essential(config: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in config.items() if key in ESSENTIAL}


def _check_alike(spec: TopicSpec, found: Mapping[int, PartitionState]) -> None:
    if not found:
        return  # so new that not every broker knows it
    replicas = min(len(partition.replicas) for partition in found.values())
    for what, has, wants, flag in (
        ("partitions", len(found), spec.partitions, "--partitions"),
        ("replicas", replicas, spec.replication_factor, "--replication-factor"),
    ):
        if has != wants:
            raise ConfigError(
                f"topic {spec.name} is there already, with {what}: {has}, not {wants}",
                hint=f"`kinolog collections create NAME {flag} {has}` takes it as it is; "
                "or delete the topic",
            )


def _wait(futures: Mapping[T, Any], allowed: frozenset[int] | set[int] = frozenset()) -> set[T]:
    """Wait for all; those that ended with an allowed error."""
    found = set()
    for name, future in futures.items():
        try:
            future.result(_REQUEST_S)
        except KafkaException as raised:
            if raised.args[0].code() not in allowed:
                raise
            found.add(name)
    return found
