"""The shelf: which blocks may have something, whatever folders they are in."""

from __future__ import annotations

import asyncio

import pytest
from archive_kit import BOOK, Still, entry, put

from kinolog.archive import names as names_module
from kinolog.archive import shelf as shelf_module
from kinolog.archive.names import name_of, parse
from kinolog.archive.shelf import AGE_S, EMPTY_AGE_S, NEW_AGE_S, Shelf
from kinolog.objects.store import open_objects


@pytest.fixture(params=[1 << 18, 30, 10], autouse=True)
def folder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All blocks in one folder, three in each, each in one of its own."""
    monkeypatch.setattr(names_module, "FOLDER", request.param)
    monkeypatch.setattr(shelf_module, "FOLDER", request.param)


def test_blocks_are_found_by_index_and_by_media() -> None:
    async def go() -> None:
        objects, clock = open_objects("memory:"), Still()
        shelf = Shelf(objects, clock)
        assert await shelf.first(BOOK) is await shelf.last(BOOK) is None
        assert await shelf.holding(BOOK, 0, 100) == await shelf.near(BOOK, 0, 100) == []
        clock.now_s += EMPTY_AGE_S
        names = [await put(objects, msn) for msn in (2, 3, 4, 5, 6, 9, 12)]
        assert await shelf.first(BOOK) == names[0]
        assert await shelf.last(BOOK) == names[-1]
        for start, end, low, high in (
            (20, 21, 0, 1), (29, 30, 0, 1), (29, 31, 0, 2), (45, 70, 2, 5), (0, 25, 0, 1),
            (100, 101, 5, 6), (120, 500, 6, 7), (0, 500, 0, 7),
        ):  # fmt: skip
            assert await shelf.holding(BOOK, start, end) == names[low:high], (start, end)
        for first, last, low, high in (
            (200, 204, 0, 2), (300, 304, 0, 3), (410, 510, 1, 5), (1200, 1300, 5, 7), (0, 10, 0, 1),
            (0, 9000, 0, 7), (700, 701, 3, 6),
        ):  # fmt: skip
            assert await shelf.near(BOOK, first, last) == names[low:high], (first, last)

    asyncio.run(go())


def test_what_is_new_is_seen_in_a_second() -> None:
    async def go() -> None:
        objects, clock = open_objects("memory:"), Still()
        shelf = Shelf(objects, clock)
        names = [await put(objects, 2)]
        assert await shelf.holding(BOOK, 30, 31) == names[-1:]
        for msn in (3, 4, 7):
            names.append(await put(objects, msn))
            clock.now_s += NEW_AGE_S
            assert await shelf.holding(BOOK, 10 * msn, 10 * msn + 1) == names[-1:]
            assert (await shelf.near(BOOK, 100 * msn, 100 * msn + 1))[-1] == names[-1]
        assert await shelf.last(BOOK) == names[-1]

    asyncio.run(go())


def test_what_is_deleted_is_forgotten() -> None:
    async def go() -> None:
        objects, clock = open_objects("memory:"), Still()
        shelf = Shelf(objects, clock)
        names = [await put(objects, msn) for msn in (2, 3, 4)]
        assert await shelf.first(BOOK) == names[0]
        await objects.delete(names[0].path)
        shelf.forget(BOOK)
        assert await shelf.first(BOOK) == names[1]
        await objects.delete(names[1].path)
        clock.now_s += AGE_S
        assert await shelf.first(BOOK) == names[2]

    asyncio.run(go())


def test_listings_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "MOST_NAMES", 3)

    async def go() -> None:
        objects = open_objects("memory:")
        names = [await put(objects, msn) for msn in range(2, 12)]
        shelf = Shelf(objects, Still())
        for _ in range(2):
            for at, name in enumerate(names):
                assert await shelf.holding(BOOK, 10 * at + 20, 10 * at + 21) == [name]

    asyncio.run(go())


def test_media_are_found_over_an_index_that_was_made_again() -> None:
    """Its blocks name media that are long archived, and have none of their own."""

    async def go() -> None:
        objects, clock = open_objects("memory:"), Still()
        shelf = Shelf(objects, clock)
        near = offset = 0
        names = {}
        for made in (range(60), range(20, 60), range(30, 60), range(60, 120)):
            for msn in made:
                first = 100 * msn
                name = name_of(BOOK, offset, entry("video", msn, [first, 2, 2], [8, 8, 8]), near)
                await objects.create(name.path, b"")
                offset += 2
                if name.near == first:  # not a repeat
                    names[msn] = name
                    near = first + 1
        assert sorted(names) == list(range(120))
        listed = sorted([one.path async for one in objects.listed()])
        nears = [parse(path).near for path in listed]  # type: ignore[union-attr]
        assert nears == sorted(nears)
        for msn, name in names.items():
            for first in (100 * msn, 100 * msn + 3):
                found = await shelf.near(BOOK, first, 100 * msn + 4)
                assert name in found, msn
                assert len(found) <= 5

    asyncio.run(go())
