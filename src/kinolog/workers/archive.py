"""Archive: finished media segments and their index, from Kafka into object storage.

The archive itself says how far it is. A block's name follows from where the one before it ends, and
a store takes a name once; so a worker that was killed, or one that does not know yet that another
has taken over, can neither leave out a segment nor store one twice. The offsets that the group
commits only save reading.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec

from kinolog.archive.block import Index, Media, Session, Stored, differences, encode
from kinolog.archive.blocks import Blocks
from kinolog.archive.marker import mark
from kinolog.archive.names import Book, name_of, parse
from kinolog.archive.shelf import Shelf
from kinolog.archive.tier import book_at
from kinolog.core.clock import Clock
from kinolog.core.errors import KinologError, NotFound, Unavailable, WireError
from kinolog.core.log import get_logger
from kinolog.log.catalog import Catalog
from kinolog.log.group import Member, Pulled, Share
from kinolog.log.random_reader import RandomReader
from kinolog.objects.store import Objects
from kinolog.record.absent import Lost, add_lost
from kinolog.record.control import SegmentEntry, SessionEntry, decode_index
from kinolog.record.header import HEADER_NAME, decode_header
from kinolog.record.registry import EpochEntry
from kinolog.record.topics import topic
from kinolog.workers.waiting import Item, Waiting

STRETCH_MS: Final = 600_000
MOST_BYTES: Final = 64 << 20
GROUP_BYTES: Final = 128 << 20
"""Of media that are read in one go, for several streams of a partition."""
STRIDE: Final = 250
"""Media records of a partition that are read at a time."""
GATHER_S: Final = 3.0
"""So long a block waits for others of its partition: they end at about the same time."""
PULL_S: Final = 0.5
NOBODY_S: Final = 30.0
"""A member that gets no partition for so long has nothing to do."""
AGAIN_S: Final = 5.0
TELL_S: Final = 600.0
"""As often it is told which streams are left out."""
PARTS: Final = 4
"""What is to be archived is at least so many times younger than what Kafka deletes."""
_log = get_logger("kinolog.archive")


class Made(NamedTuple):
    """A block that was stored: index offsets [start, below), capture times in Unix ms; `lost`:
    segments that Kafka had deleted before they were read."""

    stream: str
    path: str
    start: int
    below: int
    wall: int
    until: int
    segments: int
    size: int
    lost: int


@dataclass
class _Stream:
    """What of a stream in a partition is in no block yet."""

    book: Book
    waiting: Waiting
    below: int
    newest: dict[str, tuple[int, int]]
    near: int
    losses: list[Lost]
    touched_s: float


class OtherLog(KinologError):
    """An index topic is not the one that was archived: it was made anew, or is a mirror."""


class LeftOut(NamedTuple):
    """A stream that is not archived, from an index offset on, and why."""

    start: int
    why: str


@dataclass
class _Partition:
    streams: dict[str, _Stream] = field(default_factory=dict)
    left_out: dict[str, LeftOut] = field(default_factory=dict)
    position: int = -1
    committed: int = -1
    due_s: float | None = None

    @property
    def safe(self) -> int:
        """What is before this index offset is in the archive, or none of it."""
        starts = [s.waiting.start for s in self.streams.values()]
        starts += [one.start for one in self.left_out.values()]
        return min([self.position, *(start for start in starts if start is not None)])


class _Block(NamedTuple):
    """A block to make: the records of the index, the segments to store, and the media log offsets
    of their records. `others`: where records are that open its sessions, or close them."""

    stream: _Stream
    items: Sequence[Item]
    segments: Sequence[SegmentEntry]
    low: int
    high: int
    others: Sequence[int]

    @property
    def size(self) -> int:
        return sum(sum(segment.sizes) for segment in self.segments)


class Archive:
    """One worker. `stretch_ms`: of the clock, for which a block stands at most; `most_bytes`: of
    media, with which it ends before."""

    def __init__(
        self,
        catalog: Catalog,
        reader: RandomReader,
        objects: Objects,
        clock: Clock,
        prefix: str,
        stretch_ms: int = STRETCH_MS,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._objects = objects
        self._shelf = Shelf(objects, clock)
        self._blocks = Blocks(objects)
        self._clock = clock
        self._prefix = prefix
        self._stretch_ms = stretch_ms
        self._most_bytes = most_bytes
        self._partitions: dict[Share, _Partition] = {}
        self._once = False
        self._told_s = clock.monotonic()

    @property
    def left_out(self) -> dict[str, str]:
        """The streams that are not archived, by their keys, and why."""
        found = self._partitions.values()
        return {key: one.why for part in found for key, one in part.left_out.items()}

    async def run(
        self,
        member: Member,
        collections: Sequence[str],
        made: Callable[[Made], None],
        *,
        once: bool = False,
    ) -> bool:
        """Archive these collections' streams until it is cancelled; with `once`, until all that is
        there has been looked at. False where other members of the group had it all."""
        entries = [self._catalog.collection(name) for name in collections]  # NotFound
        if await mark(self._objects) and any(entry.archived for entry in entries):
            _log.warning(
                "there was no archive here, though there is one of these collections: if it is not "
                "at another place, a directory may not be mounted",
                at=self._objects.url,
            )
        for name, entry in zip(collections, entries, strict=True):
            stretch_ms = self._stretch_of(name)
            if stretch_ms < self._stretch_ms:
                _log.warning(
                    f"a stretch is more than 1/{PARTS} of what Kafka keeps: made shorter",
                    collection=name,
                    retention_s=entry.retention_ms / 1000,
                    stretch_s=stretch_ms / 1000,
                )
            if not entry.archived:
                await self._catalog.registry.change_collection(
                    name, lambda entry: entry and msgspec.structs.replace(entry, archived=True)
                )
        self._once = once
        reached: set[Share] = set()
        begun_s = self._clock.monotonic()
        while True:
            topics = self._topics(collections)
            if not topics:
                if once:
                    return True
                await asyncio.sleep(PULL_S)
                continue
            await member.subscribe(topics)
            pulled = await member.pull(PULL_S)
            reached = (reached - pulled.left) | pulled.ends.keys()
            await self._take(pulled)
            finished = once and bool(member.shares) and member.shares <= reached
            await self._store(made, finished=finished)
            await self._commit(member)
            self._tell_left_out()
            if finished:
                return True
            if once and not member.shares and self._clock.monotonic() - begun_s > NOBODY_S:
                return False

    def _stretch_of(self, collection: str) -> int:
        """How long a block stands, in ms: Kafka must not delete its first segment meanwhile."""
        entry = self._catalog.registry.collections.get(collection)
        kept_ms = entry.retention_ms if entry is not None else -1
        return min(self._stretch_ms, kept_ms // PARTS) if kept_ms > 0 else self._stretch_ms

    def _tell_left_out(self) -> None:
        now_s = self._clock.monotonic()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            for key, why in self.left_out.items():
                _log.error("a stream is not archived", stream=key, why=why)

    def _leave_out(self, partition: _Partition, key: str, start: int, error: KinologError) -> None:
        """Go on with the others. What the group has committed stays before it: a worker that is
        started when it has been mended reads it."""
        why = f"{error}: {error.hint}" if error.hint else str(error)
        partition.streams.pop(key, None)
        partition.left_out[key] = LeftOut(start, why)
        _log.error("a stream is not archived", stream=key, why=why)

    def _topics(self, collections: Sequence[str]) -> frozenset[str]:
        registry = self._catalog.registry
        bases = set()
        for stream, entry in registry.streams.items():
            if stream.collection in collections:
                bases |= {one.base for one in entry.placements}
                bases |= {epoch.base for epoch in registry.epochs.get(stream, {}).values()}
        return frozenset(topic(base, "index") for base in bases)

    async def _take(self, pulled: Pulled) -> None:
        for share in pulled.left:
            self._partitions.pop(share, None)
        for share, messages in pulled.messages.items():
            partition = self._partitions.setdefault(share, _Partition())
            if messages and messages[0].offset() < partition.position:
                # Another topic of this name: its streams are looked at anew.
                partition = self._partitions[share] = _Partition()
            for message in messages:
                await self._see(share, partition, message)
                partition.position = message.offset() + 1
        for share, end in pulled.ends.items():
            partition = self._partitions.setdefault(share, _Partition())
            partition.position = max(partition.position, end)

    async def _see(self, share: Share, partition: _Partition, message: Any) -> None:
        key = (message.key() or b"").decode("utf-8", "replace")
        try:
            entry = decode_index(message.value() or b"")
        except WireError:
            return
        if key in partition.left_out:
            return
        stream = partition.streams.get(key)
        if stream is None:
            try:
                stream = await self._stream(share, key)
            except (WireError, NotFound, OtherLog) as error:
                self._leave_out(partition, key, message.offset(), error)
                return
            if stream is None:
                return
            partition.streams[key] = stream
        if message.offset() < stream.below or entry.epoch < self._oldest(stream.book):
            return
        stream.waiting.add(Item(message.offset(), message.value(), entry))
        stream.touched_s = self._clock.monotonic()

    def _oldest(self, book: Book) -> int:
        """The first epoch of a stream: what is before it was of another one of this name."""
        entry = self._catalog.registry.streams.get(book.stream)
        return entry.placements[0].from_epoch if entry is not None else 0

    async def _stream(self, share: Share, key: str) -> _Stream | None:
        """A stream of which the first is seen; None for one that the registry does not know."""
        registry = self._catalog.registry
        base = share.topic.removesuffix(".index")
        book = book_at(registry, self._prefix, base, share.partition, key)
        if book is None:
            await registry.catch_up()
            book = book_at(registry, self._prefix, base, share.partition, key)
            if book is None:
                return None
        stretch_ms = self._stretch_of(book.stream.collection)
        stream = _Stream(book, Waiting(stretch_ms, self._most_bytes), 0, {}, 0, [], 0.0)
        last = await self._shelf.last(book)
        if last is not None:
            # Of one that was killed when this block had just got its name. What is left of one that
            # had not goes when that is made: it has the same name.
            await self._objects.tidy(last.path)
            await self._check_same(share, key, await self._go_on(stream, last.path), last.path)
        return stream

    async def _check_same(self, share: Share, key: str, head: Index, path: str) -> None:
        """That the index topic is the one that the newest block is of. OtherLog where it is not:
        what is in it would be taken for what is archived, or the other way round."""
        low, end = await self._reader.bounds(share.topic, share.partition)
        at = head.below - 1
        if low <= at < end:
            found = await self._reader.read_raw(share.topic, share.partition, at, at + 1, key)
            if [bytes(one.value() or b"") for one in found] == [bytes(head.entries[-1])]:
                return
        elif at < low:
            return  # deleted by the retention
        raise OtherLog(
            f"the index in {share.topic}/{share.partition} is not the one of which {path} is: the "
            "topic was made anew",
            hint="delete the stream and publish it anew, or move the objects of this place away",
        )

    async def _go_on(self, stream: _Stream, path: str) -> Index:
        """Behind the block that is there. WireError where it is not readable."""
        head = (await self._blocks.entries(path)).head
        stream.below = head.below
        stream.newest = dict(head.newest)
        stream.losses = list(head.losses)
        name = parse(path)
        stream.near = max(head.near, name.near if name is not None else 0)
        stream.waiting.drop(head.below)
        return head

    async def _commit(self, member: Member) -> None:
        offsets = {
            share: partition.safe
            for share, partition in self._partitions.items()
            if share in member.shares and partition.safe > partition.committed
        }
        if offsets:
            await member.commit(offsets)
            for share, offset in offsets.items():
                self._partitions[share].committed = offset

    async def _store(self, made: Callable[[Made], None], *, finished: bool) -> None:
        if finished:
            await self._catalog.registry.catch_up()
        for share, partition in list(self._partitions.items()):
            while blocks := self._due(partition, at_once=self._once):
                for group in _together(blocks):
                    media = await self._media(share, group)
                    for block in group:
                        found = media[block.stream.book.stream.name]
                        done = await self._make(partition, block, found)
                        if done is not None:
                            made(done)

    def _due(self, partition: _Partition, *, at_once: bool) -> list[_Block]:
        """The blocks that are to be made now."""
        registry = self._catalog.registry
        blocks = [
            _block(stream, items, registry.epochs.get(stream.book.stream, {}))
            for stream in partition.streams.values()
            if (items := stream.waiting.due() or self._ended(stream, partition))
        ]
        if not blocks:
            partition.due_s = None
            return []
        now_s = self._clock.monotonic()
        if partition.due_s is None:
            partition.due_s = now_s
        enough = sum(block.size for block in blocks) >= GROUP_BYTES
        return blocks if at_once or enough or now_s - partition.due_s >= GATHER_S else []

    def _ended(self, stream: _Stream, partition: _Partition) -> Sequence[Item]:
        """What waits of a stream that has ended, or of which nothing came for a stretch of time."""
        if not len(stream.waiting):
            return ()
        quiet_s = self._clock.monotonic() - stream.touched_s
        stretch_s = self._stretch_of(stream.book.stream.collection) / 1000
        if not self._once and quiet_s >= stretch_s:
            return stream.waiting.all()
        newest = self._newest(stream.book)
        # One that is away may end within a minute or so, and that belongs to the block.
        over = ("ended", "away") if self._once else ("ended",)
        if newest is None or newest.state not in over or not newest.pages:
            return ()
        read = max(where.last for where in newest.pages.values()) < partition.position
        return stream.waiting.all() if read else ()

    def _newest(self, book: Book) -> EpochEntry | None:
        """The newest epoch of a stream in a place."""
        epochs = self._catalog.registry.epochs.get(book.stream, {})
        place = (book.base, book.partition)
        found = [n for n, epoch in epochs.items() if (epoch.base, epoch.partition) == place]
        return epochs[max(found)] if found else None

    async def _media(self, share: Share, group: Sequence[_Block]) -> dict[str, list[Media]]:
        """The media records of some blocks of a partition, read once for all of them."""
        wanted = {block.stream.book.stream.name: _Wanted(block) for block in group}
        low = min((block.low for block in group if block.segments), default=0)
        high = max(block.high for block in group)
        media = topic(share.topic.removesuffix(".index"), "media")
        key = next(iter(wanted)) if len(wanted) == 1 else None
        for start in range(low, high + 1, STRIDE):
            stop = min(start + STRIDE, high + 1)
            for message in await self._reader.read_raw(media, share.partition, start, stop, key):
                found = wanted.get((message.key() or b"").decode("utf-8", "replace"))
                if found is not None:
                    found.take(message)
        for block in group:
            name = block.stream.book.stream.name
            for at in block.others:
                for message in await self._reader.read_raw(
                    media, share.partition, at, at + 1, name
                ):
                    wanted[name].take(message)
        return {name: one.media for name, one in wanted.items()}

    async def _make(self, partition: _Partition, block: _Block, media: list[Media]) -> Made | None:
        """Store a block. None where another worker has stored one of this name."""
        stream, items = block.stream, block.items
        start = items[0].offset
        name = name_of(stream.book, start, items[0].entry, stream.near)
        epochs = self._catalog.registry.epochs.get(stream.book.stream, {})
        index, data = await asyncio.to_thread(_encode, block, media, epochs, name.near)
        while True:
            try:
                stored = await self._objects.create(name.path, data)
                break
            except Unavailable as error:
                _log.warning("the archive does not answer", error=str(error))
                await asyncio.sleep(AGAIN_S)
        if not stored:
            try:
                await self._go_on(stream, name.path)
            except (WireError, NotFound) as error:
                self._leave_out(partition, stream.book.stream.name, start, error)
            return None
        stream.below, stream.newest, stream.near = index.below, dict(index.newest), index.near
        stream.losses = list(index.losses)
        stream.waiting.drop(index.below)
        return Made(
            index.stream,
            name.path,
            index.start,
            index.below,
            index.wall,
            index.until,
            len(index.segments),
            len(data),
            index.lost,
        )


class _Wanted:
    """Picks a block's records out of what is read of the media topic."""

    def __init__(self, block: _Block) -> None:
        self._low, self._high = block.low, block.high
        self._others = set(block.others)
        self._names = {(one.track, one.epoch, one.msn) for one in block.segments}
        self.media: list[Media] = []

    def take(self, message: Any) -> None:
        data = next((found for name, found in message.headers() or () if name == HEADER_NAME), None)
        offset = message.offset()
        if data is None or not (self._low <= offset <= self._high or offset in self._others):
            return
        try:
            header = decode_header(data)
        except WireError:
            return
        if header.kind == "chunk" and (header.track, header.epoch, header.msn) not in self._names:
            return
        time_ms = message.timestamp()[1]
        self.media.append(Media(offset, time_ms, data, message.value() or b""))


def _block(stream: _Stream, items: Sequence[Item], epochs: Mapping[int, EpochEntry]) -> _Block:
    """What of a run of index records is media that is in no block yet."""
    newest = dict(stream.newest)
    segments = []
    for item in items:
        entry = item.entry
        if isinstance(entry, SegmentEntry):
            if (entry.epoch, entry.msn) <= newest.get(entry.track, (-1, -1)):
                continue  # a repeat
            newest[entry.track] = (entry.epoch, entry.msn)
            segments.append(entry)
    low = min((one.offsets[0] for one in segments), default=0)
    high = max((one.last_offset for one in segments), default=-1)
    others = {one.entry.open_offset for one in items if isinstance(one.entry, SessionEntry)}
    over = [epochs[epoch] for epoch in {one.epoch for one in segments} if epoch in epochs]
    others |= {offset for one in over for offset in (one.close_offset, one.end_offset)}
    beyond = [offset for offset in sorted(others) if offset >= 0 and not low <= offset <= high]
    return _Block(stream, items, segments, low, high, beyond)


def _together(blocks: Sequence[_Block]) -> Iterator[list[_Block]]:
    """Blocks whose media lie among one another, in groups that fit into memory."""
    group: list[_Block] = []
    for block in sorted(blocks, key=lambda block: block.low):
        # One without segments, a session alone, goes with any.
        high = max((one.high for one in group if one.segments), default=block.low)
        size = sum(one.size for one in group)
        if group and (block.low > high or size + block.size > GROUP_BYTES):
            yield group
            group = []
        group.append(block)
    if group:
        yield group


def _encode(
    block: _Block, media: list[Media], epochs: Mapping[int, EpochEntry], near: int
) -> tuple[Index, bytes]:
    """A block's index, and all its bytes. Segments of which something is missing are left out."""
    of: dict[tuple[str, int, int], list[Media]] = {}
    others = []
    for one in media:
        header = decode_header(one.header)
        if header.kind == "chunk":
            of.setdefault((header.track, header.epoch, header.msn), []).append(one)
        else:
            others.append(one)
    stored: list[Stored] = []
    kept: list[Media] = []
    at = lost = 0
    newest = dict(block.stream.newest)
    losses = list(block.stream.losses)
    for entry in sorted(block.segments, key=lambda one: (one.track, one.epoch, one.msn)):
        found = of.get((entry.track, entry.epoch, entry.msn), [])
        newest[entry.track] = (entry.epoch, entry.msn)
        size = sum(len(one.value) for one in found)
        if size != sum(entry.sizes):
            lost += 1
            add_lost(losses, entry.track, entry.epoch, entry.msn)
            continue
        first, last = entry.offsets[0], entry.last_offset
        stored.append(Stored(entry.track, entry.epoch, entry.msn, first, last, at, size))
        kept += found
        at += size
    kept += others
    offsets = [item.offset for item in block.items]
    sessions = [epochs[one] for one in sorted({one.epoch for one in block.segments} & set(epochs))]
    scales = {(s.epoch, t.name): t.timescale for s in sessions for t in s.open.tracks}
    walls = [one.wall for one in block.segments] or [item.entry.wall for item in block.items]
    until = max(
        (
            one.wall + 1000 * one.dur // scales.get((one.epoch, one.track), 1000 * one.dur or 1)
            for one in block.segments
        ),
        default=max(walls),
    )
    book = block.stream.book
    index = Index(
        stream=str(book.stream),
        base=book.base,
        partition=book.partition,
        start=offsets[0],
        below=offsets[-1] + 1,
        wall=min(walls),
        until=until,
        low=min([one.offset for one in kept], default=near),
        high=max([one.offset for one in kept], default=near),
        sessions=[Session(s.epoch, s.disc, s.wall, s.open_offset, s.open) for s in sessions],
        segments=stored,
        offsets=differences(offsets),
        entries=[msgspec.Raw(item.value) for item in block.items],
        newest=newest,
        near=max([near, *(one.first + 1 for one in stored)]),
        lost=lost,
        losses=losses,
    )
    return index, encode(index, kept)
