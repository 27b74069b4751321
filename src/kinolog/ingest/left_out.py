"""Left out: packets of a publisher that do not reach the log, for gap records and reports."""

from __future__ import annotations

from collections.abc import Mapping

from kinolog.media.types import Packet
from kinolog.record.control import Gap


class _Run:
    """Packets of one track, from the first to the newest."""

    __slots__ = ("first", "frames", "newest", "step")

    def __init__(self, packet: Packet) -> None:
        self.first = self.newest = packet.dts
        self.step = packet.duration or 1
        self.frames = 1

    def add(self, packet: Packet) -> None:
        self.step = max(1, packet.dts - self.newest)
        self.newest = max(self.newest, packet.dts)
        self.frames += 1


class LeftOut:
    """What is left out for one reason, by track, until gap records name it.

    `total` counts packets, those included that no gap can name.
    """

    def __init__(self, reason: str) -> None:
        self.total = 0
        self._reason = reason
        self._runs: dict[int, _Run] = {}

    def add(self, packet: Packet) -> None:
        """One more."""
        self.total += 1
        run = self._runs.get(packet.track)
        if run is None:
            self._runs[packet.track] = _Run(packet)
        else:
            run.add(packet)

    def forget(self) -> None:
        """Name none of them: they were counted."""
        self._runs.clear()

    def take_gaps(self, names: Mapping[int, str], shift: Mapping[int, int]) -> list[Gap]:
        """The gap records of these tracks (the source's numbers), which are forgotten here.
        `shift` is what is added to a track's ticks for them."""
        gaps = []
        for track in self._runs.keys() & names.keys():
            run, moved = self._runs.pop(track), shift.get(track, 0)
            first, end = run.first + moved, run.newest + run.step + moved
            gaps.append(Gap(names[track], first, end, run.frames, self._reason))
        return sorted(gaps, key=lambda gap: gap.track)
