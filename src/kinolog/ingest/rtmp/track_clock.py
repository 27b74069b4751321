"""Milliseconds of RTMP made ticks: 90 kHz for video, the sample grid for audio."""

from __future__ import annotations

from kinolog.core.timebase import rescale

VIDEO_TIMESCALE = 90_000
_TICKS_PER_MS = VIDEO_TIMESCALE // 1000
_SNAP_MS = 2


def video_ticks(time_ms: int, nanoseconds: int = 0) -> int:
    """A millisecond time, and Enhanced RTMP's offset to it, in 90 kHz ticks."""
    if nanoseconds:
        return time_ms * _TICKS_PER_MS + rescale(nanoseconds, 1_000_000_000, VIDEO_TIMESCALE)
    return time_ms * _TICKS_PER_MS


class SampleGrid:
    """Gives each audio frame the time at which the one before it ended.

    Milliseconds cannot tell where a frame of 1024 samples begins, so a time within 2 ms of the
    expected one is taken for it; any other is a jump in the source and begins a new grid.
    """

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._tolerance = sample_rate * _SNAP_MS // 1000
        self._expected: int | None = None

    def place(self, time_ms: int, nanoseconds: int, duration_samples: int) -> int:
        """The start, in samples, of a frame stamped `time_ms` that lasts `duration_samples`."""
        stamped = rescale(time_ms, 1000, self._rate)
        if nanoseconds:
            stamped += rescale(nanoseconds, 1_000_000_000, self._rate)
        start = stamped
        if self._expected is not None and abs(stamped - self._expected) <= self._tolerance:
            start = self._expected
        self._expected = start + duration_samples
        return start
