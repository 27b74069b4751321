"""What a publisher sent before its connection ended is read to the last byte."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import subprocess
import termios
from collections.abc import Awaitable, Callable

import pytest
from rtmp_support import in_loop

from kinolog.ingest.rtmp.link import IncomingReader, Link, TlsLink, server_tls

LOOPBACK = "127.0.0.1"
# More than a paused reader and its TLS hold, less than the system takes for it.
SENT = bytes(range(256)) * 500


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    new = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    who = ["-nodes", "-days", "2", "-subj", "/CN=localhost"]
    subprocess.run([*new, *who, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return server_tls(cert, key)


def plain(reader: IncomingReader, writer: asyncio.StreamWriter) -> Link:
    return Link(reader, writer)


async def with_one_connection(
    make: Callable[[IncomingReader, asyncio.StreamWriter], Link],
    sender: Callable[[int], None],
    serve: Callable[[Link, Awaitable[None]], Awaitable[None]],
) -> None:
    """`sender(port)` runs in a thread; `serve(link, sender's end)` is the server's side."""
    connected: asyncio.Future[Link] = asyncio.get_running_loop().create_future()

    def protocol() -> asyncio.StreamReaderProtocol:
        reader = IncomingReader(limit=4096)
        return asyncio.StreamReaderProtocol(
            reader, lambda _, writer: connected.set_result(make(reader, writer))
        )

    server = await asyncio.get_running_loop().create_server(protocol, LOOPBACK, 0)
    async with server, asyncio.timeout(20):
        sending = asyncio.create_task(asyncio.to_thread(sender, server.sockets[0].getsockname()[1]))
        link = await connected
        try:
            await serve(link, sending)
            await sending
        finally:
            link.close()


def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def handed_over(wire: socket.socket) -> None:
    """Wait until the other side's system has all that was sent."""
    while struct.unpack("i", fcntl.ioctl(wire.fileno(), termios.TIOCOUTQ, bytes(4)))[0]:
        pass


def send_and_reset(wire: socket.socket, data: bytes) -> None:
    wire.sendall(data)
    handed_over(wire)
    # Zero seconds of lingering: the close is a reset, as with an answer that was not read.
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wire.close()


async def read_all_late(link: Link, sent: Awaitable[None]) -> bytes:
    """Begin to read once the sender has gone."""
    await link.open()
    await sent
    found = bytearray()
    while data := await link.read(1000):
        found += data
    return bytes(found)


@in_loop
async def test_a_reset_loses_nothing() -> None:
    def sender(port: int) -> None:
        send_and_reset(socket.create_connection((LOOPBACK, port)), SENT)

    async def serve(link: Link, sent: Awaitable[None]) -> None:
        assert await read_all_late(link, sent) == SENT
        assert isinstance(link.broken, ConnectionResetError)

    await with_one_connection(plain, sender, serve)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("ending", ["reset", "goodbye", "end"])
def test_an_end_loses_nothing_over_tls(context: ssl.SSLContext, ending: str) -> None:
    def sender(port: int) -> None:
        wire = client_tls().wrap_socket(socket.create_connection((LOOPBACK, port)))
        if ending == "reset":
            return send_and_reset(wire, SENT)
        wire.sendall(SENT)
        if ending == "goodbye":
            wire.setblocking(False)
            with pytest.raises(ssl.SSLWantReadError):
                wire.unwrap()
        wire.close()
        return None

    async def serve(link: Link, sent: Awaitable[None]) -> None:
        assert await read_all_late(link, sent) == SENT

    def make(reader: IncomingReader, writer: asyncio.StreamWriter) -> Link:
        return TlsLink(reader, writer, context)

    in_loop(with_one_connection)(make, sender, serve)


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_sides_talk_over_tls(context: ssl.SSLContext, version: ssl.TLSVersion) -> None:
    answers: list[bytes] = []

    def sender(port: int) -> None:
        own = client_tls()
        own.minimum_version = own.maximum_version = version
        with own.wrap_socket(socket.create_connection((LOOPBACK, port))) as wire:
            wire.sendall(b"question")
            with wire.makefile("rb") as answer:
                answers.append(answer.read())  # to the end, which only a goodbye is

    async def serve(link: Link, _: Awaitable[None]) -> None:
        await link.open()
        assert await link.read(1000) == b"question"
        await link.send(SENT)
        link.end_sending()
        assert await link.read(1000) == b""

    def make(reader: IncomingReader, writer: asyncio.StreamWriter) -> Link:
        return TlsLink(reader, writer, context)

    in_loop(with_one_connection)(make, sender, serve)
    assert answers == [SENT]


@pytest.mark.needs("openssl")
def test_what_is_no_tls_is_refused(context: ssl.SSLContext) -> None:
    def sender(port: int) -> None:
        with socket.create_connection((LOOPBACK, port)) as wire:
            wire.sendall(bytes([3]) + bytes(1536))
            while wire.recv(1000):
                pass

    async def serve(link: Link, _: Awaitable[None]) -> None:
        with pytest.raises(ConnectionError, match="no TLS handshake: WRONG_VERSION_NUMBER"):
            await link.open()
        link.close()

    def make(reader: IncomingReader, writer: asyncio.StreamWriter) -> Link:
        return TlsLink(reader, writer, context)

    in_loop(with_one_connection)(make, sender, serve)


@pytest.mark.needs("openssl")
def test_a_forged_record_is_an_error_after_what_came_before(context: ssl.SSLContext) -> None:
    def sender(port: int) -> None:
        raw = socket.create_connection((LOOPBACK, port))
        wire = client_tls().wrap_socket(raw.dup())
        wire.sendall(b"good")
        raw.sendall(bytes([23, 3, 3, 0, 32]) + bytes(32))
        raw.shutdown(socket.SHUT_WR)
        wire.close()
        raw.close()

    async def serve(link: Link, sent: Awaitable[None]) -> None:
        await link.open()
        await sent
        assert await link.read(1000) == b"good"
        with pytest.raises(ConnectionError, match="a broken TLS record"):
            await link.read(1000)

    def make(reader: IncomingReader, writer: asyncio.StreamWriter) -> Link:
        return TlsLink(reader, writer, context)

    in_loop(with_one_connection)(make, sender, serve)


@in_loop
async def test_what_the_system_holds_is_known() -> None:
    def sender(port: int) -> None:
        with socket.create_connection((LOOPBACK, port)) as wire:
            wire.sendall(SENT)

    async def serve(link: Link, sent: Awaitable[None]) -> None:
        await sent
        assert link.waiting > 0
        found = 0
        while data := await link.read(1000):
            found += len(data)
        assert found == len(SENT)
        assert link.waiting == 0
        link.close()
        assert link.waiting == 0, "a closed socket holds nothing"

    await with_one_connection(plain, sender, serve)
