"""Items: an iterable for `for` and for `async for`, over an async generator in the background."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from kinolog.sdk.loop import background

T = TypeVar("T")
_CLOSE_S = 15.0


class Items(ABC, Generic[T]):
    """One pass over a stream, by `for` or by `async for`; a context manager of both kinds.

    Leaving a `with` block, exhausting it, an error in it, and forgetting it close it: its Kafka
    consumer and thread are gone then. Not to be shared between threads or tasks.
    """

    @abstractmethod
    def __next__(self) -> T: ...

    @abstractmethod
    async def __anext__(self) -> T: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of everything. Idempotent."""

    @abstractmethod
    async def aclose(self) -> None:
        """`close`, for async code."""

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()


class Pull(Generic[T]):
    """Batches of an async generator that lives in the background, handed out one by one.

    Nothing is fetched ahead of what is asked for but the batch under way.
    """

    def __init__(self, source: Callable[[], AsyncGenerator[list[T], None]]) -> None:
        self._source: Callable[[], AsyncGenerator[list[T], None]] | None = source
        self._batches: AsyncGenerator[list[T], None] | None = None
        self._ready: deque[T] = deque()
        self._under_way: Future[list[T] | None] | None = None
        self._step: asyncio.Task[Any] | None = None
        self._over = False

    def next(self) -> T | None:
        """The next item, waited for; None at the end."""
        while not self._ready:
            if self._over:
                return None
            future = self._fetch()
            try:
                self._take(future.result())
            except BaseException:
                self.close()
                raise
        return self._ready.popleft()

    async def anext(self) -> T | None:
        """`next`, for async code. A cancelled wait loses nothing: the next call goes on with it."""
        while not self._ready:
            if self._over:
                return None
            future = self._fetch()
            try:
                self._take(await asyncio.shield(asyncio.wrap_future(future)))
            except asyncio.CancelledError:
                raise
            except BaseException:
                await self.aclose()
                raise
        return self._ready.popleft()

    def close(self) -> None:
        """Close the generator and wait until it is closed."""
        with contextlib.suppress(TimeoutError):
            self.begin_close().result(_CLOSE_S)

    async def aclose(self) -> None:
        """`close`, for async code."""
        closing = asyncio.wrap_future(self.begin_close())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(closing), _CLOSE_S)

    def begin_close(self) -> Future[None]:
        """Close the generator without waiting."""
        self._over = True
        self._ready.clear()
        batches, self._batches, self._source = self._batches, None, None
        self._under_way = None
        if batches is None:
            done: Future[None] = Future()
            done.set_result(None)
            return done
        return background().submit(self._close(batches))

    def _fetch(self) -> Future[list[T] | None]:
        if self._under_way is None:
            if self._batches is None:
                assert self._source is not None
                self._batches, self._source = self._source(), None
            self._under_way = background().submit(self._next(self._batches))
        return self._under_way

    def _take(self, batch: list[T] | None) -> None:
        self._under_way = None
        if batch is None:
            self._over = True
            self._batches = None
        else:
            self._ready.extend(batch)

    async def _next(self, batches: AsyncGenerator[list[T], None]) -> list[T] | None:
        self._step = asyncio.current_task()
        return await anext(batches, None)

    async def _close(self, batches: AsyncGenerator[list[T], None]) -> None:
        """Cancel the step that is under way, then close: in this order, on this loop."""
        if self._step is not None and not self._step.done():
            self._step.cancel()
            await asyncio.wait([self._step])
        await batches.aclose()
