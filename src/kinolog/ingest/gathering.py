"""Gathering: what a source sends before all its tracks have shown themselves."""

from __future__ import annotations

from collections.abc import Mapping

from kinolog.core.timebase import rescale
from kinolog.ingest.gate import HOLD_BYTES
from kinolog.media.types import Packet, TrackFormat

_GATHER_PACKETS = 2_000
GATHER_MS = 1_000
"""How much media is waited for tracks that nobody has announced."""


class Gathering:
    """Packets that wait, at most 16 MiB and one more. `expected`: how many tracks the source says
    that it has, 0 where it does not."""

    def __init__(self) -> None:
        self.expected = 0
        self.packets: list[Packet] = []
        self._bytes = 0

    def add(self, packet: Packet) -> None:
        """One more."""
        self.packets.append(packet)
        self._bytes += len(packet.data)

    def complete(self, formats: Mapping[int, TrackFormat], skipped: int) -> bool:
        """Whether every track that is to be expected has shown itself. `formats` are those of the
        packets, `skipped` is the number of tracks that are not carried."""
        if self.expected and len(formats) + skipped >= self.expected:
            return True
        if self._bytes >= HOLD_BYTES or len(self.packets) >= _GATHER_PACKETS:
            return True
        first, last = (
            rescale(packet.dts, formats[packet.track].timescale, 1000)
            for packet in (self.packets[0], self.packets[-1])
        )
        return abs(last - first) >= GATHER_MS

    def take(self) -> list[Packet]:
        """The packets, which are no longer held here."""
        packets, self.packets, self._bytes = self.packets, [], 0
        return packets
