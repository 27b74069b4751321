"""A member of a consumer group: the partitions that it was given, read from where the group is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kinolog.log.client import KafkaSettings, checked, kafka_errors, translate
from kinolog.log.random_reader import consumer_config

T = TypeVar("T")
MESSAGES: Final = 2_000
BYTES: Final = 8 << 20
_PASSING: Final = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
    KafkaError._MAX_POLL_EXCEEDED,
}
_LOST: Final = {
    KafkaError.ILLEGAL_GENERATION,
    KafkaError.UNKNOWN_MEMBER_ID,
    KafkaError.REBALANCE_IN_PROGRESS,
    KafkaError._NO_OFFSET,
    KafkaError._STATE,
}
"""What a commit says when the partition is another member's by now: that one goes on before it."""


class Share(NamedTuple):
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass
class Pulled:
    """What a pull brought: messages by partition, in log order; the partitions of which the end was
    reached; those that are not this member's any more, or are again, and begin anew."""

    messages: dict[Share, list[Any]] = field(default_factory=dict)
    ends: dict[Share, int] = field(default_factory=dict)
    left: set[Share] = field(default_factory=set)


class Member:
    """One consumer of a group. `pull` is to be called within MOST_WORK_S of the pull before, else
    the group gives its partitions to others."""

    MOST_WORK_S: Final = 900
    AWAY_S: Final = 6
    """A member that died is noticed after so long, and its partitions go to others."""

    def __init__(self, settings: KafkaSettings, group: str) -> None:
        self._settings = settings
        self._group = group
        self._consumer: Consumer | None = None
        self._pulled = Pulled()
        self._topics: frozenset[str] = frozenset()
        self.shares: set[Share] = set()
        """What it was given."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-group")

    async def subscribe(self, topics: frozenset[str]) -> None:
        """Share these topics, and no others, with the other members from now on."""
        if topics != self._topics:
            self._topics = topics
            await self._run(self._subscribe)

    async def pull(self, timeout_s: float) -> Pulled:
        """What there is; waits at most so long for the first of it."""
        return await self._run(lambda: self._pull(timeout_s))

    async def commit(self, offsets: Mapping[Share, int]) -> None:
        """The group goes on from here, whoever gets these partitions. Nothing happens for those
        that are another member's by now."""
        await self._run(lambda: self._commit(offsets))

    async def close(self) -> None:
        """Leave the group."""
        await asyncio.shield(asyncio.ensure_future(self._run(self._leave)))
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _subscribe(self) -> None:
        if self._consumer is None:
            config = consumer_config() | {
                "group.id": self._group,
                "partition.assignment.strategy": "cooperative-sticky",
                "session.timeout.ms": 1000 * self.AWAY_S,
                "heartbeat.interval.ms": 1000 * self.AWAY_S // 4,
                "max.poll.interval.ms": 1000 * self.MOST_WORK_S,
                "topic.metadata.refresh.interval.ms": 10_000,
            }
            self._consumer, _ = checked(self._settings, Consumer, **config)
        with kafka_errors(self._settings):
            self._consumer.subscribe(
                sorted(self._topics),
                on_assign=self._given,
                on_revoke=self._taken,
                on_lost=self._taken,
            )

    def _given(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        shares = {Share(one.topic, one.partition) for one in places}
        self.shares |= shares
        self._pulled.left |= shares

    def _taken(self, _: Consumer, places: Sequence[TopicPartition]) -> None:
        shares = {Share(one.topic, one.partition) for one in places}
        self.shares -= shares
        self._pulled.left |= shares
        for share in shares:
            self._pulled.messages.pop(share, None)
            self._pulled.ends.pop(share, None)

    def _pull(self, timeout_s: float) -> Pulled:
        consumer = self._consumer
        assert consumer is not None
        self._pulled = Pulled()
        size = count = 0
        first = consumer.poll(timeout_s)
        messages = [first] if first is not None else []
        while messages:
            for message in messages:
                self._see(message)
                size += len(message)
            count += len(messages)
            if count >= MESSAGES or size >= BYTES:
                break
            messages = consumer.consume(100, 0)
        return self._pulled

    def _see(self, message: Any) -> None:
        error = message.error()
        share = Share(message.topic() or "", message.partition() or 0)
        if error is None:
            self._pulled.messages.setdefault(share, []).append(message)
            self._pulled.ends.pop(share, None)
        elif error.code() == KafkaError._PARTITION_EOF:
            self._pulled.ends[share] = message.offset()
        elif error.code() not in _PASSING and not error.retriable():
            found = translate(error, self._settings)
            if not found.retriable:
                raise found

    def _commit(self, offsets: Mapping[Share, int]) -> None:
        consumer = self._consumer
        assert consumer is not None
        places = [TopicPartition(*share, offset) for share, offset in offsets.items()]
        try:
            consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as raised:
            error: KafkaError = raised.args[0]
            found = translate(error, self._settings)
            if error.code() not in _LOST and not found.retriable:
                raise found from raised

    def _leave(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
