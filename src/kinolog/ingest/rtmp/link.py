"""A publisher's connection: what it has sent is kept to the last byte, also when it is reset.

An encoder that has sent its file closes at once. What we send it after that makes its system
reset the connection and throw away what it had not yet handed over (RFC 1122, 4.2.2.13): so
nothing that can wait, an Acknowledgement above all, is sent while bytes are waiting to be read.

TLS is ours to do over the plain connection for the same reason: the transports of asyncio and
uvloop drop what they hold undecrypted when the connection ends while reading is paused
(measured: the end of 18 of 40 uploads of ffmpeg, which heard of no error).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct
import sys
from pathlib import Path

if sys.platform != "win32":
    import fcntl
    import termios

_RECORD_BYTES = 16 << 10  # the most that one TLS record carries (RFC 8446, 5.1)


def server_tls(cert: str | Path, key: str | Path | None) -> ssl.SSLContext:
    """The TLS of a server with this certificate and key (PEM).

    Without session tickets: a publisher that never reads would have them unread when it closes,
    and its system would drop the end of what it has sent.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    context.num_tickets = 0
    return context


class IncomingReader(asyncio.StreamReader):
    """A StreamReader that ends, rather than raises, at a broken connection: asyncio's own drops
    what it holds then. `broken` tells what happened."""

    broken: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        """The connection broke: what was received can still be read, then comes the end."""
        self.broken = exc
        self.feed_eof()


class Link:
    """A connection without TLS. All that writes raises OSError where the publisher is gone."""

    def __init__(self, reader: IncomingReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername") or ("unknown", 0)
        self.host: str = peer[0]
        self.port: int = peer[1]

    @property
    def broken(self) -> Exception | None:
        """Why the connection broke, None where it did not."""
        return self._reader.broken

    @property
    def closing(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._writer.transport.is_closing()

    @property
    def waiting(self) -> int:
        """Bytes that the system holds for us; 0 where it does not tell."""
        socket = self._writer.get_extra_info("socket")
        if sys.platform == "win32" or socket is None or socket.fileno() < 0:
            return 0
        try:
            found = fcntl.ioctl(socket.fileno(), termios.FIONREAD, bytes(4))
        except OSError:
            return 0
        (waiting,) = struct.unpack("i", found)
        return int(waiting)

    async def open(self) -> None:
        """Agree with the publisher before anything else."""

    async def read(self, most: int) -> bytes:
        """What came, `most` bytes at the most; b"" at the end."""
        return await self._reader.read(most)

    async def send(self, data: bytes) -> None:
        """Hand over, and wait while too much is on its way."""
        if self.closing:
            # uvloop raises a bare RuntimeError for a write to a socket that is closed.
            raise ConnectionError("the publisher is gone")
        self._writer.write(data)
        await self._writer.drain()

    def end_sending(self) -> None:
        """Nothing more will be sent; what comes can still be read."""
        self._writer.write_eof()

    def close(self) -> None:
        """Close once what was sent is handed over."""
        self._writer.close()

    def abort(self) -> None:
        """Close at once."""
        self._writer.transport.abort()


class TlsLink(Link):
    """A connection with TLS, of which we are the server."""

    def __init__(
        self, reader: IncomingReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> None:
        super().__init__(reader, writer)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._failure = ""

    async def open(self) -> None:
        """The handshake. Raises ConnectionError where the publisher speaks no TLS that we do."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._receive()
            except ssl.SSLError as error:
                if not self.closing:
                    await self._flush()  # the alert says why
                raise ConnectionError(f"no TLS handshake: {error.reason or error}") from error
            else:
                return await self._flush()

    async def read(self, most: int) -> bytes:
        """What came, `most` bytes at the most; b"" at the end, also where TLS was not ended, which
        encoders do not care to. Raises ConnectionError where a record is not what was sent."""
        found = bytearray()
        while len(found) < most:
            try:
                part = self._tls.read(min(most - len(found), _RECORD_BYTES))
            except ssl.SSLWantReadError:
                if found:
                    break
                if self._outgoing.pending:
                    await self._flush()  # a key update asks for an answer
                await self._receive()
                continue
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            except ssl.SSLError as error:
                self._failure = f"a broken TLS record: {error.reason or error}"
                break
            if not part:
                break
            found += part
        if self._failure and not found:
            raise ConnectionError(self._failure)
        return bytes(found)

    async def send(self, data: bytes) -> None:
        """As without TLS."""
        if self.closing:
            raise ConnectionError("the publisher is gone")
        self._tls.write(data)
        await self._flush()

    def end_sending(self) -> None:
        """As without TLS."""
        self._say_goodbye()
        super().end_sending()

    def close(self) -> None:
        """As without TLS."""
        if not self.closing:
            self._say_goodbye()
        super().close()

    async def _receive(self) -> None:
        data = await self._reader.read(2 * _RECORD_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await super().send(self._outgoing.read())

    def _say_goodbye(self) -> None:
        """A close_notify (RFC 8446, 6.1); the publisher's own is not waited for."""
        # WantRead: said, and no answer yet. Any other error: there is nobody to tell.
        with contextlib.suppress(ssl.SSLError, ValueError):
            self._tls.unwrap()
        if self._outgoing.pending and not self.closing:
            self._writer.write(self._outgoing.read())
