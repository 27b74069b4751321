"""The tail: one consumer in a thread follows any number of partitions for a whole process.

Joining a stream never makes a consumer: a partition is added to this one (DESIGN.md section 4).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from kinolog.core.errors import KinologError
from kinolog.log.client import KafkaSettings, checked, translate
from kinolog.log.leader_watch import LeaderWatch
from kinolog.log.random_reader import consumer_config

T = TypeVar("T")
Place = tuple[str, int]

_POLL_S = 0.05
_MOST_MESSAGES = 1000
_BATCHES_UNDER_WAY = 8


class Batch(NamedTuple, Generic[T]):
    """Records of one partition in log order. `position`: every offset below it has been read."""

    place: Place
    records: list[T]
    position: int


class TailReader(Generic[T]):
    """Follows partitions; hands batches to `deliver` on the event loop, in order.

    When the loop falls behind by more than a few batches, the thread stops consuming, so that
    what waits is bounded by the consumer's own queue.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        decode: Callable[[Message], T | None],
        deliver: Callable[[list[Batch[T]]], None],
        *,
        name: str = "kafka-tail",
        wait_max_ms: int = 500,
        most_at_once: int = _MOST_MESSAGES,
        on_problem: Callable[[KinologError], None] | None = None,
    ) -> None:
        self._decode = decode
        self._deliver = deliver
        self._on_problem = on_problem
        self._most_at_once = most_at_once
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[Callable[[Consumer], Any]] = queue.SimpleQueue()
        self._closing = threading.Event()
        self._room = threading.Semaphore(_BATCHES_UNDER_WAY)
        self._followed: set[Place] = set()
        self._watch = LeaderWatch(lambda: {topic for topic, _ in tuple(self._followed)})
        self._consumer, _ = checked(
            settings,
            Consumer,
            watch=self._watch,
            **consumer_config()
            | {"queued.max.messages.kbytes": 65_536, "fetch.wait.max.ms": wait_max_ms},
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def add(self, topic: str, partition: int, offset: int) -> None:
        """Follow a partition from an offset on."""
        place = TopicPartition(topic, partition, offset)
        self._followed.add((topic, partition))
        self._commands.put(lambda consumer: consumer.incremental_assign([place]))

    def remove(self, topic: str, partition: int) -> None:
        """Follow a partition no more. A batch already on its way may still arrive."""
        place = TopicPartition(topic, partition)
        self._followed.discard((topic, partition))
        self._commands.put(lambda consumer: consumer.incremental_unassign([place]))

    async def close(self) -> None:
        """Stop and leave."""
        self._closing.set()
        self._room.release()
        await asyncio.to_thread(self._thread.join, 10.0)

    def _run(self) -> None:
        consumer = self._consumer
        try:
            while not self._closing.is_set():
                self._obey(consumer)
                first = consumer.poll(_POLL_S)
                if first is None:
                    continue
                batches = self._sort([first, *consumer.consume(self._most_at_once, 0)])
                if batches:
                    self._room.acquire()
                    self._loop.call_soon_threadsafe(self._hand_over, batches)
        except RuntimeError:  # the loop has ended
            pass
        finally:
            self._watch.close()
            consumer.close()

    def _obey(self, consumer: Consumer) -> None:
        while not self._commands.empty():
            self._commands.get_nowait()(consumer)

    def _hand_over(self, batches: list[Batch[T]]) -> None:
        try:
            self._deliver(batches)
        finally:
            self._room.release()

    def _sort(self, messages: list[Any]) -> list[Batch[T]]:
        records: dict[Place, list[T]] = {}
        position: dict[Place, int] = {}
        for message in messages:
            error = message.error()
            place = (message.topic(), message.partition())
            if error is None:
                position[place] = message.offset() + 1
                record = self._decode(message)
                if record is not None:
                    records.setdefault(place, []).append(record)
            elif error.code() == KafkaError._PARTITION_EOF:
                position[place] = message.offset()
            elif self._on_problem is not None:
                problem = translate(error, self._settings)
                self._loop.call_soon_threadsafe(self._on_problem, problem)
        return [Batch(place, records.get(place, []), at) for place, at in position.items()]
