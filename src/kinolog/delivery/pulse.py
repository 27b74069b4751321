"""Pulse: which streams that nobody here follows still get new media, told by the index topics.

What ingest last wrote into the registry stays `live` when that process was killed. Looked at only
while somebody asks for the list of streams, and at most every few seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from kinolog.core.clock import Clock
from kinolog.core.errors import KinologError
from kinolog.log.random_reader import RandomReader
from kinolog.record.registry import EpochEntry, State
from kinolog.record.topics import topic

Place = tuple[str, int]
"""A collection's or stream's topic base, and a partition."""

STALE_MS = 10_000
"""A stream of which nothing came for so long is not called live, whatever was last said of it."""
BACK_MS = 60_000
"""How far back is looked; what is older has no pulse."""
_EVERY_S = 3.0
_OLD_S = 6.0
"""What was seen so long ago tells nothing of now."""
_WAIT_S = 2.0


class Pulse:
    """The newest index entry's capture time of each key of the places looked at."""

    def __init__(self, reader: RandomReader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._newest: dict[Place, dict[str, int]] = {}
        self._looked_at: dict[Place, float] = {}
        self._task: asyncio.Task[None] | None = None

    def state(self, epoch: EpochEntry, key: str) -> State:
        """What ingest last said of a session, but `away` for a live one that has no pulse."""
        newest_ms = self.newest_ms((epoch.base, epoch.partition), key)
        if epoch.state != "live" or newest_ms is None:
            return epoch.state
        # An index entry comes when its media segment has ended.
        late_ms = STALE_MS + 2 * epoch.open.target_ms
        return "away" if self._clock.unix_ms() - max(newest_ms, epoch.wall) > late_ms else "live"

    async def look(self, places: Iterable[Place]) -> None:
        """Bring these places up to date: waits where nobody looked of late only, and not long."""
        due = [place for place in set(places) if self._age_s(place) >= _EVERY_S]
        if due and self._task is None:
            self._task = asyncio.create_task(self._look(due))
            self._task.add_done_callback(self._looked)
        if self._task is not None and any(self._age_s(place) >= _OLD_S for place in due):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self._task), _WAIT_S)

    def newest_ms(self, place: Place, key: str) -> int | None:
        """Capture time (Unix ms) of the key's newest index entry; 0 where there is none of the
        last minute, None where that is not known."""
        newest = self._newest.get(place)
        if newest is None or self._age_s(place) >= _OLD_S + _WAIT_S:
            return None
        return newest.get(key, 0)

    async def close(self) -> None:
        """Stop looking."""
        if self._task is not None:
            self._task.cancel()

    def _age_s(self, place: Place) -> float:
        """How long ago it was looked at."""
        return self._clock.monotonic() - self._looked_at.get(place, float("-inf"))

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled():
            task.exception()

    async def _look(self, places: list[Place]) -> None:
        for place in places:
            try:
                self._newest[place] = await self._read(place)
            except KinologError:
                self._newest.pop(place, None)  # not known: what the registry says stands
            self._looked_at[place] = self._clock.monotonic()

    async def _read(self, place: Place) -> dict[str, int]:
        name, partition = topic(place[0], "index"), place[1]
        since_ms = self._clock.unix_ms() - BACK_MS
        start = await self._reader.offset_for_time(name, partition, since_ms)
        _, end = await self._reader.bounds(name, partition)
        newest: dict[str, int] = {}
        for message in await self._reader.read_raw(name, partition, start, end):
            key = (message.key() or b"").decode(errors="replace")
            newest[key] = max(newest.get(key, 0), message.timestamp()[1])
        return newest
