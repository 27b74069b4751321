"""Outbox: what waits to be sent to one socket, in order, and how much of it there is."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.rsgi import Socket

MOST_BYTES: Final = 4 << 20
MOST_LATE_S: Final = 3.0
"""What has waited for so long is late: live, it is left out."""
ROOM_BYTES: Final = 512 << 10
"""What is not live is read no further while so much waits."""
_TEXT_BYTES: Final = 256
"""Counted for a text, whatever its length: what is around it costs more."""


class _Waiting(NamedTuple):
    message: str | bytes
    since_s: float


class Outbox:
    """Filled by whoever has something for the viewer, emptied by `send_all`.

    A client may set a window: then at most so many bytes of binary messages are on their way that
    it has not acknowledged.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[_Waiting] = deque()
        self._woken: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._finished = False
        self._window = 0
        self._sent_bytes = 0
        self._acked_bytes = 0
        self.size = 0

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def late(self) -> bool:
        """Whether the connection does not keep up."""
        waiting = self._waiting
        if not waiting:
            return False
        waited_s = self._clock.monotonic() - waiting[0].since_s
        return self.size > MOST_BYTES or waited_s > MOST_LATE_S

    def put(self, message: str | bytes) -> None:
        """One more message, behind the others."""
        if self._finished:
            return
        self._waiting.append(_Waiting(message, self._clock.monotonic()))
        self.size += _size(message)
        self._wake()

    def clear(self) -> int:
        """What waits is not sent; how many binary messages that are."""
        count = sum(isinstance(one.message, bytes) for one in self._waiting)
        self._waiting.clear()
        self.size = 0
        self._tell_room()
        return count

    def leave_out(self) -> int:
        """Binary messages that wait are not sent; how many these are. Of texts, the last of each
        kind: who was not told where it is would wait for that."""
        texts: dict[str, str] = {}
        for message, _ in self._waiting:
            if isinstance(message, str):
                kind = message.partition(",")[0]
                texts.pop(kind, None)
                texts[kind] = message
        count = self.clear()
        for message in texts.values():
            self.put(message)
        return count

    def finish(self) -> None:
        """Nothing more comes: `send_all` returns when what waits is sent."""
        self._finished = True
        self._wake()

    def abandon(self) -> None:
        """There is nobody to send to."""
        self.clear()
        self.finish()

    def set_window(self, size: int) -> None:
        """So many bytes may be on their way; 0: any number."""
        self._window = size
        self._wake()

    def acknowledge(self, taken: int) -> None:
        """The client has taken so many bytes in all."""
        self._acked_bytes = min(max(self._acked_bytes, taken), self._sent_bytes)
        self._wake()

    async def room(self) -> None:
        """Wait until little waits."""
        while self.size >= ROOM_BYTES and not self._finished:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    async def send_all(self, socket: Socket) -> None:
        """Send what comes until it is finished. Raises what the socket raises when it is closed."""
        waiting = self._waiting
        while True:
            if not waiting or self._held_back(waiting[0].message):
                if self._finished:
                    return
                self._woken = asyncio.get_running_loop().create_future()
                await self._woken
                continue
            message = waiting.popleft().message
            self.size -= _size(message)
            if isinstance(message, str):
                await socket.send_str(message)
            else:
                self._sent_bytes += len(message)
                await socket.send_bytes(message)
            if self._room is not None and self.size < ROOM_BYTES:
                self._tell_room()

    def _held_back(self, message: str | bytes) -> bool:
        under_way = self._sent_bytes - self._acked_bytes
        if not self._window or not under_way or isinstance(message, str):
            return False
        return under_way + len(message) > self._window

    def _wake(self) -> None:
        woken, self._woken = self._woken, None
        if woken is not None and not woken.done():
            woken.set_result(None)
        if self._finished:
            self._tell_room()

    def _tell_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)


def _size(message: str | bytes) -> int:
    return _TEXT_BYTES if isinstance(message, str) else len(message)
