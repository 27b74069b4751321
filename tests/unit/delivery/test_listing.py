"""The list of streams is made anew by a clock that nobody sets."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec

from kinolog.delivery.listing import Listing


class SetBack:
    """A machine whose time of day is set back by an hour."""

    def __init__(self) -> None:
        self.now_ms = 10_000_000
        self.seconds = 100.0

    def unix_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.seconds


def test_a_clock_that_is_set_back_does_not_freeze_the_list() -> None:
    async def look(_: Any) -> None:
        return

    async def main() -> None:
        clock, ingest = SetBack(), {"rtmp_port": 1}
        nothing: Any = SimpleNamespace(streams={}, look=look)
        listing = Listing(nothing, nothing, nothing, clock, ingest)
        first, _ = await listing.body()
        ingest["rtmp_port"] = 2
        assert await listing.body() == (first, (await listing.body())[1]), "made a moment ago"
        clock.now_ms -= 3_600_000
        clock.seconds += 1
        second, _ = await listing.body()
        assert msgspec.json.decode(second)["ingest"] == {"rtmp_port": 2}

    asyncio.run(main())
