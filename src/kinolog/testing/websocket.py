"""A WebSocket client (RFC 6455) that blocks: for tests and measurements of what an edge sends."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from urllib.parse import urlsplit

from kinolog.core.errors import Unavailable

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FINAL = 0x80
_READ_BYTES = 1 << 18


class Refused(Unavailable):
    """The server did not take up the WebSocket. `status` is that of HTTP, `text` its body."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"no WebSocket: {status} {text.strip()}")
        self.status = status
        self.text = text


class WebSocket:
    """A connection, `with` block and all. `receive` gives str and bytes as they were sent.

    `receive_bytes`: the size of the kernel's buffer for what has come and was not read.
    """

    def __init__(self, url: str, timeout_s: float = 30.0, receive_bytes: int = 0) -> None:
        """Connect to `ws://host:port/path?query`. Refused where the server answers otherwise."""
        at = urlsplit(url)
        assert at.scheme in ("ws", "http"), url
        assert at.hostname is not None
        self._socket = socket.socket()
        if receive_bytes:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.settimeout(timeout_s)
        self._buffer = bytearray()
        self.close_code = 0
        """That of the server's close; 1005 where it sent none, 1006 where it went without."""
        try:
            self._socket.connect((at.hostname, at.port or 80))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands(at.netloc, f"{at.path}?{at.query}" if at.query else at.path)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    @property
    def raw(self) -> socket.socket:
        """The connection itself, for who does not look at what comes."""
        return self._socket

    def __iter__(self) -> Iterator[str | bytes]:
        while (message := self.receive()) is not None:
            yield message

    def send(self, message: str | bytes) -> None:
        """Send a message."""
        if isinstance(message, str):
            self._send(_TEXT, message.encode())
        else:
            self._send(_BINARY, message)

    def receive(self) -> str | bytes | None:
        """The next message; None when the server has closed. TimeoutError where none comes."""
        whole = bytearray()
        kind = 0
        while True:
            try:
                head, payload = self._frame()
            except (ConnectionError, EOFError):
                self.close_code = self.close_code or 1006
                return None
            code = head & 0x0F
            if code == _PING:
                self._send(_PONG, payload)
            elif code == _CLOSE:
                self.close_code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                return None
            elif code in (_CONTINUATION, _TEXT, _BINARY):
                kind = code or kind
                whole += payload
                if head & _FINAL:
                    return whole.decode() if kind == _TEXT else bytes(whole)

    def close(self, code: int = 1000) -> None:
        """Say goodbye, and do not wait for the answer."""
        self._send(_CLOSE, struct.pack(">H", code))

    def _shake_hands(self, host: str, target: str) -> None:
        key = base64.b64encode(os.urandom(16))
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key.decode()}",
            "Sec-WebSocket-Version: 13",
            "\r\n",
        ]
        self._socket.sendall("\r\n".join(lines).encode())
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        head, _, rest = bytes(self._buffer).partition(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        if status != 101:
            raise Refused(status, rest.decode(errors="replace"))
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        assert accept in head, "the answer is not to this request"
        self._buffer = bytearray(rest)

    def _frame(self) -> tuple[int, bytes]:
        """A frame's first byte and its payload: servers do not mask (RFC 6455, 5.1)."""
        head, length = self._take(2)
        if length == 126:
            (length,) = struct.unpack(">H", self._take(2))
        elif length == 127:
            (length,) = struct.unpack(">Q", self._take(8))
        return head, self._take(length)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _more(self) -> None:
        read = self._socket.recv(_READ_BYTES)
        if not read:
            raise EOFError("the server has gone")
        self._buffer += read

    def _send(self, code: int, payload: bytes) -> None:
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack(">BB", _FINAL | code, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack(">BBH", _FINAL | code, 0x80 | 126, size)
        else:
            head = struct.pack(">BBQ", _FINAL | code, 0x80 | 127, size)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        self._socket.sendall(head + mask + masked)
