"""The synthetic camera (`test:`): numbered, dated pictures and a beep, encoded as one asks.

Frame n has the number `start_number` + n and stands at media time n / rate. At each whole
second of media time a lamp lights and a 1 kHz tone sounds, both for 100 ms.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from math import ceil

import av
import numpy as np
import numpy.typing as npt

from kinolog.core.clock import Clock
from kinolog.ingest.camera_card import FLASH_MS, TestCard
from kinolog.ingest.camera_options import CameraOptions, parse_camera
from kinolog.ingest.encode_audio import SAMPLE_RATE, AudioEncoder
from kinolog.ingest.encode_video import VideoEncoder
from kinolog.ingest.pace import Pacer
from kinolog.ingest.source import Expect, Format, SourceEvent

VIDEO_TRACK, AUDIO_TRACK = 0, 1
BEEP_HZ, BEEP_MS = 1000, FLASH_MS
_LOUDNESS = 0.5  # of full scale
_FAST_BATCH = 8  # frames a batch when unpaced, so that hand-over costs little
_MAX_LEAP = 5.0  # seconds of media that a late camera catches up on; more is not made up for


class SyntheticCamera:
    """One camera. Used once: by `events`, or by `run`."""

    def __init__(
        self,
        options: CameraOptions | str = "test:",
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`options`: parsed, or a `test:` URL (ConfigError where it is wrong)."""
        self._sleep = sleep
        self.options = parse_camera(options) if isinstance(options, str) else options
        rate = self.options.frame_rate
        self._timescale = _timescale(rate)
        self._frames = _frame_count(self.options)
        self._card = TestCard(self.options.width, self.options.height, caption=self.options.caption)
        self._video = VideoEncoder(
            self.options.target,
            track=VIDEO_TRACK,
            width=self.options.width,
            height=self.options.height,
            frame_rate=rate,
            timescale=self._timescale,
        )
        self._audio = _Beeper(self.options) if self.options.audio else None

    def events(self, start_unix_ms: int) -> Iterator[list[SourceEvent]]:
        """Batches of a frame's events each, as fast as they can be made.

        `start_unix_ms` is the capture time of the first frame, as the pictures show it.
        """
        yield self._head()
        for index in self._indexes():
            yield self._frame(index, start_unix_ms)
        yield self._tail()

    async def run(
        self, clock: Clock, *, fast: bool = False, at_ms: int | None = None
    ) -> AsyncGenerator[list[SourceEvent], None]:
        """Batches of events, each frame made when it is due; with `fast`, as fast as taken.

        Frame n is captured `run`'s start plus n / rate by `clock`, or says that it was captured
        `at_ms` (Unix) plus n / rate; a camera without `seconds=`
        leaves out frames that it is too late for. Works in a thread of its own,
        one batch ahead of nothing: whoever does not take holds the camera up. Close the
        generator (`contextlib.aclosing`) to be rid of the thread at once.
        """
        loop = asyncio.get_running_loop()
        pacer = Pacer(clock, max_burst_seconds=_MAX_LEAP, sleep=self._sleep)
        start_ms = clock.unix_ms() if at_ms is None else at_ms
        with ThreadPoolExecutor(1, thread_name_prefix="kinolog-camera") as thread:
            yield self._head()
            if fast:
                frames = self.events(start_ms)
                next(frames)
                while batch := await loop.run_in_executor(thread, _take, frames, _FAST_BATCH):
                    yield batch
                return
            begun = clock.monotonic()
            left_out = 0
            for index in self._indexes():
                if (
                    self._frames is None
                    and left_out < self._most_left_out
                    and self._late(index, clock.monotonic() - begun)
                ):
                    left_out += 1
                    continue
                left_out = 0
                await pacer.due(self._pts(index), self._timescale)
                shown_ms = start_ms + pacer.moved_ms
                yield await loop.run_in_executor(thread, self._frame, index, shown_ms)
            yield await loop.run_in_executor(thread, self._tail)

    def _late(self, index: int, elapsed_s: float) -> bool:
        """Whether an endless camera leaves this frame out, as a real one that is held up does:
        its clock goes on. One of a set length takes its time and keeps every frame."""
        return elapsed_s - self._pts(index) / self._timescale > _MAX_LEAP

    @property
    def _most_left_out(self) -> int:
        """Frames left out in a row: half a second's, too few for a jump in the time stamps."""
        return max(1, int(self.options.frame_rate / 2))

    def _indexes(self) -> Iterator[int]:
        index = 0
        while self._frames is None or index < self._frames:
            yield index
            index += 1

    def _head(self) -> list[SourceEvent]:
        head: list[SourceEvent] = [Format(VIDEO_TRACK, self._video.format)]
        if self._audio is not None:
            head.append(Format(AUDIO_TRACK, self._audio.encoder.format))
        return [Expect(len(head)), *head]

    def _frame(self, index: int, start_unix_ms: int) -> list[SourceEvent]:
        """Frame `index` and the sound up to its end."""
        pts, end = self._pts(index), self._pts(index + 1)
        media_ms = index * 1000 * self.options.frame_rate.denominator
        media_ms //= self.options.frame_rate.numerator
        number = self.options.start_number + index
        picture = self._card.draw(number, start_unix_ms + media_ms, media_ms)
        out: list[SourceEvent] = [*self._video.encode(picture, pts, end - pts)]
        if self._audio is not None:
            out += self._audio.until(end * SAMPLE_RATE // self._timescale)
        return out

    def _tail(self) -> list[SourceEvent]:
        out: list[SourceEvent] = [*self._video.flush()]
        if self._audio is not None:
            out += self._audio.finish(self._pts(self._frames or 0) * SAMPLE_RATE // self._timescale)
        return out

    def _pts(self, index: int) -> int:
        rate = self.options.frame_rate
        return index * self._timescale * rate.denominator // rate.numerator


class _Beeper:
    """The camera's sound, made in whole codec frames."""

    def __init__(self, options: CameraOptions) -> None:
        self.encoder = AudioEncoder(
            "opus" if options.target.codec in ("vp9", "av1") else "aac", track=AUDIO_TRACK
        )
        self._second = _second_of_sound()
        self._next = 0

    def until(self, sample: int) -> list[SourceEvent]:
        """Packets of all whole codec frames that end by `sample`."""
        out: list[SourceEvent] = []
        while self._next + self.encoder.frame_samples <= sample:
            out += self._encode(self.encoder.frame_samples)
        return out

    def finish(self, sample: int) -> list[SourceEvent]:
        """The last packets: sound ends at `sample`."""
        out = self.until(sample)
        if self._next < sample:
            out += self._encode(sample - self._next)
        return out + list(self.encoder.flush())

    def _encode(self, samples: int) -> list[SourceEvent]:
        at = np.arange(self._next, self._next + samples) % SAMPLE_RATE
        mono = self._second[at]
        frame = av.AudioFrame(self.encoder.sample_format, self.encoder.layout, samples)
        if len(frame.planes) == 1:
            mono = np.repeat(mono, 2)
        for plane in frame.planes:
            # The plane is padded behind its samples.
            memory = np.frombuffer(plane, np.float32)  # type: ignore[call-overload]
            memory[: mono.size] = mono
        pts, self._next = self._next, self._next + samples
        return list(self.encoder.encode(frame, pts))


def _second_of_sound() -> npt.NDArray[np.float32]:
    """One second of sound (48000,): the beep, which begins and ends at zero, then silence."""
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    beep = _LOUDNESS * np.sin(2 * np.pi * BEEP_HZ * time) * (time < BEEP_MS / 1000)
    return beep.astype(np.float32)


def _timescale(rate: Fraction) -> int:
    """90 kHz where frames fall on whole ticks of it, else the least over 10 kHz that fits."""
    if 90_000 * rate.denominator % rate.numerator == 0:
        return 90_000
    return rate.numerator * ceil(10_000 / rate.numerator)


def _frame_count(options: CameraOptions) -> int | None:
    if options.seconds is None:
        return None
    return max(1, round(options.seconds * options.frame_rate))


def _take(batches: Iterator[list[SourceEvent]], count: int) -> list[SourceEvent]:
    """The next `count` batches in one; empty at the end."""
    return [event for _, batch in zip(range(count), batches, strict=False) for event in batch]
