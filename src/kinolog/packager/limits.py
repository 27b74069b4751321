"""Limits of a track's segments, parts and chunks, as integer ticks of its timescale.

Every comparison of the hot path is between integers; what is rounded here is rounded to the side
on which the comparison stays exact.
"""

from __future__ import annotations

from typing import NamedTuple

from kinolog.packager.settings import CutSettings

FORCE_AFTER_MS = 500
"""No segment reaches its target and this much more (DESIGN.md, Cutting)."""

CHUNK_MS = 100
"""About what a chunk of profile `low` holds."""

MAX_CHUNK_SAMPLES = 512
MAX_CHUNK_BYTES = 16 << 20
"""What is held back for one chunk is bounded, also for a source whose time stands still."""


class Limits(NamedTuple):
    """`key`: a keyframe this far into its segment begins the next. `target`: where audio alone is
    cut. `force`: no segment reaches this. `tiny`: a segment shorter than this is not worth a cut
    that another cut has already answered. `part`: no part is longer. `split`: distance of the
    chunks within a part. `slack`: what timestamps in rounded milliseconds may be off; a forced
    cut comes so much early, for the last frame may turn out a tick longer than expected.
    """

    key: int
    target: int
    force: int
    tiny: int
    part: int
    split: int
    slack: int

    def nominal(self, told: int | None, expected: int) -> int:
        """How long a frame lasts that none follows in time: as the container tells, or as is
        expected; not so long that no segment could hold it."""
        duration = told or expected
        return duration if duration < self.force - self.slack else self.target

    def unused(self, hole: int) -> int:
        """How many segments of the target duration a hole takes the place of."""
        return -(-hole // self.target)


def limits(settings: CutSettings, timescale: int) -> Limits:
    """The limits of a track of `timescale` ticks a second.

    Without parts, a chunk takes the place of the part, so that the rest need not ask.
    """
    part_ms = settings.part_ms
    if not settings.parts and settings.profile != "standard":
        part_ms = min(part_ms, CHUNK_MS)
    part = part_ms * timescale // 1000
    chunks = max(1, (part_ms + CHUNK_MS // 2) // CHUNK_MS) if settings.profile == "low" else 1
    return Limits(
        # A camera's 2 s GOP measures 1.995 s by its own clock: at exactly the target it would be
        # missed, and the cut forced half a second later, without a keyframe. Half a part less is
        # far from any other keyframe of such a source.
        key=_ceil((2 * settings.target_ms - settings.part_ms) * timescale, 2000),
        target=_ceil(settings.target_ms * timescale, 1000),
        force=_ceil((settings.target_ms + FORCE_AFTER_MS) * timescale, 1000),
        tiny=settings.target_ms * timescale // 2000,
        part=part,
        split=max(1, part // chunks) if chunks > 1 else 1 << 62,
        slack=_ceil(timescale, 1000),
    )


def _ceil(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
