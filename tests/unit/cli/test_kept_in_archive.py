"""Who deletes from Kafka is told what stays in the archive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from kinolog.cli import kept_in_archive as kept_module
from kinolog.cli.kept_in_archive import kept_in_archive, told
from kinolog.core.errors import Unavailable
from kinolog.objects.store import open_objects

BLOCK = "cams/gate/5/kinolog.cams.0/00000000/{:016d}-{:016d}-20261126T140803.614Z-1.kino"


def test_what_stays_is_told_with_the_command_that_deletes_it(tmp_path: Path) -> None:
    async def go() -> None:
        place = str(tmp_path / "archive")
        assert await kept_in_archive(None, "cams", "now") is None
        objects = open_objects(place)
        await objects.create("kinolog-archive.json", b"{}")
        assert await kept_in_archive(place, "cams/gate", "now") is None
        await objects.create(BLOCK.format(1, 1), b"block")
        assert await kept_in_archive(place, "cams/door", "now") is None
        kept = await kept_in_archive(place, "cams/gate", "-2d")
        assert kept == {
            "stream": "cams/gate",
            "at": place,
            "delete": f"kinolog archive delete cams/gate --before -2d --at {place}",
        }
        assert "`kinolog archive delete cams/gate --before -2d" in told(kept)
        kept = await kept_in_archive(place, "cams", "now")
        assert kept is not None
        assert "keeps what it has of cams:" in told(kept)

    asyncio.run(go())


def test_an_archive_that_does_not_answer_is_taken_to_have_something(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def blocks(*_: Any) -> AsyncIterator[Any]:
        raise Unavailable("no answer")
        yield

    monkeypatch.setattr(kept_module, "blocks", blocks)
    assert asyncio.run(kept_in_archive("memory:", "cams", "now")) is not None
