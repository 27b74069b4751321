"""A frame number drawn into the picture as black and white blocks, and its reader.

The code is a strip over the whole width at the bottom of the picture, 2/15 of its height: two
rows of 26 blocks. The outer columns are the sync blocks (white over black on the left, black over
white on the right); they tell the reader what white and black have become. Between them stand 48
bits, most significant first, the first 24 in the upper row: the number (32 bits) and its
CRC-16/CCITT (16 bits, initial value 0xFFFF). White is 1.

Everything is relative to the picture's size, so the code survives scaling (down to 160x90), 4:2:0,
another value range and hard compression. What has become doubtful, such as a blend of two frames,
reads as None, never as another number.
"""

from __future__ import annotations

import binascii
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Luma = npt.NDArray[np.uint8]

NUMBER_LIMIT = 1 << 32
ROWS = 2
COLUMNS = 26
STRIP_HEIGHT = (2, 15)  # of the picture's height

_DATA_COLUMNS = COLUMNS - 2
_DATA_BITS = ROWS * _DATA_COLUMNS
_BLACK, _WHITE = 16, 235
_SYNC_LEFT = np.array([1, 0], np.uint8)
_SYNC_RIGHT = np.array([0, 1], np.uint8)
_SAMPLES = 4  # points a block and a direction, in its middle half
_MIN_CONTRAST = 40.0  # levels between black and white, of 219
_MIN_MARGIN = 0.2  # of half the contrast: how far from grey each block must be
_BIT_WEIGHTS = 1 << np.arange(_DATA_BITS - 1, -1, -1, dtype=np.int64)


def draw(luma: Luma, number: int) -> None:
    """Draw `number` (0 to 2**32 - 1) into the bottom strip of `luma` (H, W), in place.

    Raises ValueError for a number outside the range.
    """
    if not 0 <= number < NUMBER_LIMIT:
        raise ValueError(f"a block code holds 0 to {NUMBER_LIMIT - 1}, not {number}")
    height, width = luma.shape
    row_tops, column_of_x = _drawing_grid(height, width)
    levels = np.where(_blocks(number), np.uint8(_WHITE), np.uint8(_BLACK))
    for row in range(ROWS):
        luma[row_tops[row] : row_tops[row + 1]] = levels[row][column_of_x]


def read(luma: Luma) -> int | None:
    """The number drawn into `luma` (H, W), or None where none can be read with certainty."""
    height, width = luma.shape
    if height < STRIP_HEIGHT[1] or width < COLUMNS:
        return None
    y_index, x_index = _sampling_grid(height, width)
    points = luma[y_index, x_index].reshape(ROWS, _SAMPLES, COLUMNS, _SAMPLES)
    blocks = points.sum(axis=(1, 3), dtype=np.int32) / float(_SAMPLES * _SAMPLES)
    white = min(blocks[0, 0], blocks[1, -1])
    black = max(blocks[1, 0], blocks[0, -1])
    contrast = white - black
    if contrast < _MIN_CONTRAST:
        return None
    data = blocks[:, 1:-1].ravel() * (2.0 / contrast) - (white + black) / contrast
    if np.abs(data).min() < _MIN_MARGIN:
        return None
    return _check(int((data > 0) @ _BIT_WEIGHTS))


def _check(word: int) -> int | None:
    """The number in a 48-bit word whose CRC is right."""
    number, crc = word >> 16, word & 0xFFFF
    return number if _crc(number) == crc else None


def _crc(number: int) -> int:
    return binascii.crc_hqx(number.to_bytes(4, "big"), 0xFFFF)


def _blocks(number: int) -> npt.NDArray[np.uint8]:
    """The code of `number`: (ROWS, COLUMNS) of 0 and 1."""
    word = np.frombuffer((number << 16 | _crc(number)).to_bytes(6, "big"), np.uint8)
    data = np.unpackbits(word).reshape(ROWS, _DATA_COLUMNS)
    return np.column_stack((_SYNC_LEFT, data, _SYNC_RIGHT))


def _strip_top(height: int) -> float:
    return height * (1 - STRIP_HEIGHT[0] / STRIP_HEIGHT[1])


@lru_cache(maxsize=32)
def _drawing_grid(height: int, width: int) -> tuple[tuple[int, ...], npt.NDArray[np.intp]]:
    """Where each row of blocks begins (and the last ends), and the block column of each x."""
    row_height = (height - _strip_top(height)) / ROWS
    tops = tuple(round(_strip_top(height) + row * row_height) for row in range(ROWS + 1))
    centres = np.arange(width) + 0.5
    return tops, np.minimum((centres * COLUMNS / width).astype(np.intp), COLUMNS - 1)


@lru_cache(maxsize=32)
def _sampling_grid(height: int, width: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indexes (column vector of y, row of x) of the points in the middle half of each block."""
    within = 0.25 + 0.5 * (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    top = _strip_top(height)
    rows = (np.arange(ROWS)[:, None] + within).ravel() * (height - top) / ROWS + top
    columns = (np.arange(COLUMNS)[:, None] + within).ravel() * width / COLUMNS
    return rows.astype(np.intp)[:, None], columns.astype(np.intp)
