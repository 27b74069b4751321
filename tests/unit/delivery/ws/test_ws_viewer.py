"""A viewer by WebSocket of what a channel holds: what is said before an answer counts for that."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.history import Named
from kinolog.delivery.leads import Leads
from kinolog.delivery.ws.feed import Feeds
from kinolog.delivery.ws.message import HEAD
from kinolog.delivery.ws.stage import Stage
from kinolog.delivery.ws.viewer import Viewer, Wish
from kinolog.record.table import Table
from kinolog.testing.log_script import START_MS, as_records, session

TEXT = 2


class Talker:
    """Says all that it has to say in one go, and is gone when enough has come."""

    def __init__(self, words: list[dict[str, Any]], chunks: int) -> None:
        self.words = words
        self.texts: list[dict[str, Any]] = []
        self.walls: list[int] = []
        self._left = chunks
        self._enough = asyncio.Event()

    async def receive(self) -> Any:
        if self.words:
            return SimpleNamespace(kind=TEXT, data=json.dumps(self.words.pop(0)))
        await self._enough.wait()
        return SimpleNamespace(kind=0, data=b"")

    async def settle(self) -> None:
        """All that is due now is sent: nothing of it waits for anything."""
        for _ in range(1000):
            await asyncio.sleep(0)
        self._enough.set()

    async def send_str(self, data: str) -> None:
        self.texts.append(json.loads(data))

    async def send_bytes(self, data: bytes) -> None:
        self.walls.append(HEAD.unpack_from(data)[-1])
        self._left -= 1
        if self._left == 0:
            self._enough.set()


class InOrder(Leads):
    """Of a stream whose pictures are shown in the order in which they are decoded."""

    async def since(self, name: Named, live: Table, at_ms: float) -> float:
        return at_ms

    async def late_ms(self, name: Named, live: Table, at_ms: float) -> float:
        return 0.0


async def played(socket: Talker) -> None:
    """Twenty seconds that the channel holds."""
    clock = SystemClock()
    channel = Channel(StreamName("demo", "cam"), clock)
    for record in as_records(session(epoch=5, seconds=20)):
        channel.take(("demo.media", 0), record)
    none: Any = None
    registry: Any = SimpleNamespace(epochs={})
    stage = Stage(none, none, none, registry, clock, Feeds(), InOrder(none))
    await asyncio.wait_for(Viewer(stage, channel, socket).run(Wish(START_MS)), 10)


SEEK = {"type": "seek", "to": (START_MS + 5000) / 1000, "id": 7}


@pytest.mark.parametrize(
    ("words", "number", "speed"),
    [
        ([SEEK], 7, 1),
        ([SEEK, {"type": "speed", "speed": 2}], 7, 2),
        ([SEEK, {"type": "pause"}, {"type": "resume"}], 7, 1),
        ([SEEK, {"type": "pause"}, {"type": "speed", "speed": 2}, {"type": "resume"}], 7, 2),
        ([SEEK, SEEK | {"id": 8}, {"type": "speed", "speed": 2}], 8, 2),
    ],
)
def test_what_is_said_before_an_answer_counts_for_it(
    words: list[dict[str, Any]], number: int, speed: float
) -> None:
    """And what was sought comes, and not the beginning of the stream."""

    async def work() -> None:
        socket = Talker(list(words), chunks=6)
        await played(socket)
        begin_ms = START_MS + 5000
        (told,) = [one for one in socket.texts if one["type"] == "position"]
        assert (told["id"], told["speed"], told["live"]) == (number, speed, False)
        media = [wall for wall in socket.walls if wall]  # an init segment has none
        assert begin_ms - 2000 <= media[0] <= begin_ms

    asyncio.run(work())


@pytest.mark.parametrize("to", ["moment", "live"])
def test_a_pause_behind_a_seek_lets_its_first_picture_come(to: str) -> None:
    async def work() -> None:
        seek = SEEK if to == "moment" else SEEK | {"to": "live"}
        socket = Talker([seek, {"type": "pause"}], chunks=1 << 30)
        settling = asyncio.create_task(socket.settle())
        await played(socket)
        await settling
        told = [one for one in socket.texts if one["type"] == "position"][-1]
        assert (told["id"], told["live"]) == (7, to == "live")
        if to == "moment":  # and nothing of the second and a half that would be sent ahead
            assert START_MS + 5000 < max(socket.walls) < START_MS + 5500

    asyncio.run(work())
