"""Pieces: a chunk too large for one Kafka record, in numbered records (invariant 8)."""

from __future__ import annotations

import msgspec

from kinolog.record.header import MAX_PIECE_BYTES, Header


def split(
    header: Header, payload: bytes, max_bytes: int = MAX_PIECE_BYTES
) -> list[tuple[Header, bytes | memoryview]]:
    """`payload` in pieces of at most `max_bytes`, in order, each with its header.

    Every piece repeats the chunk's header and differs in `piece` (from 0) only; `pieces` says how
    many make it whole. A payload that fits comes back as it is; larger ones are views of it,
    nothing is copied. ValueError: `max_bytes` under 1.
    """
    if max_bytes < 1:
        raise ValueError(f"a piece holds at least 1 byte, not {max_bytes}")
    size_bytes = len(payload)
    if size_bytes <= max_bytes:
        return [(header, payload)]
    view = memoryview(payload)
    pieces = -(-size_bytes // max_bytes)
    return [
        (
            msgspec.structs.replace(header, piece=piece, pieces=pieces),
            view[piece * max_bytes : (piece + 1) * max_bytes],
        )
        for piece in range(pieces)
    ]
