"""Clips of days do not hold up the clip of a minute."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.clip.server import SHORT_MS, ClipServer

DAY_MS = 86_400_000


class Maker:
    """One whose clips are made when they are told to be."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.may: dict[int, asyncio.Event] = {}

    async def make(self, stream: StreamName, channel: Any, start_ms: int, end_ms: int) -> Any:
        self.begun.append(end_ms)
        await self.may.setdefault(end_ms, asyncio.Event()).wait()
        return _Clip()


class _Clip:
    held_bytes = stored_bytes = 0


def test_a_short_clip_does_not_wait_for_long_ones() -> None:
    async def go() -> None:
        maker = Maker()
        clips = ClipServer(maker, None, SystemClock())  # type: ignore[arg-type]
        channel: Any = SimpleNamespace(name=StreamName("cams", "gate"))

        async def ask(*ends_ms: int) -> list[asyncio.Task[Any]]:
            tasks = [asyncio.create_task(clips.clip(channel, 0, end_ms)) for end_ms in ends_ms]
            for _ in range(10):
                await asyncio.sleep(0)
            return tasks

        asked = await ask(DAY_MS, 2 * DAY_MS, SHORT_MS)
        assert maker.begun == [DAY_MS]
        asked += await ask(SHORT_MS - 1, SHORT_MS - 2)
        assert maker.begun == [DAY_MS, SHORT_MS - 1]  # two at a time, in all
        for end_ms in (SHORT_MS - 1, SHORT_MS - 2, DAY_MS, 2 * DAY_MS, SHORT_MS):
            maker.may.setdefault(end_ms, asyncio.Event()).set()
        async with asyncio.timeout(5):
            await asyncio.gather(*asked)
        assert maker.begun == [DAY_MS, SHORT_MS - 1, SHORT_MS - 2, 2 * DAY_MS, SHORT_MS]

    asyncio.run(go())
