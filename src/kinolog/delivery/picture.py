"""Picture: a frame decoded and encoded again as JPEG or WebP; sheets of many. For threads."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

import av
import numpy as np
import numpy.typing as npt

from kinolog.core.errors import MediaError

Format = Literal["jpeg", "webp"]
WIDTHS: Final = (160, 320, 480, 640, 960, 1280, 1920)
"""Widths in pixels; others are rounded up to one of these."""
_BLACK: Final = (16, 128, 128)


def encoded(media: bytes, width: int, format: Format) -> bytes:
    """The first picture in `media` (an MP4), at most `width` pixels wide.

    Raises MediaError or av.FFmpegError where there is none.
    """
    frame = _first(media)
    scaled = min(width, frame.width) & ~1
    height = max(2, round(frame.height * scaled / frame.width)) & ~1
    return _encode(frame, scaled, height, format)


def sheet(
    media: Sequence[bytes | None], columns: int, width: int, height: int, format: Format
) -> bytes:
    """The first pictures of each of `media`, `width` by `height` pixels (even), row by row, so many
    `columns`; black where there is none, or it cannot be decoded."""
    rows = -(-len(media) // columns)
    whole = [
        np.full((rows * height // by, columns * width // by), black, np.uint8)
        for by, black in zip((1, 2, 2), _BLACK, strict=True)
    ]
    for index, one in enumerate(media):
        tile = _tile(one, width, height)
        if tile is None:
            continue
        top, left = index // columns * height, index % columns * width
        for plane, part, by in zip(whole, tile, (1, 2, 2), strict=True):
            y, x = top // by, left // by
            plane[y : y + height // by, x : x + width // by] = part
    flat = np.concatenate([plane.ravel() for plane in whole]).reshape(-1, columns * width)
    return _encode(
        av.VideoFrame.from_ndarray(flat, "yuv420p"), columns * width, rows * height, format
    )


def _tile(media: bytes | None, width: int, height: int) -> tuple[npt.NDArray[np.uint8], ...] | None:
    """The planes of a small picture."""
    if media is None:
        return None
    try:
        frame = _first(media)
    except (MediaError, av.FFmpegError):
        return None
    small = np.asarray(frame.reformat(width, height, format="yuv420p").to_ndarray(), np.uint8)
    luma = small[:height]
    chroma = small[height:].reshape(2, height // 2, width // 2)
    return luma, chroma[0], chroma[1]


def _first(media: bytes) -> av.VideoFrame:
    with av.open(io.BytesIO(media), mode="r", format="mp4") as source:
        frame = next(source.decode(video=0), None)
    if frame is None:
        raise MediaError("the keyframe decodes to nothing")
    return frame


def _encode(frame: av.VideoFrame, width: int, height: int, format: Format) -> bytes:
    webp = format == "webp"
    encoder = av.CodecContext.create("libwebp" if webp else "mjpeg", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height = width, height
    encoder.pix_fmt = "yuv420p" if webp else "yuvj420p"
    encoder.time_base = Fraction(1, 25)
    encoder.options = {"quality": "75"} if webp else {"q:v": "4"}
    picture = frame.reformat(width, height, format=encoder.pix_fmt)
    packets = [*encoder.encode(picture), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)
