"""Immediate cutter: a track of profile `frame`, one access unit a chunk, written as it comes.

The duration is nominal (the container's, else that of the frame before), tfdt is authoritative.
What ends a part or segment is foreseen where it can be: a part or segment that is full, audio
that reaches a boundary. A keyframe comes by surprise: then the segment ends by the next MSN.
After a hole in which no frame could last, MSNs are left out (docs/adr/0010).
"""

from __future__ import annotations

from kinolog.media.cmaf import Sample
from kinolog.media.types import Packet
from kinolog.packager.limits import Limits
from kinolog.packager.rules import FollowRule, SegmentRule
from kinolog.packager.settings import TrackPlan
from kinolog.packager.writer import Chunk, ChunkWriter
from kinolog.record.header import Ends


class ImmediateCutter:
    """Cuts one track. Times are ticks."""

    __slots__ = (
        "_end",
        "_ended",
        "_expected",
        "_follow",
        "_force",
        "_last_dts",
        "_limits",
        "_part",
        "_part_start",
        "_part_used",
        "_rule",
        "_slack",
        "_writer",
        "segment_start",
    )

    def __init__(
        self, plan: TrackPlan, limits: Limits, rule: SegmentRule, writer: ChunkWriter
    ) -> None:
        self.segment_start: int | None = None
        self._writer = writer
        self._rule = rule
        self._follow = rule if isinstance(rule, FollowRule) else None
        self._limits = limits
        self._force = limits.force
        self._part = limits.part
        self._slack = limits.slack
        self._expected = plan.frame_ticks()
        self._ended: Ends = "segment"
        self._last_dts = self._end = self._part_start = self._part_used = 0

    @property
    def next_msn(self) -> int:
        """The first MSN that no chunk has."""
        return self._writer.next_msn

    def push(self, packet: Packet) -> list[Chunk]:
        """The packet as a chunk."""
        dts = packet.dts
        self._arrive(packet)
        start = self.segment_start if self.segment_start is not None else dts
        duration = self._limits.nominal(packet.duration, self._expected)
        over = self._used(dts) + duration - self._part
        if 0 < over <= self._slack and over < duration:
            duration -= over  # rounded milliseconds: nominal anyway, and the part is full
        self._end = end = dts + duration
        self._part_used = self._used(dts) + duration
        ends: Ends = ""
        if self._rule.cut_before(end, False, start, self._expected):
            ends = "segment"
        elif self._part_used + self._expected > self._part + self._slack:
            ends = "part"
        self._ended = ends
        sample = Sample(packet.data, duration, packet.pts - dts, packet.keyframe)
        return [self._writer.write((sample,), dts, duration, ends)]

    def boundary(self, dts: int) -> list[Chunk]:
        """The leading video began a segment at `dts`; for the next frame at or after it."""
        if self._follow is not None:
            self._follow.queue(dts)
        return []

    def flush(self) -> list[Chunk]:
        """The session ends: nothing is held, the close record ends the segment."""
        self._writer.next_segment()
        self.segment_start = None
        self._ended = "segment"
        return []

    def _arrive(self, packet: Packet) -> None:
        """Begin a segment or part before the packet, where it is due."""
        dts = packet.dts
        start = self.segment_start
        hole = 0
        if start is None:
            if self._follow is not None:
                self._follow.begin(dts)
        elif dts - self._last_dts >= self._force:
            hole = dts - self._end
            if self._follow is not None:
                self._follow.begin(dts)
        elif dts > self._last_dts:
            self._expected = dts - self._last_dts
        self._last_dts = dts
        expected = packet.duration or self._expected
        if start is None or self._ended == "segment":
            self._writer.leave_out(self._limits.unused(hole))
            self._begin_segment(dts)
        elif self._rule.cut_before(dts, packet.keyframe, start, expected):  # or a hole
            self._writer.next_segment()
            self._writer.leave_out(self._limits.unused(hole))
            self._begin_segment(dts)
        elif self._ended == "part":
            self._begin_part(dts)
        elif self._used(dts) + expected > self._part + self._slack:
            self._writer.next_part()
            self._begin_part(dts)

    def _used(self, dts: int) -> int:
        """How much of the part is used up before a frame at `dts`, however one adds it up."""
        return max(dts - self._part_start, self._part_used)

    def _begin_segment(self, dts: int) -> None:
        self.segment_start = dts
        self._begin_part(dts)

    def _begin_part(self, dts: int) -> None:
        self._part_start = dts
        self._part_used = 0
