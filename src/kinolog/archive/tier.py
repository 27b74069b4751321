"""Tier: a reader of Kafka that reads from the archive what Kafka does not have any more.

Who reads with it sees one log. It asks Kafka first, and the archive for what is below the log start
offset; the records that come from there are the same, to the byte.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, NamedTuple, TypeVar

from kinolog.archive.blocks import Blocks
from kinolog.archive.marker import is_marked
from kinolog.archive.names import Book
from kinolog.archive.shelf import Shelf
from kinolog.core.clock import Clock, SystemClock
from kinolog.core.errors import (
    ArchiveUnavailable,
    ConfigError,
    NotFound,
    Unavailable,
    WireError,
)
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import FETCH_BYTES, RandomReader
from kinolog.log.registry import Registry
from kinolog.objects.store import Objects, open_objects
from kinolog.record.absent import Absent
from kinolog.record.header import HEADER_NAME

K = TypeVar("K")
V = TypeVar("V")
MOST_FIRSTS: Final = 1_000
"""Streams of which is kept where their archive begins, and what nobody has."""
AWAY_S: Final = 10.0
"""A store that did not answer is not asked for so long: whoever asks is told at once."""
PATIENCE_S: Final = 4.0
"""So long it may take to find where a stream's archive begins: viewers of what Kafka has wait for
it. It is a listing or two, and the first 128 KiB of an object."""
OLDER_S: Final = 8.0
"""So long for a block's index: who opens a stream, or joins it, may wait for it."""
MARKED_S: Final = 60.0
UNMARKED_S: Final = 1.0
ABSENT_S: Final = 10.0
"""What nobody has is asked for again so soon: a block that was being stored when Kafka deleted its
records is there by then."""
ENTRIES_AT_ONCE: Final = 1_000
"""Made into messages without a break: some ms."""
_log = get_logger("kinolog.archive")


class Message:
    """A record of the archive, in the shape of the Kafka client's messages."""

    __slots__ = ("_header", "_key", "_offset", "_time_ms", "_value")

    def __init__(
        self, key: bytes, offset: int, value: bytes, time_ms: int = -1, header: bytes = b""
    ) -> None:
        self._key = key
        self._offset = offset
        self._value = value
        self._time_ms = time_ms
        self._header = header

    def offset(self) -> int:
        """Its offset in Kafka."""
        return self._offset

    def key(self) -> bytes:
        """The stream's name."""
        return self._key

    def value(self) -> bytes:
        """Its value."""
        return self._value

    def timestamp(self) -> tuple[int, int]:
        """Kafka's kind of timestamp, 0 where there is none, and Unix ms."""
        return (1, self._time_ms) if self._time_ms >= 0 else (0, -1)

    def headers(self) -> list[tuple[str, bytes]]:
        """That of kinolog, where it has one."""
        return [(HEADER_NAME, self._header)] if self._header else []


class _Where(NamedTuple):
    """A topic's partition, as a book has it: of the index, or of the media."""

    book: Book
    of_index: bool


class _First(NamedTuple):
    """The first offset that the archive has (None: it has nothing), when Kafka's log began at
    `low`."""

    offset: int | None
    low: int


class _Absent(NamedTuple):
    """What nobody had of a stream at a moment (monotonic seconds), when Kafka's log began at
    `low`; None: nothing of it is archived."""

    found: Absent | None
    low: int
    at_s: float


class TieredReader(RandomReader):
    """As RandomReader; with a key, also what is in the archive."""

    tiered = True

    def __init__(
        self, settings: KafkaSettings, registry: Registry, objects: Objects, clock: Clock
    ) -> None:
        super().__init__(settings)
        self._prefix = settings.prefix
        self._registry = registry
        self._objects = objects
        self._clock = clock
        self._shelf = Shelf(objects, clock)
        self._blocks = Blocks(objects)
        self._away_until_s = self._marked_until_s = float("-inf")
        self._marked = False
        self._firsts: OrderedDict[_Where, _First] = OrderedDict()
        self._absent: OrderedDict[Book, _Absent] = OrderedDict()

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
        """As RandomReader.read_raw; what comes from the archive is a Message."""
        low, messages = await self.read_above(topic, partition, start, end, key, about_bytes)
        if start >= low:
            return messages
        return [*await self._older(topic, partition, start, min(end, low), key, track), *messages]

    async def bounds(self, topic: str, partition: int, key: str | None = None) -> tuple[int, int]:
        """As RandomReader.bounds; with a key, the first offset that is in the archive, where that
        is before Kafka's log start. While the archive does not answer, the first that was known, or
        0: what Kafka has is to be played all the same."""
        low, high = await super().bounds(topic, partition)
        where = self._where(topic, partition, key) if low > 0 else None
        if where is None:
            return low, high
        known = self._firsts.get(where)
        try:
            async with self._asked(where.book, PATIENCE_S):
                # Kafka has deleted something since: it was archived before, if anybody archives.
                anew = known is not None and known.offset is None and known.low != low
                first = await self._first(where, anew=anew)
        except ArchiveUnavailable:
            first = known.offset if known is not None else 0
        else:
            _keep(self._firsts, where, _First(first, low))
        return (min(low, first) if first is not None else low), high

    async def absent(self, topic: str, partition: int, key: str) -> Absent | None:
        """As RandomReader.absent, of a media topic: what is below Kafka's log start offset and in
        no block. While the archive does not answer, nothing is known."""
        low, _ = await super().bounds(topic, partition)
        where = self._where(topic, partition, key) if low > 0 else None
        if where is None or not self._is_archived(where.book):
            return None
        book = where.book
        kept = self._absent.get(book)
        now_s = self._clock.monotonic()
        if kept is not None and kept.low == low and now_s - kept.at_s < ABSENT_S:
            self._absent.move_to_end(book)
            return kept.found
        try:
            async with self._asked(book, PATIENCE_S):
                found = await self._absent_below(book, low)
        except ArchiveUnavailable:
            return None
        _keep(self._absent, book, _Absent(found, low, now_s))
        return found

    async def _absent_below(self, book: Book, low: int) -> Absent | None:
        last = await self._shelf.last(book)
        if last is None:
            return None
        try:
            head = (await self._blocks.entries(last.path)).head
        except NotFound:
            self._shelf.forget(book)
            return None
        return Absent(low, head.newest, head.losses)

    async def kept_from(self, topic: str, partition: int, key: str) -> int:
        """As RandomReader.kept_from. ArchiveUnavailable where the archive does not answer, or is
        none."""
        low, _ = await super().bounds(topic, partition)
        where = self._where(topic, partition, key) if low > 0 else None
        if where is None or not self._is_archived(where.book):
            return low
        # Nothing that was listed before counts: the place may have been mounted since.
        self._shelf.forget(where.book)
        self._marked_until_s = float("-inf")
        async with self._asked(where.book):
            first = await self._first(where)
            if first is None and await self._shelf.first(where.book) is not None:
                raise ArchiveUnavailable("the archive's first object has just been deleted")
            self._marked_until_s = float("-inf")
            await self._check_marked()
        return min(low, first) if first is not None else low

    async def _first(self, where: _Where, *, anew: bool = False) -> int | None:
        """The first offset that the archive has of a stream's index, or of its media. `anew`: as of
        Shelf.first."""
        first = await self._shelf.first(where.book, anew=anew)
        if first is None or where.of_index:
            return first.start if first is not None else None
        try:
            return (await self._blocks.entries(first.path)).head.low
        except NotFound:
            self._shelf.forget(where.book)
            return None

    async def older(self, topic: str, partition: int, before: int, key: str) -> list[Any]:
        """As RandomReader.older: of the last block of the archive that begins below an offset."""
        where = self._where(topic, partition, key)
        if where is None or before <= 0:
            return []
        async with self._asked(where.book, OLDER_S):
            names = await self._shelf.holding(where.book, before - 1, before)
            if not names or names[0].start >= before:
                return []
            return [*await self._older(topic, partition, names[0].start, before, key, "")]

    async def _older(
        self, topic: str, partition: int, start: int, end: int, key: str | None, track: str
    ) -> Sequence[Message]:
        """The archive's records of [start, end), in the order of their offsets."""
        where = self._where(topic, partition, key)
        if where is None:
            return []
        async with self._asked(where.book):
            try:
                return await self._archived(where, start, end, track)
            except NotFound:
                # A block was deleted since it was listed.
                self._shelf.forget(where.book)
                return await self._archived(where, start, end, track)

    async def _archived(self, where: _Where, start: int, end: int, track: str) -> Sequence[Message]:
        key = where.book.stream.name.encode()
        found: dict[int, Message] = {}
        if where.of_index:
            for name in await self._shelf.holding(where.book, start, end):
                entries = await self._blocks.entries(name.path)
                low, high = (bisect_left(entries.offsets, one) for one in (start, end))
                for at in range(low, high):
                    if at % ENTRIES_AT_ONCE == 0:
                        await asyncio.sleep(0)
                    offset, value = entries.offsets[at], bytes(entries.head.entries[at])
                    found[offset] = Message(key, offset, value)
        else:
            names = await self._shelf.near(where.book, start, end - 1)
            for records in await asyncio.gather(
                *(self._blocks.media(name.path, start, end - 1, track) for name in names)
            ):
                await asyncio.sleep(0)
                for one in records:
                    found[one.offset] = Message(key, one.offset, one.value, one.time_ms, one.header)
        return [found[offset] for offset in sorted(found)]

    @asynccontextmanager
    async def _asked(self, book: Book, within_s: float | None = None) -> AsyncIterator[None]:
        """Around what asks the archive. Every failure is an ArchiveUnavailable: it is nothing that
        a viewer has done. A store that does not answer is then left alone for a while."""
        if self._clock.monotonic() < self._away_until_s:
            raise ArchiveUnavailable("the archive does not answer", hint="try again in a minute")
        try:
            async with asyncio.timeout(within_s):
                if self._is_archived(book):
                    await self._check_marked()
                yield
        except ArchiveUnavailable:
            raise
        except (ConfigError, WireError) as error:
            _log.warning("the archive cannot be read", error=str(error), hint=error.hint)
            raise ArchiveUnavailable(
                f"the archive cannot be read: {error}", hint=error.hint
            ) from error
        except (Unavailable, TimeoutError) as error:
            text = str(error) or f"it has said nothing for {within_s or 0:.0f} s"
            if self._clock.monotonic() >= self._away_until_s:  # of many who waited, once
                _log.warning("the archive does not answer", error=text, again_s=AWAY_S)
            self._away_until_s = self._clock.monotonic() + AWAY_S
            raise ArchiveUnavailable(f"the archive does not answer: {text}") from error

    def _is_archived(self, book: Book) -> bool:
        """Whether a worker has archived its collection."""
        collection = self._registry.collections.get(book.stream.collection)
        return collection is not None and collection.archived

    async def _check_marked(self) -> None:
        """That the place is an archive, and not where one is to be mounted."""
        now_s = self._clock.monotonic()
        if now_s >= self._marked_until_s:
            self._marked = await is_marked(self._objects)
            self._marked_until_s = now_s + (MARKED_S if self._marked else UNMARKED_S)
            if not self._marked:
                _log.warning("there is no archive", at=self._objects.url)
        if not self._marked:
            raise ArchiveUnavailable(
                f"there is no archive at {self._objects.url}",
                hint="is it mounted? `kinolog worker archive` makes one",
            )

    def _where(self, topic: str, partition: int, key: str | None) -> _Where | None:
        """The book of a stream's records; None where the archive has no such topic."""
        base, _, suffix = topic.rpartition(".")
        if key is None or suffix not in ("index", "media"):
            return None
        book = book_at(self._registry, self._prefix, base, partition, key)
        return _Where(book, suffix == "index") if book is not None else None


def reader_of(kafka: KafkaSettings, registry: Registry, archive: str | None) -> RandomReader:
    """A pool of readers of Kafka, and of the archive where one is named."""
    if not archive:
        return RandomReader(kafka)
    return TieredReader(kafka, registry, open_objects(archive, make=False), SystemClock())


def _keep(kept: OrderedDict[K, V], key: K, value: V) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > MOST_FIRSTS:
        kept.popitem(last=False)


def book_at(registry: Registry, prefix: str, base: str, partition: int, key: str) -> Book | None:
    """The book of the stream whose records have this key in topics of this base name; None where
    the registry has no such stream."""
    rest = base.removeprefix(f"{prefix}.")
    for collection in (rest, rest.removesuffix(f".{key}")):
        stream = StreamName(collection, key)
        entry = registry.streams.get(stream)
        if entry is not None:
            return Book(stream, entry.created_ms, base, partition)
    return None
