"""The writer: one idempotent producer a process, acks=all, deliveries handed to the event loop.

The order of a stream's records is the order of its `send` calls: one partition, one producer,
idempotence. A failed delivery is the session's business (invariant 2): it stops, and replays its
tail under a new open.

The client itself never gives a record up for its age: it would give up one and send the next, and
leave a hole. Who waits too long renews the producer, which gives up all of them at once, so that
what landed of each stream is a beginning of what was sent.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kinolog.core.errors import DeliveryFailed, KinologError, Overloaded
from kinolog.log.client import (
    KafkaSettings,
    UnknownTopic,
    checked,
    kafka_errors,
    let_go,
    reason,
    translate,
)
from kinolog.log.leader_watch import LeaderWatch
from kinolog.log.random_reader import RandomReader
from kinolog.record.header import HEADER_NAME, Header, encode_header

Delivered = Callable[[KinologError | None, int], None]
"""Called on the event loop with (error, log offset); the offset is -1 where there is an error."""

_QUEUE_KBYTES = 1_048_576
_POLL_S = 0.2
_GIVE_UP_S = 10.0
_FIND_AGAIN_S = 0.1
_FIND_AT_ONCE = 500


class Target(NamedTuple):
    """Where to write: a topic, a partition, a record key."""

    topic: str
    partition: int
    key: bytes


class LogWriter:
    """Appends records. Made on the event loop that is to hear of deliveries."""

    def __init__(self, settings: KafkaSettings, *, delivery_timeout_ms: int = 60_000) -> None:
        self._settings = settings
        self.delivery_timeout_s = delivery_timeout_ms / 1000
        self._loop = asyncio.get_running_loop()
        self._done: deque[tuple[Delivered, KafkaError | None, Message]] = deque()
        self._reader = RandomReader(settings, size=1)
        self._finding: set[asyncio.Task[None]] = set()
        self._closing = threading.Event()
        self.generation = 0
        self._broken: Producer | None = None
        self._why: KafkaError | None = None
        self._topics: set[str] = set()
        self._producer = self._make()
        self._thread = threading.Thread(target=self._poll, name="kafka-deliveries", daemon=True)
        self._thread.start()

    def _make(self) -> Producer:
        self._watch = LeaderWatch(lambda: tuple(self._topics))
        producer, self._seen = checked(
            self._settings,
            Producer,
            watch=self._watch,
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            **{
                "message.timeout.ms": 0,  # for ever, see above
                "allow.auto.create.topics": False,
                "queue.buffering.max.kbytes": _QUEUE_KBYTES,
                "queue.buffering.max.messages": 2_000_000,
                "message.max.bytes": 1_048_576,
                "batch.size": 1_000_000,
                "partitioner": "consistent_random",
            },
        )
        found: Producer = producer
        return found

    def send(
        self,
        target: Target,
        header: Header | None,
        value: bytes,
        timestamp_ms: int,
        done: Delivered,
    ) -> None:
        """Queue a record; `done` is called once, on the loop. Overloaded: the queue is full."""
        self._topics.add(target.topic)
        headers: list[tuple[str, str | bytes | None]] | None = None
        if header is not None:
            headers = [(HEADER_NAME, encode_header(header))]
        try:
            self._producer.produce(
                target.topic,
                value,
                target.key,
                target.partition,
                on_delivery=_Report(self._done, done),
                timestamp=timestamp_ms,
                headers=headers,
            )
        except BufferError as error:
            raise Overloaded("the producer's queue is full") from error
        except KafkaException as raised:
            raise translate(raised.args[0], self._settings) from raised

    async def append(
        self, target: Target, header: Header | None, value: bytes, timestamp_ms: int
    ) -> int:
        """Write one record and wait for its acknowledgement; its log offset. DeliveryFailed
        when that takes longer than the delivery timeout (it may still land)."""
        future: asyncio.Future[int] = self._loop.create_future()

        def done(error: KinologError | None, offset: int) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(offset)
            else:
                future.set_exception(error)

        try:
            self.send(target, header, value, timestamp_ms, done)
        except UnknownTopic:
            # The collection has grown since the client last asked.
            await self.refresh(target.topic)
            self.send(target, header, value, timestamp_ms, done)
        try:
            async with asyncio.timeout(self.delivery_timeout_s):
                return await future
        except TimeoutError:
            raise self.overdue() from None

    def overdue(self) -> DeliveryFailed:
        """The error for a record that waits for longer than the delivery timeout."""
        return DeliveryFailed(
            f"Kafka at {self._settings.bootstrap_servers} acknowledged nothing "
            f"for {self.delivery_timeout_s:g} s",
            hint="is it running? `kinolog cluster status` shows the embedded one",
        )

    async def refresh(self, topic: str) -> None:
        """Learn of a topic's (new) partitions now, instead of at the next refresh."""
        with kafka_errors(self._settings, self._seen):
            await asyncio.to_thread(self._producer.list_topics, topic, 10)

    @property
    def broken(self) -> bool:
        """Whether the producer has met a fatal error and takes nothing any more."""
        return self._broken is self._producer

    async def repair(self) -> None:
        """A new producer where this one can do nothing any more."""
        if self.broken:
            await self.renew(self.generation)

    async def renew(self, generation: int) -> None:
        """A new producer in place of the one of that generation, unless that is done already.

        What the old one holds is given up: each record's `done` is called with an error, and its
        sender reads the log to see what of it landed.
        """
        if generation != self.generation:
            return
        self.generation += 1
        old, watch = self._producer, self._watch
        self._producer = self._make()
        await asyncio.to_thread(_give_up, old)
        await asyncio.to_thread(watch.close)
        let_go(old)
        self._drain()
        if not self.broken:
            self._why = None

    async def close(self, timeout_s: float = 10.0) -> int:
        """Wait for what is queued, at most `timeout_s`; how many records were given up."""
        left = await asyncio.to_thread(_flush, self._producer, timeout_s)
        if left:
            await asyncio.to_thread(_give_up, self._producer)
        self._closing.set()
        await asyncio.to_thread(self._thread.join, 5.0)
        await asyncio.to_thread(self._watch.close)
        let_go(self._producer)
        self._drain()
        if self._finding:
            await asyncio.wait(self._finding, timeout=timeout_s)
        await self._reader.close()
        return left

    def _poll(self) -> None:
        while not self._closing.is_set():
            producer = self._producer
            try:
                producer.poll(_POLL_S)
            except (KafkaException, SystemError) as raised:
                # A fatal error is told here, once; its records come later, as purged.
                self._why = _fatal(raised)
                self._broken = producer
            except RuntimeError:  # it was replaced meanwhile, and is closed
                continue
            if self._done:
                self._hand_over()

    def _hand_over(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop has ended: nobody is left to tell
            self._done.clear()

    def _drain(self) -> None:
        done = self._done
        while done:
            tell, error, message = done.popleft()
            if error is not None:
                tell(translate(reason(error, self._why), self._settings), -1)
                continue
            offset = message.offset()
            if offset is not None:
                tell(None, offset)
                continue
            task = self._loop.create_task(self._find(tell, message))
            self._finding.add(task)
            task.add_done_callback(self._finding.discard)

    async def _find(self, tell: Delivered, message: Message) -> None:
        """A record that is in the log, Kafka does not say where: sent again after its leader died,
        it was there already (DUPLICATE_SEQUENCE_NUMBER, KIP-98). Its offset is read from there."""
        try:
            async with asyncio.timeout(self.delivery_timeout_s):
                offset = await self._offset_of(message)
        except TimeoutError:
            tell(DeliveryFailed("what Kafka acknowledged was not found in the log"), -1)
        except KinologError as error:
            tell(error, -1)
        else:
            tell(None, offset)

    async def _offset_of(self, message: Message) -> int:
        place: tuple[str, int] = message.topic(), message.partition()  # type: ignore[assignment]
        wanted = _content(message)
        start = await self._reader.offset_for_time(*place, message.timestamp()[1])
        while True:
            end = min((await self._reader.bounds(*place))[1], start + _FIND_AT_ONCE)
            key = (message.key() or b"").decode()
            for found in await self._reader.read_raw(*place, start, end, key):
                if _content(found) == wanted:
                    return int(found.offset())
            if end <= start:  # not yet replicated to all, so not yet to be read
                await asyncio.sleep(_FIND_AGAIN_S)
            start = max(start, end)


def _flush(producer: Producer, timeout_s: float) -> int:
    """Wait for what is queued; how many records are left. A fatal error ends the waiting."""
    try:
        return int(producer.flush(timeout_s))
    except (KafkaException, SystemError) as raised:
        _fatal(raised)
        return len(producer)


def _fatal(raised: KafkaException | SystemError) -> KafkaError:
    """The fatal error that the client raised. It does so while it still hands out delivery reports:
    then Python makes a SystemError of it, that a function "returned a result with an exception
    set", at the report that comes next."""
    told = raised.__cause__ if isinstance(raised, SystemError) else raised
    if not isinstance(told, KafkaException):
        raise raised
    error: KafkaError = told.args[0]
    return error


def _give_up(producer: Producer) -> None:
    producer.purge()
    _flush(producer, _GIVE_UP_S)


def _content(message: Message) -> tuple[Any, Any, Any]:
    """What tells a record from its neighbours. A delivery report has no headers; but a chunk's
    bytes hold its sequence number and time, and the values of the other kinds their epoch."""
    return message.key(), message.value(), message.timestamp()


class _Report:
    """Takes a delivery report on the poll thread; small, since there is one a record."""

    __slots__ = ("_queue", "_tell")

    def __init__(self, queue: deque[Any], tell: Delivered) -> None:
        self._queue = queue
        self._tell = tell

    def __call__(self, error: KafkaError | None, message: Message) -> None:
        self._queue.append((self._tell, error, message))
