"""Pour: a long body, sent no faster than the client takes it.

granian queues whatever a streamed response is given, without a bound, and does not say when the
client leaves (measured: a gigabyte for a client that reads nothing). A file it reads as the client
takes it; so it is given a pipe for a file. It never opens that for a client that has left by then,
which `client_disconnect` tells; once it has begun, only the pipe tells.
"""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from kinolog.core.rsgi import Headers, HttpProtocol

SMALL_BYTES: Final = 256 << 10
"""A body up to this is sent at once."""
OPENED_S: Final = 5.0
"""A response that nobody has begun to read by then is given up: granian begins at once."""
_LOOK_S: Final = 0.01


async def pour(
    protocol: HttpProtocol,
    status: int,
    headers: Headers,
    size: int,
    parts: AsyncGenerator[bytes, None],
) -> None:
    """Answer with a body of `size` bytes. Where the client leaves, or `parts` raise (which is
    passed on), the connection ends before its length."""
    async with aclosing(parts):
        if size <= SMALL_BYTES:
            protocol.response_bytes(status, headers, b"".join([part async for part in parts]))
            return
        pipe = _Pipe(asyncio.ensure_future(protocol.client_disconnect()))
        try:
            protocol.response_file(status, headers, f"/dev/fd/{pipe.reading}")
            async for part in parts:
                await pipe.write(part)
            await pipe.begun()
        except BrokenPipeError:
            return  # the client has left
        finally:
            pipe.close()


class _Pipe:
    """Its reading end is given by name, and closed here once it has been opened there. `gone` is
    done where the client left before that."""

    def __init__(self, gone: asyncio.Future[None]) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        self._gone = gone
        self._written = 0

    async def write(self, data: bytes) -> None:
        """Write all of it. BrokenPipeError where the reader has gone, or none has come."""
        left = memoryview(data)
        while left:
            self._look()
            try:
                written = os.write(self._writing, left)
            except BlockingIOError:
                await self._room()
            else:
                self._written += written
                left = left[written:]

    async def begun(self) -> None:
        """Returns once somebody reads what has been written; BrokenPipeError where nobody does."""
        clock = asyncio.get_running_loop().time
        until = clock() + OPENED_S
        while self._written and not self._look():
            if self._gone.done() or clock() > until:
                raise BrokenPipeError
            await asyncio.sleep(_LOOK_S)

    def _look(self) -> bool:
        """Whether somebody has read. From then on the reading end is theirs alone, and the pipe
        breaks when they leave, full or not."""
        if self.reading < 0:
            return True
        held = array.array("i", [0])
        fcntl.ioctl(self.reading, termios.FIONREAD, held)
        if held[0] >= self._written:
            return False
        os.close(self.reading)
        self.reading = -1
        return True

    async def _room(self) -> None:
        if self.reading >= 0:
            await self.begun()
            return
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._writing, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._writing)

    def close(self) -> None:
        """No more is written; what has been can still be read."""
        self._gone.cancel()
        os.close(self._writing)
        if self.reading >= 0:
            os.close(self.reading)
