"""Pour: a long body, sent no faster than the client takes it.

granian queues whatever a streamed response is given, without a bound, and does not say when the
client leaves (measured: a gigabyte for a client that reads nothing). A file it reads as the client
takes it; so it is given a pipe for a file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from kinolog.core.rsgi import Headers, HttpProtocol

SMALL_BYTES: Final = 256 << 10
"""A body up to this is sent at once."""
OPENED_S: Final = 30.0
"""A response that nobody has begun to read by then is given up."""


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
        pipe = _Pipe()
        try:
            protocol.response_file(status, headers, f"/dev/fd/{pipe.reading}")
            async for part in parts:
                await pipe.write(part)
        except (BrokenPipeError, TimeoutError):
            return  # the client has left
        finally:
            pipe.close()


class _Pipe:
    """Its reading end is given by name, and closed here once it has been opened there."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)

    async def write(self, data: bytes) -> None:
        """Write all of it. BrokenPipeError where the reader has gone, TimeoutError where none has
        come."""
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._writing, left) :]
            except BlockingIOError:
                await self._room()

    async def _room(self) -> None:
        async with asyncio.timeout(OPENED_S if self.reading >= 0 else None):
            await self._writable()
        if self.reading >= 0:
            # There is room where there was none: somebody has read.
            os.close(self.reading)
            self.reading = -1

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._writing, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._writing)

    def close(self) -> None:
        """No more is written; what has been can still be read."""
        os.close(self._writing)
        if self.reading >= 0:
            os.close(self.reading)
