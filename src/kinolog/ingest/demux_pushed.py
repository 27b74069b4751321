"""A byte stream that somebody pushes, as the blocking file that a demuxer reads.

pushed = PushedBytes()
await pushed.feed(data)      waits while the reader is behind (back-pressure)
pushed.finish()              no more to come: the reader gets the rest, then the end
pushed.abort(error)          the reader gets `error` at once
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from kinolog.core.errors import KinologError, MediaError, Overloaded, Unavailable

CAPACITY_BYTES = 1 << 20
READ_TIMEOUT_S = 30.0
FEED_TIMEOUT_S = 60.0


class PushedBytes:
    """One writer in an event loop, one reader in a thread, at most about `capacity_bytes` between.

    Not seekable. A reader that gets nothing for `read_timeout_s` gets Unavailable; a writer that
    finds no room for `feed_timeout_s` gets Overloaded.
    """

    def __init__(
        self,
        *,
        capacity_bytes: int = CAPACITY_BYTES,
        read_timeout_s: float = READ_TIMEOUT_S,
        feed_timeout_s: float = FEED_TIMEOUT_S,
    ) -> None:
        self._capacity_bytes = capacity_bytes
        self._read_timeout_s = read_timeout_s
        self._feed_timeout_s = feed_timeout_s
        self._changed = threading.Condition()
        self._pieces: deque[bytes] = deque()
        self._held_bytes = 0
        self._finished = False
        self._error: BaseException | None = None
        self._closed = False
        self._closed_with: BaseException | None = None
        self._waiting: tuple[asyncio.AbstractEventLoop, asyncio.Event] | None = None

    async def feed(self, data: bytes) -> None:
        """Append `data`, after waiting for room. One caller at a time.

        Raises Overloaded after `feed_timeout_s` without room, and what close() was given once
        the reader is gone (MediaError where it gave no reason).
        """
        if not self._append(data):
            try:
                async with asyncio.timeout(self._feed_timeout_s):
                    await self._append_when_free(data)
            except TimeoutError:
                raise Overloaded("what was sent could not be taken in time") from None

    async def _append_when_free(self, data: bytes) -> None:
        room = asyncio.Event()
        loop = asyncio.get_running_loop()
        while True:
            with self._changed:
                self._waiting = (loop, room)
            if self._append(data):
                return
            await room.wait()
            room.clear()

    def _append(self, data: bytes) -> bool:
        with self._changed:
            if self._closed:
                raise self._closed_with or MediaError("nothing more of this is wanted")
            if self._held_bytes >= self._capacity_bytes:
                return False
            self._waiting = None
            if data:
                self._pieces.append(bytes(data))
                self._held_bytes += len(data)
                self._changed.notify()
            return True

    def finish(self) -> None:
        """No more bytes will come. Idempotent."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def abort(self, error: KinologError) -> None:
        """The sender failed: the next read raises `error`, what was not read is lost."""
        with self._changed:
            self._error = error
            self._changed.notify()

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes, waiting for the first; b"" at the end. For the reader's thread."""
        with self._changed:
            while not self._pieces and self._error is None and not self._finished:
                if self._closed:
                    return b""
                if not self._changed.wait(self._read_timeout_s):
                    raise Unavailable(f"nothing was sent for {self._read_timeout_s:g} s")
            if self._error is not None:
                raise self._error
            if self._closed or not self._pieces:
                return b""
            return self._take(size)

    def _take(self, size: int) -> bytes:
        piece = self._pieces.popleft()
        if 0 <= size < len(piece):
            self._pieces.appendleft(piece[size:])
            piece = piece[:size]
        self._held_bytes -= len(piece)
        if self._held_bytes < self._capacity_bytes:
            self._wake_writer()
        return piece

    def close(self, error: BaseException | None = None) -> None:
        """The reader is gone: reads end, feed() raises `error`. Idempotent, first reason wins."""
        with self._changed:
            if not self._closed:
                self._closed, self._closed_with = True, error
            self._pieces.clear()
            self._held_bytes = 0
            self._changed.notify()
            self._wake_writer()

    def _wake_writer(self) -> None:
        if self._waiting is not None:
            loop, room = self._waiting
            self._waiting = None
            if not loop.is_closed():
                loop.call_soon_threadsafe(room.set)
