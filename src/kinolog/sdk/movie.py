"""A movie: a flow of items as one fragmented MP4 of all its tracks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from kinolog.core.timebase import rescale
from kinolog.media.merge import merge_inits, retrack
from kinolog.record.control import OpenTrack
from kinolog.sdk.chunk import Chunk
from kinolog.sdk.flow import Begun, Item, Mark

MOST_HELD_BYTES = 32 * 1024 * 1024
_HELD_S = 2


@dataclass(frozen=True, slots=True)
class _Layout:
    """The tracks of a header: their numbers, and what is taken off their times, in ticks."""

    ids: dict[str, int]
    shifts: dict[str, int]


class Movie:
    """`add` items and write what it returns, then `finish`.

    The header is written when every track has shown itself, or after two seconds of the first, so
    that no time is below zero. `over` says that the movie has ended, `ended_by` why.
    """

    def __init__(self, *, keep_times: bool = False, across: bool = False) -> None:
        self.over = False
        self.ended_by = ""
        self._present = False
        self._ended = False
        self._keep_times = keep_times
        self._across = across
        self._sequence = count(1)
        self._inits: dict[str, bytes] = {}
        self._tracks: Sequence[OpenTrack] = ()
        self._layout: _Layout | None = None
        self._held: list[Chunk] = []
        self._last_dts: dict[str, int] = {}

    def add(self, item: Item) -> bytes:
        """What an item adds to the file."""
        if self.over:
            return b""
        if isinstance(item, Begun):
            return self._begin(item)
        if isinstance(item, Mark):
            return self._mark(item)
        if self._layout is not None:
            return self._chunk(self._layout, item)
        self._held.append(item)
        return self.finish() if self._ready() else b""

    def finish(self) -> bytes:
        """What is still held."""
        held, self._held = self._held, []
        if not held or self.over:
            return b""
        self._layout = layout = self._lay_out(held)
        header = merge_inits([track.init for track in self._tracks])
        return header + b"".join(self._chunk(layout, chunk) for chunk in held)

    def _mark(self, mark: Mark) -> bytes:
        """In the past, an end is the last only where nothing follows up to the present."""
        if mark is Mark.PRESENT:
            self._present = True
        else:
            self._ended = mark is Mark.ENDED
        data = self.finish() if mark is not Mark.PRESENT or self._ended else b""
        if self._present and self._ended:
            self._end("the stream has ended")
        return data

    def _begin(self, begun: Begun) -> bytes:
        self._ended = False
        data = self.finish()
        inits = {track.name: track.init for track in begun.tracks}
        if self._layout is None:
            self._inits, self._tracks = inits, begun.tracks
        elif inits != self._inits:
            if not self._across:
                self._end(
                    "its tracks change here, which players cannot follow within one file; "
                    "--from a later time goes on, or --across"
                )
                return data
            self._restart()
            self._inits, self._tracks = inits, begun.tracks
        return data

    def _restart(self) -> None:
        self._layout = None
        self._last_dts = {}

    def _back(self, chunk: Chunk) -> bytes:
        if not self._across:
            self._end("the source's clock goes back here, which players cannot follow")
            return b""
        self._restart()
        self._held = [chunk]
        return b""

    def _end(self, why: str) -> None:
        self.over, self.ended_by = True, why

    def _ready(self) -> bool:
        """Whether all tracks have shown themselves, or have had the time to."""
        first, last = self._held[0], self._held[-1]
        if {chunk.track for chunk in self._held} == self._inits.keys():
            return True
        spanned = last.end_ms - first.wall_ms >= 1000 * _HELD_S
        return spanned or sum(len(chunk.data) for chunk in self._held) > MOST_HELD_BYTES

    def _lay_out(self, held: Sequence[Chunk]) -> _Layout:
        ids = {track.name: number for number, track in enumerate(self._tracks, 1)}
        zero_ms = min(chunk.dts * 1000 // chunk.timescale for chunk in held)
        if self._keep_times:
            zero_ms = 0
        shifts = {track.name: rescale(zero_ms, 1000, track.timescale) for track in self._tracks}
        return _Layout(ids, shifts)

    def _chunk(self, layout: _Layout, chunk: Chunk) -> bytes:
        """A chunk for this header. A session whose clock is behind that of the one before cannot
        go on in the same file."""
        shift, last = layout.shifts[chunk.track], self._last_dts.get(chunk.track)
        if self.over or (last is None and chunk.dts < shift):
            return b""
        if last is not None and chunk.dts <= last:
            return self._back(chunk)
        self._last_dts[chunk.track] = chunk.dts
        return retrack(
            chunk.data,
            track_id=layout.ids[chunk.track],
            sequence_number=next(self._sequence),
            shift_ticks=shift,
        )
