"""Holding cutter: a track of profile `low` or `standard`, which holds one packet to learn how
long it lasts (the next DTS less its own).

So whatever is written, the frame after it is known, and `ends` tells the truth. The one
exception: a frame that turns out far longer than expected, after the chunk before it has gone;
then the part or segment ends by the next one's number, as the wire format allows.

A frame that would be too long for any segment is followed by a hole: it lasts as long as expected,
and MSNs are left out (docs/adr/0010).
"""

from __future__ import annotations

from kinolog.media.cmaf import Sample
from kinolog.media.types import Packet
from kinolog.packager.limits import MAX_CHUNK_BYTES, MAX_CHUNK_SAMPLES, Limits
from kinolog.packager.rules import FollowRule, SegmentRule
from kinolog.packager.settings import TrackPlan
from kinolog.packager.writer import Chunk, ChunkWriter
from kinolog.record.header import Ends


class HoldingCutter:
    """Cuts one track. Times are ticks; a segment, part or chunk lasts from its start to the held
    packet, so nothing needs adding up."""

    __slots__ = (
        "_bytes",
        "_chunk_start",
        "_expected",
        "_follow",
        "_force",
        "_held",
        "_limits",
        "_part",
        "_part_start",
        "_rule",
        "_samples",
        "_slack",
        "_split",
        "_split_at",
        "_video",
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
        self._split = limits.split
        self._slack = limits.slack
        self._video = plan.format.kind == "video"
        self._expected = plan.frame_ticks()
        self._held: Packet | None = None
        self._samples: list[Sample] = []
        self._bytes = 0
        self._part_start = self._chunk_start = self._split_at = 0

    @property
    def next_msn(self) -> int:
        """The first MSN that no chunk has."""
        return self._writer.next_msn

    def push(self, packet: Packet) -> list[Chunk]:
        """Take the next packet; the chunks that are now sure."""
        held = self._held
        self._held = packet
        dts = packet.dts
        out: list[Chunk] = []
        if held is None or self.segment_start is None:
            if self._follow is not None:
                self._follow.begin(dts)
            self._begin_segment(dts)
            return out
        end = dts
        if dts - held.dts >= self._force:
            end = held.dts + self._limits.nominal(held.duration, self._expected)
        elif dts > held.dts:
            self._expected = dts - held.dts
        self._place(held, end, out)
        expected = packet.duration or self._expected
        if self._rule.cut_before(dts, packet.keyframe, self.segment_start, expected):  # or a hole
            self._write(end, "segment", out)
            self._writer.leave_out(self._limits.unused(dts - end))
            self._begin_segment(dts)
            return out
        room = self._part_start + self._part - dts - expected
        if room < -self._slack:
            # Ended now, so that the part leaves without waiting for one packet more.
            self._write(dts, "part", out)
            self._begin_part(dts)
        elif room >= self._slack and (
            # Within the slack nothing is written: if the packet turns out not to fit, this
            # chunk is the last of its part, and must say so.
            2 * dts + expected > 2 * self._split_at + self._slack
            or (self._video and packet.keyframe)
            or self._bytes > MAX_CHUNK_BYTES
            or len(self._samples) >= MAX_CHUNK_SAMPLES
        ):
            self._write(dts, "", out)
        return out

    def boundary(self, dts: int) -> list[Chunk]:
        """The leading video began a segment at `dts`: cut there, if that is still unwritten.

        The cut is at the first unwritten frame at or after it, save that one frame stays behind
        to say that it is the last.
        """
        out: list[Chunk] = []
        held, follow = self._held, self._follow
        if follow is None:
            return out
        if held is None or self.segment_start is None or follow.waiting() or held.dts < dts:
            follow.queue(dts)
            return out
        cut = self._chunk_start
        for index, sample in enumerate(self._samples):
            cut += sample.duration
            if cut >= dts:
                if follow.takes(dts, cut, self.segment_start):
                    rest = self._samples[index + 1 :]
                    del self._samples[index + 1 :]
                    self._write(cut, "segment", out)
                    self._begin_segment(cut)
                    self._samples = rest
                    self._bytes = sum(len(sample.data) for sample in rest)
                return out
        follow.queue(dts)
        return out

    def flush(self) -> list[Chunk]:
        """The session ends: write all, the held packet with the duration it is expected to have."""
        out: list[Chunk] = []
        held = self._held
        if held is not None:
            self._held = None
            end = held.dts + self._limits.nominal(held.duration, self._expected)
            part_end = self._part_start + self._part
            if held.dts < part_end < end <= part_end + self._slack:
                end = part_end  # only guessed, and off by rounded milliseconds
            self._place(held, end, out)
            self._write(end, "segment", out)
            self.segment_start = None
        return out

    def _place(self, held: Packet, end: int, out: list[Chunk]) -> None:
        """Add the held packet, which lasts until `end`, to the part it fits in."""
        dts = held.dts
        start = self.segment_start
        if start is not None and start < dts and end - start >= self._force:
            self._write(dts, "segment", out)
            self._writer.next_segment()
            self._begin_segment(dts)
        elif self._part_start < dts and end - self._part_start > self._part:
            if self._samples:
                self._write(dts, "part", out)
            else:
                self._writer.next_part()
            self._begin_part(dts)
        elif self._samples and self._video and held.keyframe:
            self._write(dts, "", out)
        data = held.data
        self._samples.append(Sample(data, end - dts, held.pts - dts, held.keyframe))
        self._bytes += len(data)

    def _write(self, end: int, ends: Ends, out: list[Chunk]) -> None:
        """Write the chunk that lasts until `end`, if there is one."""
        if self._samples:
            start = self._chunk_start
            out.append(self._writer.write(self._samples, start, end - start, ends))
            self._samples = []
            self._bytes = 0
        self._chunk_start = end
        self._split_at += self._split

    def _begin_segment(self, dts: int) -> None:
        self.segment_start = dts
        self._begin_part(dts)

    def _begin_part(self, dts: int) -> None:
        self._part_start = self._chunk_start = dts
        self._split_at = dts + self._split
