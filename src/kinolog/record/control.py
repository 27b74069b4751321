"""Values of control records (open, close, gap, end) and of index entries, as JSON."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec

from kinolog.core.errors import WireError
from kinolog.record.page import PageEntry, Where

T = TypeVar("T")
Profile = Literal["frame", "low", "standard"]


class OpenTrack(msgspec.Struct, omit_defaults=True):
    """A track of an epoch. `codec` is the RFC 6381 string, `init` the CMAF init segment.
    `silence`: ingest made it, for the publisher sent no sound (docs/adr/0016)."""

    name: str
    kind: Literal["video", "audio"]
    codec: str
    timescale: int
    init: bytes
    width: int = 0
    height: int = 0
    frame_rate: float = 0.0
    sample_rate: int = 0
    channels: int = 0
    language: str = "und"
    silence: bool = False


class Open(msgspec.Struct, omit_defaults=True):
    """The start of a publisher's session: what stays the same until its close.

    `target_ms` and `part_ms` are the stream's (fixed over epochs); `parts` is False for an epoch
    whose frames are too far apart for parts.
    """

    session: str
    publisher: str
    software: str
    target_ms: int
    part_ms: int
    tracks: list[OpenTrack]
    parts: bool = True
    profile: Profile = "low"
    end_grace_ms: int = 60_000


class Close(msgspec.Struct, omit_defaults=True):
    """The end of a session; what it had begun is short, never reopened."""

    reason: str = ""


class Gap(msgspec.Struct, omit_defaults=True):
    """Frames of a track that were dropped before they reached the log: [from_dts, to_dts)."""

    track: str
    from_dts: int
    to_dts: int
    frames: int
    reason: str = ""


class SessionEntry(msgspec.Struct, omit_defaults=True, tag="session", tag_field="entry"):
    """Index: an epoch, the log offset of its open record, and what it opened with. `pages`: where
    the stream's tracks are in the index, in this place, before this entry."""

    epoch: int
    disc: int
    open_offset: int
    wall: int
    open: Open
    pages: dict[str, Where] = {}


class SegmentEntry(msgspec.Struct, omit_defaults=True, tag="segment", tag_field="entry"):
    """Index: one finished media segment of one track (invariant 5).

    `offsets` are log offsets of its records in order (the first absolute, then differences),
    `sizes` each record's payload bytes. The sample table is packed by column: for each sample its
    size in bytes, duration, and composition offset in ticks, and the ordinals of sync samples.
    `mdat` gives the byte offset of each chunk's first sample within that chunk. `dur` runs to the
    end of its last chunk. `whole` is False for one with a hole, which players see as a gap; a
    segment that a close or a new session cut short is whole. `pages`: where the stream's tracks are
    in the index, as far as was known when this was written.
    """

    track: str
    epoch: int
    disc: int
    msn: int
    dts: int
    dur: int
    wall: int
    ind: bool
    parts: int
    offsets: list[int]
    sizes: list[int]
    chunk_samples: list[int]
    mdat: list[int]
    sample_sizes: list[int]
    sample_durations: list[int]
    sample_cts: list[int]
    sync: list[int]
    whole: bool = True
    pages: dict[str, Where] = {}

    @property
    def last_offset(self) -> int:
        """The offset of its last record."""
        return sum(self.offsets)


IndexEntry = SessionEntry | SegmentEntry
IndexRecord = SessionEntry | SegmentEntry | PageEntry

_encode = msgspec.json.Encoder().encode
_index_decoder = msgspec.json.Decoder(IndexRecord)


def encode_value(value: msgspec.Struct) -> bytes:
    """A control record's or index entry's value."""
    return _encode(value)


def decode_value(data: bytes, kind: type[T]) -> T:
    """The value of a control record. WireError where it is not of that shape."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"{kind.__name__} record is not readable: {error}") from error


def decode_index(data: bytes) -> IndexRecord:
    """An index entry. WireError where it is not of a known shape."""
    try:
        entry: IndexRecord = _index_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"index entry is not readable: {error}") from error
    return entry


def segment_entry(data: bytes | None) -> SegmentEntry | None:
    """That of a finished segment; None where it is anything else, or not readable."""
    try:
        entry = decode_index(data or b"")
    except WireError:
        return None
    return entry if isinstance(entry, SegmentEntry) else None
