"""Streams of the synthetic camera with a restart in them, and which frames a range has."""

from __future__ import annotations

import io
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import httpx
import numpy as np
from hls_stage import Stage
from kit.media import ffmpeg

from kinolog.testing.frames import luma

Luma = np.ndarray[tuple[int, int], np.dtype[np.uint8]]
RATE = 30
RESTART_S = 60
"""The second session begins so long after the first, of 20 s."""


@dataclass(frozen=True)
class Recorded:
    """An edge over a stream, and when its first frame was captured (Unix seconds). Of each
    session: (first frame's number, frames, seconds after the first session's beginning)."""

    base: str
    begun_s: float
    sessions: tuple[tuple[int, int, int], ...]

    @property
    def seconds(self) -> int:
        """From the first frame's beginning to the last one's end."""
        _, frames, offset_s = self.sessions[-1]
        return offset_s + frames // RATE

    def span(self, start_s: float, end_s: float) -> str:
        """A query, in seconds of the recording."""
        return f"start={self.begun_s + start_s:.3f}&end={self.begun_s + end_s:.3f}"

    def url(self, start_s: float, end_s: float, name: str = "clip.mp4") -> str:
        """A clip, in seconds of the recording."""
        return f"{self.base}/{name}?{self.span(start_s, end_s)}"

    def numbers(self, start_s: float, end_s: float) -> list[int]:
        """The frames that were captured in [start_s, end_s)."""
        return [
            first + index
            for first, frames, offset_s in self.sessions
            for index in range(frames)
            if start_s <= offset_s + index / RATE < end_s
        ]


def record(played: Stage, edge: str, stream: str, query: str = "", *words: str) -> Recorded:
    """Two sessions of the synthetic camera, long ago. `words`: for `kinolog publish`."""
    begun_s = int(time.time()) - 3600
    sessions = ((0, 20 * RATE, 0), (5000, 10 * RATE, RESTART_S))
    for first, frames, offset_s in sessions:
        length = f"seconds={frames // RATE}&start_number={first}"
        gop = "" if "gop=" in query else "&gop=2"
        played.published(stream, f"{length}{gop}{query}", f"--at={begun_s + offset_s}", *words)
    return Recorded(f"{edge}/media/{stream}", begun_s, sessions)


def coded_again(
    played: Stage,
    edge: str,
    folder: Path,
    stream: str,
    seconds: int,
    *how: str,
    suffix: str = "mp4",
) -> int:
    """Publish the camera's first seconds as ffmpeg is told to code them; when that begins (Unix
    seconds). `suffix`: of the film, which says what it is."""
    camera = record(played, edge, f"{stream}-camera")
    plain, film = folder / "plain.mp4", folder / f"film.{suffix}"
    answer = httpx.get(camera.url(0, seconds), timeout=60).raise_for_status()
    plain.write_bytes(answer.content)
    ffmpeg("-i", plain, *how, film)
    begun_s = int(time.time()) - 1800
    played.film(film, stream, begun_s)
    return begun_s


def between_frames(chance: random.Random, at_s: float) -> float:
    """Near a moment, and not at a frame's edge: dates are whole milliseconds."""
    return (int(at_s * RATE) + chance.uniform(0.1, 0.9)) / RATE


def ranges(recorded: Recorded, count: int, seed: int) -> Iterator[tuple[float, float]]:
    """Random ranges that hold a frame at least, from one frame to all of the recording."""
    chance = random.Random(seed)
    while count:
        start_s = between_frames(chance, chance.uniform(0, recorded.seconds))
        length_s = chance.choice([0.05, 0.5, 2, 5, 20, recorded.seconds]) * chance.uniform(0.5, 1.5)
        end_s = between_frames(chance, start_s + length_s)
        if end_s > start_s and recorded.numbers(start_s, end_s):
            yield start_s, end_s
            count -= 1


def moments(recorded: Recorded, count: int, seed: int) -> Iterator[tuple[float, int]]:
    """Random moments at which a frame is shown, and its number."""
    chance = random.Random(seed)
    for _ in range(count):
        first, frames, offset_s = chance.choice(recorded.sessions)
        index = chance.randrange(frames)
        yield offset_s + (index + chance.uniform(0.1, 0.9)) / RATE, first + index


def picture(data: bytes) -> Luma:
    """The luma of a JPEG or WebP."""
    with av.open(io.BytesIO(data)) as container:
        return luma(next(container.decode(video=0))).copy()


def tiles(sheet: bytes, width: int, count: int) -> Iterator[Luma]:
    """The first pictures of a sheet of 16:9 ones, `width` pixels wide each."""
    whole, height = picture(sheet), width * 9 // 16
    for number in range(count):
        row, column = divmod(number, whole.shape[1] // width)
        yield whole[row * height :, column * width :][:height, :width]
