"""Kept clips over HTTP: what is listed, how often the place is asked, who may write."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.delivery.clip.keeper import Keeper
from kinolog.delivery.clip.kept_server import KeptServer, limit_of
from kinolog.delivery.clip.shelf import PAGE, Card, Shelf, Wish
from kinolog.objects.store import open_objects

GATE = StreamName("cams", "gate")


class Protocol:
    """Remembers the answer. `sent`: the request's body."""

    status = 0
    body = b""

    def __init__(self, sent: bytes = b"") -> None:
        self._sent = sent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._sent

    def response_bytes(self, status: int, _: Any, body: bytes) -> None:
        self.status, self.body = status, body

    def response_str(self, status: int, _: Any, text: str) -> None:
        self.response_bytes(status, None, text.encode())

    def response_empty(self, status: int, _: Any) -> None:
        self.response_bytes(status, None, b"")


class Watched(Shelf):
    """Counts how often it is asked."""

    lists = 0
    clears = 0

    async def listed(
        self, stream: StreamName, after: str = "", most: int = PAGE
    ) -> tuple[list[Card], str]:
        self.lists += 1
        return await super().listed(stream, after, most)

    async def clear(self, stream: StreamName, now_ms: int) -> None:
        self.clears += 1
        await super().clear(stream, now_ms)


@pytest.fixture
def shelf(tmp_path: Path) -> Watched:
    return Watched(open_objects(str(tmp_path / "kept")))


def server_of(shelf: Shelf, *, takes: bool = True) -> KeptServer:
    keeper = Keeper(shelf, cast(Any, None), SystemClock())
    return KeptServer(keeper, cast(Any, None), SystemClock(), takes=takes)


async def ask(
    server: KeptServer, method: str, rest: str, query: str = "", sent: bytes = b"", **headers: str
) -> Protocol:
    scope: Any = SimpleNamespace(
        method=method, path=f"/media/cams/gate/{rest}", query_string=query, headers=headers,
        authority=None, client="127.0.0.1:1",
    )  # fmt: skip
    protocol = Protocol(sent)
    assert await server.answer(scope, cast(Any, protocol), GATE, rest, cast(Any, None))
    return protocol


async def put(shelf: Shelf, n: int) -> Card:
    wish = Wish(GATE, 1000 * n, 1000 * n + 500)
    card = Card(await shelf.id_of(wish), str(GATE), "mp4", f"{n}", wish.start_ms, wish.end_ms,
                wish.start_ms, 0.5, 3, "00", n, media=f"{n}.mp4")  # fmt: skip
    return await shelf.put(card)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "x", "101", "1e2", "0000000019999999", "١٠", "9" * 4000]
)
def test_a_limit_is_what_it_says(text: str) -> None:
    with pytest.raises(InputError):
        limit_of(text)


def test_a_limit_may_begin_with_noughts() -> None:
    assert limit_of("007") == 7


@pytest.mark.parametrize("name", ["", " ", "x" * 101])
def test_a_name_that_is_given_is_one(shelf: Watched, name: str) -> None:
    """Not one that was made up in its place."""
    body = json.dumps({"start": 1, "end": 2, "name": name}).encode()
    wanted = {"content-type": "application/json"}
    with pytest.raises(InputError, match="a clip's name has 1 to 100 characters"):
        asyncio.run(ask(server_of(shelf), "POST", "clips", sent=body, **wanted))


def test_the_place_is_asked_once_a_second_and_cleared_once_a_minute(shelf: Watched) -> None:
    async def go() -> None:
        server = server_of(shelf)
        for n in range(1, 4):
            await put(shelf, n)
        several = await asyncio.gather(*(ask(server, "GET", "clips") for _ in range(20)))
        assert {one.body for one in several} == {several[0].body}
        (shown,) = {one.body for one in several}
        assert [one["name"] for one in json.loads(shown)["clips"]] == ["3", "2", "1"]
        assert "media" not in json.loads(shown)["clips"][0]
        assert json.loads(shown)["takes"] is True
        assert (shelf.lists, shelf.clears) == (1, 1)
        # What has changed here is seen at once.
        await put(shelf, 4)
        newer = await ask(server, "GET", "clips", "limit=1")
        assert [one["name"] for one in json.loads(newer.body)["clips"]] == ["4"]
        assert (shelf.lists, shelf.clears) == (2, 1)
        await server.close()

    asyncio.run(go())


@pytest.mark.parametrize("query", ["after=xx", "after=", "limit=", "after=" + "0" * 400])
def test_a_list_goes_on_only_where_it_can(shelf: Watched, query: str) -> None:
    with pytest.raises(InputError, match=query.partition("=")[0]):
        asyncio.run(ask(server_of(shelf), "GET", "clips", query))
    assert shelf.lists == 0


def test_a_query_of_too_many_fields_is_the_askers_fault(shelf: Watched) -> None:
    with pytest.raises(InputError, match="query"):
        asyncio.run(ask(server_of(shelf), "GET", "clips", "&".join(["a=1"] * 60)))


def test_where_nothing_is_kept_what_is_there_is_sent(shelf: Watched) -> None:
    async def go() -> None:
        server = server_of(shelf, takes=False)
        card = await put(shelf, 1)
        for method, rest in (("POST", "clips"), *((m, f"clips/{card.id}") for m in CHANGES)):
            told = await ask(server, method, rest)
            assert (told.status, b"--no-keep-clips" in told.body) == (403, True)
        assert (await ask(server, "GET", f"clips/{card.id}")).status == 200
        assert json.loads((await ask(server, "GET", "clips")).body)["takes"] is False
        await server.close()

    asyncio.run(go())


CHANGES = ("PATCH", "PUT", "DELETE")


def test_a_page_of_another_site_changes_nothing(shelf: Watched) -> None:
    async def go() -> None:
        server = server_of(shelf)
        card = await put(shelf, 1)
        evil = {"origin": "https://evil.example", "host": "edge"}
        for method, rest in (("POST", "clips"), *((m, f"clips/{card.id}") for m in CHANGES)):
            assert (await ask(server, method, rest, **evil)).status == 403
        assert (await ask(server, "GET", f"clips/{card.id}", **evil)).status == 200
        own = {"origin": "https://edge", "host": "edge"}
        assert (await ask(server, "DELETE", f"clips/{card.id}", **own)).status == 204
        await server.close()

    asyncio.run(go())
