"""The worker goes on with the others where one stream cannot be archived."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.archive.blocks import Blocks
from kinolog.archive.marker import is_marked
from kinolog.archive.names import parse
from kinolog.archive.tier import Message
from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.log.group import Pulled, Share
from kinolog.objects.store import Objects, open_objects
from kinolog.record.absent import Lost
from kinolog.record.control import SegmentEntry, encode_value
from kinolog.record.header import Header, encode_header
from kinolog.record.registry import CollectionEntry, Placement, StreamEntry
from kinolog.workers.archive import Archive, Made

SHARE = Share("kinolog.cams.index", 0)


class Still(Clock):
    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return round(1000 * self.now_s)


class Log:
    """The index and the media of a partition; a segment is one record."""

    def __init__(self) -> None:
        self.index: list[Message] = []
        self.media: list[Message] = []

    def write(self, key: str, msn: int, epoch: int = 7) -> None:
        at = len(self.media)
        entry = SegmentEntry(
            "video", epoch, 0, msn, 0, 2000, 2000 * msn, True, 1, [at], [4], [1], [0], [5],
            [2000], [], [0],
        )  # fmt: skip
        header = encode_header(Header(1, "chunk", epoch, track="video", msn=msn))
        self.media.append(Message(key.encode(), at, b"%04d" % msn, 1, header))
        self.index.append(Message(key.encode(), len(self.index), encode_value(entry)))

    def of(self, topic: str) -> list[Message]:
        return self.index if topic.endswith(".index") else self.media

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self.of(topic))

    async def read_raw(
        self, topic: str, partition: int, start: int, end: int, key: str | None = None
    ) -> list[Any]:
        found = self.of(topic)[start:end]
        return [one for one in found if key is None or one.key() == key.encode()]


class Member:
    """One that is given everything, from an offset on."""

    def __init__(self, log: Log, start: int = 0) -> None:
        self.log, self.position = log, start
        self.shares: set[Share] = set()
        self.committed: dict[Share, int] = {}

    async def subscribe(self, topics: frozenset[str]) -> None:
        assert topics == {SHARE.topic}

    async def pull(self, timeout_s: float) -> Pulled:
        found = Pulled(left=set() if self.shares else {SHARE})
        self.shares = {SHARE}
        if self.position < len(self.log.index):
            found.messages[SHARE] = self.log.index[self.position :]
            self.position = len(self.log.index)
        else:
            found.ends[SHARE] = len(self.log.index)
        return found

    async def commit(self, offsets: dict[Share, int]) -> None:
        self.committed |= offsets


class Registry:
    """A collection with the streams one and two, archived."""

    def __init__(self, retention_ms: int = -1) -> None:
        self.collections = {"cams": CollectionEntry(1, 1, retention_ms, archived=True)}
        self.streams = {
            StreamName("cams", name): StreamEntry([Placement("kinolog.cams", 0)], created_ms=5)
            for name in ("one", "two")
        }
        self.epochs: dict[StreamName, Any] = {}

    async def catch_up(self) -> None:
        return None


def worker(
    log: Log, objects: Objects, registry: Registry | None = None, most_bytes: int = 1 << 20
) -> Archive:
    registry = registry or Registry()
    catalog = SimpleNamespace(registry=registry, collection=registry.collections.__getitem__)
    return Archive(catalog, log, objects, Still(), "kinolog", 10_000, most_bytes)  # type: ignore[arg-type]


async def run(found: Archive, log: Log, start: int = 0) -> tuple[list[Made], Member]:
    made: list[Made] = []
    member = Member(log, start)
    assert await found.run(member, ["cams"], made.append, once=True)  # type: ignore[arg-type]
    return made, member


def written(keys: tuple[str, ...] = ("one", "two")) -> Log:
    log = Log()
    for msn in range(30):
        for key in keys:
            log.write(key, msn)
    return log


def test_a_block_that_is_torn_stops_its_stream_alone() -> None:
    async def go() -> None:
        log, objects = written(), open_objects("memory:")
        await run(worker(log, objects), log)
        assert await is_marked(objects)
        blocks = sorted([one.path async for one in objects.listed("cams/one")])
        assert len(blocks) >= 5
        whole = await objects.read(blocks[-1])
        await objects.replace(blocks[-1], whole[:10] + bytes(len(whole) - 10))
        first_new = len(log.index)
        for msn in range(30, 60):
            log.write("one", msn)
            log.write("two", msn)
        again = worker(log, objects)
        made, member = await run(again, log, start=first_new)
        assert {one.stream for one in made} == {"cams/two"}
        assert list(again.left_out) == ["one"]
        assert blocks[-1] in again.left_out["one"]
        # The group stays before what was left out: mended, it is read.
        assert member.committed == {SHARE: first_new}
        await objects.replace(blocks[-1], whole)
        mended = worker(log, objects)
        made, _ = await run(mended, log, start=first_new)
        assert {one.stream for one in made} == {"cams/one"}
        assert mended.left_out == {}
        assert await numbers(objects, "one") == await numbers(objects, "two")

    asyncio.run(go())


async def numbers(objects: Objects, stream: str) -> list[int]:
    """Of the segments of a stream that are stored."""
    found = []
    async for one in objects.listed(f"cams/{stream}"):
        found += [s.msn for s in (await Blocks(objects).entries(one.path)).head.segments]
    return sorted(found)


@pytest.mark.parametrize("more", [12, 40])
def test_a_topic_that_was_made_anew_is_told(more: int) -> None:
    """Its offsets begin at 0: shorter than what is archived, or longer."""

    async def go() -> None:
        log, objects = written(("one",)), open_objects("memory:")
        await run(worker(log, objects), log)
        before = sorted([one.path async for one in objects.listed()])
        anew = Log()
        for msn in range(more):
            anew.write("one", msn, epoch=8)
            if msn >= more // 2:
                anew.write("two", msn, epoch=8)
        again = worker(anew, objects)
        made, _ = await run(again, anew)
        assert "made anew" in again.left_out["one"]
        assert {one.stream for one in made} == {"cams/two"}
        after = sorted([one.path async for one in objects.listed()])
        assert [path for path in after if "two" not in path] == before

    asyncio.run(go())


def test_a_topic_is_made_anew_while_a_worker_reads_it() -> None:
    async def go() -> None:
        log, objects = written(("one",)), open_objects("memory:")
        found = worker(log, objects)
        _, member = await run(found, log)
        log.index.clear()
        log.media.clear()
        member.position = 0
        for msn in range(5):
            log.write("one", msn, epoch=8)
        assert await found.run(member, ["cams"], lambda _: None, once=True)  # type: ignore[arg-type]
        assert "made anew" in found.left_out["one"]

    asyncio.run(go())


def test_a_stretch_is_short_beside_the_retention() -> None:
    async def go() -> None:
        log, objects = written(("one",)), open_objects("memory:")
        made, _ = await run(worker(log, objects, Registry(retention_ms=16_000)), log)
        assert max(one.until - one.wall for one in made) <= 4_000

    asyncio.run(go())


def test_an_index_that_is_made_again_keeps_the_names_in_order() -> None:
    async def go() -> None:
        log, objects = written(("one",)), open_objects("memory:")
        await run(worker(log, objects, most_bytes=12), log)
        old = list(log.index)
        for one in old:  # the same entries again, then new ones
            log.index.append(Message(b"one", len(log.index), one.value()))
        for msn in range(30, 60):
            log.write("one", msn)
        await run(worker(log, objects, most_bytes=12), log)
        names = [parse(one.path) async for one in objects.listed("cams/one")]
        found = sorted(name for name in names if name is not None)
        assert len(found) >= 25
        assert [name.near for name in found] == sorted(name.near for name in found)
        assert await numbers(objects, "one") == list(range(58))

    asyncio.run(go())


def test_each_block_tells_what_was_lost_before_it() -> None:
    """Of a stream Kafka has deleted the media of some segments; a worker that takes over goes on
    with what is told of them."""

    async def go() -> None:
        objects = open_objects("memory:")
        log = written(("one",))
        for msn in (3, 4, 5, 12):
            log.media[msn] = Message(b"another", msn, b"")
        made, _ = await run(worker(log, objects), log)
        assert sum(one.lost for one in made) == 4
        lost = [Lost("video", 7, 3, 5), Lost("video", 7, 12, 12)]
        assert (await Blocks(objects).entries(made[-1].path)).head.losses == lost
        for msn in range(30, 60):
            log.write("one", msn)
        log.media[30] = Message(b"another", 30, b"")
        made, _ = await run(worker(log, objects), log)
        assert len(made) > 1
        head = (await Blocks(objects).entries(made[-1].path)).head
        assert head.losses == [*lost, Lost("video", 7, 30, 30)]

    asyncio.run(go())


def test_what_killed_workers_left_is_gone_with_the_next(tmp_path: Path) -> None:
    """One was killed while it wrote a block, and one when that had its name."""

    async def go() -> None:
        log, folder = written(("one",)), tmp_path / "place"
        objects = open_objects(str(folder))
        await run(worker(log, objects), log)
        blocks = sorted([one.path async for one in objects.listed("cams")])
        assert len(blocks) >= 2
        newest = folder / blocks[-1]
        newest.rename(f"{newest}#1")
        made, _ = await run(worker(log, objects), log)
        assert [one.path for one in made] == [blocks[-1]]
        assert not list(folder.rglob("*#*"))
        newest.with_name(f"{newest.name}#2").hardlink_to(newest)
        made, _ = await run(worker(log, objects), log)
        assert not made
        assert not list(folder.rglob("*#*"))

    asyncio.run(go())
