"""What the delivery protocols share: who may write, bodies, queries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.errors import InputError
from kinolog.delivery import answers


class Protocol:
    """Remembers the answer; gives a body in pieces, and then, if told so, nothing any more."""

    def __init__(self, pieces: list[bytes] | None = None, *, stuck: bool = False) -> None:
        self.status, self.headers, self.text = 0, dict[str, str](), ""
        self._pieces = pieces or []
        self._stuck = stuck

    def response_str(self, status: int, headers: list[tuple[str, str]], text: str) -> None:
        self.status, self.headers, self.text = status, dict(headers), text

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.response_str(status, headers, "")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        if self._stuck:
            await asyncio.Event().wait()


def asked(method: str, authority: str | None = None, **headers: str) -> tuple[bool, Protocol]:
    scope: Any = SimpleNamespace(method=method, headers=headers, authority=authority)
    protocol: Any = Protocol()
    return answers.of_this_site(scope, protocol, "POST", "DELETE"), protocol


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, "edge:8080"),
        ("http://edge:8080", "edge:8080"),
        ("https://edge.example", "edge.example"),
        ("https://edge.example", "edge.example:443"),
        ("https://Edge.Example", "edge.example"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_pages_of_the_host_and_what_is_no_browser_may_write(origin: str | None, host: str) -> None:
    headers = {"host": host} | ({} if origin is None else {"origin": origin})
    for method in ("POST", "DELETE"):
        assert asked(method, **headers)[0]
        # HTTP/2 has no Host.
        assert asked(method, host, **{k: v for k, v in headers.items() if k != "host"})[0]


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://edge:8081",
        "http://edge",
        "http://edge.evil.example:8080",
        "http://evil.example:8080",
        "http://edge:8080@evil.example",
        "null",
        "",
        "http://edge:80800",
        "http://[",
    ],
)
def test_no_page_of_another_host_may(origin: str) -> None:
    may, protocol = asked("POST", host="edge:8080", origin=origin)
    assert not may
    assert protocol.status == 403
    assert "same host" in protocol.text
    assert not asked("POST", origin=origin)[0]  # nor where no host is named
    assert asked("GET", host="edge:8080", origin=origin)[0]


def test_no_leave_is_given_in_advance() -> None:
    may, protocol = asked("OPTIONS", host="edge", origin="https://evil.example")
    assert (may, protocol.status) == (False, 204)
    assert protocol.headers == {"allow": "GET, HEAD, OPTIONS, POST, DELETE"}
    may, protocol = asked("PUT", host="edge")
    assert (may, protocol.status) == (False, 405)


def read(protocol: Protocol, most: int) -> bytes | None:
    given: Any = protocol
    return asyncio.run(answers.body(given, most, 0.05))


def test_a_body_is_bounded_in_size_and_time() -> None:
    assert read(Protocol([b"ab", b"cd"]), 4) == b"abcd"
    assert read(Protocol(), 4) == b""
    large = Protocol([b"x" * 1024, b"y"], stuck=True)
    assert (read(large, 1024), large.status, large.text) == (
        None,
        413,
        "a body has at most 1 KiB\n",
    )
    slow = Protocol([b"x"], stuck=True)
    assert (read(slow, 1024), slow.status) == (None, 408)
    assert "0.05 s" in slow.text


def test_a_query_of_too_many_fields() -> None:
    scope: Any = SimpleNamespace(path="/x", query_string="a=1&a=2&b=")
    assert answers.query(scope) == {"a": ["1", "2"], "b": [""]}
    scope.query_string = "&".join(["a=1"] * 51)
    with pytest.raises(InputError, match="query of /x"):
        answers.query(scope)


def test_a_resolution_is_a_length_where_there_is_one() -> None:
    scope: Any = SimpleNamespace(path="/x", query_string="start=-1h")
    assert answers.resolution_ms(scope) is None
    scope.query_string = "resolution=1.5s"
    assert answers.resolution_ms(scope) == 1500
    for wrong in ("", "x", "forever", "-1s", "10"):
        scope.query_string = f"resolution={wrong}"
        with pytest.raises(InputError, match="resolution"):
            answers.resolution_ms(scope)
