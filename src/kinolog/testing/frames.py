"""The frame numbers in decoded pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from kinolog.media import blockcode

Source = str | os.PathLike[str] | BinaryIO | InputContainer


class FrameSeen(NamedTuple):
    """A decoded picture: its number (None where the code cannot be read), its presentation time,
    and whether the decoder calls it a keyframe."""

    number: int | None
    pts_seconds: float
    keyframe: bool


def read_block_codes(source: Source) -> list[FrameSeen]:
    """The pictures of the first video stream, in the order of decoding's output.

    `source`: a path, a URL, a binary file, or an open container (which stays open). Raises
    av.FFmpegError for what FFmpeg cannot open or decode, IndexError where there is no video.
    """
    with opened(source) as container:
        return [
            FrameSeen(blockcode.read(luma(frame)), frame.time or 0.0, frame.key_frame)
            for frame in container.decode(container.streams.video[0])
        ]


@contextmanager
def opened(source: Source) -> Iterator[InputContainer]:
    """`source` as a container, closed afterwards if it was opened here."""
    if isinstance(source, InputContainer):
        yield source
        return
    where = os.fspath(source) if isinstance(source, os.PathLike) else source
    with av.open(where, "r") as container:
        yield container


def luma(frame: av.VideoFrame) -> npt.NDArray[np.uint8]:
    """The brightness of a picture (H, W), 8 bits, whatever its pixel format."""
    planar = frame.format.name in ("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "nv12", "gray")
    plane = (frame if planar else frame.reformat(format="gray")).planes[0]
    memory = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
    picture: npt.NDArray[np.uint8] = memory[: frame.height, : frame.width]
    return picture
