"""A cursor: one consumer that reads one partition from an offset on, pulled batch by batch.

The past and the tail come through the same consumer, so there is nothing to join. What waits is
bounded by the consumer's own queue and one batch: nothing is read that nobody has asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from kinolog.log.client import KafkaSettings, checked, translate
from kinolog.log.decode import to_record
from kinolog.log.leader_watch import LeaderWatch
from kinolog.log.random_reader import consumer_config
from kinolog.record.log_record import LogRecord

A = TypeVar("A")
R = TypeVar("R")

BATCH_BYTES = 8 * 1024 * 1024
BATCH_MESSAGES = 2_000
_STEP_MESSAGES = 50
_PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._RESOLVE,
}


class Pulled(NamedTuple):
    """Records of one key in log order. `position`: every offset below it has been read."""

    records: list[LogRecord]
    position: int


class Cursor:
    """Reads the records of one key, at most about 8 MB or 2,000 messages at a time."""

    def __init__(self, settings: KafkaSettings, key: str) -> None:
        self._settings = settings
        self._key = key.encode()
        self._position = 0
        self._consumer: Consumer | None = None
        self._topics: list[str] = []
        self._watch = LeaderWatch(lambda: self._topics)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-cursor")

    async def move(self, topic: str, partition: int, offset: int) -> None:
        """Read on from there."""
        await self._run(self._assign, TopicPartition(topic, partition, offset))
        self._position = offset

    async def pull(self, timeout_s: float) -> Pulled:
        """What there is; waits at most `timeout_s` for the first of it. Raises KafkaRefused, and
        nothing for brokers that are away: they may come back."""
        found = await self._run(self._pull, timeout_s)
        self._position = max(self._position, found.position)
        return found

    async def close(self) -> None:
        """Leave; the consumer and its thread are gone afterwards."""
        await asyncio.shield(asyncio.ensure_future(self._close()))

    async def _close(self) -> None:
        await self._run(self._leave, None)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[A], R], argument: A) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, argument)

    def _assign(self, place: TopicPartition) -> None:
        if self._consumer is None:
            self._consumer, _ = checked(
                self._settings, Consumer, watch=self._watch, **consumer_config()
            )
        self._topics = [place.topic]
        self._consumer.assign([place])

    def _leave(self, _: None) -> None:
        if self._consumer is not None:
            self._watch.close()
            self._consumer.close()
            self._consumer = None

    def _pull(self, timeout_s: float) -> Pulled:
        consumer = self._consumer
        assert consumer is not None
        first = consumer.poll(timeout_s)
        records: list[LogRecord] = []
        position, size_bytes, count = self._position, 0, 0
        messages = [first] if first is not None else []
        while messages:
            for message in messages:
                position = self._see(message, records, position)
                size_bytes += len(message)
            count += len(messages)
            if size_bytes >= BATCH_BYTES or count >= BATCH_MESSAGES:
                break
            messages = consumer.consume(_STEP_MESSAGES, 0)
        return Pulled(records, position)

    def _see(self, message: Message, records: list[LogRecord], position: int) -> int:
        error = message.error()
        if error is None:
            if message.key() == self._key:
                record = to_record(message)
                if record is not None:
                    records.append(record)
            return _offset(message) + 1
        if error.code() == KafkaError._PARTITION_EOF:
            return max(position, _offset(message))
        if error.code() in _PASSING or error.retriable():
            return position
        raise translate(error, self._settings)


def _offset(message: Message) -> int:
    offset = message.offset()
    assert offset is not None
    return int(offset)
