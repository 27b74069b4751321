"""Players' reports in Kafka: `<prefix>.<collection>.qoe`, written at best effort, and followed.

A report must never slow media down: what waits is bounded, and what Kafka does not take in time is
given up and counted. A collection's topic is made when somebody first reports on one of its
streams, by whichever edge hears it; the others find it within some seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kinolog.core.clock import Clock
from kinolog.core.errors import KafkaRefused, KinologError
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings, checked, let_go, translate
from kinolog.log.random_reader import RandomReader
from kinolog.log.tail_reader import Batch, TailReader
from kinolog.record.cmcd import Report, decode_report, encode_report
from kinolog.record.topics import qoe_topic

MOST_WAITING = 5_000
"""Reports that wait here for their topic, and as many in the producer for the broker."""
_MOST_KBYTES = 16_384
_LINGER_MS = 50
_GIVE_UP_MS = 10_000
_POLL_S = 0.25
_AGAIN_S = 15.0
_REFUSED_AGAIN_S = 60.0
_LOOK_S = 15.0
_AT_ONCE = 200
"""Reports that are taken up without a break in between for others."""
_log = get_logger("kinolog.edge")


class ReportLog:
    """Writes reports. Nothing is asked of Kafka before the first one."""

    def __init__(self, settings: KafkaSettings, catalog: Catalog, clock: Clock) -> None:
        self._settings = settings
        self._catalog = catalog
        self._clock = clock
        self._waiting: deque[Report] = deque()
        self._work = asyncio.Event()
        self._producer: Producer | None = None
        self._not_before: dict[str, float] = {}
        self._refused: dict[str, str] = {}
        self._known: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self.on_topic: Callable[[], None] = lambda: None
        """Called when a topic was made."""
        self.written = 0
        self.dropped = 0

    def refusal(self, collection: str) -> str:
        """Why this process may not write reports of a collection at all; empty where it may."""
        if self._clock.monotonic() >= self._not_before.get(collection, 0.0):
            return ""
        return self._refused.get(collection, "")

    def put(self, report: Report) -> None:
        """Take a report, or drop it where too many wait already."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(report)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        self._work.set()

    async def close(self) -> None:
        """Wait a moment for what is queued, and leave."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if self._producer is not None:
            with contextlib.suppress(KafkaException, SystemError):
                await asyncio.to_thread(self._producer.flush, 1.0)
            let_go(self._producer)

    async def _run(self) -> None:
        while True:
            # While something is on its way, the producer has deliveries to tell.
            on_its_way = self._producer is not None and len(self._producer) > 0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_POLL_S if on_its_way else None):
                    await self._work.wait()
            self._work.clear()
            while self._waiting:
                await self._send(self._waiting.popleft())
            self._poll()

    async def _send(self, report: Report) -> None:
        stream = StreamName.parse(report.stream)
        try:
            if not await self._ready(stream.collection):
                self.dropped += 1
                return
            producer = self._producer or self._make()
            producer.produce(
                qoe_topic(self._settings.prefix, stream.collection),
                encode_report(report),
                stream.name.encode(),
                0,
                on_delivery=self._delivered,
                timestamp=report.at,
            )
        except (KafkaException, BufferError, KinologError) as error:
            self.dropped += 1
            self._hold(stream.collection, error)

    async def _ready(self, collection: str) -> bool:
        """Whether the topic of a collection is there to be written to, made where it was not."""
        if self._clock.monotonic() < self._not_before.get(collection, 0.0):
            return False
        if collection not in self._known:
            made = await self._catalog.ensure_reports(collection)
            self._known.add(collection)
            self._refused.pop(collection, None)
            if made:
                self.on_topic()
        return True

    def _hold(self, collection: str, error: Exception) -> None:
        """Something is wrong: do not ask Kafka again for each report."""
        if isinstance(error, BufferError):
            return  # full: it is away, or slow
        if isinstance(error, KafkaException):
            error = translate(error.args[0], self._settings)
        refused = isinstance(error, KafkaRefused)
        if refused:
            self._refused[collection] = str(error)
        self._known.discard(collection)
        wait_s = _REFUSED_AGAIN_S if refused else _AGAIN_S
        self._not_before[collection] = self._clock.monotonic() + wait_s
        _log.warning("reports not written", collection=collection, why=str(error))

    def _make(self) -> Producer:
        config: dict[str, Any] = {
            "acks": 1,
            "linger.ms": _LINGER_MS,
            "compression.type": "zstd",
            "message.timeout.ms": _GIVE_UP_MS,
            "allow.auto.create.topics": False,
            "queue.buffering.max.messages": MOST_WAITING,
            "queue.buffering.max.kbytes": _MOST_KBYTES,
        }
        producer, _ = checked(self._settings, Producer, **config)
        found: Producer = producer
        self._producer = found
        return found

    def _poll(self) -> None:
        if self._producer is not None:
            with contextlib.suppress(KafkaException, SystemError):
                self._producer.poll(0)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.written += 1
            return
        self.dropped += 1
        collection = (message.topic() or "").split(".")[-2]
        if collection in self._known:
            self._hold(collection, KafkaException(error))


class ReportTail:
    """Follows the reports of all collections from `back_ms` ago on, and hands them to `take`."""

    def __init__(
        self,
        settings: KafkaSettings,
        catalog: Catalog,
        reader: RandomReader,
        clock: Clock,
        take: Callable[[Iterable[Report]], None],
        back_ms: int,
    ) -> None:
        self._settings = settings
        self._catalog = catalog
        self._reader = reader
        self._clock = clock
        self._take = take
        self._back_ms = back_ms
        self._tail: TailReader[Report] | None = None
        self._followed: set[str] = set()
        self._look_now = asyncio.Event()
        self._task = asyncio.create_task(self._run())
        self.read = 0
        self.positions: dict[str, int] = {}

    def look(self) -> None:
        """See now whether there are new topics."""
        self._look_now.set()

    async def close(self) -> None:
        """Stop following."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._tail is not None:
            await self._tail.close()

    async def _run(self) -> None:
        while True:
            try:
                await self._follow(await self._catalog.report_topics())
            except KinologError as error:
                _log.debug("reports not followed", why=str(error))
            self._look_now.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._look_now.wait()

    async def _follow(self, topics: set[str]) -> None:
        if topics and self._tail is None:
            self._tail = TailReader(
                self._settings,
                _decode,
                self._deliver,
                name="kafka-reports",
                wait_max_ms=200,
                most_at_once=_AT_ONCE,
            )
        for name in self._followed - topics:
            assert self._tail is not None
            self._tail.remove(name, 0)
            self._followed.discard(name)
        for name in topics - self._followed:
            assert self._tail is not None
            since_ms = self._clock.unix_ms() - self._back_ms
            start = await self._reader.offset_for_time(name, 0, since_ms)
            self._tail.add(name, 0, start)
            self._followed.add(name)

    def _deliver(self, batches: list[Batch[Report]]) -> None:
        for batch in batches:
            self.positions[batch.place[0]] = batch.position
            self.read += len(batch.records)
            self._take(batch.records)


def _decode(message: Any) -> Report | None:
    value = message.value()
    return decode_report(value) if value else None
