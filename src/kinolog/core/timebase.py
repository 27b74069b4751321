"""Integer time: ticks of a timescale, never floats (DESIGN.md section 3, Time)."""

from __future__ import annotations


def rescale(ticks: int, from_scale: int, to_scale: int) -> int:
    """Ticks of one timescale (per second) in another, rounded to the nearest, halves up."""
    if from_scale == to_scale:
        return ticks
    return (2 * ticks * to_scale + from_scale) // (2 * from_scale)


class Unwrapper:
    """Counters of 24, 32 or 33 bits made 64-bit (FLV, RTP, MPEG-TS).

    A step of less than half the range is taken for what it is, whichever way it goes;
    a larger one has crossed the end of the counter.
    """

    def __init__(self, bits: int) -> None:
        self._range = 1 << bits
        self._last: int | None = None

    def __call__(self, value: int) -> int:
        """The unwrapped counter for `value` (0 <= value < 2**bits)."""
        if self._last is None:
            self._last = value
            return value
        step = (value - self._last) % self._range
        if step >= self._range // 2:
            step -= self._range
        self._last += step
        return self._last
