"""A bounded walk over ISO BMFF boxes (ISO/IEC 14496-12, 4.2) and the writing of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kinolog.core.errors import MediaError

MAX_BOXES = 4096


class Box(NamedTuple):
    """Where a box lies in the bytes walked: `start` of its header, `body`, `end`."""

    type: bytes
    start: int
    body: int
    end: int


def boxes(data: bytes | memoryview, start: int = 0, end: int | None = None) -> Iterator[Box]:
    """The boxes that fill data[start:end], in order, not descending into them.

    Raises MediaError for a box that ends outside, a header cut short, or more than MAX_BOXES.
    """
    limit = len(data) if end is None else end
    at = start
    for _ in range(MAX_BOXES):
        if at == limit:
            return
        box = _box_at(data, at, limit)
        yield box
        at = box.end
    if at != limit:
        raise MediaError(f"more than {MAX_BOXES} boxes side by side")


def _box_at(data: bytes | memoryview, at: int, limit: int) -> Box:
    if limit - at < 8:
        raise MediaError(f"box header cut short at byte {at}")
    size = int.from_bytes(data[at : at + 4], "big")
    kind = bytes(data[at + 4 : at + 8])
    body = at + 8
    if size == 1:  # 64-bit largesize follows the type
        body = at + 16
        size = int.from_bytes(data[at + 8 : min(body, limit)], "big") if body <= limit else 0
    elif size == 0:  # to the end of what encloses it
        size = limit - at
    if size < body - at or size > limit - at:
        raise MediaError(f"box {kind!r} at byte {at} does not fit where it stands")
    return Box(kind, at, body, at + size)


def find(data: bytes | memoryview, path: bytes, start: int = 0, end: int | None = None) -> Box:
    """The first box at `path` (types joined by `/`, for example b"moov/trak").

    Raises MediaError where there is none.
    """
    found = None
    for kind in path.split(b"/"):
        if found is not None:
            start, end = found.body, found.end
        found = next((box for box in boxes(data, start, end) if box.type == kind), None)
        if found is None:
            raise MediaError(f"no {kind.decode('latin-1')} box")
    if found is None:
        raise MediaError("empty box path")
    return found


def box(kind: bytes, *body: bytes) -> bytes:
    """A box of `kind` with the joined `body` (32-bit size)."""
    return b"".join(((8 + sum(map(len, body))).to_bytes(4, "big"), kind, *body))


def full_box(kind: bytes, version: int, flags: int, *body: bytes) -> bytes:
    """A FullBox: a box with version and flags before its `body`."""
    return box(kind, bytes((version,)) + flags.to_bytes(3, "big"), *body)
