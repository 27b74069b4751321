"""What a publisher sent before its connection broke is read to the last byte."""

from __future__ import annotations

import asyncio

from kinolog.ingest.rtmp.incoming import IncomingReader, waiting_bytes


def test_a_reset_ends_the_stream_after_its_bytes() -> None:
    async def read_all() -> tuple[bytes, bytes, Exception | None]:
        reader = IncomingReader(limit=1 << 16)
        reader.feed_data(b"the last pictures")
        reader.set_exception(ConnectionResetError("reset by peer"))
        return await reader.read(4), await reader.read(), reader.broken

    first, rest, broken = asyncio.run(read_all())
    assert first + rest == b"the last pictures"
    assert isinstance(broken, ConnectionResetError)


def test_what_the_system_holds_is_known() -> None:
    async def count() -> int:
        connected: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()
            connected.set_result(writer)

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            _, sender = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer = await connected
            before = waiting_bytes(writer)
            sender.write(bytes(1000))
            async with asyncio.timeout(10):
                while waiting_bytes(writer) < 1000:  # noqa: ASYNC110 - the system has no event for it
                    await asyncio.sleep(0)
            sender.close()
            writer.close()
            return before

    assert asyncio.run(count()) == 0


def test_a_closed_socket_holds_nothing() -> None:
    async def count() -> int:
        done = asyncio.Event()

        def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()
            done.set()

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            reader, sender = await asyncio.open_connection(*server.sockets[0].getsockname())
            await done.wait()
            await reader.read()
            sender.close()
            await sender.wait_closed()
            return waiting_bytes(sender)

    assert asyncio.run(count()) == 0
