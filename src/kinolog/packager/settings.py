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


def has_parts(frame_rate: Fraction | None, part_ms: int) -> bool:
    """Whether a source of this frame rate has at least a frame a part. An unknown rate has."""
    return frame_rate is None or frame_rate <= 0 or frame_rate * part_ms >= 1000


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

    `part_ms` becomes the whole number of video frames nearest to what was asked for, rounded up
    to the next millisecond: then timestamps in rounded milliseconds (RTMP, Matroska) fit too,
    for the distance of two rounded numbers is less than 1 ms off. `target_ms` grows to one frame
    where that is longer. `audio_frames` are the audio tracks' frame durations in seconds: where
    one of them could not fill a part to 85 %, the nearest part duration is taken in which each
    can.
    """
    if not has_video or frame_rate is None or frame_rate <= 0:
        return CutSettings(target_ms, _fitting_part(None, part_ms, audio_frames), profile)
    target_ms = max(target_ms, ceil(1000 / frame_rate))
    if not has_parts(frame_rate, part_ms):
        return CutSettings(target_ms, part_ms, profile, parts=False)
    return CutSettings(target_ms, _fitting_part(frame_rate, part_ms, audio_frames), profile)


def _fitting_part(
    frame_rate: Fraction | None, part_ms: int, audio_frames: Sequence[Fraction]
) -> int:
    """The best part duration: whole video frames, filled by audio if any near duration is."""
    step = 1 / frame_rate if frame_rate else Fraction(10, 1000)
    wanted = max(1, round(Fraction(part_ms, 1000) / step))
    near = sorted(range(max(1, wanted // 2), wanted * 2), key=lambda frames: abs(frames - wanted))
    candidates = [_whole_ms(frames * step) for frames in near]
    if frame_rate is None:
        candidates.insert(0, part_ms)
    for candidate in candidates:
        if all(_fills(frame, candidate) for frame in audio_frames):
            return candidate
    return candidates[0]


def _whole_ms(duration_s: Fraction) -> int:
    """Milliseconds that hold the duration, also where timestamps round it up by a tick.

    What is no whole number of ms gets 0.1 ms of room: a tick of any scale but 1 ms itself, whose
    roundings the next whole ms holds anyway.
    """
    exact = 1000 * duration_s
    return exact.numerator if exact.denominator == 1 else ceil(exact + Fraction(1, 10))


def _fills(frame_s: Fraction, part_ms: int) -> bool:
    """Whether whole frames of this duration fill a part to 85 %."""
    part_s = Fraction(part_ms, 1000)
    return (part_s // frame_s) * frame_s >= _MIN_PART_FILL * part_s
