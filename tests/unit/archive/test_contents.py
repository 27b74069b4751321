"""What an archive says that it has, and what of it is old."""

from __future__ import annotations

import asyncio

from archive_kit import BOOK, put

from kinolog.archive.contents import contents, old_blocks
from kinolog.objects.store import open_objects


def test_contents_are_told_by_stream() -> None:
    async def go() -> None:
        objects = open_objects("memory:")
        assert await contents(objects) == []
        names = [await put(objects, msn) for msn in (2, 3, 9)]
        await objects.create("cams/gate/clips/one.mp4", b"no block")
        sizes = [await objects.size(name.path) for name in names]
        for prefix in ("", "cams", "cams/gate"):
            (found,) = await contents(objects, prefix)
            assert (found.book, found.objects, found.size) == (BOOK, 3, sum(sizes))
            assert (found.first_ms, found.last_ms, found.gone) == (1_004_000, 1_020_000, False)
        assert await contents(objects, "cams/other") == []
        # A stream of this name that was made before.
        data = await objects.read(names[0].path)
        await objects.create(names[0].path.replace(str(BOOK.made_ms), "1600000000000"), data)
        assert [one.gone for one in await contents(objects)] == [True, False]

    asyncio.run(go())


def test_what_ends_before_a_moment_is_old_but_never_the_newest() -> None:
    async def go() -> None:
        objects = open_objects("memory:")
        names = [await put(objects, msn) for msn in (2, 3, 4, 9)]

        async def old(before_ms: int) -> list[str]:
            return [one.path for one in await old_blocks(objects, "cams", before_ms)]

        assert await old(1_005_999) == []
        assert await old(1_006_000) == [names[0].path]
        assert await old(1_009_000) == [name.path for name in names[:2]]
        assert await old(9_000_000) == [name.path for name in names[:3]]

    asyncio.run(go())
