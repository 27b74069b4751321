"""An HTTP body on its way to the demuxer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from kinolog.core.errors import Overloaded
from kinolog.ingest.demux_pushed import PushedBytes
from kinolog.ingest.http import _receive


class Request:
    """A request whose body is these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


def receive(body: PushedBytes, *pieces: bytes) -> None:
    asyncio.run(_receive(cast(Any, Request(*pieces)), body))


def test_the_end_of_a_body_is_the_end_of_what_is_read() -> None:
    body = PushedBytes()
    receive(body, b"one", b"two")
    assert [body.read(), body.read(), body.read()] == [b"one", b"two", b""]


def test_a_body_that_is_held_up_for_too_long_does_not_seem_whole() -> None:
    body = PushedBytes(capacity_bytes=4, feed_timeout_s=0.02)
    receive(body, b"four", b"more")
    with pytest.raises(Overloaded):
        body.read()
