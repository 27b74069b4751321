"""The board: figures of every stream out of the topics of reports, made anew when asked for."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, NamedTuple

from kinolog.core.clock import Clock
from kinolog.record.cmcd import Report
from kinolog.timeline.audience import Audience, Figures, figures_of

MOST_STREAMS: Final = 100
"""Streams that are listed one by one: those with most viewers."""
_FRESH_S: Final = 1.0
_SHARE: Final = 20
"""What took a second to make is kept for so many."""
_MOST_MADE: Final = 1_000
_SESSION_S: Final = 5e-4
"""How long figures of many sessions are kept, for each: 10 s where there are 20,000."""
_AT_ONCE: Final = 500
"""Sessions of which figures are made in the event loop; more go to a thread."""


class Standing(NamedTuple):
    """A stream, and how it is watched."""

    stream: str
    figures: Figures


class Overview(NamedTuple):
    """Every stream that is watched: `listed` are those with most viewers."""

    at_ms: int
    listed: list[Standing]
    left_out: int
    viewers: int
    players: dict[str, int]


class _Made(NamedTuple):
    """Figures, and until when (on the monotonic clock) they are good enough."""

    figures: asyncio.Future[Figures]
    until_s: float


class Board:
    """An audience that the tail of reports keeps up to date."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.audience = Audience()
        self._made: Overview | None = None
        self._made_until_s = float("-inf")
        self._figures: OrderedDict[str, _Made] = OrderedDict()
        self._making = asyncio.Lock()

    def take(self, reports: Iterable[Report]) -> None:
        """Reports, as they were read."""
        for report in reports:
            self.audience.take(report)
        self.audience.sweep(self._clock.unix_ms())

    async def of(self, stream: str) -> Figures:
        """How a stream is watched, now or a moment ago."""
        sessions, now_ms = self.audience.sessions(stream), self._clock.unix_ms()
        if len(sessions) <= _AT_ONCE:
            return figures_of(sessions, now_ms)
        made = self._figures.get(stream)
        if made is None or self._clock.monotonic() >= made.until_s:
            # In a thread, once for all who ask while it is under way.
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(None, figures_of, sessions, now_ms)
            made = _Made(future, self._clock.monotonic() + len(sessions) * _SESSION_S)
            self._figures[stream] = made
            self._figures.move_to_end(stream)
            if len(self._figures) > _MOST_MADE:
                self._figures.popitem(last=False)
        return await asyncio.shield(made.figures)

    async def overview(self) -> Overview:
        """How all are watched: a second old, or more where there are very many viewers."""
        async with self._making:
            now_s = self._clock.monotonic()
            if self._made is None or now_s >= self._made_until_s:
                self._made = await self._make()
                took_s = self._clock.monotonic() - now_s
                self._made_until_s = now_s + max(_FRESH_S, _SHARE * took_s)
            return self._made

    async def _make(self) -> Overview:
        now_ms = self._clock.unix_ms()
        self.audience.sweep(now_ms)
        standings: list[Standing] = []
        players: dict[str, int] = {}
        for stream in self.audience.streams:
            figures = await self.of(stream)
            standings.append(Standing(stream, figures))
            for player, count in figures.players.items():
                players[player] = players.get(player, 0) + count
            await asyncio.sleep(0)
        standings.sort(key=lambda one: (-one.figures.viewers, one.stream))
        viewers = sum(one.figures.viewers for one in standings)
        most = sorted(players, key=lambda one: -players[one])[:MOST_STREAMS]
        return Overview(
            now_ms,
            standings[:MOST_STREAMS],
            max(0, len(standings) - MOST_STREAMS),
            viewers,
            {player: players[player] for player in most},
        )
