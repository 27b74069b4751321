"""What `onMetaData` says of a publication (FLV 10.1, E.5; Enhanced RTMP v2, Metadata)."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from kinolog.ingest.rtmp.amf0 import Value, decode_all
from kinolog.ingest.rtmp.errors import RtmpError

_MAX_BYTES = 1 << 20
_MAX_SIDE = 16384
_MAX_FRAME_RATE = 1000


class Metadata(NamedTuple):
    """Picture size and rate where told (0 and None where not), and the number of tracks."""

    width: int = 0
    height: int = 0
    frame_rate: Fraction | None = None
    tracks: int = 0


def parse_metadata(payload: memoryview) -> Metadata | None:
    """Read a data message; None if it is not onMetaData. Raises RtmpError if malformed."""
    if len(payload) > _MAX_BYTES:
        raise RtmpError(f"data message of {len(payload)} bytes is too long")
    values = decode_all(bytes(payload))
    if values[:1] == ["@setDataFrame"]:
        del values[0]
    if len(values) < 2 or values[0] != "onMetaData":
        return None
    properties = values[1]
    if not isinstance(properties, dict):
        return None
    return Metadata(
        _side(properties.get("width")),
        _side(properties.get("height")),
        _frame_rate(properties.get("framerate")),
        _track_count(properties, "video") + _track_count(properties, "audio"),
    )


def _side(value: Value) -> int:
    number = _finite(value)
    return int(number) if 0 < number <= _MAX_SIDE else 0


def _frame_rate(value: Value) -> Fraction | None:
    rate = _finite(value)
    if not 0 < rate <= _MAX_FRAME_RATE:
        return None
    # 29.97002997… is 30000/1001.
    return Fraction(rate).limit_denominator(1001) or None


def _finite(value: Value) -> float:
    return value if isinstance(value, float) and math.isfinite(value) else 0.0


def _track_count(properties: dict[str, Value], kind: str) -> int:
    """The track of `videocodecid` or `audiocodecid`, and those that the id map adds to it."""
    count = 1 if properties.get(f"{kind}codecid") not in (None, "", 0.0) else 0
    more = properties.get(f"{kind}TrackIdInfoMap")
    if isinstance(more, dict):
        # Keys are track ids; the map may leave out the default track 0.
        count = max(count, len(more.keys() | ({"0"} if count else set())))
    return count
