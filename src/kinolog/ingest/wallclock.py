"""Media time to wall time: an anchor, slewed slowly towards ingest's clock.

Cameras drift by seconds a day; players show PROGRAM-DATE-TIME. Media time itself follows the
source and is never touched (DESIGN.md section 3, Time).
"""

from __future__ import annotations

from collections.abc import Collection

_WINDOW_MS = 10_000
_LEAST_ERROR_MS = 20
_MOST_ERROR_MS = 1_000
_UPLOAD_AHEAD_MS = 3_000
_PARTS = 4
_STEADY_MS = 200


class WallClock:
    """Feed it (media ms, now ms) as packets arrive; it gives wall ms for media ms.

    An arrival is late by whatever the network took, so the least delay of each ten seconds is
    what counts. Less than 20 ms is left alone, and more is slewed to nothing: players line tracks
    up by dates that are seconds apart, so the offset rests whenever it can. A source that runs
    seconds ahead is an upload, not a clock: it is left alone, unless it leapt there from one
    packet to the next, or is `proven` by ten seconds in which it went as a clock does. `broken`
    says that the error is over a second and lasts: time for a new epoch. One that grows or shrinks
    is of a source that falls behind, or catches up, whose dates are right.
    """

    def __init__(self, *, follow: bool = True, proven: bool = False) -> None:
        self._follow = follow
        self.proven = proven
        self._offset_ms = 0.0
        self._slewed_to_ms: int | None = None
        self._window_start_ms: int | None = None
        self._least_of_ms: dict[int, int] = {}
        self._error_ms = 0.0
        self._least_ms: int | None = None
        self._leapt_ms = 0
        self.broken = False

    @property
    def offset_ms(self) -> float:
        """What is added to media time at present."""
        return self._offset_ms

    def wall_ms(self, media_ms: float) -> float:
        """Wall time (Unix ms) of a media time."""
        return media_ms + self._offset_ms

    def arrived(self, media_ms: int, now_ms: int) -> None:
        """A packet of this media time is here now."""
        if not self._follow:
            return
        delay_ms = now_ms - media_ms
        leap_ms = self._least_ms - delay_ms if self._least_ms is not None else 0
        if leap_ms > _UPLOAD_AHEAD_MS:
            self._leapt_ms += leap_ms
        if leap_ms > 0 or self._least_ms is None:
            self._least_ms = delay_ms
        if not self.proven and delay_ms + self._leapt_ms < -_UPLOAD_AHEAD_MS:
            self._follow = False
            return
        self._slew(now_ms)
        if self._window_start_ms is None:
            self._window_start_ms = now_ms
        since_ms = now_ms - self._window_start_ms
        part = min(_PARTS * since_ms // _WINDOW_MS, _PARTS - 1)
        self._least_of_ms[part] = min(self._least_of_ms.get(part, delay_ms), delay_ms)
        if since_ms >= _WINDOW_MS:
            self._judge(self._least_of_ms.values())
            self._window_start_ms, self._least_of_ms = None, {}

    def _judge(self, leasts_ms: Collection[int]) -> None:
        """The least delays of the parts of a window in which something came."""
        error_ms = min(leasts_ms) - self._offset_ms
        if self._error_ms or abs(error_ms) >= _LEAST_ERROR_MS:
            self._error_ms = error_ms
        off = abs(error_ms) > _MOST_ERROR_MS
        self.broken = off and max(leasts_ms) - min(leasts_ms) <= _STEADY_MS
        self.proven = self.proven or not off

    def _slew(self, now_ms: int) -> None:
        if self._slewed_to_ms is not None:
            most_ms = (now_ms - self._slewed_to_ms) / 1_000
            step_ms = max(-most_ms, min(most_ms, self._error_ms))
            self._offset_ms += step_ms
            self._error_ms -= step_ms
        self._slewed_to_ms = now_ms
