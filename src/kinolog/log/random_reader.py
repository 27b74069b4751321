"""Reads of a known range of offsets, by a bounded pool of consumers."""

from __future__ import annotations

import asyncio
import itertools
import queue
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from kinolog.core.errors import KafkaUnavailable
from kinolog.log.client import (
    KafkaSettings,
    Reachability,
    UnknownTopic,
    checked,
    kafka_errors,
    translate,
)
from kinolog.log.decode import to_record
from kinolog.log.missing import MissingPlaces, Place, missing
from kinolog.record.absent import Absent
from kinolog.record.log_record import LogRecord


class Asker(Consumer):
    """A consumer that knows of which topics it has been asked."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.asked: set[str] = set()


T = TypeVar("T")
Work = Callable[[Asker, float], T]
"""What to do with a consumer, and how many seconds a question may wait for its answer."""

_DEADLINE_S = 30.0
_PATIENCE_S = 20.0
AWAY_S = 4.0
"""Where no broker has said anything for so long, nobody is kept waiting for one."""
_MISSED_S = 2.0
"""Where none has for so long, a question that one a second asks has had no answer."""
_LEAST_S = 0.2
_AGAIN_S = 0.1
_FIRST_S = 0.1
_NO_WAIT_MS = 1
"""What is read is there already. A fetch that waits at the partition's end for more holds up the
consumer's next read, in whatever partition: by the whole of this (measured)."""
_ANSWER_S = (2.0, 4.0, 8.0)
"""How long an attempt waits for a leader's answer. A consumer goes on asking a dead leader until
that is back (measured: 8 s for a restart), while a new one learns at once who leads now."""


_SHORT: dict[str, Any] = {"fetch.wait.max.ms": _NO_WAIT_MS, "queued.max.messages.kbytes": 2_048}
"""What is fetched beyond the end of a range is for nothing, and stays in memory until the next."""


def consumer_config() -> dict[str, Any]:
    """What every consumer of ours has: no group, no commits, no waiting (VERIFIED: a full local
    queue backs off for a second unless `fetch.queue.backoff.ms` says otherwise)."""
    return {
        "group.id": "kinolog-unused",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "fetch.queue.backoff.ms": 1,
        "fetch.error.backoff.ms": 20,
        "fetch.wait.max.ms": 100,
        "fetch.message.max.bytes": 4_194_304,
        "queued.max.messages.kbytes": 16_384,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
    }


FETCH_BYTES = (2_048, 16_384, 131_072, 1_048_576)
"""How much a consumer asks for at a time; it comes compressed, and of a batch that is larger all
comes (KIP-74). 4 MB of an index are 50 MB of entries, all made into messages (measured: 0.6 s, and
300 MB) for the one that is wanted; that one took 17 ms of 128 kB, 2.2 of 16 kB, 1.0 of 2 kB."""


class RandomReader:
    """A pool of at most `size` consumers, each used by one read at a time."""

    tiered = False
    """Whether it has more than Kafka has."""

    def __init__(
        self, settings: KafkaSettings, size: int = 4, isolation: str = "read_committed"
    ) -> None:
        self._settings = settings
        self._config = consumer_config() | _SHORT | {"isolation.level": isolation}
        self._idle: dict[int, queue.SimpleQueue[tuple[Asker, Reachability]]] = {
            size: queue.SimpleQueue() for size in FETCH_BYTES
        }
        self._pool = ThreadPoolExecutor(size, thread_name_prefix="kafka-read")
        self._silent_s: Callable[[], float] = lambda: 0.0
        self._missing = MissingPlaces()

    def heed(self, silent_s: Callable[[], float]) -> None:
        """From now on give up, with KafkaUnavailable, when no broker has said anything for AWAY_S,
        and at once where that is so already. `silent_s`: for how long that is, seconds."""
        self._silent_s = silent_s

    def check_there(self) -> None:
        """KafkaUnavailable where no broker is there."""
        silent_s = self._silent_s()
        if silent_s >= AWAY_S:
            raise KafkaUnavailable(
                f"Kafka at {self._settings.bootstrap_servers} has not answered for {silent_s:.0f} s"
            )

    async def read(
        self,
        topic: str,
        partition: int,
        start: int,
        end: int,
        key: str | None = None,
        about_bytes: int = FETCH_BYTES[-1],
        track: str = "",
    ) -> list[LogRecord]:
        """The records of [start, end) that are still kept, of one key where one is given.
        `about_bytes`: what they come to; far more is not fetched. `track`: the chunks of other
        tracks are not needed, and may be left out."""
        messages = await self.read_raw(topic, partition, start, end, key, about_bytes, track)
        return [record for record in map(to_record, messages) if record is not None]

    async def read_raw(
        self,
        topic: str,
        partition: int,
        start: int,
        end: int,
        key: str | None = None,
        about_bytes: int = FETCH_BYTES[-1],
        track: str = "",
    ) -> list[Any]:
        """The client's own messages of [start, end): for topics without the kinolog header.
        `track`: as of `read`."""
        return (await self.read_above(topic, partition, start, end, key, about_bytes))[1]

    async def read_above(
        self,
        topic: str,
        partition: int,
        start: int,
        end: int,
        key: str | None = None,
        about_bytes: int = FETCH_BYTES[-1],
    ) -> tuple[int, list[Any]]:
        """As read_raw, and before it the log start offset, below which nothing was read."""
        wanted = key.encode() if key is not None else None
        if end - start > 1:  # between the records that are wanted there are those of neighbours
            about_bytes = max(about_bytes, FETCH_BYTES[1])
        return await self._run(
            (topic, partition),
            lambda c, wait_s: _messages(
                c, topic, partition, start, end, wanted, wait_s, self.check_there
            ),
            about_bytes,
        )

    async def bounds(self, topic: str, partition: int, key: str | None = None) -> tuple[int, int]:
        """(log start offset, high watermark), asked of the leader now. `key`: the record key of
        whoever asks, for a reader that has more of one key than of another."""
        return await self._run(
            (topic, partition), lambda c, wait_s: _bounds(c, topic, partition, wait_s)
        )

    async def kept_from(self, topic: str, partition: int, key: str) -> int:
        """The first offset that is kept of a key, for who deletes what tells of those before it:
        never one that is too great because something does not answer."""
        return (await self.bounds(topic, partition))[0]

    async def absent(self, topic: str, partition: int, key: str) -> Absent | None:
        """What the index lists of a key's media and nobody has, for a reader that has more than
        Kafka has; None where that is not known, or nothing."""
        return None

    async def older(self, topic: str, partition: int, before: int, key: str) -> list[Any]:
        """Messages of a key that are in no log that a link leads to: the newest few below an
        offset, where this reader has more than Kafka has."""
        return []

    async def offset_for_time(self, topic: str, partition: int, unix_ms: int) -> int:
        """The first offset whose record's timestamp is at or after `unix_ms` (a lower bound:
        timestamps are not monotone); the high watermark where there is none."""
        since_ms = max(unix_ms, 0)  # Kafka has other meanings for what is below
        return await self._run(
            (topic, partition),
            lambda c, wait_s: _offset_for_time(c, topic, partition, since_ms, wait_s),
        )

    async def close(self) -> None:
        """Close every consumer. Reads under way end first."""
        await asyncio.to_thread(self._pool.shutdown, True)
        for idle in self._idle.values():
            while not idle.empty():
                idle.get_nowait()[0].close()

    async def _run(self, place: Place, work: Work[T], about_bytes: int = 0) -> T:
        size = next((one for one in FETCH_BYTES if one >= about_bytes), FETCH_BYTES[-1])
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._with, place, work, size)

    def _with(self, place: Place, work: Work[T], size: int) -> T:
        """`work` with a consumer; again for a while when a leader has died under it, or Kafka does
        not know what is asked for: each time it is a new one, that asks any of the brokers."""
        deadline = time.monotonic() + _PATIENCE_S
        self.check_there()
        for wait_s in itertools.chain(_ANSWER_S, itertools.repeat(_ANSWER_S[-1])):
            try:
                found = self._once(work, self._wait_s(wait_s), size)
            except KafkaUnavailable as error:
                now_s = time.monotonic()
                if not isinstance(error, UnknownTopic):
                    self._missing.forget(place)
                    self.check_there()
                elif self._missing.unknown(place, now_s):
                    raise missing(self._settings, *place) from error
                if now_s >= deadline:
                    raise
            else:
                self._missing.forget(place)
                return found
            time.sleep(_AGAIN_S)
        raise AssertionError("endless")

    def _wait_s(self, wait_s: float) -> float:
        """For how long to wait for an answer: no longer than until it is known that none comes."""
        silent_s = self._silent_s()
        return wait_s if silent_s < _MISSED_S else min(wait_s, max(_LEAST_S, AWAY_S - silent_s))

    def _once(self, work: Work[T], wait_s: float, size: int) -> T:
        try:
            consumer, seen = self._idle[size].get_nowait()
        except queue.Empty:
            config = self._config | {"fetch.message.max.bytes": size}
            consumer, seen = checked(self._settings, Asker, **config)
        try:
            with kafka_errors(self._settings, seen):
                found = work(consumer, wait_s)
        except BaseException:
            consumer.close()
            raise
        self._idle[size].put((consumer, seen))
        return found


def _bounds(consumer: Asker, topic: str, partition: int, wait_s: float) -> tuple[int, int]:
    place = TopicPartition(topic, partition)
    if topic not in consumer.asked:
        consumer.asked.add(topic)
        # One of a hundred new consumers sleeps over the answer to who leads, for 0.7 s, where it
        # may wait so long (measured, librdkafka 2.x); the next question finds the answer there.
        with suppress(KafkaException):
            return _offsets(consumer, place, min(_FIRST_S, wait_s))
    return _offsets(consumer, place, wait_s)


def _offsets(consumer: Consumer, place: TopicPartition, wait_s: float) -> tuple[int, int]:
    low, high = consumer.get_watermark_offsets(place, timeout=wait_s)
    return low, high


def _offset_for_time(
    consumer: Asker, topic: str, partition: int, unix_ms: int, wait_s: float
) -> int:
    # The end first: a record that comes between the two questions is after the time asked for.
    _, end = _bounds(consumer, topic, partition, wait_s)
    place = TopicPartition(topic, partition, unix_ms)
    found = consumer.offsets_for_times([place], timeout=wait_s)[0]
    if found.error:
        raise KafkaException(found.error)
    return int(found.offset) if found.offset >= 0 else end


def _messages(
    consumer: Asker,
    topic: str,
    partition: int,
    start: int,
    end: int,
    key: bytes | None,
    wait_s: float,
    check_there: Callable[[], None],
) -> tuple[int, list[Any]]:
    """The log start offset, and every message of [start, end), of one key where one is given: those
    of its neighbours are let go at once. Ends at the partition's end too, so that a range whose
    last offsets are transaction markers does not wait for ever. `check_there` raises where nothing
    is to be waited for any more."""
    low, high = _bounds(consumer, topic, partition, wait_s)
    start, end = max(start, low), min(end, high)
    found: list[Any] = []
    if start >= end:
        return low, found
    consumer.assign([TopicPartition(topic, partition, start)])
    try:
        quiet_s = 0.0
        while True:
            message = consumer.poll(1.0)
            if message is None:
                check_there()
                quiet_s += 1.0
                if quiet_s >= _DEADLINE_S:
                    raise KafkaUnavailable(
                        f"Kafka gave nothing of {topic}/{partition} for {_DEADLINE_S:.0f} s"
                    )
                continue
            quiet_s = 0.0
            batch: list[Any] = [message, *consumer.consume(500, 0)]
            for one in batch:
                error = one.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        if one.offset() >= end:
                            return low, found
                        continue
                    found_error = translate(error)
                    if found_error.retriable and not isinstance(found_error, UnknownTopic):
                        continue
                    raise found_error
                if one.offset() >= end:
                    return low, found
                if key is None or one.key() == key:
                    found.append(one)
                if one.offset() == end - 1:
                    return low, found
    finally:
        consumer.unassign()
