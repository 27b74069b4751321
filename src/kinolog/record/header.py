"""The `kinolog` record header: a small JSON object that every Kafka UI can show.

What changes from record to record is here; what is constant in an epoch is in the value of its
`open` record (docs/wire-format.md).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from kinolog.core.errors import WireError

HEADER_NAME = "kinolog"
VERSION = 1
MAX_PIECE_BYTES = 900_000
"""A larger chunk goes in numbered pieces: no record is over 1 MB (invariant 8)."""

Kind = Literal["open", "chunk", "close", "gap", "end", "fence"]
Ends = Literal["", "part", "segment"]


class Header(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=False):
    """One record's metadata. Ticks are of the track's timescale, `wall` is Unix milliseconds.

    `chunk` counts from 0 within a media segment and has no holes. `ends` says that this chunk is
    the last of its part, or of its segment (and so of its part). `ind`: its first sample is a
    sync sample. `dts` is the base media decode time (tfdt) and `dur` the duration of the chunk.
    """

    v: int
    kind: Kind
    epoch: int
    track: str = ""
    disc: int = 0
    msn: int = 0
    part: int = 0
    chunk: int = 0
    piece: int = 0
    pieces: int = 1
    dts: int = 0
    dur: int = 0
    ind: bool = False
    ends: Ends = ""
    wall: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Header).decode


def encode_header(header: Header) -> bytes:
    """The header's bytes, defaults left out."""
    return _encode(header)


def decode_header(data: bytes) -> Header:
    """A header from its bytes. WireError: not JSON of this shape, or a later major version."""
    try:
        header = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"kinolog header is not readable: {error}") from error
    if header.v != VERSION:
        raise WireError(
            f"kinolog header has version {header.v}, this reader knows {VERSION}",
            hint="upgrade kinolog",
        )
    return header
