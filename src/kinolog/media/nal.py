"""NAL units: Annex B byte streams, 4-byte length prefixes, emulation prevention.

Sources: ISO/IEC 14496-10 annex B and 7.4.1; ISO/IEC 14496-15, 4.3.
"""

from __future__ import annotations

from collections.abc import Iterable

from kinolog.core.errors import MediaError

_START = b"\0\0\1"
MAX_UNITS = 4096


def is_annexb(data: bytes) -> bool:
    """Whether `data` begins with a start code."""
    return data[:3] == _START or data[:4] == b"\0\0\0\1"


def split_annexb(data: bytes) -> list[bytes]:
    """The NAL units of an Annex B byte stream, without start codes and trailing zeros.

    What stands before the first start code is dropped.
    """
    units: list[bytes] = []
    at = data.find(_START)
    while at >= 0:
        start = at + 3
        at = data.find(_START, start)
        unit = data[start : at if at >= 0 else len(data)]
        # A NAL unit never ends with a zero byte: these belong to the next start code.
        if unit.endswith(b"\0"):
            unit = unit.rstrip(b"\0")
        if unit:
            units.append(unit)
        if len(units) > MAX_UNITS:
            raise MediaError(f"more than {MAX_UNITS} NAL units in one access unit")
    return units


def split_lengths(data: bytes, length_bytes: int = 4) -> list[bytes]:
    """The NAL units of a sample with length prefixes. MediaError when one ends outside."""
    units: list[bytes] = []
    at, limit = 0, len(data)
    while at < limit:
        start = at + length_bytes
        at = start + int.from_bytes(data[at:start], "big")
        if at > limit or start > limit:
            raise MediaError("NAL unit is longer than the sample that holds it")
        if at > start:
            units.append(data[start:at])
        if len(units) > MAX_UNITS:
            raise MediaError(f"more than {MAX_UNITS} NAL units in one access unit")
    return units


def join_lengths(units: Iterable[bytes]) -> bytes:
    """A sample with 4-byte length prefixes."""
    parts: list[bytes] = []
    for unit in units:
        parts.append(len(unit).to_bytes(4, "big"))
        parts.append(unit)
    return b"".join(parts)


def unescape(unit: bytes) -> bytes:
    """A NAL unit without its emulation prevention bytes (00 00 03 becomes 00 00)."""
    return unit.replace(b"\0\0\3", b"\0\0")
