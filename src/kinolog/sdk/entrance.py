"""The entrance: lets chunks through from the last keyframe before the wanted moment on.

Pure. The log is read from a little before the moment; what lies before it is held since the last
keyframe, and dropped when there is a later one.
"""

from __future__ import annotations

from collections.abc import Sequence

from kinolog.log.history import Moment
from kinolog.record.control import OpenTrack
from kinolog.sdk.chunk import Chunk

MOST_HELD_BYTES = 64 * 1024 * 1024
_STALLED_MS = 3_000


class Entrance:
    """`opened` at each epoch that does not go on with the one before, `push` each chunk, `arrived`
    at the present."""

    def __init__(self, moment: Moment) -> None:
        self.passed = moment == "earliest"
        """Whether the moment is behind."""
        self._start_ms = float(moment) if isinstance(moment, int) else float("inf")
        self._lead = ""
        self._held: list[Chunk] = []
        self._held_bytes = 0

    def opened(self, tracks: Sequence[OpenTrack]) -> None:
        """An epoch began with these of its tracks: decoders start anew, so what was held is of no
        use."""
        video = [track.name for track in tracks if track.kind == "video"]
        self._lead = (video or [track.name for track in tracks] or [""])[0]
        self._hold([])

    def push(self, chunk: Chunk) -> list[Chunk]:
        """The chunks that may go on now."""
        if self.passed:
            return [chunk]
        lead = chunk.track == self._lead
        if lead and chunk.independent and chunk.wall_ms <= self._start_ms:
            self._hold([c for c in self._held if not self._before(c, chunk)])
        self._held.append(chunk)
        self._held_bytes += len(chunk.data)
        ahead_ms = chunk.end_ms - self._start_ms
        if ahead_ms > (0 if lead else _STALLED_MS) or self._held_bytes > MOST_HELD_BYTES:
            return self.arrived()
        return []

    def arrived(self) -> list[Chunk]:
        """What is held, and everything from now on."""
        self.passed = True
        held = self._held
        self._hold([])
        return held

    def _before(self, held: Chunk, key: Chunk) -> bool:
        return held.track == key.track or held.end_ms <= key.wall_ms

    def _hold(self, chunks: list[Chunk]) -> None:
        self._held = chunks
        self._held_bytes = sum(len(chunk.data) for chunk in chunks)
