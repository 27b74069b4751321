"""The registry: a compacted topic read whole by every process, changed by compare-and-set.

A change is a transaction under `transactional.id` = the key: beginning it fences every other
writer of that key, so what is read between the beginning and the commit cannot change
(invariant 9). A writer that was fenced lost, and tries again from what it then reads.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import msgspec
import stamina
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from kinolog.core.errors import Conflict, KafkaUnavailable
from kinolog.core.names import StreamName
from kinolog.log.client import KafkaSettings, checked, kafka_errors, let_go
from kinolog.log.random_reader import RandomReader
from kinolog.log.tail_reader import Batch, TailReader
from kinolog.record.control import encode_value
from kinolog.record.registry import (
    CollectionEntry,
    EpochEntry,
    StreamEntry,
    collection_key,
    epoch_key,
    stream_key,
)
from kinolog.record.topics import registry_topic

E = TypeVar("E", CollectionEntry, StreamEntry, EpochEntry)
Watcher = Callable[[str, msgspec.Struct | None], None]

_READ_DEADLINE_S = 30.0
_FETCH_WAIT_MS = 50
_READER_WAIT_MS = 200
_CHANGES_AT_ONCE = 16
_FENCED = {
    KafkaError._FENCED,
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.CONCURRENT_TRANSACTIONS,
    KafkaError.INVALID_TXN_STATE,
    KafkaError._STATE,
}
_AGAIN = (Conflict, KafkaUnavailable)
_DECODERS: tuple[msgspec.json.Decoder[Any], ...] = (
    msgspec.json.Decoder(CollectionEntry),
    msgspec.json.Decoder(StreamEntry),
    msgspec.json.Decoder(EpochEntry),
)


class Registry:
    """Collections, streams and epochs, as of the last record read. Use `Registry.open`."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._topic = registry_topic(settings.prefix)
        self.collections: dict[str, CollectionEntry] = {}
        self.streams: dict[StreamName, StreamEntry] = {}
        self.epochs: dict[StreamName, dict[int, EpochEntry]] = {}
        # The end of what is committed (the default) would leave out a commit whose marker is still
        # on its way when commit_transaction returns.
        self._ends = RandomReader(settings, size=2, isolation="read_uncommitted")
        # Each change waits for Kafka in a thread: not in those that everything else shares.
        self._threads = ThreadPoolExecutor(_CHANGES_AT_ONCE, thread_name_prefix="kafka-registry")
        self._position = 0
        self._moved = asyncio.Condition()
        self._watchers: list[Watcher] = []
        self._busy: dict[str, asyncio.Lock] = {}
        self._tail: TailReader[tuple[str, bytes]] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, settings: KafkaSettings, *, seldom_writes: bool = False) -> Registry:
        """The registry of a cluster, read to its present end. The topic must exist.
        `seldom_writes`: who seldom does may hear of a change after 200 ms in place of 50."""
        registry = cls(settings)
        registry._tail = TailReader(
            settings,
            _decode,
            registry._take,
            name="kafka-registry",
            # A commit does not wake a fetch that waits (measured): it sees it at its next turn. But
            # 20 turns a second were a fifth of an idle edge's CPU.
            wait_max_ms=_READER_WAIT_MS if seldom_writes else _FETCH_WAIT_MS,
        )
        registry._tail.add(registry._topic, 0, 0)
        try:
            await registry.catch_up()
        except BaseException:
            await registry.close()
            raise
        return registry

    async def close(self) -> None:
        """Stop following."""
        if self._tail is not None:
            await self._tail.close()
        await self._ends.close()
        self._threads.shutdown(wait=False)

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher(key, entry or None)` on every change from now on; returns an undo."""
        self._watchers.append(watcher)

        def undo() -> None:
            if watcher in self._watchers:
                self._watchers.remove(watcher)

        return undo

    def newest_epoch(self, stream: StreamName) -> EpochEntry | None:
        """The stream's epoch with the greatest number, if the registry has one."""
        epochs = self.epochs.get(stream)
        return epochs[max(epochs)] if epochs else None

    async def catch_up(self) -> None:
        """Read to what is the end now (committed or aborted, all of it)."""
        _, end = await self._ends.bounds(self._topic, 0)
        try:
            async with asyncio.timeout(_READ_DEADLINE_S), self._moved:
                await self._moved.wait_for(lambda: self._position >= end)
        except TimeoutError as error:
            raise KafkaUnavailable(
                f"the registry was not read to its end in {_READ_DEADLINE_S:.0f} s"
            ) from error

    async def change_collection(
        self, name: str, change: Callable[[CollectionEntry | None], CollectionEntry | None]
    ) -> CollectionEntry | None:
        """Compare-and-set of a collection's entry; see `_change`."""
        return await self._change(collection_key(name), lambda: self.collections.get(name), change)

    async def change_stream(
        self, stream: StreamName, change: Callable[[StreamEntry | None], StreamEntry | None]
    ) -> StreamEntry | None:
        """Compare-and-set of a stream's entry; see `_change`."""
        return await self._change(stream_key(*stream), lambda: self.streams.get(stream), change)

    async def change_epoch(
        self,
        stream: StreamName,
        epoch: int,
        change: Callable[[EpochEntry | None], EpochEntry | None],
    ) -> EpochEntry | None:
        """Compare-and-set of an epoch's entry; see `_change`."""
        return await self._change(
            epoch_key(*stream, epoch), lambda: self.epochs.get(stream, {}).get(epoch), change
        )

    async def _change(
        self, key: str, current: Callable[[], E | None], change: Callable[[E | None], E | None]
    ) -> E | None:
        """`change(entry) -> entry` on the newest entry; the same object means no write, None
        deletes. Retried while others win; raises what `change` raises, Conflict at last."""
        async with self._busy.setdefault(key, asyncio.Lock()):
            async for attempt in stamina.retry_context(on=_AGAIN, attempts=10, timeout=60.0):
                with attempt:
                    return await self._try(key, current, change)
        raise Conflict(f"registry entry {key} is being changed by others")

    async def _try(
        self, key: str, current: Callable[[], E | None], change: Callable[[E | None], E | None]
    ) -> E | None:
        await self.catch_up()
        before = current()
        if change(before) is before:
            return before  # nothing to write: a read of the newest, no transaction
        producer, seen = checked(
            self._settings,
            Producer,
            transactional_id=f"{self._settings.prefix}.registry.{key}",
            transaction_timeout_ms=15_000,
            linger_ms=0,
            allow_auto_create_topics=False,
        )
        try:
            with kafka_errors(self._settings, seen):
                await self._in_thread(_fencing, producer.init_transactions, 20)
                await self.catch_up()
                before = current()
                after = change(before)
                if after is before:
                    return before
                value = encode_value(after) if after is not None else None
                await self._in_thread(_fencing, _commit, producer, self._topic, key, value)
        finally:
            let_go(producer)
        await self.catch_up()
        return after

    async def _in_thread(self, work: Callable[..., None], *args: Any) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._threads, functools.partial(work, *args))

    def _take(self, batches: list[Batch[tuple[str, bytes]]]) -> None:
        for batch in batches:
            for key, value in batch.records:
                self._apply(key, value)
            self._position = max(self._position, batch.position)
        task = asyncio.get_running_loop().create_task(self._tell())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    def _apply(self, key: str, value: bytes) -> None:
        parts = key.split("/")
        if not 1 <= len(parts) <= 3:
            return
        try:
            entry = _DECODERS[len(parts) - 1].decode(value) if value else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            return  # an entry of a later version, or somebody else's: not ours to judge
        if len(parts) == 1:
            _put(self.collections, key, entry)
        elif len(parts) == 2:
            _put(self.streams, StreamName(*parts), entry)
        elif parts[2].isdigit():
            _put(self.epochs.setdefault(StreamName(*parts[:2]), {}), int(parts[2]), entry)
        for watcher in tuple(self._watchers):
            watcher(key, entry)


def _put(entries: dict[Any, Any], key: Any, entry: Any) -> None:
    if entry is None:
        entries.pop(key, None)
    else:
        entries[key] = entry


def _decode(message: Message) -> tuple[str, bytes] | None:
    key = message.key()
    return (key.decode(errors="replace"), message.value() or b"") if key else None


def _commit(producer: Producer, topic: str, key: str, value: bytes | None) -> None:
    failed: list[KafkaError] = []
    producer.begin_transaction()
    producer.produce(
        topic, value, key, 0, on_delivery=lambda error, _: failed.append(error) if error else None
    )
    producer.commit_transaction(20)
    if failed:
        raise KafkaException(failed[0])


def _fencing(work: Callable[..., None], *args: Any) -> None:
    """`work(*args)`, with a Conflict where another writer of the same key came between."""
    try:
        work(*args)
    except KafkaException as raised:
        error: KafkaError = raised.args[0]
        if error.code() in _FENCED or error.txn_requires_abort():
            raise Conflict(f"registry: {error.str()}") from raised
        if error.code() == KafkaError._TIMED_OUT or error.retriable():
            raise KafkaUnavailable(f"registry: {error.str()}") from raised
        raise
