"""Lines of playlists that live and recorded segments share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from kinolog.core.units import rfc3339
from kinolog.timeline.segment import MICROSECONDS

_DATE = "#EXT-X-PROGRAM-DATE-TIME:"


def decimal(ticks: int, timescale: int) -> str:
    """Ticks as decimal seconds with six digits, cut off, no float in between.

    Cut off and not rounded: a player adds them up, and hls.js waits for ever where the sum of the
    parts comes out after the end of the media in them (docs/explanation/hls.md).
    """
    us = ticks * MICROSECONDS // timescale
    return f"{us // MICROSECONDS}.{us % MICROSECONDS:06d}"


def date_line(wall_ms: int) -> str:
    """EXT-X-PROGRAM-DATE-TIME of a capture time in Unix ms."""
    return f"{_DATE}{rfc3339(wall_ms)}\n"


def date_lines(wall_ms: Sequence[int]) -> list[str]:
    """The same of many, in an eighth of the time."""
    dates = np.datetime_as_string(np.array(wall_ms, "datetime64[ms]"), timezone="UTC")
    return [f"{_DATE}{date}\n" for date in dates.tolist()]


def map_line(track: str, epoch: int) -> str:
    """EXT-X-MAP of an epoch's init segment."""
    return f'#EXT-X-MAP:URI="{track}/{epoch}/init.mp4"\n'
