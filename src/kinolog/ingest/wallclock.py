"""Media time to wall time: an anchor, slewed slowly towards ingest's clock.

Cameras drift by seconds a day; players show PROGRAM-DATE-TIME. Media time itself follows the
source and is never touched (DESIGN.md section 3, Time).
"""

from __future__ import annotations

_WINDOW_MS = 10_000
_LEAST_ERROR_MS = 20
_MOST_ERROR_MS = 1_000
_UPLOAD_AHEAD_MS = 3_000


class WallClock:
    """Feed it (media ms, now ms) as packets arrive; it gives wall ms for media ms.

    An arrival is late by whatever the network took, so the least delay of each ten seconds is
    what counts. Less than 20 ms is left alone, and more is slewed to nothing: players line tracks
    up by dates that are seconds apart, so the offset rests whenever it can. A source that runs
    seconds ahead is an upload, not a clock: it is left alone, unless it leapt there from one
    packet to the next. `broken` says that the error is over a second and lasts: time for a new
    epoch.
    """

    def __init__(self, *, follow: bool = True) -> None:
        self._follow = follow
        self._offset_ms = 0.0
        self._slewed_to_ms: int | None = None
        self._window_start_ms: int | None = None
        self._window_least_ms = 0.0
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
        if delay_ms + self._leapt_ms < -_UPLOAD_AHEAD_MS:
            self._follow = False
            return
        self._slew(now_ms)
        if self._window_start_ms is None:
            self._window_start_ms, self._window_least_ms = now_ms, delay_ms
        self._window_least_ms = min(self._window_least_ms, delay_ms)
        if now_ms - self._window_start_ms >= _WINDOW_MS:
            error_ms = self._window_least_ms - self._offset_ms
            if self._error_ms or abs(error_ms) >= _LEAST_ERROR_MS:
                self._error_ms = error_ms
            self.broken = abs(error_ms) > _MOST_ERROR_MS
            self._window_start_ms = None

    def _slew(self, now_ms: int) -> None:
        if self._slewed_to_ms is not None:
            most_ms = (now_ms - self._slewed_to_ms) / 1_000
            step_ms = max(-most_ms, min(most_ms, self._error_ms))
            self._offset_ms += step_ms
            self._error_ms -= step_ms
        self._slewed_to_ms = now_ms
