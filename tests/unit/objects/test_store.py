"""Objects: whole or not at all, read by ranges, listed in order."""

from __future__ import annotations

import asyncio
import os
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


def test_a_directory_that_is_only_read_is_not_made(tmp_path: Path) -> None:
    async def go() -> None:
        folder = tmp_path / "mount" / "archive"
        reader = open_objects(str(folder), make=False)
        assert [one async for one in reader.listed()] == await reader.folders() == []
        with pytest.raises(NotFound):
            await reader.read("one")
        assert not folder.parent.exists()
        await open_objects(str(folder)).create("a/one", b"here")
        assert await reader.read("a/one") == b"here"
        assert await reader.folders() == ["a"]

    asyncio.run(go())


def test_what_is_made_in_a_directory_is_on_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes before the name is there, then the folders, down from the first new one."""
    synced: list[str] = []
    sync = os.fsync

    def note(file: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{file}"))
        synced.append(str(path.relative_to(tmp_path)).partition("#")[0])
        final = tmp_path / "a" / "b" / "one"
        assert final.exists() == path.is_dir()
        sync(file)

    monkeypatch.setattr(os, "fsync", note)

    async def go() -> None:
        place = open_objects(str(tmp_path))
        assert await place.create("a/b/one", b"here")
        assert synced[0] == "a/b/one"
        assert set(synced[1:]) == {".", "a", "a/b"}
        with pytest.raises(NotFound):
            await place.create("../one", b"outside")
        monkeypatch.undo()
        # One that was killed while it wrote leaves what no listing has.
        (tmp_path / "a" / "b" / "two#123").write_bytes(b"ha")
        assert [one.path async for one in place.listed()] == ["a/b/one"]
        assert await place.create("a/b/two", b"half no more")

    asyncio.run(go())


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_writer_left_of_an_object_goes_with_the_next(tmp_path: Path) -> None:
    """Of that object alone: of another one it may be being written now."""

    async def go() -> None:
        place = open_objects(str(tmp_path))
        for name in ("one#1", "one#22", "[o]ne#3", "one.more#4", "two#5"):
            (tmp_path / name).write_bytes(b"ha")
        await place.tidy("one")
        assert "one#1" in names(tmp_path)  # there is no such object yet
        assert await place.create("one", b"half no more")
        assert names(tmp_path) == ["[o]ne#3", "one", "one.more#4", "two#5"]
        (tmp_path / "one#6").hardlink_to(tmp_path / "one")
        await place.tidy("one")
        (tmp_path / "one#7").write_bytes(b"ha")
        assert not await place.create("one", b"again")
        assert names(tmp_path) == ["[o]ne#3", "one", "one.more#4", "two#5"]
        assert await place.read("one") == b"half no more"
        await open_objects("memory:").tidy("one")

    asyncio.run(go())


def test_a_writer_whose_staged_file_another_has_tidied_is_told_that_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link
    others: list[bool] = []

    async def go() -> None:
        place, other = open_objects(str(tmp_path)), open_objects(str(tmp_path))

        def late(staged: Path, final: Path) -> None:
            monkeypatch.undo()
            others.append(asyncio.run(other.create("one", b"theirs")))
            link(staged, final)

        monkeypatch.setattr(os, "link", late)
        assert not await place.create("one", b"mine")
        assert others == [True]
        assert await place.read("one") == b"theirs"
        assert names(tmp_path) == ["one"]

    asyncio.run(go())


def test_a_store_that_refuses_is_given_up_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the provider's variables are heard for all that: this one has no TLS."""
    asked: list[str] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(b"HTTP/1.1 503 Slow Down\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def go() -> None:
        server = await asyncio.start_server(refuse, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT", f"http://127.0.0.1:{port}")
        async with asyncio.timeout(8):
            with pytest.raises(Unavailable):
                await open_objects("s3://bucket/prefix").read("one")
        assert len(asked) == 3
        server.close()
        await server.wait_closed()

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, "here")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    asyncio.run(go())
