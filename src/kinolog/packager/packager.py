"""Packager: a session's packets in, chunks ready for the log out.

The first video track leads: where it begins a media segment, audio follows. Other video tracks
are cut by their own keyframes.
"""

from __future__ import annotations

from collections.abc import Sequence

from kinolog.media.types import Packet
from kinolog.packager.holding import HoldingCutter
from kinolog.packager.immediate import ImmediateCutter
from kinolog.packager.limits import limits
from kinolog.packager.rules import FollowRule, SegmentRule, TargetRule, VideoRule
from kinolog.packager.settings import CutSettings, TrackPlan
from kinolog.packager.writer import Chunk, ChunkWriter, WallOf

Cutter = HoldingCutter | ImmediateCutter


class Packager:
    """Cuts the tracks of one epoch. Pure: the same packets give the same chunks.

    Packets come after the session's gate: the first of a video track is a keyframe, DTS never
    goes back in a track, media time is Unix time in ticks of the track's timescale.
    `wall_of(dts, timescale)` gives the capture wall clock (Unix ms) of a media time.
    """

    def __init__(
        self,
        tracks: Sequence[TrackPlan],
        settings: CutSettings,
        *,
        epoch: int,
        disc: int,
        wall_of: WallOf,
    ) -> None:
        kinds = [plan.format.kind for plan in tracks]
        self._lead = kinds.index("video") if "video" in kinds else -1
        self._timescales = [plan.format.timescale for plan in tracks]
        self._cutters: list[Cutter] = []
        for plan in tracks:
            writer = ChunkWriter(
                plan, epoch=epoch, disc=disc, wall_of=wall_of, parts=settings.parts
            )
            self._cutters.append(_cutter(plan, settings, writer, alone=self._lead < 0))
        self._followers = [index for index, kind in enumerate(kinds) if kind == "audio"]

    def push(self, packet: Packet) -> list[Chunk]:
        """Take a packet (`packet.track` indexes the tracks); the chunks that are now whole."""
        track = packet.track
        cutter = self._cutters[track]
        if track != self._lead:
            return cutter.push(packet)
        before = cutter.segment_start
        chunks = cutter.push(packet)
        start = cutter.segment_start
        if start != before and start is not None and before is not None:
            self._follow(start, chunks)
        return chunks

    def flush(self) -> list[Chunk]:
        """The session ends: the chunks of what was held back, each track's last with its mark.

        In profile `frame` nothing is held back; there the close record ends the segments.
        """
        return [chunk for cutter in self._cutters for chunk in cutter.flush()]

    def next_msn(self, track: int) -> int:
        """The first MSN of a track that no chunk has."""
        return self._cutters[track].next_msn

    def _follow(self, start: int, chunks: list[Chunk]) -> None:
        """Tell the audio tracks where the leading video began a segment."""
        timescale = self._timescales[self._lead]
        for index in self._followers:
            # Rounded up: what is at or after this is exactly what is at or after the boundary.
            boundary = -(-start * self._timescales[index] // timescale)
            chunks += self._cutters[index].boundary(boundary)


def _cutter(plan: TrackPlan, settings: CutSettings, writer: ChunkWriter, *, alone: bool) -> Cutter:
    """The cutter for a track; `alone`: there is no video to follow."""
    bounds = limits(settings, plan.format.timescale)
    rule: SegmentRule
    if plan.format.kind == "video":
        rule = VideoRule(bounds)
    else:
        rule = TargetRule(bounds) if alone else FollowRule(bounds)
    kind = ImmediateCutter if settings.profile == "frame" else HoldingCutter
    return kind(plan, bounds, rule, writer)
