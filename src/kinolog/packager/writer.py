"""Writer: numbers a track's chunks and makes their headers and bytes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kinolog.media.cmaf import Sample, chunk, reference_time
from kinolog.packager.settings import TrackPlan
from kinolog.record.header import VERSION, Ends, Header

WallOf = Callable[[int, int], float]
"""(dts, timescale) to the capture wall clock, Unix ms and their fractions."""


class Chunk(NamedTuple):
    """A chunk ready for the log; `payload` is one moof and one mdat, the first of a segment with
    a prft before them."""

    header: Header
    payload: bytes


class ChunkWriter:
    """Numbers of a track within an epoch.

    The mfhd sequence number runs from 1 over the track's chunks of the epoch: the same packets
    give the same bytes.
    """

    __slots__ = (
        "_chunk",
        "_disc",
        "_epoch",
        "_part",
        "_parts",
        "_sequence",
        "_timescale",
        "_track",
        "_wall_of",
        "_whole_ms",
        "msn",
    )

    def __init__(
        self, plan: TrackPlan, *, epoch: int, disc: int, wall_of: WallOf, parts: bool
    ) -> None:
        self.msn = plan.first_msn
        self._track = plan.name
        self._timescale = plan.format.timescale
        self._epoch = epoch
        self._disc = disc
        self._wall_of = wall_of
        self._whole_ms = math.ceil if plan.format.kind == "video" else _early
        self._parts = parts
        self._part = 0
        self._chunk = 0
        self._sequence = 0

    def write(self, samples: Sequence[Sample], dts: int, duration: int, ends: Ends) -> Chunk:
        """A chunk of `samples` that starts at `dts` and lasts `duration` ticks."""
        self._sequence += 1
        wall_ms = self._wall_of(dts, self._timescale)
        captured = b"" if self._chunk else reference_time(dts, wall_ms)
        if ends == "part" and not self._parts:
            ends = ""
        header = Header(
            v=VERSION,
            kind="chunk",
            epoch=self._epoch,
            track=self._track,
            disc=self._disc,
            msn=self.msn,
            part=self._part,
            chunk=self._chunk,
            dts=dts,
            dur=duration,
            ind=samples[0].sync,
            ends=ends,
            wall=self._whole_ms(wall_ms),
        )
        self._chunk += 1
        if ends:
            if ends == "segment":
                self.next_segment()
            else:
                self._part += 1
        return Chunk(header, captured + chunk(self._sequence, dts, samples))

    def next_part(self) -> None:
        """The next chunk begins a part, though the one before could not know."""
        if self._parts:
            self._part += 1

    def next_segment(self) -> None:
        """The next chunk begins a segment; without effect where this one has no chunk yet."""
        if self._chunk:
            self.msn += 1
            self._part = 0
            self._chunk = 0

    def leave_out(self, numbers: int) -> None:
        """Numbers that no chunk will have, between two segments: readers list them as gaps."""
        self.msn += numbers

    @property
    def next_msn(self) -> int:
        """The first MSN that no chunk has."""
        return self.msn + 1 if self._chunk else self.msn


def _early(wall_ms: float) -> int:
    """The whole millisecond before, by a tenth of one at the least.

    Players line audio up with video by the dates of their playlists, which are whole
    milliseconds. hls.js waits for ever where that puts audio late (docs/explanation/hls.md).
    """
    return math.floor(wall_ms - 0.1)
