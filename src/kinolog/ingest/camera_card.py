"""The test card of the synthetic camera: what stands still is drawn once, the rest a frame.

Read at a glance: the frame's number, the wall clock, a hand that goes round once a second (a
stall is seen at once), colour bars and a grey ramp, a lamp that is lit in the first 100 ms of
each second of media time, and the block code of `kinolog.media.blockcode` at the bottom.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from kinolog.ingest.camera_font import line, tile
from kinolog.media import blockcode

Plane = npt.NDArray[np.uint8]

FLASH_MS = 100
# The lamp, as parts of the picture's width and height: left, top, right, bottom.
LAMP = (0.9, 0.05, 0.95, 0.139)

_DIGITS = 7
_HAND_STEPS = 256  # directions that the hand's disc tells apart
_HAND_TRAIL = 0.30  # of a turn
_DISC, _HAND, _TEXT, _DIM, _LAMP_OFF = 46, 168, 235, 62, 34

_BARS = (  # 75 % bars of BT.709, limited range: Y, Cb, Cr
    (180, 128, 128),
    (168, 44, 136),
    (145, 147, 44),
    (133, 63, 52),
    (63, 193, 204),
    (51, 109, 212),
    (28, 212, 120),
)
_GROUND = (30, 133, 125)
_AMBER = (172, 62, 166)
_WHITE = (_TEXT, 128, 128)
_GREY = (140, 130, 127)


class Box(NamedTuple):
    """A rectangle in pixels."""

    left: int
    top: int
    right: int
    bottom: int

    def of(self, plane: Plane) -> Plane:
        """The rectangle's part of a full-size plane."""
        return plane[self.top : self.bottom, self.left : self.right]


class TestCard:
    """Draws frames of one size. Not thread-safe: frames share the background's memory."""

    __test__ = False  # not a test, whatever its name says to pytest

    def __init__(self, width: int, height: int, *, caption: str = "") -> None:
        """`width` and `height` in pixels, both even; `caption` is a line of small text."""
        self.width, self.height = width, height
        self._unit = min(width / 1280, height / 720)
        self._left = (width - 1280 * self._unit) / 2
        self._top = (height - 720 * self._unit) / 2
        self._lamp = lamp_box(width, height)
        picture = np.empty((3, height, width), np.float32)
        self._paint(picture, caption)
        self._luma = np.rint(picture[0]).astype(np.uint8)
        halves = picture[1:].reshape(2, height // 2, 2, width // 2, 2).mean(axis=(2, 4))
        self._chroma = np.rint(halves).astype(np.uint8)
        self._prepare_hand()
        self._prepare_digits()

    def draw(self, number: int, unix_ms: int, media_ms: int) -> av.VideoFrame:
        """The picture of frame `number`, made at `unix_ms`, `media_ms` after the first one.

        A new yuv420p frame, BT.709, limited range, without a time.
        """
        self._draw_hand(media_ms % 1000)
        self._draw_number(number)
        self._draw_clock(unix_ms)
        self._lamp.of(self._luma)[:] = _TEXT if media_ms % 1000 < FLASH_MS else _LAMP_OFF
        blockcode.draw(self._luma, number % blockcode.NUMBER_LIMIT)
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        for plane, drawn in zip(frame.planes, (self._luma, *self._chroma), strict=True):
            memory = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[call-overload]
            memory[: drawn.shape[0], : drawn.shape[1]] = drawn
        frame.colorspace = 1
        frame.color_range = 1
        return frame

    def _box(self, left: float, top: float, width: float, height: float) -> Box:
        """A rectangle of the 1280x720 design in this picture's pixels, on even lines."""
        x0, y0 = self._left + left * self._unit, self._top + top * self._unit
        edges = (x0, y0, x0 + width * self._unit, y0 + height * self._unit)
        return Box(*(round(edge / 2) * 2 for edge in edges))

    def _paint(self, picture: npt.NDArray[np.float32], caption: str) -> None:
        """What never changes, as Y, Cb, Cr (3, H, W)."""
        shade = np.linspace(12, -6, self.height, dtype=np.float32)[:, None]
        for plane, level in zip(picture, _GROUND, strict=True):
            plane[:] = level
        picture[0] += shade
        self._write(picture, "kinolog", (64, 38, 46), _AMBER, weight=0.15)
        self._write(picture, caption, (336, 59, 24), _GREY)
        self._write(picture, "frame", (560, 134, 24), _GREY)
        self._write(picture, "utc", (560, 336, 24), _GREY)
        for index, bar in enumerate(_BARS):
            self._fill(picture, self._box(64 + index * 164.57, 532, 164.57, 44), bar)
        ramp = self._box(64, 576, 1152, 24)
        self._fill(picture, ramp, _WHITE)
        ramp.of(picture[0])[:] = np.linspace(16, 235, ramp.right - ramp.left)
        strip_top = self.height - round(self.height * 2 / 15)
        picture[1:, strip_top // 2 * 2 :] = 128

    @staticmethod
    def _fill(picture: npt.NDArray[np.float32], box: Box, colour: tuple[int, int, int]) -> None:
        for plane, level in zip(picture, colour, strict=True):
            plane[box.top : box.bottom, box.left : box.right] = level

    def _write(
        self,
        picture: npt.NDArray[np.float32],
        text: str,
        at: tuple[float, float, float],
        colour: tuple[int, int, int],
        weight: float = 0.13,
    ) -> None:
        """Write a line; `at` is left, top and height of its digits, in units of the design."""
        if not text:
            return
        left, top, size = at
        coverage = line(text, size * self._unit, weight)
        box = self._box(left, top, 0, 0)
        area = picture[:, box.top : box.top + coverage.shape[0], box.left :][
            :, :, : coverage.shape[1]
        ]
        coverage = coverage[: area.shape[1], : area.shape[2]]
        for plane, level in zip(area, colour, strict=True):
            plane[:] += coverage * (level - plane)

    def _prepare_hand(self) -> None:
        """A film leader's disc: rings and cross over a sweep that goes round once a second."""
        left, top, right, _ = self._box(64, 130, 376, 376)
        size = right - left
        box = self._hand = Box(left, top, right, top + size)
        middle = (size - 1) / 2
        y, x = (np.mgrid[:size, :size] - middle).astype(np.float32)
        radius = np.hypot(x, y)
        turn = np.arctan2(x, -y) / (2 * np.pi) % 1  # 0 at the top, clockwise
        self._direction = (turn * _HAND_STEPS).astype(np.uint8)
        stroke = max(2.5 * self._unit, 0.6)
        cover = np.zeros((size, size), np.float32)
        for ring in (0.97, 0.80):
            np.maximum(cover, stroke + 0.5 - np.abs(radius - ring * size / 2), out=cover)
        cross = np.minimum(np.abs(x), np.abs(y))
        np.maximum(
            cover, np.where(radius < 0.97 * size / 2, stroke / 3 + 0.5 - cross, 0), out=cover
        )
        self._rings = (np.clip(cover, 0, 1) * _TEXT).astype(np.uint8)
        outside = radius > 0.97 * size / 2
        self._disc_mask = np.where(outside, np.uint8(0), np.uint8(255))
        self._disc_ground = np.where(outside, box.of(self._luma), np.uint8(0))
        np.maximum(self._rings, self._disc_ground, out=self._rings)
        self._sweep = np.empty((size, size), np.uint8)

    def _draw_hand(self, second_ms: int) -> None:
        behind = (second_ms / 1000 - (np.arange(_HAND_STEPS) + 0.5) / _HAND_STEPS) % 1
        glow = np.clip(1 - behind / _HAND_TRAIL, 0, 1) ** 1.6
        levels = (_DISC + (_HAND - _DISC) * glow).astype(np.uint8)
        np.take(levels, self._direction, out=self._sweep, mode="clip")
        np.bitwise_and(self._sweep, self._disc_mask, out=self._sweep)
        np.maximum(self._sweep, self._rings, out=self._hand.of(self._luma))

    def _prepare_digits(self) -> None:
        number_px, clock_px = 109 * self._unit, 77 * self._unit
        self._number_at = self._box(546, 176, 0, 0)
        self._bright = self._tiles(
            "0123456789", number_px, weight=0.15, level=_TEXT, at=self._number_at
        )
        self._dim = self._tiles("0", number_px, weight=0.15, level=_DIM, at=self._number_at)
        self._clock_at = self._box(550, 378, 0, 0)
        self._small = self._tiles(
            "0123456789:.", clock_px, weight=0.12, level=_TEXT, at=self._clock_at
        )

    def _tiles(
        self, characters: str, size_px: float, *, weight: float, level: int, at: Box
    ) -> dict[str, Plane]:
        """Each character over the ground of its place (the same all along a line)."""
        tiles: dict[str, Plane] = {}
        for character in characters:
            coverage = tile(character, size_px, weight)[: round(size_px * 1.22)]
            ground = self._luma[at.top :, at.left : at.left + 1][: coverage.shape[0]]
            tiles[character] = np.rint(
                ground + coverage * (level - ground.astype(np.float32))
            ).astype(np.uint8)
        return tiles

    def _draw_number(self, number: int) -> None:
        digits = str(number)[-_DIGITS:]
        row = [self._dim["0"]] * (_DIGITS - len(digits)) + [self._bright[d] for d in digits]
        self._place(row, self._number_at)

    def _draw_clock(self, unix_ms: int) -> None:
        moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
        text = f"{moment:%H:%M:%S}.{unix_ms % 1000:03d}"
        self._place([self._small[c] for c in text], self._clock_at)

    def _place(self, row: list[Plane], at: Box) -> None:
        drawn = np.concatenate(row, axis=1)
        area = self._luma[at.top : at.top + drawn.shape[0], at.left : at.left + drawn.shape[1]]
        area[:] = drawn[: area.shape[0], : area.shape[1]]


def lamp_box(width: int, height: int) -> Box:
    """Where the lamp is in a picture of `width` by `height` pixels."""
    left, top, right, bottom = LAMP
    return Box(
        round(left * width), round(top * height), round(right * width), round(bottom * height)
    )
