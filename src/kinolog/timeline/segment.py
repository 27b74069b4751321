"""Segment and Part: the media of one track that a reader holds, joined once, whoever asks."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.core.timebase import rescale
from kinolog.media.cmaf import parse_chunk
from kinolog.record.header import Header
from kinolog.record.table import late_of
from kinolog.timeline.events import ChunkEvent

MICROSECONDS = 1_000_000
MAX_SEGMENT_BYTES = 128 << 20
"""A segment that is larger becomes a gap: no writer can fill a reader's memory."""
MAX_PARTS = 1000


class Chunk(NamedTuple):
    """What the log's header says of a chunk. `part`, `chunk` count within the segment; `dts`, `dur`
    are ticks of its timescale, `wall` Unix ms, `size` bytes."""

    part: int
    chunk: int
    dts: int
    dur: int
    wall: int
    size: int
    independent: bool


class Part:
    """A finished part (LL-HLS partial segment): the concatenation of its chunks.

    `start` is its byte offset within the segment; `last`: the segment ended with it.
    Times are ticks of the segment's timescale.
    """

    __slots__ = (
        "_chunks",
        "dts",
        "duration_ticks",
        "gap",
        "independent",
        "index",
        "last",
        "size",
        "start",
    )

    def __init__(self, index: int, dts: int, start: int) -> None:
        self.index = index
        self.dts = dts
        self.start = start
        self.duration_ticks = 0
        self.independent = False
        self.gap = False
        self.last = False
        self.size = 0
        self._chunks: list[bytes] = []

    def add(self, header: Header, payload: bytes) -> None:
        """One more chunk."""
        self.duration_ticks = max(0, header.dts + header.dur - self.dts)
        self.independent |= header.ind
        self.size += len(payload)
        self._chunks.append(payload)

    def chunks(self) -> list[bytes]:
        """What it is made of: one joined piece or many; empty once let go."""
        return self._chunks

    def joined(self) -> bytes:
        """Its bytes, joined at the first call."""
        chunks = self._chunks
        if len(chunks) != 1:
            chunks[:] = (b"".join(chunks),)
        return chunks[0]

    def let_go(self) -> None:
        """Drop the bytes; the segment has them."""
        self._chunks = []


class Segment:
    """A media segment of one track. `parts` are its finished parts, in order, without holes.

    `wall` is the date of its first DTS in Unix ms (0: unknown). `discontinuities`: how
    many EXT-X-DISCONTINUITY stand between it and the segment before (0 within an epoch).
    `independent`: it begins with a keyframe. `gap`: a chunk is missing, it cannot be played as a
    whole. `with_parts` is False in an epoch that is published without parts. `video`: its samples
    may be in another order than they are shown in.
    """

    __slots__ = (
        "_body",
        "_growing",
        "_late",
        "_marks",
        "_settled",
        "disc",
        "discontinuities",
        "dts",
        "duration_ticks",
        "ended",
        "epoch",
        "first_offset",
        "gap",
        "independent",
        "last_offset",
        "msn",
        "parts",
        "size",
        "timescale",
        "video",
        "wall",
        "with_parts",
    )

    def __init__(self, header: Header, timescale: int, with_parts: bool) -> None:
        self.msn = header.msn
        self.epoch = header.epoch
        self.disc = header.disc
        self.dts = header.dts
        self.wall = header.wall
        self.timescale = timescale
        self.with_parts = with_parts
        self.video = False
        self.independent = header.ind and header.chunk == 0
        self.duration_ticks = 0
        self.discontinuities = 0
        self.parts: list[Part] = []
        self.ended = False
        self.gap = False
        self.size = 0
        self.first_offset = -1
        self.last_offset = -1
        self._growing: Part | None = None
        self._body: bytes | None = None
        self._settled = False
        self._late: int | None = None
        self._marks = array("q")
        """Of each chunk that is kept the fields of Chunk, one after the other: 56 bytes."""

    @property
    def duration_us(self) -> int:
        """Its duration in microseconds, rounded to the nearest."""
        return rescale(self.duration_ticks, self.timescale, MICROSECONDS)

    @property
    def late(self) -> int:
        """As of Row, once it has ended: looked for at the first call."""
        if self._late is None:
            self._late = self._look() if self.video and self.independent else 0
        return self._late

    @property
    def end_dts(self) -> int:
        """Where its last chunk ends, in ticks."""
        return self.dts + self.duration_ticks

    def add(self, event: ChunkEvent, part_ticks: int) -> bool:
        """One more chunk; True when that finished a part. `part_ticks`: the part target."""
        header = event.header
        before = len(self.parts)
        growing = self._growing
        if growing is not None and self.with_parts and header.part > growing.index:
            self.parts.append(growing)
            growing = None
        if growing is None:
            growing = self._begin_part(header, part_ticks)
        if self.first_offset < 0:
            self.first_offset = event.offsets[0]
        self.last_offset = event.offsets[-1]
        self.duration_ticks = max(0, header.dts + header.dur - self.dts)
        self.size += len(event.payload)
        if self.size > MAX_SEGMENT_BYTES:
            self._give_up()
        else:
            growing.add(header, event.payload)
            size = len(event.payload)
            self._marks.extend(
                (header.part, header.chunk, header.dts, header.dur, header.wall, size, header.ind)
            )
        if header.ends == "segment":
            self.end()
        elif header.ends == "part" and self.with_parts:
            self.parts.append(growing)
            self._growing = None
        return len(self.parts) > before

    def break_(self) -> None:
        """A hole: what comes of it from here on is not for players."""
        self.gap = True
        if self._growing is not None:
            self._growing.gap = True

    def end(self) -> None:
        """Nothing more comes. What was begun is its last, short part."""
        if self._growing is not None:
            self._growing.last = True
            self.parts.append(self._growing)
            self._growing = None
        self.ended = True

    def body(self) -> bytes:
        """The bytes of the whole segment, joined at the first call."""
        body = self._body
        if body is None:
            body = b"".join([chunk for part in self.parts for chunk in part.chunks()])
            self._body = body
            if self._settled:
                self._let_parts_go()
        return body

    def chunks(self) -> Iterator[tuple[Chunk, bytes]]:
        """What came of it so far, chunk by chunk, as it is in the log."""
        return self._cut(self.body() if self.ended else b"".join(self._pieces()))

    def _cut(self, whole: bytes) -> Iterator[tuple[Chunk, bytes]]:
        at = 0
        for mark in self.marks():
            if at + mark.size > len(whole):  # given up: too large
                return
            yield mark, whole[at : at + mark.size]
            at += mark.size

    def marks(self) -> Iterator[Chunk]:
        """The same without the bytes."""
        marks, fields = self._marks, len(Chunk._fields)
        for index in range(0, len(marks), fields):
            part, chunk, dts, dur, wall, size, independent = marks[index : index + fields]
            yield Chunk(part, chunk, dts, dur, wall, size, bool(independent))

    def _pieces(self) -> Iterator[bytes]:
        for part in self.parts:
            yield from part.chunks()
        if self._growing is not None:
            yield from self._growing.chunks()

    def part_body(self, index: int) -> bytes:
        """The bytes of a finished part."""
        part = self.parts[index]
        if not part.chunks() and self._body is not None:
            return self._body[part.start : part.start + part.size]
        return part.joined()

    def chunks_from(self, byte: int) -> list[bytes]:
        """What it has so far from this byte on, which must be the first of a chunk, or of what has
        been joined since; nothing once it is a gap."""
        if self._body is not None:
            return [self._body[byte:]] if byte < len(self._body) else []
        found: list[bytes] = []
        growing = [self._growing] if self._growing is not None else []
        for part in (*self.parts, *growing):
            at = part.start
            for chunk in part.chunks() if at + part.size > byte else ():
                if at + len(chunk) > byte:
                    found.append(chunk[max(0, byte - at) :])
                at += len(chunk)
        return found

    def settle(self) -> None:
        """Parts are no longer listed: keep the bytes once only."""
        self._settled = True
        if self._body is not None:
            self._let_parts_go()

    def _look(self) -> int:
        whole = b"".join(self._pieces()) if self._body is None else self._body
        durations: list[int] = []
        cts: list[int] = []
        with suppress(MediaError):
            for _, payload in self._cut(whole):
                chunk = parse_chunk(payload)
                durations += chunk.durations
                cts += chunk.cts
                if len(cts) > 1 and not any(cts[:2]):
                    return 0  # nothing is reordered
        return late_of(durations, cts)

    def _begin_part(self, header: Header, part_ticks: int) -> Part:
        index = len(self.parts)
        if self.with_parts and index < header.part <= MAX_PARTS:
            # Lost parts keep their places, so that part numbers stay positions.
            missing = header.part - index
            at = self.end_dts
            lost_ticks = min(max((header.dts - at) // missing, 1), part_ticks)
            for _ in range(missing):
                part = Part(len(self.parts), at, self.size)
                part.duration_ticks = lost_ticks
                part.gap = True
                self.parts.append(part)
            self.gap = True
        self._growing = Part(len(self.parts), header.dts, self.size)
        self._growing.gap = self.gap
        return self._growing

    def _give_up(self) -> None:
        """Its finished parts stay as they were listed; the rest is counted, not kept."""
        self.break_()
        if self._growing is not None:
            self._growing.let_go()

    def _let_parts_go(self) -> None:
        for part in self.parts:
            part.let_go()


def filler(before: Segment, msn: int, duration_ticks: int) -> Segment:
    """A gap that stands for a media sequence number that this track never used."""
    header = Header(
        1,
        "chunk",
        before.epoch,
        disc=before.disc,
        msn=msn,
        dts=before.end_dts,
        wall=before.wall and before.wall + before.duration_us // 1000,
    )
    segment = Segment(header, before.timescale, with_parts=False)
    segment.duration_ticks = duration_ticks
    segment.gap = segment.ended = True
    return segment
