"""What waits for a socket: in order, counted, and held back by a client's window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from kinolog.delivery.ws.outbox import MOST_BYTES, MOST_LATE_S, ROOM_BYTES, Outbox


class Clock:
    """Stands still until it is told."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return 0


class Socket:
    """Takes one message at a time, when it is let."""

    def __init__(self, *, open_: bool = True) -> None:
        self.sent: list[str | bytes] = []
        self.gate = asyncio.Event()
        if open_:
            self.gate.set()

    async def receive(self) -> Any:
        raise AssertionError

    async def send_bytes(self, data: bytes) -> None:
        await self.gate.wait()
        self.sent.append(data)

    async def send_str(self, data: str) -> None:
        await self.gate.wait()
        self.sent.append(data)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_messages_go_out_in_order_and_the_last_before_the_end() -> None:
    async def test() -> None:
        outbox, socket = Outbox(Clock()), Socket()
        outbox.put("a")
        sending = asyncio.create_task(outbox.send_all(socket))
        await settle()
        outbox.put(b"b")
        outbox.put("c")
        outbox.finish()
        await sending
        outbox.put("too late")
        assert socket.sent == ["a", b"b", "c"]
        assert outbox.empty
        assert outbox.size == 0

    run(test)


def test_what_waits_for_long_or_is_much_is_late() -> None:
    clock = Clock()
    outbox = Outbox(clock)
    assert not outbox.late
    outbox.put(b"x")
    clock.now_s += MOST_LATE_S
    assert not outbox.late
    clock.now_s += 0.1
    assert outbox.late
    assert outbox.clear() == 1
    assert not outbox.late
    outbox.put("told")
    outbox.put(bytes(MOST_BYTES))
    assert outbox.late
    assert outbox.clear() == 1
    assert outbox.size == 0


def test_a_reader_of_the_past_waits_for_room() -> None:
    async def test() -> None:
        outbox, socket = Outbox(Clock()), Socket(open_=False)
        await outbox.room()
        outbox.put(bytes(ROOM_BYTES))
        outbox.put(bytes(ROOM_BYTES))
        sending = asyncio.create_task(outbox.send_all(socket))
        waiting = asyncio.create_task(outbox.room())
        await settle()
        assert not waiting.done()
        socket.gate.set()
        await waiting
        outbox.put(bytes(ROOM_BYTES))
        outbox.abandon()
        await outbox.room()
        await sending

    run(test)


def test_a_window_holds_back_what_is_not_acknowledged() -> None:
    async def test() -> None:
        outbox, socket = Outbox(Clock()), Socket()
        outbox.set_window(100)
        for _ in range(3):
            outbox.put(bytes(60))
        outbox.put("behind")
        sending = asyncio.create_task(outbox.send_all(socket))
        await settle()
        assert len(socket.sent) == 1
        outbox.acknowledge(10)  # 50 are under way: no room for 60
        await settle()
        assert len(socket.sent) == 1
        outbox.acknowledge(20)
        await settle()
        assert len(socket.sent) == 2
        outbox.acknowledge(10**9)  # no more than was sent
        await settle()
        assert len(socket.sent) == 4
        outbox.put(bytes(1000))  # larger than the window: alone
        outbox.acknowledge(120)
        await settle()
        assert len(socket.sent) == 4
        outbox.acknowledge(180)
        await settle()
        assert len(socket.sent) == 5
        outbox.set_window(0)
        outbox.put(bytes(1000))
        outbox.finish()
        await sending
        assert len(socket.sent) == 6

    run(test)


def test_what_is_left_out_for_a_slow_socket_is_media_alone() -> None:
    """It would wait for its place for ever; of a kind, the last is told."""

    async def test() -> None:
        outbox, socket = Outbox(Clock()), Socket()
        for message in (
            '{"type":"position","id":7}',
            '{"type":"epoch","epoch":1}',
            b"1",
            '{"type":"epoch","epoch":2}',
            b"2",
        ):
            outbox.put(message)
        assert outbox.leave_out() == 2
        outbox.finish()
        await outbox.send_all(socket)
        assert socket.sent == ['{"type":"position","id":7}', '{"type":"epoch","epoch":2}']
        assert outbox.size == 0

    run(test)
