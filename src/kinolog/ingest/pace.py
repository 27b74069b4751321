"""Pace and repetition of sources that have no clock of their own, such as files."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import lcm

from kinolog.core.clock import Clock
from kinolog.core.errors import MediaError
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media.types import Packet, TrackFormat

_NS = 1_000_000_000


class Pacer:
    """Lets each packet through when it is due, counted from the first.

    One that is late by more than `max_burst_seconds` (the machine was stopped, time jumped back)
    moves the whole schedule, so that at most that much media goes out in a burst; one that
    would be waited for longer than `max_wait_seconds` (time jumped ahead) is due at once.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        max_burst_seconds: float = 1.0,
        max_wait_seconds: float = 10.0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._max_burst_ns = int(max_burst_seconds * _NS)
        self._max_wait_ns = int(max_wait_seconds * _NS)
        self._start_ns: int | None = None  # monotonic time of media time zero
        self._moved_ns = 0

    @property
    def moved_ms(self) -> int:
        """How far the schedule has been moved since the first packet; negative for ahead."""
        return self._moved_ns // 1_000_000

    async def due(self, ticks: int, timescale: int) -> None:
        """Return when the packet at `ticks` of `timescale` is due."""
        wait_ns = self._wait_ns(ticks * _NS // timescale)
        if wait_ns > 0:
            await self._sleep(wait_ns / _NS)

    def _wait_ns(self, media_ns: int) -> int:
        """Nanoseconds until `media_ns` is due; at most zero when it is."""
        now_ns = int(self._clock.monotonic() * _NS)
        if self._start_ns is None:
            self._start_ns = now_ns - media_ns
            return 0
        wait_ns = self._start_ns + media_ns - now_ns
        if wait_ns > self._max_wait_ns:
            self._move(-wait_ns)
            return 0
        if wait_ns < -self._max_burst_ns:
            self._move(-wait_ns - self._max_burst_ns)
        return wait_ns

    def _move(self, by_ns: int) -> None:
        assert self._start_ns is not None
        self._start_ns += by_ns
        self._moved_ns += by_ns


class _Span:
    """What a pass had of one track: its first DTS, and where it ends."""

    __slots__ = ("end", "first", "last", "step")

    def __init__(self, dts: int) -> None:
        self.first = self.last = self.end = dts
        self.step = 1

    def add(self, packet: Packet) -> None:
        """Reckon with a packet. One without a duration lasts as long as the step before it."""
        if packet.dts > self.last:
            self.step = packet.dts - self.last
        self.last = packet.dts
        self.end = max(self.end, packet.dts + (packet.duration or self.step))


class Looper:
    """Makes one stream of many passes over the same source.

    Each pass is put behind the one before by the length of its longest track, the same time for
    all tracks, so sound and picture stay together and DTS never goes back. The shift is summed
    exactly and rounded up to ticks only where it is applied: nothing drifts.
    """

    def __init__(self) -> None:
        self._formats: dict[int, TrackFormat] = {}
        self._spans: dict[int, _Span] = {}
        self._scale = 1  # of _shift: a common multiple of all timescales
        self._shift = 0
        self._expected: Expect | None = None

    def feed(self, events: Sequence[SourceEvent]) -> list[SourceEvent]:
        """The events with their times shifted; what a later pass only repeats is left out.

        Raises MediaError for a packet of a track without a format, and for a timescale that
        changes within a pass.
        """
        out: list[SourceEvent] = []
        for event in events:
            if isinstance(event, Packet):
                out.append(self._packet(event))
            elif self._is_news(event):
                out.append(event)
        return out

    def end_pass(self) -> None:
        """The source has ended and begins again. Raises MediaError where it held no packets."""
        if not self._spans:
            raise MediaError("there is nothing to loop: the source held no packets")
        self._shift += max(
            (span.end - span.first) * (self._scale // self._formats[track].timescale)
            for track, span in self._spans.items()
        )
        self._spans.clear()

    def _packet(self, packet: Packet) -> Packet:
        track = packet.track
        if track not in self._formats:
            raise MediaError(f"track {track} has packets before its format")
        span = self._spans.get(track)
        if span is None:
            span = self._spans[track] = _Span(packet.dts)
        span.add(packet)
        ticks = -(-self._shift * self._formats[track].timescale // self._scale)
        return packet._replace(dts=packet.dts + ticks, pts=packet.pts + ticks)

    def _is_news(self, event: Format | Expect | Skipped) -> bool:
        if isinstance(event, Format):
            if self._formats.get(event.track) == event.format:
                return False
            known = self._formats.get(event.track, event.format)
            if event.track in self._spans and known.timescale != event.format.timescale:
                raise MediaError(f"track {event.track} changes its timescale: it cannot be looped")
            self._formats[event.track] = event.format
            scale = lcm(self._scale, event.format.timescale)
            self._shift *= scale // self._scale
            self._scale = scale
            return True
        if isinstance(event, Expect):
            news = event != self._expected
            self._expected = event
            return news
        return self._shift == 0
