"""The background: one event loop in one thread for a process, where the SDK's I/O runs.

Plain `for` and `async for` go the same way: what is to be awaited is handed to this loop.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")
_END_S = 5.0


class Background:
    """An event loop in a daemon thread, ended with the process."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kinolog", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine there; cancel the future to cancel it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait. An interrupt cancels it."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("this would wait for itself: use the async form here")
        future = self.submit(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, awaited from another loop; cancellation reaches it."""
        return await asyncio.wrap_future(self.submit(work))

    def close(self) -> None:
        """Cancel what runs, and end the thread."""
        with contextlib.suppress(RuntimeError, TimeoutError):
            self.submit(_cancel_all()).result(_END_S)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_END_S)


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks, timeout=_END_S / 2) if tasks else None


_lock = threading.Lock()
_of_process: dict[int, Background] = {}


def background() -> Background:
    """The process's own; a fork gets a new one."""
    pid = os.getpid()
    with _lock:
        found = _of_process.get(pid)
        if found is None:
            _of_process.clear()
            found = _of_process[pid] = Background()
        return found
