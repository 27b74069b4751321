"""Lay: a track's samples into a clip's tables, one media segment after the other. Pure.

Composition time = place in the clip + `media_time`. Little is held, however long the clip is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from kinolog.core.timebase import rescale
from kinolog.delivery.clip.columns import Columns, Ticks
from kinolog.media.sample_tables import SampleTables


class Piece(NamedTuple):
    """Samples [begin, end) of a track's columns, all of one segment."""

    segment: int
    begin: int
    end: int


class At(NamedTuple):
    """Where a section is: what has the media time `shown` (ticks of `timescale`) is shown at
    `place` (ticks of the track's in the clip)."""

    timescale: int
    shown: int
    place: int


class TrackLayer:
    """Puts the pieces of a track behind one another."""

    def __init__(self, tables: SampleTables, scale: int) -> None:
        """`scale`: ticks a second of the track in the clip."""
        self.scale = scale
        self.tables = tables
        self._media_time: int | None = None
        self._ends = 0
        self._dts, self._composed = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._lasts = 1

    @property
    def late(self) -> int:
        """What is added to each composition offset so that none is below 0: FFmpeg moves the DTS
        of a file with others, and shows its first frame that much before 0."""
        return max(0, -self.tables.least_offset) if self.tables.count else 0

    @property
    def media_time(self) -> int:
        """What is shown at the clip's beginning; negative where that is before the first sample."""
        return (self._media_time or 0) + self.late

    @property
    def ends(self) -> int:
        """Where the last sample ends, in composition time."""
        return self._ends + self.late

    def add(
        self,
        columns: Columns,
        pieces: Sequence[Piece],
        at: At,
        places: Sequence[int],
        descriptions: Sequence[int],
    ) -> None:
        """The next pieces, whose samples follow one another in the columns: at which bytes of all
        samples they begin, and which sample entries they have."""
        begin, end = pieces[0].begin, pieces[-1].end
        first, last = pieces[0].segment, pieces[-1].segment
        before, _ = columns.samples(first)
        dts = columns.decode_times(first, last + 1)[begin - before : end - before]
        offsets = np.array(columns.cts[begin:end], np.int64)
        decoded = rescaled(dts - at.shown, at.timescale, self.scale) + at.place
        composed = rescaled(dts + offsets - at.shown, at.timescale, self.scale) + at.place
        if self._media_time is None:
            self._media_time = -int(decoded[0])
        decoded += self._media_time
        composed += self._media_time
        # Where a joint, or a clock that was rounded, would let time stand still.
        steps = np.arange(len(decoded))
        decoded -= steps
        if len(self._dts):
            decoded[0] = max(int(decoded[0]), int(self._dts[-1]) + 1)
        np.maximum.accumulate(decoded, out=decoded)
        decoded += steps
        self.tables.samples(
            np.array(columns.size[begin:end], np.uint32),
            np.frombuffer(columns.sync[begin:end], np.uint8),
            np.array([piece.end - piece.begin for piece in pieces], np.int64),
            np.array(places, np.int64),
            np.array(descriptions, np.int64),
        )
        # The last sample's duration is known when the next one comes.
        self._dts = np.concatenate((self._dts, decoded))
        self._composed = np.concatenate((self._composed, composed))
        self._lasts = max(1, rescale(columns.duration[end - 1], at.timescale, self.scale))
        self._tell(np.diff(self._dts))

    def _tell(self, durations: Ticks) -> None:
        count = len(durations)
        dts, composed = self._dts[:count], self._composed[:count]
        if count:
            self._ends = max(self._ends, int((composed + durations).max()))
        self.tables.times(durations, composed - dts)
        self._dts, self._composed = self._dts[count:], self._composed[count:]

    def finish(self) -> None:
        """Nothing more comes."""
        self._tell(np.full(len(self._dts), self._lasts, np.int64))
        self.tables.finish()


def rescaled(ticks: Ticks, from_scale: int, to_scale: int) -> Ticks:
    """As core.timebase.rescale, for many."""
    if from_scale == to_scale:
        return ticks
    return (2 * ticks * to_scale + from_scale) // (2 * from_scale)
