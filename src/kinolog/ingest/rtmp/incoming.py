"""What a publisher's socket has given, kept to the last byte also when the connection is reset.

An encoder that has sent its file closes at once. What we send it after that makes its system
reset the connection and throw away what it had not yet handed over (RFC 1122, 4.2.2.13): so
nothing that can wait, an Acknowledgement above all, is sent while bytes are waiting to be read.
"""

from __future__ import annotations

import asyncio
import struct
import sys

if sys.platform != "win32":
    import fcntl
    import termios


class IncomingReader(asyncio.StreamReader):
    """A StreamReader that ends, rather than raises, at a broken connection: asyncio's own drops
    what it holds then. `broken` tells what happened."""

    broken: Exception | None = None

    def set_exception(self, exc: Exception) -> None:
        """The connection broke: what was received can still be read, then comes the end."""
        self.broken = exc
        self.feed_eof()


def waiting_bytes(writer: asyncio.StreamWriter) -> int:
    """Bytes that the system holds for us of this connection; 0 where it does not tell."""
    socket = writer.get_extra_info("socket")
    if sys.platform == "win32" or socket is None or socket.fileno() < 0:
        return 0
    try:
        found = fcntl.ioctl(socket.fileno(), termios.FIONREAD, bytes(4))
    except OSError:
        return 0
    (waiting,) = struct.unpack("i", found)
    return int(waiting)
