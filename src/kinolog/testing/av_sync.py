"""How far the sound is from the picture, by the synthetic camera's beep and flash."""

from __future__ import annotations

from bisect import bisect_left

import av
import numpy as np

from kinolog.ingest.camera_card import lamp_box
from kinolog.testing.frames import Source, luma, opened

_LIT = 140  # brightness of a lit lamp; unlit it is about 34
_LOUD = 0.1  # of full scale; the beep has 0.5, what a codec puts before it less than 0.05
_SILENCE_SECONDS = 0.3  # before a beep
_MAX_OFFSET_SECONDS = 0.5  # half of the time between two beeps


def measure_av_sync(source: Source) -> list[float]:
    """Seconds by which each beep begins after its flash (negative: before), in order.

    `source`: see `read_block_codes`; its first video and audio streams. A flash without a beep
    within half a second, and the reverse, is left out. The flash is known to a frame, the beep to
    about a millisecond. Raises as `read_block_codes` does, also where there is no audio.
    """
    with opened(source) as container:
        flashes, beeps = _Flashes(), _Beeps()
        video, audio = container.streams.video[0], container.streams.audio[0]
        for frame in container.decode(video, audio):
            if isinstance(frame, av.VideoFrame):
                flashes.add(frame)
            elif isinstance(frame, av.AudioFrame):
                beeps.add(frame)
    return _pair(flashes.times, beeps.times)


class _Flashes:
    """When the lamp goes on."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._lit = True  # a recording that begins within a flash does not begin the flash

    def add(self, frame: av.VideoFrame) -> None:
        picture = luma(frame)
        box = lamp_box(frame.width, frame.height)
        lit = bool(picture[box.top : box.bottom, box.left : box.right].mean() > _LIT)
        if lit and not self._lit and frame.time is not None:
            self.times.append(frame.time)
        self._lit = lit


class _Beeps:
    """When sound comes after silence."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._loud_until = float("inf")  # likewise

    def add(self, frame: av.AudioFrame) -> None:
        if frame.time is None:
            return
        loud = np.flatnonzero(np.abs(_mono(frame)) > _LOUD)
        if not loud.size:
            self._settle(frame.time + frame.samples / frame.sample_rate)
            return
        times = frame.time + loud / frame.sample_rate
        if times[0] - self._loud_until > _SILENCE_SECONDS:
            self.times.append(float(times[0]))
        self._loud_until = float(times[-1])

    def _settle(self, now: float) -> None:
        """The first silence ends a beep that the recording began within."""
        if self._loud_until == float("inf"):
            self._loud_until = now - _SILENCE_SECONDS


def _mono(frame: av.AudioFrame) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """The first channel of a frame, full scale 1."""
    samples = frame.to_ndarray()
    first = samples[0] if frame.format.is_planar else samples[0, :: frame.layout.nb_channels]
    scale = 1.0 if first.dtype.kind == "f" else float(np.iinfo(first.dtype).max)
    return np.asarray(first, np.float64) / scale


def _pair(flashes: list[float], beeps: list[float]) -> list[float]:
    offsets: list[float] = []
    for flash in flashes:
        at = bisect_left(beeps, flash)
        near = [beep - flash for beep in beeps[max(0, at - 1) : at + 1]]
        best = min(near, key=abs, default=None)
        if best is not None and abs(best) < _MAX_OFFSET_SECONDS:
            offsets.append(best)
    return offsets
