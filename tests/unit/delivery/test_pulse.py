"""Whether a stream that nobody follows still gets media: who asks seldom is told of now."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from kinolog.archive.tier import Message
from kinolog.core.errors import KafkaUnavailable
from kinolog.delivery.pulse import Pulse
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import Open, OpenTrack
from kinolog.record.registry import EpochEntry

BASE = "kinolog.cams"
PLACE = (BASE, 0)
BEGUN_MS = 1_700_000_000_000
OPEN = Open("s", "p", "v", 2000, 200, [OpenTrack("video", "video", "avc1.42C00A", 1000, b"")])
EPOCH = EpochEntry(BEGUN_MS, 0, 0, 0, BASE, BEGUN_MS, OPEN)


class Log:
    """An index topic, and its clock: a live stream's newest entry is two seconds old."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.down = False
        self.looks = 0

    def monotonic(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return BEGUN_MS + round(1000 * self.now_s)

    async def offset_for_time(self, *_: Any) -> int:
        return 0

    async def bounds(self, *_: Any) -> tuple[int, int]:
        if self.down:
            raise KafkaUnavailable("no broker answers")
        return 0, 1

    async def read_raw(self, *_: Any) -> list[Any]:
        self.looks += 1
        return [Message(b"gate", 0, b"", self.unix_ms() - 2000)]


def test_who_asks_seldom_is_told_of_now() -> None:
    async def run() -> None:
        log = Log()
        pulse = Pulse(cast("RandomReader", log), cast("Any", log))
        for _ in range(3):
            await pulse.look([PLACE])
            assert pulse.state(EPOCH, "gate") == "live"
            assert pulse.newest_ms(PLACE, "gate") == log.unix_ms() - 2000
            log.now_s += 14
        assert log.looks == 3

    asyncio.run(run())


def test_what_was_seen_long_ago_tells_nothing() -> None:
    """While the log does not answer, what the registry says stands."""

    async def run() -> None:
        log = Log()
        pulse = Pulse(cast("RandomReader", log), cast("Any", log))
        await pulse.look([PLACE])
        log.now_s += 40
        assert pulse.newest_ms(PLACE, "gate") is None
        log.down = True
        await pulse.look([PLACE])
        assert pulse.state(EPOCH, "gate") == "live"

    asyncio.run(run())
