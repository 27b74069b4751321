"""Which media of a stream a URL names, and whether it can be answered now.

The same for every protocol: init segments, media segments and parts have one URL each. Pure: who
serves them holds who gets a Wait, and asks again at each new version of the track.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple

from kinolog.timeline.live import LiveStream
from kinolog.timeline.segment import Segment
from kinolog.timeline.track import Track, Version

AHEAD = 2
"""A request for more than so many segments after the newest is refused."""
_MEDIA: Final = re.compile(
    r"([a-z0-9-]{1,48})/(\d{1,15})/(?:(init)\.mp4|(\d{1,15})(?:\.(\d{1,6}))?\.m4s)"
)


class Init(NamedTuple):
    """`{track}/{epoch}/init.mp4`."""

    track: str
    epoch: int


class Media(NamedTuple):
    """`{track}/{epoch}/{msn}.m4s`, or `{msn}.{part}.m4s`."""

    track: str
    epoch: int
    msn: int
    part: int | None


@lru_cache(4096)
def named(rest: str) -> Init | Media | None:
    """What a path below a stream's names; None for what is no media. All viewers of a stream ask
    for the same few."""
    found = _MEDIA.fullmatch(rest)
    if found is None:
        return None
    track, epoch = found[1], int(found[2])
    if found[3]:
        return Init(track, epoch)
    return Media(track, epoch, int(found[4]), int(found[5]) if found[5] else None)


class Wait(NamedTuple):
    """Not yet: until the playlist has this part, or (part None) this whole segment."""

    msn: int
    part: int | None

    def over(self, version: Version) -> bool:
        """The version has what is waited for, or nothing more will come."""
        if version.state == "ended":
            return True
        if self.part is None:
            return version.last_whole_msn >= self.msn
        # A part number past the end of its segment means the next segment's part 0.
        return version.last >= (self.msn, self.part)


class Missing(Enum):
    """404. GONE: it was, or is a gap, and is not held any more. UNKNOWN: no such thing."""

    GONE = "gone"
    UNKNOWN = "unknown"


def part(live: LiveStream, name: str, epoch: int, msn: int, index: int) -> bytes | Wait | Missing:
    """A part's bytes; Wait for one that is about to come (the hinted one, or a few more).

    Wait too where another edge may be ahead of this one: up to two segments after the newest.
    """
    track = live.tracks.get(name)
    if track is None:
        return Missing.UNKNOWN
    segment = track.find(epoch, msn)
    if segment is None:
        return _absent(live, track, epoch, msn, index)
    if index < len(segment.parts) or segment.ended or not segment.with_parts:
        return part_of(segment, index)
    return Wait(msn, index)


def part_of(segment: Segment, index: int) -> bytes | Missing:
    """A finished part of a segment."""
    if index >= len(segment.parts) or not segment.with_parts:
        return Missing.UNKNOWN
    return Missing.GONE if segment.parts[index].gap else segment.part_body(index)


def segment(
    live: LiveStream, name: str, epoch: int, msn: int, now_ms: int = 0, *, over: bool = False
) -> bytes | Wait | Missing:
    """A whole segment's bytes; Wait for the one in progress and the next two. `now_ms`: the time of
    day, by which DASH players count on when a session is over (0: two segments further). `over`:
    the session is, though nothing in the log says so."""
    track = live.tracks.get(name)
    if track is None:
        return Missing.UNKNOWN
    found = track.find(epoch, msn)
    if found is not None:
        return whole_of(found) if found.ended else Wait(msn, None)
    if (over or epoch != live.epoch or live.state != "live") and _never_used(
        live, track, epoch, msn, now_ms
    ):
        return b""
    return _absent(live, track, epoch, msn, None)


def _never_used(live: LiveStream, track: Track, epoch: int, msn: int, now_ms: int) -> bool:
    """A number behind the last of a session that is over, which would be due by now. A player of
    DASH asks for it by the clock before its manifest can tell it; an empty body it takes as it is,
    after a 404 it may never play again."""
    session = live.opens.get(epoch)
    if session is None:
        return False
    used = [one for one in (*track.retired, *track.held) if one.epoch == epoch]
    if not used:
        return False
    last = max(used, key=lambda one: one.msn)
    due = AHEAD + max(0, now_ms - last.wall) // session.target_ms
    return last.msn < msn <= last.msn + due


def whole_of(segment: Segment) -> bytes | Missing:
    """An ended segment."""
    return Missing.GONE if segment.gap else segment.body()


def _absent(
    live: LiveStream, track: Track, epoch: int, msn: int, index: int | None
) -> Wait | Missing:
    """A segment that is not in memory: already gone, still to come, or never to be."""
    version = track.version
    newest = version.last.msn if version is not None else -1
    if version is not None and version.segments and msn < version.segments[0].msn:
        return Missing.GONE
    # A later epoch: another edge has read an open that this one has not.
    awaited = epoch > live.epoch or (epoch == live.epoch and live.state == "live")
    # The part that was hinted when the publisher left: a player learns that it never comes from its
    # next playlist, which is held, too, and would ask for it again and again until then.
    awaited |= epoch == live.epoch and live.state == "away" and (msn, index) == (newest + 1, 0)
    if awaited and (newest < 0 or newest < msn <= newest + AHEAD):
        return Wait(msn, index)
    return Missing.UNKNOWN
