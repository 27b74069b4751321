"""Announcer: what the registry is told of a session: the state of its epochs, its bit rate.

Behind the chunks, never before them: readers go by the log.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Final

import msgspec

from kinolog.core.errors import KinologError
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.ingest.services import Services
from kinolog.log.pruning import prune
from kinolog.record.registry import EpochEntry, StreamEntry

INGEST: Final = f"{socket.gethostname()}:{os.getpid()}"
"""This process, as the registry names it."""

_WEIGH_MS = 20_000
_FINISH_S = 30.0
_log = get_logger("kinolog.ingest")


class Announcer:
    """Tells the registry in tasks of its own; what fails is logged, and told the next time."""

    def __init__(self, services: Services, name: StreamName) -> None:
        self._services = services
        self._name = name
        self._announcing: asyncio.Task[None] | None = None
        self._telling_rate: asyncio.Task[None] | None = None
        self._weighed = 0
        self._bytes = 0
        self._from_ms = 0

    def announce(self, entry: EpochEntry) -> None:
        """Tell of an epoch, after what was announced before."""
        self._announcing = asyncio.create_task(self._tell(entry, self._announcing))

    def weigh(self, epoch: int, wall_ms: int, size_bytes: int) -> None:
        """Media of an epoch was acknowledged. Once there is enough to know it, the bit rate is
        told."""
        if epoch != self._weighed:
            self._weighed, self._bytes, self._from_ms = epoch, 0, wall_ms
        if self._from_ms < 0:
            return
        self._bytes += size_bytes
        if wall_ms - self._from_ms >= _WEIGH_MS:
            rate = 8000 * self._bytes // (wall_ms - self._from_ms)
            self._from_ms = -1
            self._telling_rate = asyncio.create_task(self._tell_rate(rate))

    async def finish(self) -> None:
        """Wait for the registry to know how the session ended."""
        telling = [task for task in (self._announcing, self._telling_rate) if task is not None]
        if telling:
            await asyncio.wait(telling, timeout=_FINISH_S)

    async def _tell(self, entry: EpochEntry, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        registry = self._services.catalog.registry

        def change(_: EpochEntry | None) -> EpochEntry | None:
            """Of a stream that was deleted meanwhile nothing comes back."""
            return entry if self._name in registry.streams else None

        try:
            await registry.change_epoch(self._name, entry.epoch, change)
            if entry.state == "live":
                await prune(registry, self._services.reader, self._name)
        except KinologError as error:
            _log.warning("registry not told", stream=str(self._name), error=str(error))

    async def _tell_rate(self, rate: int) -> None:
        """For the placement of other streams; a rate like the one that is known is not told."""

        def change(entry: StreamEntry | None) -> StreamEntry | None:
            if entry is None or abs(entry.bit_rate - rate) * 4 <= entry.bit_rate:
                return entry
            return msgspec.structs.replace(entry, bit_rate=rate)

        try:
            await self._services.catalog.registry.change_stream(self._name, change)
        except KinologError as error:
            _log.warning("bit rate not told", stream=str(self._name), error=str(error))
