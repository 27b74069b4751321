"""Batches of events from a blocking thread to a coroutine, bounded, never held back.

Whatever is there when the consumer asks goes at once; what gathers while it is busy goes
together next time.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from kinolog.ingest.source import SourceEvent
from kinolog.media.types import Packet

MAX_EVENTS = 512
MAX_BYTES = 4 << 20


class Stopped(Exception):
    """The consumer is gone; the producer should end."""


class Handover:
    """One producer in a thread, one consumer in the loop that made it."""

    def __init__(self, *, max_events: int = MAX_EVENTS, max_bytes: int = MAX_BYTES) -> None:
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._changed = threading.Condition()
        self._events: list[SourceEvent] = []
        self._held_bytes = 0
        self._ended = False
        self._error: BaseException | None = None
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._ready = asyncio.Event()
        self._consumer_waits = False

    def put(self, events: Sequence[SourceEvent]) -> None:
        """Hand over events, after waiting for room. Raises Stopped once the consumer is gone."""
        with self._changed:
            # The consumer's stop() ends this wait; it is itself bounded by its owner.
            while not self._stopped and (
                len(self._events) >= self._max_events or self._held_bytes >= self._max_bytes
            ):
                self._changed.wait()
            if self._stopped:
                raise Stopped
            self._events.extend(events)
            self._held_bytes += sum(len(e.data) for e in events if isinstance(e, Packet))
            self._wake()

    @property
    def stopped(self) -> bool:
        """Whether the consumer is gone."""
        return self._stopped

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes; get() raises `error` after what was handed over."""
        with self._changed:
            self._ended, self._error = True, error
            self._wake()

    def _wake(self) -> None:
        if self._consumer_waits:
            self._consumer_waits = False
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._ready.set)

    async def get(self) -> list[SourceEvent]:
        """All events there are, after waiting for the first; empty at the end.

        How long the wait may be is the source's business: its reads have their own deadline.
        """
        while True:
            with self._changed:
                if self._events:
                    events, self._events = self._events, []
                    self._held_bytes = 0
                    self._changed.notify()
                    return events
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return []
                self._ready.clear()
                self._consumer_waits = True
            await self._ready.wait()

    def stop(self) -> None:
        """The consumer is gone: the producer's next put() raises Stopped. Idempotent."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
