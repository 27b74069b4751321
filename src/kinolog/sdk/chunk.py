"""Chunk: what a stream consists of, as a program sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from kinolog.record.control import OpenTrack
from kinolog.record.header import Header
from kinolog.sdk.moment import as_datetime


@dataclass(frozen=True, slots=True)
class Chunk:
    """A CMAF chunk of one track: one moof and one mdat, a frame to a part of a second long.

    `init + data` is a playable fragmented MP4 where `independent` (the chunk begins with a
    keyframe); so is `init` and any run of a track's chunks that begins with such a one and in
    which each of the others `follows`.
    """

    track: str
    """Name of the track: `video`, `audio`, `audio-2` …"""
    kind: Literal["video", "audio"]
    codec: str
    """RFC 6381, for example `avc1.64001f`."""
    epoch: int
    """The publisher's session: grows with each. Tracks and `init` are constant within one."""
    msn: int
    """Media sequence number: counts the track's media segments."""
    part: int
    """The part within its segment."""
    chunk: int
    """The chunk within its segment; no number is left out, unless records are missing."""
    dts: int
    """Decode time of the first frame, in ticks of `timescale` since 1970 on the source's clock."""
    duration: int
    """In ticks."""
    timescale: int
    """Ticks a second."""
    independent: bool
    """Whether it begins with a keyframe; always so for audio."""
    time: datetime
    """Capture time of the first frame (aware, UTC, to the millisecond)."""
    data: bytes = field(repr=False)
    """The moof and mdat; a prft before them where a segment begins."""
    init: bytes = field(repr=False)
    """The init segment (ftyp and moov) of the track in this epoch."""
    follows: bool = field(repr=False)
    """Whether it can be decoded after the track's chunk before it: nothing is missing between them,
    and a new `epoch` goes on with the same `session` and `init`."""
    wall_ms: int = field(repr=False, default=0)
    """`time` in Unix ms."""
    silence: bool = field(repr=False, default=False)
    """Whether ingest made it, since the publisher sent no sound."""

    @property
    def end_ms(self) -> float:
        """Unix ms at which its last frame ends."""
        return self.wall_ms + 1000 * self.duration / self.timescale


def chunk_of(header: Header, payload: bytes, track: OpenTrack, *, follows: bool) -> Chunk:
    """A chunk from what the log holds of it."""
    return Chunk(
        header.track, track.kind, track.codec, header.epoch, header.msn, header.part, header.chunk,
        header.dts, header.dur, track.timescale, header.ind, as_datetime(header.wall), payload,
        track.init, follows, header.wall, track.silence,
    )  # fmt: skip
