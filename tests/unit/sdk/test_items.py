"""One object for `for` and `async for`: ends, errors, cancelling and closing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

import pytest

from kinolog.sdk.items import Pull


class Source:
    """Batches that are handed out as far as `allowed`; remembers how it ended."""

    def __init__(self, batches: list[list[int]], error: Exception | None = None) -> None:
        self.batches = batches
        self.error = error
        self.closed = threading.Event()
        self.waits = threading.Event()
        self.gate: asyncio.Event | None = None
        self.loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self) -> AsyncGenerator[list[int], None]:
        self.gate, self.loop = asyncio.Event(), asyncio.get_running_loop()
        try:
            for batch in self.batches:
                yield batch
            if self.error is not None:
                raise self.error
            self.waits.set()
            await self.gate.wait()
            yield [99]
        finally:
            self.closed.set()

    def go_on(self) -> None:
        assert self.loop is not None
        assert self.gate is not None
        self.loop.call_soon_threadsafe(self.gate.set)


def test_nothing_starts_before_it_is_asked_for() -> None:
    source = Source([[1]])
    pull = Pull(source)
    pull.close()
    assert source.loop is None
    assert pull.next() is None


def test_items_then_the_end() -> None:
    source = Source([[1, 2], [], [3]])
    pull = Pull(source)
    assert [pull.next() for _ in range(3)] == [1, 2, 3]
    pull.close()
    assert source.closed.is_set()
    assert pull.next() is None


def test_an_error_reaches_the_caller_and_closes() -> None:
    source = Source([[1]], ValueError("broken"))
    pull = Pull(source)
    assert pull.next() == 1
    with pytest.raises(ValueError, match="broken"):
        pull.next()
    assert source.closed.is_set()
    assert pull.next() is None


def test_a_cancelled_wait_loses_nothing() -> None:
    source = Source([[1]])

    async def work() -> list[int | None]:
        pull = Pull(source)
        first = await pull.anext()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pull.anext(), 0.05)
        source.go_on()
        found = [first, await pull.anext(), await pull.anext()]
        await pull.aclose()
        return found

    assert asyncio.run(work()) == [1, 99, None]
    assert source.closed.is_set()


def test_closing_ends_a_wait_in_another_thread() -> None:
    source = Source([[]])
    pull = Pull(source)
    ended: list[BaseException | int | None] = []

    def read() -> None:
        try:
            ended.append(pull.next())
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    assert source.waits.wait(10)
    pull.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(ended) == 1
    assert source.closed.is_set()
