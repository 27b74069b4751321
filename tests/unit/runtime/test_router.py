"""Which handler a path is for."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

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
    scope: Any = SimpleNamespace(path=path, query_string=query)
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
