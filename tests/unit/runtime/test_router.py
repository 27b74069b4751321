"""Which handler a path is for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.errors import InputError, NotFound, Overloaded
from kinolog.runtime.http import Router


class Answered:
    """Remembers the status of an answer."""

    status = 0

    def response_str(self, status: int, headers: Any, text: str) -> None:
        self.status = status


def routed(path: str, query: str = "") -> str:
    """The route that was taken, or the status without one."""
    taken = []

    def handler(name: str) -> Any:
        async def answer(scope: Any, protocol: Any) -> None:
            taken.append(name)

        return answer

    names = ["/media/", "/health", "/ready", "/api/streams"]
    protocol: Any = Answered()
    scope: Any = SimpleNamespace(proto="http", path=path, query_string=query)
    asyncio.run(Router([(name, handler(name)) for name in names]).__rsgi__(scope, protocol))
    return taken[0] if taken else str(protocol.status)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/media/a/b/index.m3u8", "/media/"),
        ("/health", "/health"),
        ("/healthz", "404"),
        ("/health/", "404"),
        ("/readyness", "404"),
        ("/api/streams", "/api/streams"),
        ("/api/streams-of-others", "404"),
        ("/media", "404"),
    ],
)
def test_a_route_without_a_slash_is_for_itself_alone(path: str, route: str) -> None:
    assert routed(path) == route


def test_what_handlers_remember_is_bounded() -> None:
    assert routed("/media/" + "a" * 5000) == "414"
    assert routed("/media/a/b/video.m3u8", "_HLS_msn=1&x=" + "a" * 5000) == "414"
    assert routed("/media/a/b/video.m3u8", "CMCD=" + "a" * 2000) == "/media/"


class Closed:
    """Remembers what a WebSocket was refused with."""

    status: int | None = None

    def close(self, status: int | None = None) -> None:
        self.status = status


@pytest.mark.parametrize(
    ("raised", "status"),
    [
        (None, None),
        (NotFound("no such stream"), 404),
        (InputError("no name"), 400),
        (Overloaded("too many"), 503),
    ],
)
def test_a_websocket_goes_to_its_own_handler(raised: Exception | None, status: int | None) -> None:
    taken = []

    async def answer(scope: Any, protocol: Any) -> None:
        taken.append(scope.path)
        if raised is not None:
            raise raised

    protocol: Any = Closed()
    scope: Any = SimpleNamespace(proto="ws", path="/media/a/b/ws", query_string="")
    asyncio.run(Router([], answer).__rsgi__(scope, protocol))
    assert (taken, protocol.status) == (["/media/a/b/ws"], status)


def test_a_websocket_that_nobody_takes_is_not_found() -> None:
    protocol: Any = Closed()
    scope: Any = SimpleNamespace(proto="ws", path="/x", query_string="")
    asyncio.run(Router([]).__rsgi__(scope, protocol))
    assert protocol.status == 404
