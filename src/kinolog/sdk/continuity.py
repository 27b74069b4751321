"""Continuity: whether a chunk can be decoded after its track's chunk before. Pure.

docs/wire-format.md, "Decoding over epochs": a session whose delivery failed goes on in a new epoch,
amid a group of pictures.
"""

from __future__ import annotations

from kinolog.record.control import Open
from kinolog.record.header import Header


class Continuity:
    """`opened` at each valid open, `hole` at each hole, `follows` for each chunk."""

    def __init__(self) -> None:
        self._open: Open | None = None
        self._last: dict[str, tuple[int, int]] = {}

    def opened(self, session: Open) -> bool:
        """Whether the session is that of the open before, with the same tracks."""
        before, self._open = self._open, session
        if before is None or before.session != session.session:
            self._last = {}
            return False
        inits = {track.name: track.init for track in before.tracks}
        for track in session.tracks:
            if inits.get(track.name) != track.init:
                self._last.pop(track.name, None)
        return inits == {track.name: track.init for track in session.tracks}

    def hole(self, track: str) -> None:
        """Something of the track is missing here."""
        self._last.pop(track, None)

    def follows(self, chunk: Header) -> bool:
        """Whether nothing is missing before the chunk. An MSN that is left out is nothing."""
        last = self._last.get(chunk.track)
        self._last[chunk.track] = (chunk.msn, chunk.chunk)
        # A segment has one hole, however much of it is missing: hence the numbers.
        return last is not None and (chunk.chunk == 0 or (chunk.msn, chunk.chunk - 1) == last)
