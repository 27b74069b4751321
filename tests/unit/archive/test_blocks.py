"""Blocks: what was put in comes out, by few requests, and nothing else."""

from __future__ import annotations

import asyncio

import pytest
from archive_kit import BOOK, entry, media_of, put

from kinolog.archive import blocks as blocks_module
from kinolog.archive.block import PREAMBLE, lengths
from kinolog.archive.blocks import Blocks
from kinolog.archive.names import book_of, name_of, parse
from kinolog.core.errors import NotFound, WireError
from kinolog.objects.store import Objects, open_objects
from kinolog.record.control import Open, SessionEntry, decode_index


class Counting:
    """Counts what is asked of a store."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self.asked: list[tuple[str, int]] = []

    async def read(self, path: str, first: int = 0, length: int | None = None) -> bytes:
        found = await self._objects.read(path, first, length)
        self.asked.append(("read", len(found)))
        return found

    async def ranges(self, path: str, spans: list[tuple[int, int]]) -> list[bytes]:
        self.asked.append(("ranges", len(spans)))
        return await self._objects.ranges(path, spans)


def test_what_is_stored_is_read_back() -> None:
    async def go() -> None:
        objects = open_objects("memory:")
        name = await put(objects, 4)
        blocks = Blocks(objects)
        entries = await blocks.entries(name.path)
        assert entries.offsets == [40, 41]
        first = entry("audio", 4, [400, 2, 2], [4, 4, 4])
        assert decode_index(bytes(entries.head.entries[0])) == first
        found = await blocks.media(name.path, 0, 1000)
        assert found == sorted(media_of(4))
        assert await blocks.media(name.path, 401, 403) == sorted(media_of(4))[1:4]
        assert await blocks.media(name.path, 500, 600) == []

    asyncio.run(go())


@pytest.mark.parametrize("first_bytes", [blocks_module.FIRST_BYTES, PREAMBLE.size + 5])
def test_a_segment_is_one_range(first_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks_module, "FIRST_BYTES", first_bytes)

    async def go() -> None:
        objects = open_objects("memory:")
        name = await put(objects, 4)
        counting = Counting(objects)
        blocks = Blocks(counting)  # type: ignore[arg-type]
        found = await blocks.media(name.path, 401, 405, "video")
        assert b"".join(one.value for one in found) == b"video4.0video4.1video4.2"
        assert counting.asked[-1] == ("ranges", 1)
        before = len(counting.asked)
        found = await blocks.media(name.path, 400, 406, "audio")
        assert b"".join(one.value for one in found) == b"a4.0a4.1a4.2{}"
        assert len(counting.asked) == before + 1  # the index is known

    asyncio.run(go())


def test_little_is_kept() -> None:
    async def go() -> None:
        objects = open_objects("memory:")
        names = [await put(objects, msn) for msn in range(5)]
        counting = Counting(objects)
        blocks = Blocks(counting, most_bytes=1)  # type: ignore[arg-type]
        for _ in range(2):
            for name in names:
                assert (await blocks.entries(name.path)).head.start == name.start
        assert len(counting.asked) == 10

    asyncio.run(go())


def test_what_is_no_block_is_told() -> None:
    async def go() -> None:
        objects = open_objects("memory:")
        name = await put(objects, 4)
        data = await objects.read(name.path)
        await objects.create("cut.kino", data[: lengths(data).records_at - 1])
        await objects.create("short.kino", data[:10])
        await objects.create("other.kino", b"x" * 100)
        await objects.create("torn.kino", data[:24] + b"x" * (len(data) - 24))
        blocks = Blocks(objects)
        for path in ("cut.kino", "short.kino", "other.kino", "torn.kino"):
            with pytest.raises(WireError, match=path):
                await blocks.entries(path)
        with pytest.raises(NotFound):
            await blocks.entries("none.kino")

    asyncio.run(go())


def test_names_tell_what_they_are_made_of() -> None:
    session = SessionEntry(1_795_702_083_614, 1, 412, 1_795_702_083_614, Open("", "", "", 1, 1, []))
    name = name_of(BOOK, 300_000, session)
    assert name.path == (
        "cams/gate/1700000000000/kinolog.cams.3/00000001/"
        "0000000000300000-0000000000000412-20261126T140803.614Z-1795702083614.kino"
    )
    assert parse(name.path) == name
    assert book_of(name.path) == BOOK
    assert parse("cams/gate/clips/one.mp4") is None
    assert book_of("cams/gate/clips/one.mp4") is None
