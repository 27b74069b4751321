"""Long bodies: the client's pace is the sender's, and who leaves stops it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from typing import cast

import pytest

from kinolog.cluster.ports import free_port
from kinolog.core.errors import NotFound
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery.pour import OPENED_S, SMALL_BYTES, pour
from kinolog.runtime.http import HttpServer, HttpSettings, Router

PART = 64 << 10
MOST_AHEAD = 16 << 20
"""What sockets and the server may hold of a body that nobody reads."""


class Source:
    """A body of `parts` parts; how many were taken, and whether it was ended."""

    def __init__(self, parts: int, fails_at: int = -1) -> None:
        self.parts = parts
        self.asked = asyncio.Event()
        self.waits_for_its_leaving = False
        self.taken = 0
        self.ended = asyncio.Event()
        self._fails_at = fails_at

    async def answer(self, _: Scope, protocol: HttpProtocol) -> None:
        size = self.parts * PART
        headers = [("content-length", str(size))]
        self.asked.set()
        if self.waits_for_its_leaving:
            await protocol.client_disconnect()
        try:
            await pour(protocol, 200, headers, size, self._read())
        except NotFound:
            if size <= SMALL_BYTES:
                raise

    async def _read(self) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(self.parts):
                if number == self._fails_at:
                    raise NotFound("gone")
                self.taken += 1
                yield number.to_bytes(4, "big") * (PART // 4)
        finally:
            self.ended.set()


async def ask(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 16)
    writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def serve(source: Source) -> tuple[HttpServer, int]:
    port = free_port()
    return HttpServer(HttpSettings(port=port), Router([("/x", source.answer)])), port


@pytest.mark.parametrize("parts", [1, 4, 5, 400])
def test_a_body_is_whole(parts: int) -> None:
    async def run() -> None:
        source = Source(parts)
        server, port = serve(source)
        async with server:
            reader, writer = await ask(port)
            body = await reader.read(-1)
            writer.close()
        assert body == b"".join(n.to_bytes(4, "big") * (PART // 4) for n in range(parts))

    asyncio.run(run())


def test_a_client_that_reads_nothing_holds_the_source_up_and_one_that_leaves_ends_it() -> None:
    async def run() -> None:
        source = Source(16_384)
        server, port = serve(source)
        async with server:
            _, writer = await ask(port)
            async with asyncio.timeout(30):
                seen = -1
                while source.taken != seen:
                    seen = source.taken
                    await asyncio.sleep(0.3)
            assert 0 < source.taken * PART < MOST_AHEAD
            writer.transport.abort()
            async with asyncio.timeout(10):
                await source.ended.wait()
            assert source.taken < source.parts

    asyncio.run(run())


class Leaves:
    """Opens what it is given for a file, reads a little once there is something, and leaves."""

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()  # once a response has begun, granian tells no more

    def response_file(self, _status: int, _headers: Headers, file: str) -> None:
        self._file = os.open(file, os.O_RDONLY)

    def leave(self) -> None:
        os.read(self._file, PART)
        os.close(self._file)


def test_a_client_that_left_after_the_beginning_is_noticed_before_the_pipe_is_full() -> None:
    async def run() -> None:
        protocol = Leaves()
        taken = 0

        async def parts() -> AsyncGenerator[bytes, None]:
            nonlocal taken
            for taken in range(400):
                if taken == 1:
                    protocol.leave()
                yield b"x" * 3000

        async with asyncio.timeout(OPENED_S / 2):
            await pour(cast("HttpProtocol", protocol), 200, [], 400 * 3000, parts())
        assert taken == 1

    asyncio.run(run())


def test_a_client_that_left_before_the_answer_is_noticed_at_once() -> None:
    async def run() -> None:
        source = Source(400)
        source.waits_for_its_leaving = True
        server, port = serve(source)
        async with server:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /x HTTP/1.1\r\nhost: x\r\n\r\n")
            await source.asked.wait()
            writer.transport.abort()
            async with asyncio.timeout(OPENED_S / 2):
                await source.ended.wait()
            assert source.taken < 10

    asyncio.run(run())


def test_a_source_that_fails_ends_the_connection_short() -> None:
    async def run() -> None:
        source = Source(400, fails_at=200)
        server, port = serve(source)
        async with server:
            reader, writer = await ask(port)
            body = await reader.read(-1)
            writer.close()
        assert len(body) <= 200 * PART

    asyncio.run(run())
