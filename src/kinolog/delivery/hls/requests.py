"""What a player may ask of a live playlist, and whether it can be answered now.

Delivery directives of media playlists (RFC 8216bis 6.2.5). Pure: the server holds who gets a Wait,
asks again at each new version of the track, and answers 503 when its deadline (three target
durations) has passed.
"""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from kinolog.delivery.media_requests import AHEAD, Wait
from kinolog.timeline.track import Version

_MAX_DIGITS = 15


class Directives(NamedTuple):
    """`_HLS_msn`, `_HLS_part`, `_HLS_skip` of a playlist request."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False


class Bad(NamedTuple):
    """400, and why."""

    reason: str


class Ready(Enum):
    """The newest version answers it."""

    READY = "ready"


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
