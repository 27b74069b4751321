"""Block: one object of the archive, the records of one stream of a stretch of time.

    8 bytes    "kinoblk1"
    4, 4, 8    big endian: bytes of the index, of the list of records, of the media
    index      zlib: JSON, `Index`: the stream's entries of the index topic, what segments there are
    records    zlib: JSON, `Records`: each media record's offset, time, size and header
    media      the values of the records, a media segment of a track in one piece, then those that
               are of no track: what opens and closes a session, what says that frames are missing

A segment's piece is the CMAF segment as players get it. docs/reference/archive-format.md
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from itertools import accumulate
from typing import Final, NamedTuple, TypeVar

import msgspec

from kinolog.core.errors import WireError
from kinolog.record.absent import Lost
from kinolog.record.control import Open

T = TypeVar("T")
MAGIC: Final = b"kinoblk1"
PREAMBLE: Final = struct.Struct(">8sIIQ")
LEVEL: Final = 6


class Session(msgspec.Struct, omit_defaults=True):
    """A session of the block's segments, as the registry's entry of its epoch tells of it."""

    epoch: int
    disc: int
    wall: int
    open_offset: int
    open: Open


class Stored(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A media segment: its name, the media log offsets of its first and its last record, and where
    its bytes are, counted from the beginning of the media."""

    track: str
    epoch: int
    msn: int
    first: int
    last: int
    at: int
    size: int


class Index(msgspec.Struct, omit_defaults=True):
    """A block's index. `start` and `below`: the index log offsets [start, below) for which it
    stands; the stream's next block begins at `below` or later. `wall`, `until`: the capture times
    (Unix ms) between which its segments lie. `low`, `high`: the least and the greatest media log
    offset of its records. `offsets`: of `entries`, the first absolute, then differences; `entries`:
    the values of the index topic's records, as they are there. `newest`: of each track, epoch and
    number of the newest segment in this block or one before it. `near`: greater than the first
    media log offset of each segment in this block or one before it. `lost`: segments that Kafka did
    not have any more when the block was made; `losses`: which, in this block or one before it."""

    stream: str
    base: str
    partition: int
    start: int
    below: int
    wall: int
    until: int
    low: int
    high: int
    sessions: list[Session]
    segments: list[Stored]
    offsets: list[int]
    entries: list[msgspec.Raw]
    newest: dict[str, tuple[int, int]] = {}
    near: int = 0
    lost: int = 0
    losses: list[Lost] = []


class Records(msgspec.Struct):
    """A block's media records in the order of their bytes, by column. Of `offsets` and `times`
    (Unix ms) the first is absolute, the others are differences to the one before. `headers`: the
    values of their `kinolog` headers."""

    offsets: list[int]
    times: list[int]
    sizes: list[int]
    headers: list[msgspec.Raw]


class Media(NamedTuple):
    """A record of the media topic."""

    offset: int
    time_ms: int
    header: bytes
    value: bytes


class Lengths(NamedTuple):
    """Of a block's pieces, in bytes."""

    of_index: int
    of_records: int
    of_media: int

    @property
    def records_at(self) -> int:
        """Where the list of records begins."""
        return PREAMBLE.size + self.of_index

    @property
    def media_at(self) -> int:
        """Where the media begin."""
        return self.records_at + self.of_records


def differences(column: Sequence[int]) -> list[int]:
    """The first number, then each one's difference to the one before."""
    return [b - a for a, b in zip([0, *column], column, strict=False)]


def absolute(column: Sequence[int]) -> list[int]:
    """The opposite of `differences`."""
    return list(accumulate(column))


def encode(index: Index, media: Sequence[Media]) -> bytes:
    """A block's bytes. The same input gives the same bytes, but for zlib's version."""
    records = Records(
        differences([one.offset for one in media]),
        differences([one.time_ms for one in media]),
        [len(one.value) for one in media],
        [msgspec.Raw(one.header) for one in media],
    )
    parts = [zlib.compress(msgspec.json.encode(part), LEVEL) for part in (index, records)]
    size = sum(len(one.value) for one in media)
    preamble = PREAMBLE.pack(MAGIC, len(parts[0]), len(parts[1]), size)
    return b"".join([preamble, *parts, *(one.value for one in media)])


def lengths(data: bytes) -> Lengths:
    """Of a block that begins so. WireError where it is none."""
    try:
        magic, *found = PREAMBLE.unpack_from(data)
    except struct.error as error:
        raise WireError("an object of the archive is cut short") from error
    if magic != MAGIC:
        raise WireError("an object of the archive is not a block that this kinolog knows")
    return Lengths(*found)


def decode_index(data: bytes) -> tuple[Index, int]:
    """A block's index, and how many bytes it is unpacked."""
    return _decode(data, Index)


def decode_records(data: bytes) -> tuple[Records, int]:
    """A block's list of records, and how many bytes it is unpacked."""
    return _decode(data, Records)


def _decode(data: bytes, kind: type[T]) -> tuple[T, int]:
    try:
        text = zlib.decompress(data)
        return msgspec.json.decode(text, type=kind), len(text)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"an object of the archive is not readable: {error}") from error
