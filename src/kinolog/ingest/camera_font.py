"""A round stroke font: each glyph is a few lines and arcs, drawn at any size with soft edges.

Coordinates are in units of the capital height: y 0 is the top of a digit, 1 the base line; small
letters begin at 0.32 and hang down to 1.3. Angles are in degrees, clockwise from the right.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from math import ceil, cos, radians, sin
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Point = tuple[float, float]
Stroke = tuple[Point, ...]
Alpha = npt.NDArray[np.float32]

DESCENT = 0.3  # how far small letters hang below the base line
_GAP = 0.13  # between two glyphs' strokes
_STEPS = 20  # lines to an arc


class Glyph(NamedTuple):
    """The strokes of one character and its width, both in units of the capital height."""

    width: float
    strokes: tuple[Stroke, ...]


def _arc(cx: float, cy: float, rx: float, ry: float, *angles: float) -> Stroke:
    """Part of an ellipse around (cx, cy), from the first of two angles to the second."""
    start, end = angles
    turns = [radians(start + (end - start) * i / _STEPS) for i in range(_STEPS + 1)]
    return tuple((cx + rx * cos(a), cy + ry * sin(a)) for a in turns)


def _ring(cx: float, cy: float, rx: float, ry: float) -> Stroke:
    return _arc(cx, cy, rx, ry, 0, 360)


def _curve(a: Point, control: Point, b: Point) -> Stroke:
    """A quadratic Bézier curve."""
    ts = [i / _STEPS for i in range(_STEPS + 1)]
    return tuple(
        (
            (1 - t) ** 2 * a[0] + 2 * t * (1 - t) * control[0] + t * t * b[0],
            (1 - t) ** 2 * a[1] + 2 * t * (1 - t) * control[1] + t * t * b[1],
        )
        for t in ts
    )


def _line(*xy: float) -> Stroke:
    return tuple(zip(xy[::2], xy[1::2], strict=True))


def _turned(strokes: tuple[Stroke, ...], width: float) -> tuple[Stroke, ...]:
    """Half a turn: a 6 becomes a 9."""
    return tuple(tuple((width - x, 1 - y) for x, y in stroke) for stroke in strokes)


_BOWL = _ring(0.27, 0.66, 0.27, 0.34)
_ARCH = (*_arc(0.26, 0.58, 0.26, 0.26, 180, 360), (0.52, 1.0))
_SIX = (_ring(0.3, 0.69, 0.3, 0.31), _curve((0.0, 0.69), (0.02, 0.32), (0.42, 0.0)))

_GLYPHS: dict[str, Glyph] = {
    "0": Glyph(
        0.6,
        ((*_arc(0.3, 0.3, 0.3, 0.3, 180, 360), *_arc(0.3, 0.7, 0.3, 0.3, 0, 180), (0.0, 0.3)),),
    ),
    "1": Glyph(0.6, (_line(0.1, 0.22, 0.36, 0.0, 0.36, 1.0),)),
    "2": Glyph(0.6, ((*_arc(0.3, 0.29, 0.28, 0.29, 190, 392), (0.02, 1.0), (0.6, 1.0)),)),
    "3": Glyph(
        0.6,
        (_arc(0.28, 0.25, 0.26, 0.25, 205, 450), _arc(0.28, 0.74, 0.31, 0.26, -90, 155)),
    ),
    "4": Glyph(0.6, (_line(0.44, 1.0, 0.44, 0.0, 0.0, 0.7, 0.6, 0.7),)),
    "5": Glyph(0.6, ((*_line(0.53, 0.0, 0.1, 0.0), *_arc(0.27, 0.68, 0.33, 0.32, 230, 514)),)),
    "6": Glyph(0.6, _SIX),
    "7": Glyph(0.6, (_line(0.0, 0.0, 0.6, 0.0, 0.2, 1.0),)),
    "8": Glyph(0.6, (_ring(0.3, 0.245, 0.25, 0.245), _ring(0.3, 0.745, 0.3, 0.255))),
    "9": Glyph(0.6, _turned(_SIX, 0.6)),
    "a": Glyph(0.54, (_BOWL, _line(0.54, 0.32, 0.54, 1.0))),
    "b": Glyph(0.54, (_BOWL, _line(0.0, 0.0, 0.0, 1.0))),
    "c": Glyph(0.5, (_arc(0.28, 0.66, 0.28, 0.34, 50, 310),)),
    "d": Glyph(0.54, (_BOWL, _line(0.54, 0.0, 0.54, 1.0))),
    "e": Glyph(0.55, ((*_line(0.02, 0.66), *_arc(0.28, 0.66, 0.27, 0.34, 0, -310)),)),
    "f": Glyph(
        0.4,
        (
            (*_curve((0.42, 0.02), (0.16, -0.06), (0.16, 0.3)), (0.16, 1.0)),
            _line(0.0, 0.36, 0.38, 0.36),
        ),
    ),
    "g": Glyph(0.54, (_BOWL, (*_line(0.54, 0.32), *_arc(0.28, 1.04, 0.26, 0.26, 0, 150)))),
    "h": Glyph(0.52, (_line(0.0, 0.0, 0.0, 1.0), _ARCH)),
    "i": Glyph(0.04, (_line(0.02, 0.36, 0.02, 1.0), _line(0.02, 0.06, 0.02, 0.06))),
    "j": Glyph(
        0.16,
        (
            (*_line(0.14, 0.36), *_curve((0.14, 1.05), (0.14, 1.3), (-0.06, 1.3))),
            _line(0.14, 0.06, 0.14, 0.06),
        ),
    ),
    "k": Glyph(
        0.46,
        (_line(0.0, 0.0, 0.0, 1.0), _line(0.44, 0.34, 0.0, 0.74), _line(0.15, 0.61, 0.47, 1.0)),
    ),
    "l": Glyph(0.04, (_line(0.02, 0.0, 0.02, 1.0),)),
    "m": Glyph(
        0.84,
        (
            _line(0.0, 0.34, 0.0, 1.0),
            (*_arc(0.21, 0.55, 0.21, 0.23, 180, 360), (0.42, 1.0)),
            (*_arc(0.63, 0.55, 0.21, 0.23, 180, 360), (0.84, 1.0)),
        ),
    ),
    "n": Glyph(0.52, (_line(0.0, 0.34, 0.0, 1.0), _ARCH)),
    "o": Glyph(0.58, (_ring(0.29, 0.66, 0.29, 0.34),)),
    "p": Glyph(0.54, (_BOWL, _line(0.0, 0.34, 0.0, 1.3))),
    "q": Glyph(0.54, (_BOWL, _line(0.54, 0.34, 0.54, 1.3))),
    "r": Glyph(0.34, (_line(0.0, 0.34, 0.0, 1.0), _arc(0.26, 0.58, 0.26, 0.26, 180, 290))),
    "s": Glyph(
        0.46,
        (_arc(0.23, 0.485, 0.21, 0.165, -25, -270) + _arc(0.23, 0.825, 0.23, 0.175, -90, 155),),
    ),
    "t": Glyph(
        0.4,
        (
            (*_line(0.16, 0.08), *_curve((0.16, 0.76), (0.16, 1.0), (0.4, 0.99))),
            _line(0.0, 0.36, 0.38, 0.36),
        ),
    ),
    "u": Glyph(
        0.52,
        ((*_line(0.0, 0.34), *_arc(0.26, 0.74, 0.26, 0.26, 180, 0)), _line(0.52, 0.34, 0.52, 1.0)),
    ),
    "v": Glyph(0.52, (_line(0.0, 0.34, 0.26, 1.0, 0.52, 0.34),)),
    "w": Glyph(0.8, (_line(0.0, 0.34, 0.2, 1.0, 0.4, 0.4, 0.6, 1.0, 0.8, 0.34),)),
    "x": Glyph(0.5, (_line(0.0, 0.34, 0.5, 1.0), _line(0.5, 0.34, 0.0, 1.0))),
    "y": Glyph(0.52, (_line(0.0, 0.34, 0.27, 1.0), _line(0.52, 0.34, 0.16, 1.28))),
    "z": Glyph(0.48, (_line(0.02, 0.36, 0.48, 0.36, 0.0, 1.0, 0.5, 1.0),)),
    ":": Glyph(0.04, (_line(0.02, 0.4, 0.02, 0.4), _line(0.02, 0.86, 0.02, 0.86))),
    ".": Glyph(0.04, (_line(0.02, 1.0, 0.02, 1.0),)),
    "-": Glyph(0.34, (_line(0.0, 0.62, 0.34, 0.62),)),
    "/": Glyph(0.36, (_line(0.36, 0.0, 0.0, 1.0),)),
    " ": Glyph(0.2, ()),
}


@lru_cache(maxsize=256)
def tile(character: str, height_px: float, weight: float = 0.13) -> Alpha:
    """The coverage (H, W), 0 to 1, of one glyph whose digits are `height_px` high.

    `weight` is the stroke's width over the height. The tile has half a stroke and half a gap on
    each side and room for descenders, so tiles of one size stand side by side. A character that
    the font lacks is a space.
    """
    glyph = _GLYPHS.get(character, _GLYPHS[" "])
    margin_px = weight / 2 * height_px
    left_px = margin_px + _GAP / 2 * height_px
    shape = (
        ceil((1 + DESCENT) * height_px + 2 * margin_px),
        round((glyph.width + weight + _GAP) * height_px),
    )
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    px = (x + 0.5 - left_px) / height_px
    py = (y + 0.5 - margin_px) / height_px
    nearest = np.full(shape, np.inf, np.float32)
    for stroke in glyph.strokes:
        for a, b in pairwise(stroke):
            np.minimum(nearest, _distance_squared(px, py, a, b), out=nearest)
    alpha: Alpha = np.clip(
        (weight / 2 - np.sqrt(nearest)) * height_px + 0.5, np.float32(0), np.float32(1)
    )
    alpha.flags.writeable = False
    return alpha


def line(text: str, height_px: float, weight: float = 0.13) -> Alpha:
    """The coverage (H, W) of a line of text, glyphs side by side."""
    return np.concatenate([tile(character, height_px, weight) for character in text], axis=1)


def _distance_squared(px: Alpha, py: Alpha, a: Point, b: Point) -> Alpha:
    """Of each point from the line between `a` and `b`."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = dx * dx + dy * dy or 1.0
    along = np.clip(((px - a[0]) * dx + (py - a[1]) * dy) / length, 0, 1)
    return np.square(px - a[0] - along * dx) + np.square(py - a[1] - along * dy)
