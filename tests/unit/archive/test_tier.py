"""The reader over Kafka and the archive: what Kafka has does not wait for the object store."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from archive_kit import BOOK, Still, put

from kinolog.archive import tier as tier_module
from kinolog.archive.marker import mark
from kinolog.archive.names import Name
from kinolog.archive.tier import AWAY_S, Message, TieredReader
from kinolog.core.errors import ArchiveUnavailable, Unavailable
from kinolog.log.client import KafkaSettings
from kinolog.log.index_reader import newest_indexed
from kinolog.log.pruning import prune
from kinolog.log.random_reader import RandomReader
from kinolog.objects.store import Objects, open_objects
from kinolog.record.absent import Absent
from kinolog.record.control import Open, SessionEntry, encode_value
from kinolog.record.registry import CollectionEntry, EpochEntry, Placement, StreamEntry

INDEX, MEDIA = f"{BOOK.base}.index", f"{BOOK.base}.media"
KEY = BOOK.stream.name
OPEN = Open("", "", "", 2000, 200, [])


class Shaky:
    """A store that can be away, or hang."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.url = objects.url
        self.away = self.hangs = False
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._objects, name)

        async def ask(*words: Any) -> Any:
            self.asked += 1
            if self.away:
                raise Unavailable("no answer")
            if self.hangs:
                await asyncio.Event().wait()
            return await found(*words)

        async def listed(*words: Any) -> Any:
            await ask_first()
            async for one in found(*words):
                yield one

        async def ask_first() -> None:
            self.asked += 1
            if self.away:
                raise Unavailable("no answer")
            if self.hangs:
                await asyncio.Event().wait()

        return listed if name == "listed" else ask


class Registry:
    """One archived collection with one stream."""

    def __init__(self) -> None:
        self.collections = {BOOK.stream.collection: CollectionEntry(1, 1, 3_600_000, archived=True)}
        self.streams = {
            BOOK.stream: StreamEntry([Placement(BOOK.base, 3)], created_ms=BOOK.made_ms)
        }
        self.epochs = {BOOK.stream: {n: epoch_entry(n) for n in (1, 2, 3)}}

    async def change_epoch(self, stream: Any, number: int, change: Any) -> None:
        self.epochs[stream].pop(number)


def epoch_entry(number: int) -> EpochEntry:
    return EpochEntry(number, 0, 100 * number, 3, BOOK.base, 0, OPEN)


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Kafka has the index of [50, 60) and the media from 500 on."""
    found = SimpleNamespace(low={INDEX: 50, MEDIA: 500}, high={INDEX: 60, MEDIA: 600})
    value = encode_value(SessionEntry(4, 0, 500, 0, OPEN))
    found.messages = [Message(KEY.encode(), at, value) for at in range(55, 60)]

    async def bounds(_: Any, topic: str, *__: Any) -> tuple[int, int]:
        return found.low[topic], found.high[topic]

    async def above(_: Any, topic: str, __: int, start: int, end: int, *___: Any) -> Any:
        messages = [one for one in found.messages if start <= one.offset() < end]
        return found.low[topic], messages if topic == INDEX else []

    monkeypatch.setattr(RandomReader, "bounds", bounds)
    monkeypatch.setattr(RandomReader, "read_above", above)
    return found


class Stage:
    """A tiered reader over an archive of four blocks."""

    def __init__(self) -> None:
        self.store = Shaky(open_objects("memory:"))
        self.clock, self.registry = Still(), Registry()
        self.reader = TieredReader(
            KafkaSettings("none:1"),
            self.registry,  # type: ignore[arg-type]
            self.store,  # type: ignore[arg-type]
            self.clock,
        )

    async def fill(self) -> list[Name]:
        await mark(self.store)  # type: ignore[arg-type]
        return [await put(self.store, msn) for msn in (1, 2, 3, 4)]  # type: ignore[arg-type]


def test_what_kafka_has_is_read_while_the_store_is_away(kafka: SimpleNamespace) -> None:
    async def go() -> None:
        stage = Stage()
        await stage.fill()
        stage.store.away = True
        before = stage.store.asked
        found = await newest_indexed(stage.reader, INDEX, 3, KEY, lambda seen: len(seen) >= 3)
        assert [offset for offset, _ in found] == list(range(55, 60))
        assert stage.store.asked == before  # Kafka had enough
        # Where it has not, who opens or joins takes what there is; who asks for the past is told.
        found = await newest_indexed(
            stage.reader, INDEX, 3, KEY, lambda _: False, without_archive=True
        )
        assert [offset for offset, _ in found] == list(range(55, 60))
        with pytest.raises(ArchiveUnavailable):
            await newest_indexed(stage.reader, INDEX, 3, KEY, lambda _: False)
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (0, 600)
        with pytest.raises(ArchiveUnavailable):
            await stage.reader.read(MEDIA, 3, 100, 110, KEY)
        assert await stage.reader.read(MEDIA, 3, 500, 510, KEY) == []
        asked = stage.store.asked
        assert asked == before + 1  # and is then left alone for a while
        stage.store.away = False
        stage.clock.now_s += AWAY_S
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (100, 600)
        found = await newest_indexed(stage.reader, INDEX, 3, KEY, lambda _: False)
        archived = [10 * msn + n for msn in (1, 2, 3, 4) for n in (0, 1)]
        assert [offset for offset, _ in found] == [*archived, *range(55, 60)]
        stage.store.away = True
        stage.clock.now_s += 1000
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (100, 600)

    asyncio.run(go())


def test_the_archive_is_read_no_farther_than_is_asked_for(kafka: SimpleNamespace) -> None:
    async def go() -> None:
        stage = Stage()
        await stage.fill()
        kafka.messages = []
        found = await newest_indexed(stage.reader, INDEX, 3, KEY, bool)
        assert [offset for offset, _ in found] == [40, 41]
        found = await newest_indexed(stage.reader, INDEX, 3, KEY, bool, down_to=21)
        assert [offset for offset, _ in found] == [20, 21, 30, 31, 40, 41]
        found = await newest_indexed(stage.reader, INDEX, 3, KEY, lambda _: False, lowest=30)
        assert [offset for offset, _ in found] == [30, 31, 40, 41]

    asyncio.run(go())


def test_a_store_that_hangs_is_waited_for_once(
    kafka: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tier_module, "PATIENCE_S", 0.05)
    monkeypatch.setattr(tier_module, "OLDER_S", 0.05)

    async def go() -> None:
        stage = Stage()
        await stage.fill()
        stage.store.hangs = True
        async with asyncio.timeout(5):
            found = await newest_indexed(
                stage.reader, INDEX, 3, KEY, lambda _: False, without_archive=True
            )
            assert [offset for offset, _ in found] == list(range(55, 60))
            stage.clock.now_s += AWAY_S
            for _ in range(50):
                assert await stage.reader.bounds(MEDIA, 3, KEY) == (0, 600)
            with pytest.raises(ArchiveUnavailable):
                await stage.reader.read(MEDIA, 3, 100, 110, KEY)

    asyncio.run(go())


def test_nobody_concludes_from_a_place_that_is_no_archive(kafka: SimpleNamespace) -> None:
    """Epoch 1 ends at 200, 2 at 300; Kafka has nothing below 500, the archive what is from 100
    on."""

    async def go() -> None:
        stage = Stage()
        known = stage.registry.epochs[BOOK.stream]

        async def pruned() -> list[int]:
            return await prune(stage.registry, stage.reader, BOOK.stream)  # type: ignore[arg-type]

        assert await pruned() == []  # not mounted, or no worker was ever there
        with pytest.raises(ArchiveUnavailable, match="there is no archive"):
            await stage.reader.read(MEDIA, 3, 100, 110, KEY)
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (0, 600)
        names = await stage.fill()
        assert await pruned() == []  # now it is, and has them all
        for msn in (1, 2):
            await stage.store.delete(names[msn - 1].path)
        stage.store.away = True
        assert await pruned() == []
        stage.store.away = False
        stage.clock.now_s += AWAY_S
        assert await pruned() == [1, 2]  # the archive begins at 300
        assert set(known) == {3}

    asyncio.run(go())


def test_an_archive_that_was_empty_is_looked_into_when_kafka_deletes(
    kafka: SimpleNamespace,
) -> None:
    """The clock stands still: nothing ages."""

    async def go() -> None:
        stage = Stage()
        await mark(stage.store)  # type: ignore[arg-type]
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (500, 600)
        assert await stage.reader.absent(MEDIA, 3, KEY) is None
        await stage.fill()
        asked = stage.store.asked
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (500, 600)
        assert stage.store.asked == asked
        kafka.low[MEDIA] = 510
        assert await stage.reader.bounds(MEDIA, 3, KEY) == (100, 600)
        assert await stage.reader.absent(MEDIA, 3, KEY) == Absent(510, {}, [])

    asyncio.run(go())


def test_what_nobody_has_is_not_known_while_the_store_is_away(kafka: SimpleNamespace) -> None:
    async def go() -> None:
        stage = Stage()
        await stage.fill()
        stage.store.away = True
        assert await stage.reader.absent(MEDIA, 3, KEY) is None
        stage.store.away = False
        assert await stage.reader.absent(MEDIA, 3, KEY) is None  # left alone for a while
        stage.clock.now_s += AWAY_S
        assert await stage.reader.absent(MEDIA, 3, KEY) == Absent(500, {}, [])
        kafka.low[MEDIA] = 0
        asked = stage.store.asked
        assert await stage.reader.absent(MEDIA, 3, KEY) is None  # Kafka has all
        assert stage.store.asked == asked

    asyncio.run(go())
