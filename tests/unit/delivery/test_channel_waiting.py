"""Requests that wait for a part: woken, answered late, and never more than a bound."""

from __future__ import annotations

import asyncio

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import Overloaded
from kinolog.core.names import StreamName
from kinolog.delivery.channel import MOST_WAITING, Awaited, Channel


def test_requests_count_and_not_what_they_wait_for() -> None:
    async def work() -> None:
        channel = Channel(StreamName("demo", "cam"), SystemClock())
        one = Awaited("video", 3, 1)
        waiting = [asyncio.create_task(channel.wait(one, 60)) for _ in range(MOST_WAITING)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="demo/cam"):
            await channel.wait(one, 60)
        with pytest.raises(Overloaded):
            await channel.wait(Awaited("video", 3, 2), 60)

        # A client that has gone makes room at the next look.
        waiting[0].cancel()
        await asyncio.sleep(0)
        channel.expire(0)
        late = asyncio.create_task(channel.wait(one, 60))
        await asyncio.sleep(0)
        assert not late.done()
        channel.close()
        assert await late is False
        assert not channel.busy

    asyncio.run(work())
