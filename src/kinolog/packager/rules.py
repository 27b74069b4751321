"""Rules: where a track's media segments end (DESIGN.md, Cutting)."""

from __future__ import annotations

from collections import deque
from typing import Protocol

from kinolog.packager.limits import Limits

MAX_BOUNDARIES = 1024
"""Boundaries kept for a track that lags: over half an hour of them."""


class SegmentRule(Protocol):
    """Asked before each frame whether it begins a media segment."""

    def cut_before(self, dts: int, keyframe: bool, start: int, expected: int) -> bool:
        """`dts`: the frame's, `start`: the running segment's, `expected`: the frame's duration.

        True counts as done: the caller cuts there.
        """
        ...


class VideoRule:
    """Video is cut at its own keyframes, or by force.

    A segment that a forced cut began ends at the next keyframe, however short it is: so each GOP,
    of whatever length, begins a segment, and players can start and seek there (docs/adr/0003).
    """

    __slots__ = ("_force", "_forced", "_key")

    def __init__(self, limits: Limits) -> None:
        self._key = limits.key
        self._force = limits.force - limits.slack
        self._forced = False

    def cut_before(self, dts: int, keyframe: bool, start: int, expected: int) -> bool:
        """At a keyframe from the target on, or the first after a forced cut; else by force,
        before the segment would get too long."""
        elapsed = dts - start
        if keyframe and (self._forced or elapsed >= self._key):
            self._forced = False
            return True
        if elapsed + expected >= self._force:
            self._forced = not keyframe
            return True
        return False


class TargetRule:
    """Audio alone is cut at the target."""

    __slots__ = ("_force", "_target")

    def __init__(self, limits: Limits) -> None:
        self._target = limits.target
        self._force = limits.force - limits.slack

    def cut_before(self, dts: int, keyframe: bool, start: int, expected: int) -> bool:
        """At the first frame at or after the target."""
        elapsed = dts - start
        return elapsed >= self._target or elapsed + expected >= self._force


class FollowRule:
    """Audio beside video is cut where the leading video was, or by force when video stalls.

    Boundaries (in this track's ticks) wait here until the track gets there. One that comes after
    the track has passed it is for the next frame; but one that a forced cut has answered already
    would only leave a tiny segment, and is dropped.
    """

    __slots__ = ("_boundaries", "_force", "_forced", "_tiny")

    def __init__(self, limits: Limits) -> None:
        self._force = limits.force - limits.slack
        self._tiny = limits.tiny
        self._forced = False
        self._boundaries: deque[int] = deque(maxlen=MAX_BOUNDARIES)

    def queue(self, boundary: int) -> None:
        """The leading video began a segment there."""
        self._boundaries.append(boundary)

    def waiting(self) -> bool:
        """Whether boundaries are still ahead."""
        return bool(self._boundaries)

    def begin(self, dts: int) -> None:
        """The track's first frame: boundaries up to it are behind."""
        while self._boundaries and self._boundaries[0] <= dts:
            self._boundaries.popleft()

    def takes(self, boundary: int, cut: int, start: int) -> bool:
        """Whether `boundary` ends the segment that began at `start` with a cut at `cut`."""
        if (self._forced or boundary <= start) and cut - start < self._tiny:
            return False
        self._forced = False
        return True

    def cut_before(self, dts: int, keyframe: bool, start: int, expected: int) -> bool:
        """At the first frame at or after a boundary, or before the segment gets too long."""
        boundaries = self._boundaries
        if boundaries and boundaries[0] <= dts:
            newest = boundaries[0]
            while boundaries and boundaries[0] <= dts:
                newest = boundaries.popleft()
            if self.takes(newest, dts, start):
                return True
        if dts - start + expected >= self._force:
            self._forced = True
            return True
        return False
