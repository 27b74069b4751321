"""Kept clips in a directory: there when their card is, and not before."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, InputError, NotFound, Overloaded, Unavailable
from kinolog.core.names import StreamName
from kinolog.delivery.clip.keeper import MOST_KEEPING, Keeper
from kinolog.delivery.clip.kept_server import disposition, wish_of
from kinolog.delivery.clip.shelf import (
    FRESH_MS,
    STALE_MS,
    Card,
    Progress,
    Shelf,
    Wish,
    clip_name,
    media_name,
)
from kinolog.objects.store import Objects, open_objects

GATE, DOOR = StreamName("cams", "gate"), StreamName("cams", "door")
NOW_MS = 1_767_225_600_000


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(open_objects(str(tmp_path / "kept")))


def wish(start_s: int = 0, format: str = "mp4", stream: StreamName = GATE) -> Wish:
    return Wish(stream, NOW_MS + 1000 * start_s, NOW_MS + 1000 * start_s + 5000, format)


def card(id: str, one: Wish, size: int = 3, media: str = "") -> Card:
    return Card(id, str(one.stream), one.format, "it", one.start_ms, one.end_ms, one.start_ms, 5.0,
                size, "00", NOW_MS, media=media)  # fmt: skip


def whole(
    size: int,
    pause: asyncio.Event | None = None,
    fails: bool = False,
    reached: asyncio.Event | None = None,
) -> Any:
    """A clip as the keeper sees it."""

    async def read(_: Any, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        yield b"x" * (size // 2)
        if reached is not None:
            reached.set()
        if pause is not None:
            await pause.wait()
        if fails:
            raise Unavailable("Kafka is away")
        yield b"y" * (size - size // 2)

    return SimpleNamespace(read=read, size=size, begins_ms=NOW_MS, seconds=5.0, tag='"1"')


async def keep(keeper: Keeper, one: Wish, clip: Any, name: str = "") -> asyncio.Task[Card]:
    async def make() -> Any:
        return clip

    return await keeper.keep(one, await keeper.shelf.id_of(one), name, "me", make)


def keeper_of(shelf: Shelf) -> Keeper:
    return Keeper(shelf, cast(Any, None), SystemClock())


def test_an_id_is_the_same_on_every_edge_and_not_to_be_guessed(tmp_path: Path) -> None:
    async def ids(folder: str) -> list[str]:
        found = []
        for _ in range(2):  # two edges
            shelf = Shelf(open_objects(str(tmp_path / folder)))
            found += [await shelf.id_of(one) for one in (wish(), wish(9), wish(0, "ts"))]
            found.append(await shelf.id_of(wish(stream=DOOR)))
        return found

    found = asyncio.run(ids("one"))
    assert found[:4] == found[4:]
    assert len(set(found)) == 4
    assert found[1] < found[0]  # the newest comes first
    assert not set(found) & set(asyncio.run(ids("another")))


def test_a_clip_is_listed_when_it_is_whole(shelf: Shelf) -> None:
    async def go() -> None:
        keeper = keeper_of(shelf)
        pause, reached = asyncio.Event(), asyncio.Event()
        task = await keep(keeper, wish(), whole(10, pause, reached=reached), "it")
        id = await shelf.id_of(wish())
        await reached.wait()
        told = await keeper.progress(GATE, id)
        assert told is not None
        assert (told.bytes, told.of) == (5, 10)
        # Another edge is told that it is being made, and sees nothing of it.
        other = keeper_of(shelf)
        async with asyncio.timeout(10):
            while await other.progress(GATE, id) is None:  # noqa: ASYNC110 (a file tells)
                await asyncio.sleep(0.01)
        assert await shelf.listed(GATE) == ([], "")
        assert await keep(keeper, wish(), whole(10)) is task
        pause.set()
        kept = await task
        assert (kept.bytes, kept.name, kept.by) == (10, "it", "me")
        assert await shelf.listed(GATE) == ([kept], "")
        assert await other.progress(GATE, id) is None
        assert b"".join([part async for part in shelf.read(kept, 3, 8)]) == b"xxyyy"
        assert await shelf.listed(DOOR) == ([], "")

    asyncio.run(go())


def test_what_fails_is_told_and_leaves_nothing(shelf: Shelf) -> None:
    async def go() -> None:
        keeper = keeper_of(shelf)
        id = await shelf.id_of(wish())
        task = await keep(keeper, wish(), whole(10, fails=True))
        with pytest.raises(Unavailable):
            await task
        assert "Kafka is away" in str(keeper.failure(id))
        assert await keeper.progress(GATE, id) is None
        assert await shelf.listed(GATE) == ([], "")
        again = await (await keep(keeper, wish(), whole(10)))
        assert keeper.failure(id) is None
        assert again.name.startswith("gate-2026")

    asyncio.run(go())


def test_so_many_are_kept_at_a_time(shelf: Shelf) -> None:
    async def go() -> None:
        keeper = keeper_of(shelf)
        pause = asyncio.Event()
        for n in range(MOST_KEEPING):
            await keep(keeper, wish(n), whole(10, pause))
        with pytest.raises(Overloaded):
            await keep(keeper, wish(99), whole(10))
        await keeper.close()
        assert await shelf.listed(GATE) == ([], "")

    asyncio.run(go())


def test_many_are_listed_in_pieces(shelf: Shelf) -> None:
    async def go() -> None:
        ids = []
        for n in range(7):
            ids.append(await shelf.id_of(wish(n)))
            await shelf.put(card(ids[-1], wish(n), media=f"{n}.mp4"))
        seen: list[str] = []
        after = ""
        while True:
            cards, after = await shelf.listed(GATE, after, 3)
            seen += [one.id for one in cards]
            if not after:
                break
        assert seen == ids[::-1]

    asyncio.run(go())


def test_a_clip_is_named_and_deleted(shelf: Shelf) -> None:
    async def go() -> None:
        kept = await (await keep(keeper_of(shelf), wish(), whole(10)))
        assert (await shelf.rename(GATE, kept.id, "other")).name == "other"
        assert (await shelf.card(GATE, kept.id)).name == "other"
        await shelf.delete(GATE, kept.id)
        for gone in (shelf.card, shelf.delete):
            with pytest.raises(NotFound):
                await gone(GATE, kept.id)
        for wrong in ("../secret", "", "a" * 37, "%2e"):
            with pytest.raises(NotFound):
                await shelf.card(GATE, wrong)

    asyncio.run(go())


def test_what_a_dead_edge_left_is_cleared_away(shelf: Shelf, tmp_path: Path) -> None:
    async def go() -> None:
        one = wish()
        id = await shelf.id_of(one)

        async def half() -> AsyncGenerator[bytes, None]:
            yield b"xxx"

        name = media_name(id, "mp4")
        await shelf.upload(GATE, name, half())
        await shelf.tell(one, id, Progress(3, 10, NOW_MS))
        assert await shelf.told(GATE, id, NOW_MS + FRESH_MS - 1) is not None
        assert await shelf.told(GATE, id, NOW_MS + FRESH_MS) is None
        path = tmp_path / "kept" / "progress" / "cams" / "gate" / f"{id}.json"
        media = tmp_path / "kept" / "media" / "cams" / "gate" / name
        for one_of in (path, media):
            os.utime(one_of, (NOW_MS / 1000, NOW_MS / 1000))
        await shelf.clear(GATE, NOW_MS + STALE_MS)
        assert media.exists()
        await shelf.clear(GATE, NOW_MS + STALE_MS + 1000)
        assert not media.exists()
        assert not path.exists()

    asyncio.run(go())


def files(tmp_path: Path, kind: str) -> list[str]:
    return sorted(one.name for one in (tmp_path / "kept" / kind / "cams" / "gate").glob("*"))


def old(tmp_path: Path) -> None:
    """All files are of NOW_MS."""
    for one in (tmp_path / "kept" / "media").rglob("*.*"):
        os.utime(one, (NOW_MS / 1000, NOW_MS / 1000))


def test_of_two_who_make_a_clip_the_first_counts(shelf: Shelf, tmp_path: Path) -> None:
    async def go() -> None:
        pauses = [asyncio.Event(), asyncio.Event()]
        reached = [asyncio.Event(), asyncio.Event()]
        tasks = [
            await keep(keeper_of(shelf), wish(), whole(size, pause, reached=there))
            for size, pause, there in zip((10, 20), pauses, reached, strict=True)
        ]
        for there in reached:
            await there.wait()
        pauses[1].set()
        first = await tasks[1]
        assert first.bytes == 20
        pauses[0].set()
        assert await tasks[0] == first
        assert await shelf.listed(GATE) == ([first], "")
        assert files(tmp_path, "media") == [first.media]
        data = b"".join([part async for part in shelf.read(first, 0, first.bytes)])
        assert data == b"x" * 10 + b"y" * 10

    asyncio.run(go())


class Failing(Objects):
    """A place that refuses some writes of cards."""

    fails = 1

    async def create(self, path: str, data: bytes) -> bool:
        if path.startswith("cards/") and self.fails:
            self.fails -= 1
            await self.lost(path, data)
            raise Unavailable("the place is away")
        return await super().create(path, data)

    async def lost(self, path: str, data: bytes) -> None:
        """Nothing is written."""


class Answerless(Failing):
    """It is written, and its answer is lost."""

    async def lost(self, path: str, data: bytes) -> None:
        await Objects.create(self, path, data)


def place_of(kind: type[Objects], tmp_path: Path) -> Objects:
    there = open_objects(str(tmp_path / "kept"))
    return kind(there._store, there.url)


def test_without_its_card_a_file_does_not_stay(tmp_path: Path) -> None:
    async def go() -> None:
        shelf = Shelf(place_of(Failing, tmp_path))
        with pytest.raises(Unavailable):
            await (await keep(keeper_of(shelf), wish(), whole(10)))
        assert files(tmp_path, "media") == files(tmp_path, "progress") == []
        kept = await (await keep(keeper_of(shelf), wish(), whole(10)))
        assert files(tmp_path, "media") == [kept.media]

    asyncio.run(go())


def test_with_its_card_a_file_stays_though_nobody_was_told(tmp_path: Path) -> None:
    async def go() -> None:
        shelf = Shelf(place_of(Answerless, tmp_path))
        with pytest.raises(Unavailable):
            await (await keep(keeper_of(shelf), wish(), whole(10)))
        (kept,), _ = await shelf.listed(GATE)
        assert files(tmp_path, "media") == [kept.media]

    asyncio.run(go())


def test_files_that_no_card_names_are_cleared_away(shelf: Shelf, tmp_path: Path) -> None:
    async def go() -> None:
        kept = await (await keep(keeper_of(shelf), wish(), whole(10)))
        alone = await (await keep(keeper_of(shelf), wish(1), whole(10)))
        making = await shelf.id_of(wish(2))

        async def some() -> AsyncGenerator[bytes, None]:
            yield b"xxx"

        left = [media_name(kept.id, "mp4"), media_name(await shelf.id_of(wish(3)), "ts")]
        for name in (*left, media_name(making, "mp4")):
            await shelf.upload(GATE, name, some())
        old(tmp_path)
        await shelf.tell(wish(2), making, Progress(3, 10, NOW_MS))
        path = tmp_path / "kept" / "progress" / "cams" / "gate" / f"{making}.json"
        os.utime(path, (NOW_MS / 1000 + 10, NOW_MS / 1000 + 10))
        await shelf.clear(GATE, NOW_MS + STALE_MS)
        assert set(left) < set(files(tmp_path, "media"))
        await shelf.clear(GATE, NOW_MS + STALE_MS + 1)
        there = files(tmp_path, "media")
        assert not set(left) & set(there)
        assert {kept.media, alone.media} < set(there)
        assert len(there) == 3  # and that of who still makes it
        await shelf.clear(GATE, NOW_MS + STALE_MS + 20_000)
        assert set(files(tmp_path, "media")) == {kept.media, alone.media}
        assert files(tmp_path, "progress") == []

    asyncio.run(go())


def test_a_clip_that_is_kept_again_after_its_end_is_another_file(
    shelf: Shelf, tmp_path: Path
) -> None:
    async def go() -> None:
        one = await (await keep(keeper_of(shelf), wish(), whole(10)))
        await shelf.delete(GATE, one.id)
        assert files(tmp_path, "media") == []
        other = await (await keep(keeper_of(shelf), wish(), whole(10)))
        assert (other.id == one.id, other.media == one.media) == (True, False)

    asyncio.run(go())


def test_names_are_for_people_and_headers_are_safe() -> None:
    assert clip_name("  the \t red\ncar ") == "the red car"
    for wrong in ("", " ", "x" * 101, "a\0b", "a\u202eb"):
        with pytest.raises(InputError):
            clip_name(wrong)
    told = disposition("inline", 'the "red"; car/ü\\.mp4')
    assert told == (
        'inline; filename="the _red_; car___.mp4"; '
        "filename*=UTF-8''the%20%22red%22%3B%20car%2F%C3%BC%5C.mp4"
    )


def test_only_what_can_be_is_wished_for() -> None:
    assert wish_of(GATE, "-30s", "now", "ts", NOW_MS) == Wish(GATE, NOW_MS - 30_000, NOW_MS, "ts")
    assert wish_of(GATE, 1.5, 2, "mp4", NOW_MS) == Wish(GATE, 1500, 2000, "mp4")
    for wrong in (
        ("-30s", "now", "mkv"),
        ("tomorrow", "now", "mp4"),
        ("-5s", "-30s", "mp4"),
        ("now", "now", "mp4"),
        (4e9, "now", "mp4"),
    ):
        with pytest.raises(InputError):
            wish_of(GATE, *wrong, NOW_MS)


def test_without_a_place_it_is_said_which_setting_is_missing() -> None:
    from kinolog.delivery.clip.shelf import needs_place

    error = needs_place()
    assert isinstance(error, ConfigError)
    assert "KINOLOG_CLIPS" in error.hint
