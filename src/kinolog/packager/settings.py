"""Settings of the cut: a stream's fixed durations, and what is known of each track."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from kinolog.media.types import TrackFormat
from kinolog.record.control import Profile

_MIN_PART_FILL = Fraction(85, 100)
"""A part holds at least this much of the part duration (RFC 8216bis, 4.4.3.7)."""

_USUAL_FRAMES = [
    *(1 / Fraction(rate) for rate in (24, 25, 30, 50, 60)),
    *(Fraction(1001, rate) for rate in (24_000, 30_000, 60_000)),
    *(Fraction(1024, rate) for rate in (44_100, 48_000)),
    Fraction(20, 1000),
]
"""Seconds of a frame of what a stream may be published from: cameras, AAC, Opus."""
_MOST_ROOM = Fraction(110, 100)


@dataclass(frozen=True, slots=True)
class CutSettings:
    """Durations of media segments and parts (ms), which stay the same over a stream's epochs.

    `parts` is False for an epoch whose frames are too far apart for parts.
    """

    target_ms: int = 2000
    part_ms: int = 200
    profile: Profile = "low"
    parts: bool = True


@dataclass(frozen=True, slots=True)
class TrackPlan:
    """A track of the session: `name` as in headers, and the number of its first media segment.

    `nominal_duration` (ticks) is that of a frame where the source tells nothing better.
    """

    name: str
    format: TrackFormat
    first_msn: int = 0
    nominal_duration: int | None = None

    def frame_ticks(self) -> int:
        """Expected duration of a frame in ticks, before the first one has been measured."""
        timescale = self.format.timescale
        if self.nominal_duration is not None and self.nominal_duration > 0:
            return self.nominal_duration
        if self.format.frame_rate:
            return max(1, round(timescale / self.format.frame_rate))
        if self.format.kind == "video":
            return max(1, timescale // 25)
        if self.format.codec == "opus":
            return max(1, timescale // 50)  # 20 ms is what encoders send (RFC 6716, 2.1.4)
        rate = self.format.sample_rate or timescale
        return max(1, round(Fraction(1024 * timescale, rate)))  # AAC-LC (ISO/IEC 14496-3)


def has_parts(frames: Sequence[Fraction], part_ms: int) -> bool:
    """Whether whole frames of each of these durations (seconds) fill a part to 85 %."""
    return all(_fills(frame, part_ms) for frame in frames)


def plan_cut(
    frame_rate: Fraction | None,
    has_video: bool,
    target_ms: int = 2000,
    part_ms: int = 200,
    *,
    profile: Profile = "low",
    audio_frames: Sequence[Fraction] = (),
) -> CutSettings:
    """The durations that a stream keeps for life, from what its first session sends.

    A stream's sources change, its part duration never does. So `part_ms` becomes the least
    duration from what was asked for to a tenth more that whole frames of every usual source fill
    (209 ms for 200: docs/adr/0009); where there is none that this source fills too, the nearest
    whole number of its video frames. `audio_frames` are the audio tracks' frame durations in
    seconds. `target_ms` grows to one frame where that is longer.
    """
    frames = list(audio_frames)
    if has_video and frame_rate is not None and frame_rate > 0:
        frames.insert(0, 1 / frame_rate)
        target_ms = max(target_ms, ceil(1000 / frame_rate))
    part_ms = _fitting_part(frames, part_ms)
    return CutSettings(target_ms, part_ms, profile, has_parts(frames, part_ms))


def _fitting_part(frames: Sequence[Fraction], part_ms: int) -> int:
    """The best part duration for frames of these durations, video's first."""
    for candidate in range(part_ms, int(part_ms * _MOST_ROOM) + 1):
        if has_parts([*_USUAL_FRAMES, *frames], candidate):
            return candidate
    if not frames or frames[0] * 1000 > part_ms:
        return part_ms
    wanted = round(Fraction(part_ms, 1000) / frames[0])
    near = sorted(range(max(1, wanted // 2), wanted * 2), key=lambda count: abs(count - wanted))
    candidates = [_whole_ms(count * frames[0]) for count in near]
    return next((c for c in candidates if has_parts(frames, c)), part_ms)


def _whole_ms(duration_s: Fraction) -> int:
    """Milliseconds that hold the duration, also where timestamps round it up by a tick.

    What is no whole number of ms gets 0.1 ms of room: a tick of any scale but 1 ms itself, whose
    roundings the next whole ms holds anyway.
    """
    exact = 1000 * duration_s
    return exact.numerator if exact.denominator == 1 else ceil(exact + Fraction(1, 10))


def _fills(frame_s: Fraction, part_ms: int) -> bool:
    """Whether whole frames of this duration fill a part to 85 %, and have the room they need,
    also where timestamps are in ms and round that down."""
    count = Fraction(part_ms, 1000) // frame_s
    if _whole_ms(count * frame_s) > part_ms:
        count -= 1
    return int(1000 * count * frame_s) >= _MIN_PART_FILL * part_ms
