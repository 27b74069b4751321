"""The part of the RSGI interface (granian) that handlers use, as types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

from granian._granian import RSGIProtocolClosed as ViewerGone

__all__ = [
    "Handler",
    "Headers",
    "HttpProtocol",
    "RequestHeaders",
    "Scope",
    "Stream",
    "ViewerGone",
]

Headers = list[tuple[str, str]]


class RequestHeaders(Protocol):
    """A request's headers, names in lower case."""

    def get(self, key: str, default: Any = None) -> Any:
        """One header's value."""
        ...


class Scope(Protocol):
    """A request."""

    proto: str
    method: str
    path: str
    query_string: str
    client: str
    scheme: str
    authority: str | None
    headers: RequestHeaders


class Stream(Protocol):
    """A response under way."""

    async def send_bytes(self, data: bytes) -> None:
        """Send some of the body. ViewerGone where nobody takes it any more."""
        ...


class HttpProtocol(Protocol):
    """The way to answer. Iterating it gives the request's body, chunk by chunk."""

    async def __call__(self) -> bytes:
        """The whole body."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def client_disconnect(self) -> None:
        """Returns when the client has gone."""
        ...

    def response_empty(self, status: int, headers: Headers) -> None:
        """Answer without a body."""
        ...

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body."""
        ...

    def response_str(self, status: int, headers: Headers, body: str) -> None:
        """Answer with a text."""
        ...

    def response_file(self, status: int, headers: Headers, file: str) -> None:
        """Answer with what is read of a file, as the client takes it."""
        ...

    def response_stream(self, status: int, headers: Headers) -> Stream:
        """Answer with a body that is still to come."""
        ...


class SocketMessage(Protocol):
    """What a client sent: `kind` is 0 for its close, 1 for bytes, 2 for a text."""

    kind: int
    data: bytes | str


class Socket(Protocol):
    """An open WebSocket. Sending waits until the connection takes it; it raises where that is
    closed."""

    async def receive(self) -> SocketMessage:
        """The next message."""
        ...

    async def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        ...

    async def send_str(self, data: str) -> None:
        """Send a text message."""
        ...


class SocketProtocol(Protocol):
    """The way to take up a WebSocket, or not."""

    async def accept(self) -> Socket:
        """Answer 101."""
        ...

    def close(self, status: int | None = None) -> None:
        """Before `accept`: answer with this HTTP status, without a body. After it: close, without
        a code (granian sends none)."""
        ...


SocketHandler = Callable[[Scope, SocketProtocol], Awaitable[None]]
Handler = Callable[[Scope, HttpProtocol], Awaitable[None]]
