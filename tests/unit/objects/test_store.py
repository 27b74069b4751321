"""Objects: whole or not at all, read by ranges, listed in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kinolog.core.errors import ConfigError, NotFound, Unavailable
from kinolog.objects.store import Objects, open_objects


@pytest.fixture(params=["memory", "directory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    return open_objects("memory:" if request.param == "memory" else str(tmp_path / "new" / "place"))


def test_an_object_is_made_once_and_read_back(place: Objects) -> None:
    async def go() -> None:
        assert await place.create("a/b.bin", b"0123456789")
        assert not await place.create("a/b.bin", b"other")
        assert await place.read("a/b.bin") == b"0123456789"
        assert await place.read("a/b.bin", 3, 4) == b"3456"
        assert await place.read("a/b.bin", 7) == b"789"
        assert await place.ranges("a/b.bin", [(0, 2), (8, 2)]) == [b"01", b"89"]
        assert await place.size("a/b.bin") == 10
        await place.replace("a/b.bin", b"new")
        assert await place.read("a/b.bin") == b"new"

    asyncio.run(go())


def test_of_many_who_make_one_name_one_does(place: Objects) -> None:
    async def go() -> None:
        made = await asyncio.gather(
            *(place.create("one", bytes([who]) * 9999) for who in range(20))
        )
        assert made.count(True) == 1
        assert await place.read("one") == bytes([made.index(True)]) * 9999

    asyncio.run(go())


def test_a_listing_is_by_prefix_and_after_a_name(place: Objects) -> None:
    async def go() -> None:
        for path in ("x/1", "x/2", "x/3", "xy/1", "z"):
            await place.create(path, path.encode())
        assert sorted([one.path async for one in place.listed("x")]) == ["x/1", "x/2", "x/3"]
        assert sorted([one.path async for one in place.listed("x", after="x/1")]) == ["x/2", "x/3"]
        assert [one.size async for one in place.listed("z")] == []
        assert await place.folders() == ["x", "xy"]
        await place.delete("x/2")
        await place.delete("x/2")
        assert sorted([one.path async for one in place.listed("x")]) == ["x/1", "x/3"]

    asyncio.run(go())


def test_an_upload_that_breaks_off_leaves_nothing(place: Objects) -> None:
    async def pieces(fail: bool) -> AsyncIterator[bytes]:
        for number in range(20):
            yield bytes([number]) * (1 << 20)
        if fail:
            raise Unavailable("the source went away")

    async def go() -> None:
        with pytest.raises(Unavailable):
            await place.upload("big", pieces(fail=True))
        with pytest.raises(NotFound):
            await place.size("big")
        assert [one async for one in place.listed()] == []
        await place.upload("big", pieces(fail=False))
        assert await place.size("big") == 20 << 20
        assert await place.read("big", (20 << 20) - 1) == b"\x13"

    asyncio.run(go())


def test_what_is_not_there_is_not_found(place: Objects) -> None:
    async def go() -> None:
        for reading in (place.read("no"), place.read("no", 0, 1), place.size("no")):
            with pytest.raises(NotFound, match="no object 'no'"):
                await reading

    asyncio.run(go())


@pytest.mark.parametrize(
    "url", ["", "http://x/y", "ftp://x", "s3://user:secret@bucket/x", "s3://b?k=v"]
)
def test_a_url_that_names_no_store_says_what_to_give(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_objects(url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint
