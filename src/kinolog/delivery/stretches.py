"""Stretches: what begins far back in a stream is listed in pieces, each of them closed.

A list that grows has all up to the live edge. From days ago on that is more than players, and
edges, should hold: who opens such a list is given the first day of it, as a range that has ended,
and asks for what comes after once that has been played.
"""

from __future__ import annotations

from typing import Final

from kinolog.delivery.channel import Channel
from kinolog.delivery.history import History, Named
from kinolog.delivery.live_rows import live_rows
from kinolog.delivery.span import Span
from kinolog.log.registry import Registry

LONGEST_MS: Final = 86_400_000
MOST_SEGMENTS: Final = 100_000
"""A stretch is not longer than so many target durations."""


class Stretches:
    """Of the channels of this process."""

    def __init__(self, history: History, registry: Registry) -> None:
        self._history = history
        self._registry = registry

    async def opened(self, channel: Channel, span: Span) -> Span:
        """What to list for who opens a span: the same, or the first stretch of one that has no end
        and begins more than half a stretch before the newest media; of a stream that has ended,
        more than a whole one. What is left of one that goes on is a quarter at least: with that,
        the next list is one that grows."""
        if span.start_ms is None or span.closed:
            return span
        ended = channel.live.state == "ended"
        long_ms = min(LONGEST_MS, MOST_SEGMENTS * self._history.target_ms(channel.name))
        if channel.last_ms - span.start_ms <= (long_ms if ended else long_ms // 2):
            return span
        last_ms = channel.last_ms - (0 if ended else long_ms // 4)
        begin_ms = await self._next(channel, span.start_ms)
        while begin_ms is not None and begin_ms < last_ms:
            end_ms = min(begin_ms + long_ms, last_ms)
            if ended and end_ms == last_ms:
                break
            if await self._any(channel, begin_ms, end_ms):
                return Span(span.start_ms, end_ms)
            begin_ms = await self._next(channel, end_ms)
        return span

    async def _next(self, channel: Channel, unix_ms: int) -> int | None:
        """Before when there is nothing from a moment on (Unix ms); None where nothing comes."""
        found = [await self._history.next_ms(name, unix_ms) for name in self._names(channel)]
        return min((one for one in found if one is not None), default=None)

    async def _any(self, channel: Channel, start_ms: int, end_ms: int) -> bool:
        """Whether there are media in [start_ms, end_ms) (Unix ms)."""
        for name in self._names(channel):
            live = live_rows(channel, name.track)
            if await self._history.extents(name, start_ms, end_ms, live):
                return True
        return False

    def _names(self, channel: Channel) -> list[Named]:
        epochs = self._registry.epochs.get(channel.name, {}).values()
        tracks = dict.fromkeys(info.name for one in epochs for info in one.open.tracks)
        return [Named(channel.name, track) for track in tracks]
