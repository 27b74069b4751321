"""Time stamps of a container made into ticks of a track: video as told, audio on its grid."""

from __future__ import annotations

from fractions import Fraction

from kinolog.core.timebase import Unwrapper, rescale

VIDEO_TIMESCALE = 90_000
_MIN_TIMESCALE, _MAX_TIMESCALE = 10_000, 1_000_000
_MAX_FRAME_RATE = 1_000
# Counters that end, by FFmpeg's name of the demuxer: ISO/IEC 13818-1, 2.4.3.7; FLV, E.4.1.
# FFmpeg undoes one wrap only.
_COUNTER_BITS = {"mpegts": 33, "hls": 33, "mpeg": 33, "flv": 32, "live_flv": 32}
_AUDIO_JITTER = Fraction(1, 1000)  # of a second: FFmpeg cuts fractions off inside a PES packet


def video_timescale(time_base: Fraction) -> int:
    """Ticks a second for a video track of that time base: the container's own where they are fine
    enough (tracks are put on one time line, and parts are cut, to the tick), else the least
    multiple from 90000 on, so that times stay exact; 90000 where they are finer than useful."""
    told = time_base.denominator
    if told > _MAX_TIMESCALE:
        return VIDEO_TIMESCALE
    return told if told >= _MIN_TIMESCALE else told * -(-VIDEO_TIMESCALE // told)


def likely_rate(rate: Fraction | None) -> Fraction | None:
    """A container's frame rate, None where it tells none or one that no camera has."""
    return rate if rate and 0 < rate <= _MAX_FRAME_RATE else None


def to_ticks(value: int, time_base: Fraction, timescale: int) -> int:
    """`value` in units of `time_base`, as ticks of `timescale`, rounded to the nearest."""
    return rescale(value * time_base.numerator, time_base.denominator, timescale)


class Unwrap:
    """64-bit (dts, pts) of a container whose counters end; as they are for the others."""

    def __init__(self, container: str) -> None:
        bits = max((_COUNTER_BITS.get(name, 0) for name in container.split(",")), default=0)
        self._counter = Unwrapper(bits) if bits else None

    def __call__(self, dts: int | None, pts: int | None) -> tuple[int | None, int | None]:
        """Either may be missing, and stays so."""
        known = dts if dts is not None else pts
        if self._counter is None or known is None:
            return dts, pts
        shift = self._counter(known) - known
        return (
            None if dts is None else dts + shift,
            None if pts is None else pts + shift,
        )


class AudioGrid:
    """Positions of audio frames, in samples: each follows the one before, as long as the
    container's time stamp agrees within two of its ticks or 1 ms; else it is taken."""

    def __init__(self, time_base: Fraction, sample_rate: int) -> None:
        self._time_base = time_base
        self._rate = sample_rate
        exact = time_base == Fraction(1, sample_rate)
        slack = max(2 * time_base, _AUDIO_JITTER) * sample_rate
        self._tolerance = 0 if exact else -(-slack.numerator // slack.denominator)
        self._next: int | None = None

    def place(self, pts: int | None, samples: int) -> int:
        """Where a frame of `samples` with time stamp `pts` (None: told by none) begins."""
        expected = self._next
        at = expected or 0
        if pts is not None:
            told = to_ticks(pts, self._time_base, self._rate)
            if expected is None or abs(told - expected) > self._tolerance:
                at = told
        self._next = at + samples
        return at


def derive_dts(pts: list[int], following_dts: int | None, step: int) -> list[int]:
    """Decode times for the first packets of a track, given in decoding order with `pts` ticks.

    Where the container tells none until some frames have been reordered (Matroska): counted
    back from the first that it tells, `step` ticks a packet, or the presentation times in
    order, moved back until none is decoded after it is shown.
    """
    if following_dts is not None:
        count = len(pts)
        return [following_dts - (count - i) * step for i in range(count)]
    order = sorted(pts)
    shift = max((dts - shown for dts, shown in zip(order, pts, strict=True)), default=0)
    return [dts - shift for dts in order]
