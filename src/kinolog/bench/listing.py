"""What a player needs of one of our low-latency media playlists. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from kinolog.bench.follower import Place
from kinolog.core.errors import MediaError

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')
_PART = re.compile(r"/([0-9]+)/([0-9]+)\.([0-9]+)\.m4s$")


class ListedPart(NamedTuple):
    """An EXT-X-PART."""

    place: Place
    uri: str
    seconds: float
    independent: bool


@dataclass(slots=True)
class Listing:
    """A media playlist. `next_msn`, `next_part`: what to ask a blocking reload for."""

    parts: list[ListedPart] = field(default_factory=list)
    hint: str = ""
    init: str = ""
    next_msn: int = 0
    next_part: int = 0
    part_target_s: float = 0.0
    hold_back_s: float = 0.0
    ended: bool = False


def parse_listing(text: str) -> Listing:
    """A playlist of a kinolog edge. Raises MediaError where it is none, or has no parts."""
    if not text.startswith("#EXTM3U"):
        raise MediaError("what the edge sent is not a playlist")
    found = Listing()
    for line in text.splitlines():
        tag, _, value = line.partition(":")
        match tag:
            case "#EXT-X-MEDIA-SEQUENCE":
                found.next_msn += int(value)
            case "#EXT-X-PART-INF":
                found.part_target_s = float(_attributes(value)["PART-TARGET"])
            case "#EXT-X-SERVER-CONTROL":
                found.hold_back_s = float(_attributes(value).get("PART-HOLD-BACK", 0))
            case "#EXT-X-MAP":
                found.init = _attributes(value)["URI"]
            case "#EXT-X-PART":
                fields = _attributes(value)
                found.next_part += 1
                if "GAP" not in fields:
                    found.parts.append(_part(fields))
            case "#EXTINF":
                found.next_msn, found.next_part = found.next_msn + 1, 0
            case "#EXT-X-PRELOAD-HINT":
                found.hint = _attributes(value)["URI"]
            case "#EXT-X-ENDLIST":
                found.ended = True
    if not found.part_target_s:
        raise MediaError("the stream has no parts: it is published without low latency")
    return found


def place_of(uri: str) -> Place:
    """Which part an address names (`…/EPOCH/MSN.PART.m4s`). Raises MediaError."""
    found = _PART.search(uri)
    if found is None:
        raise MediaError(f"not a part of a kinolog edge: {uri}")
    return Place(*map(int, found.groups()))


def _part(fields: dict[str, str]) -> ListedPart:
    uri = fields["URI"]
    independent = fields.get("INDEPENDENT") == "YES"
    return ListedPart(place_of(uri), uri, float(fields["DURATION"]), independent)


def _attributes(value: str) -> dict[str, str]:
    return {key: text.strip('"') for key, text in _ATTRIBUTE.findall(value)}
