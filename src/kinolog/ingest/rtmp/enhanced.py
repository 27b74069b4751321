"""The parts of Enhanced RTMP v2 that audio and video tags share: ModEx and multitrack.

https://veovera.org/docs/enhanced/enhanced-rtmp-v2, "Enhanced Audio" and "Enhanced Video".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kinolog.ingest.rtmp.errors import RtmpError

SEQUENCE_START = 0
CODED_FRAMES = 1
SEQUENCE_END = 2
CODED_FRAMES_X = 3
METADATA = 4
MULTITRACK = {"audio": 5, "video": 6}
MPEG2TS_SEQUENCE_START = 5
MOD_EX = 7

_ONE_TRACK = 0
_MANY_TRACKS_MANY_CODECS = 2
_TIMESTAMP_OFFSET_NANO = 0
_TRUNCATED = "Enhanced RTMP tag is truncated"


class Part(NamedTuple):
    """The body of one track in an enhanced tag."""

    track_id: int
    fourcc: str
    packet_type: int
    body: memoryview
    nanoseconds: int


def parts(kind: str, payload: memoryview) -> Iterator[Part]:
    """The tracks' parts of an `audio` or `video` tag whose first byte says that it is enhanced.

    Raises RtmpError for a truncated tag.
    """
    packet_type = payload[0] & 0x0F
    at = 1
    nanoseconds = 0
    while packet_type == MOD_EX:
        packet_type, offset, at = _mod_ex(payload, at)
        nanoseconds += offset
    if packet_type != MULTITRACK[kind]:
        yield Part(0, _fourcc(payload, at), packet_type, payload[at + 4 :], nanoseconds)
        return
    layout, packet_type = _byte(payload, at) >> 4, _byte(payload, at) & 0x0F
    at += 1
    fourcc = ""
    if layout != _MANY_TRACKS_MANY_CODECS:
        fourcc = _fourcc(payload, at)
        at += 4
    while at < len(payload):
        if layout == _MANY_TRACKS_MANY_CODECS:
            fourcc = _fourcc(payload, at)
            at += 4
        track_id = _byte(payload, at)
        at += 1
        end = len(payload)
        if layout != _ONE_TRACK:
            end = at + 3 + _number(payload, at, 3)
            at += 3
        if end > len(payload):
            raise RtmpError(_TRUNCATED)
        yield Part(track_id, fourcc, packet_type, payload[at:end], nanoseconds)
        at = end


def _mod_ex(payload: memoryview, at: int) -> tuple[int, int, int]:
    """One ModEx prefix: (the packet type after it, its nanoseconds, the position after it)."""
    size = _byte(payload, at) + 1
    at += 1
    if size == 256:
        size = _number(payload, at, 2) + 1
        at += 2
    data = payload[at : at + size]
    at += size
    types = _byte(payload, at)
    nanoseconds = 0
    if types >> 4 == _TIMESTAMP_OFFSET_NANO and len(data) >= 3:
        nanoseconds = int.from_bytes(data[:3], "big")
    return types & 0x0F, nanoseconds, at + 1


def _byte(payload: memoryview, at: int) -> int:
    if at >= len(payload):
        raise RtmpError(_TRUNCATED)
    return payload[at]


def _number(payload: memoryview, at: int, size: int) -> int:
    if at + size > len(payload):
        raise RtmpError(_TRUNCATED)
    return int.from_bytes(payload[at : at + size], "big")


def _fourcc(payload: memoryview, at: int) -> str:
    """The four characters at `at`; what is not printable ASCII is shown as its number."""
    code = bytes(payload[at : at + 4])
    if len(code) < 4:
        raise RtmpError(_TRUNCATED)
    text = code.decode("latin-1")
    return text if text.isascii() and text.isprintable() else f"0x{code.hex()}"
