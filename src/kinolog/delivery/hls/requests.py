"""What a player may ask of a live track, and whether it can be answered now.

Delivery directives of media playlists (RFC 8216bis 6.2.5) and names of parts and segments. Pure:
the server holds who gets a Wait, asks again at each new version of the track, and answers 503
when its deadline (three target durations) has passed.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from kinolog.timeline.live import LiveStream
from kinolog.timeline.segment import Segment
from kinolog.timeline.track import Track, Version

AHEAD = 2
"""A request for more than so many segments after the newest is refused."""
_MAX_DIGITS = 15


class Directives(NamedTuple):
    """`_HLS_msn`, `_HLS_part`, `_HLS_skip` of a playlist request."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False


class Bad(NamedTuple):
    """400, and why."""

    reason: str


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


class Ready(Enum):
    """The newest version answers it."""

    READY = "ready"


class Missing(Enum):
    """404. GONE: it was, or is a gap, and is not held any more. UNKNOWN: no such thing."""

    GONE = "gone"
    UNKNOWN = "unknown"


_PLAIN = Directives()
READY = Ready.READY


@lru_cache(1024)
def parse_directives(query: str) -> Directives | Bad:
    """The delivery directives in a URL's query; other parameters (CMCD, tokens) are passed over."""
    if "_HLS_" not in query:
        return _PLAIN
    found: dict[str, str] = {}
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name in ("_HLS_msn", "_HLS_part", "_HLS_skip"):
            if name in found:
                return Bad(f"{name} stands twice")
            found[name] = value
    numbers: list[int | None] = []
    for name in ("_HLS_msn", "_HLS_part"):
        text = found.get(name)
        if text is None:
            numbers.append(None)
        elif text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
            numbers.append(int(text))
        else:
            return Bad(f"{name} is a decimal number")
    msn, part = numbers
    if part is not None and msn is None:
        return Bad("_HLS_part needs _HLS_msn")
    skip = found.get("_HLS_skip", "")
    if skip not in ("", "YES", "v2"):
        return Bad("_HLS_skip is YES or v2")
    return Directives(msn, part, bool(skip))


def playlist(directives: Directives, version: Version | None) -> Ready | Wait | Bad:
    """Whether the newest version answers a playlist request.

    A plain request waits for the first whole segment, which players need to begin. `version` is
    None before the first session of the stream.
    """
    if version is None:
        return Wait(0, None)
    if version.state == "ended":
        return READY
    if directives.msn is None:
        wait = Wait(0, None)
        return READY if wait.over(version) else wait
    wait = Wait(directives.msn, directives.part)
    if wait.over(version):
        return READY
    return _too_far(directives, version) or wait


def first_whole(version: Version, first_msn: int) -> Ready | Wait:
    """Whether a playlist that begins with this number has a whole segment, which players need to
    begin."""
    if version.state != "live" or version.last_whole_msn >= first_msn:
        return READY
    return Wait(first_msn, None)


def _too_far(directives: Directives, version: Version) -> Bad | None:
    msn, part = directives.msn, directives.part
    newest = version.last
    if msn is None or newest.msn < 0:
        return None
    if msn > newest.msn + AHEAD:
        return Bad(f"_HLS_msn is more than {AHEAD} after the newest, {newest.msn}")
    if part is not None:
        # The Advance Part Limit of 6.2.5.2, counted on a segment's possible parts.
        session = version.open
        limit = 3 if session.part_ms >= 1000 else -(-3000 // max(session.part_ms, 1))
        listed = newest.part if msn == newest.msn else -1
        most = (session.target_ms + 500) // max(session.part_ms, 1)
        if part > max(listed + limit, most):
            return Bad("_HLS_part is too far after the newest part")
    return None


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


def segment(live: LiveStream, name: str, epoch: int, msn: int) -> bytes | Wait | Missing:
    """A whole segment's bytes; Wait for the one in progress and the next two."""
    track = live.tracks.get(name)
    if track is None:
        return Missing.UNKNOWN
    found = track.find(epoch, msn)
    if found is None:
        return _absent(live, track, epoch, msn, None)
    return whole_of(found) if found.ended else Wait(msn, None)


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
    if awaited and (newest < 0 or newest < msn <= newest + AHEAD):
        return Wait(msn, index)
    return Missing.UNKNOWN
