"""StreamReader: the rule that says which records of a stream are valid (DESIGN.md invariants).

    reader = StreamReader()
    events = reader.start(entry)          # only to begin in the middle
    events = reader.feed(record)          # each record of the stream, in log order

A pure state machine. Every reader of every language makes the same events of the same records;
`tests/golden` holds a log and what must come out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kinolog.core.errors import WireError
from kinolog.record.control import Close, Gap, Open, SessionEntry, decode_value
from kinolog.record.header import Header
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, GapEvent, Hole, Opened

MAX_PIECES = 128
MAX_NUMBER = 1 << 53
"""What every language's numbers hold."""
MAX_COUNT = 1 << 32
"""Pieces of one chunk (about 110 MB): what a reader holds of a half chunk is bounded."""

MAX_WALL_MS = 253_402_300_799_999
"""The end of the year 9999."""

_NOTHING: tuple[Event, ...] = ()


class Ignored(msgspec.Struct):
    """How many records a reader passed over, and why."""

    void_opens: int = 0
    zombies: int = 0
    repeats: int = 0
    before_start: int = 0
    after_close: int = 0
    malformed: int = 0


class _Track:
    """Where a track is within its epoch: the next chunk of the newest segment begun."""

    __slots__ = ("half", "half_offsets", "holed", "msn", "next_chunk", "sealed", "synced")

    def __init__(self, synced: bool) -> None:
        self.synced = synced
        self.msn = -1
        self.next_chunk = 0
        self.sealed = True
        self.holed = False
        self.half: list[bytes] = []
        self.half_offsets: list[int] = []

    def begin(self, msn: int) -> None:
        self.msn = msn
        self.next_chunk = 0
        self.sealed = False
        self.holed = False


class StreamReader:
    """The records of one stream in log order in, events out. Holds at most a half chunk a track."""

    def __init__(self) -> None:
        self.epoch = -1
        """The newest valid open's epoch; -1 before the first."""
        self.ignored = Ignored()
        self._closed = False
        self._ended = False
        self._fenced = False
        self._tracks: dict[str, _Track] = {}
        self._start_offset = -1

    def start(self, entry: SessionEntry | EpochEntry) -> tuple[Event, ...]:
        """Begin in the middle: `entry` is the newest session at or before the start offset.

        Call it before the first feed. Each track is then silent until its next segment begins.
        """
        self._start_offset = entry.open_offset
        self._open(entry.epoch, entry.open, synced=False)
        return (Opened(entry.epoch, entry.disc, entry.open, entry.open_offset),)

    def feed(self, record: LogRecord) -> Sequence[Event]:
        """What this record means: no event, one, or a Hole and a chunk."""
        header = record.header
        if header.kind == "chunk":
            return self._chunk(record, header)
        try:
            return self._control(record, header)
        except WireError:
            self.ignored.malformed += 1
            return _NOTHING

    def _control(self, record: LogRecord, header: Header) -> tuple[Event, ...]:
        epoch = header.epoch
        if header.kind == "open":
            return self._on_open(record, epoch)
        if header.kind == "fence":
            self._fenced |= epoch > self.epoch
            return _NOTHING
        if epoch != self.epoch or self._fenced:
            self.ignored.zombies += 1
            return _NOTHING
        if header.kind == "close":
            if self._closed:
                self.ignored.repeats += 1
                return _NOTHING
            reason = decode_value(record.value, Close).reason if record.value else ""
            self._closed = True
            return (*self._lost_halves(), Closed(epoch, reason, record.offset))
        if header.kind == "gap":
            if self._closed:
                self.ignored.after_close += 1
                return _NOTHING
            return (GapEvent(epoch, decode_value(record.value, Gap), record.offset),)
        if self._ended:
            self.ignored.repeats += 1
            return _NOTHING
        lost = self._lost_halves()
        self._closed = self._ended = True
        return (*lost, Ended(epoch, record.offset))

    def _on_open(self, record: LogRecord, epoch: int) -> tuple[Event, ...]:
        if epoch <= self.epoch:
            if record.offset != self._start_offset:
                self.ignored.void_opens += 1
            else:
                # The open that start() stood for: nothing of its session was passed over.
                for track in self._tracks.values():
                    track.synced = True
            return _NOTHING
        value = decode_value(record.value, Open)
        if min(value.target_ms, value.part_ms, *(t.timescale for t in value.tracks)) < 1:
            raise WireError("an open record whose durations or timescales are not positive")
        self._open(epoch, value, synced=True)
        return (Opened(epoch, None, value, record.offset),)

    def _open(self, epoch: int, value: Open, *, synced: bool) -> None:
        self.epoch = epoch
        self._closed = self._ended = self._fenced = False
        self._tracks = {track.name: _Track(synced) for track in value.tracks}

    def _lost_halves(self) -> list[Event]:
        """A close follows what its session acknowledged, so a half chunk before it is a hole."""
        holes: list[Event] = []
        for name, track in self._tracks.items():
            if track.half:
                track.half = []
                if not track.holed:
                    holes.append(Hole(name, self.epoch, track.msn))
        return holes

    def _chunk(self, record: LogRecord, header: Header) -> Sequence[Event]:
        if header.epoch != self.epoch or self._fenced:
            self.ignored.zombies += 1
            return _NOTHING
        if self._closed:
            self.ignored.after_close += 1
            return _NOTHING
        track = self._tracks.get(header.track)
        if track is None or not _sensible(header):
            self.ignored.malformed += 1
            return _NOTHING
        if not track.synced:
            if header.chunk or header.piece:
                self.ignored.before_start += 1
                return _NOTHING
            track.synced = True

        # The common case: the next chunk of the segment, whole.
        if (
            header.msn == track.msn
            and header.chunk == track.next_chunk
            and header.pieces == 1
            and not track.half
            and not track.sealed
        ):
            track.next_chunk += 1
            track.sealed = header.ends == "segment"
            value = record.value
            return (ChunkEvent(header, value, (record.offset,), (len(value),)),)
        return self._uncommon(record, header, track)

    def _uncommon(self, record: LogRecord, header: Header, track: _Track) -> Sequence[Event]:
        """A repeat, a piece, the first chunk of a segment, or one after a hole.

        (msn, chunk, piece) of a track only goes up: what does not is a repeat.
        """
        if header.msn < track.msn or (header.msn == track.msn and header.chunk < track.next_chunk):
            self.ignored.repeats += 1
            return _NOTHING
        events: list[Event] = []
        if header.msn > track.msn:
            if track.half:
                self._hole(header.track, track, events)
            track.begin(header.msn)
        elif track.sealed:
            self.ignored.malformed += 1
            return _NOTHING
        if header.chunk > track.next_chunk:
            self._hole(header.track, track, events)
            track.next_chunk = header.chunk
        held = len(track.half)
        if header.piece < held:
            self.ignored.repeats += 1
            return events
        if header.piece > held:
            # Its first pieces are gone: the chunk is lost, and what follows of it of no use.
            self._hole(header.track, track, events)
            track.next_chunk = header.chunk + 1
            track.sealed = header.ends == "segment"
            return events
        chunk = self._piece(record, header, track)
        if chunk is not None:
            events.append(chunk)
        return events

    def _piece(self, record: LogRecord, header: Header, track: _Track) -> ChunkEvent | None:
        """Hold the piece; the chunk once it is complete."""
        if header.piece == 0:
            track.half_offsets = []
        track.half.append(record.value)
        track.half_offsets.append(record.offset)
        if header.piece + 1 < header.pieces:
            return None
        payload = track.half[0] if header.pieces == 1 else b"".join(track.half)
        sizes = tuple(map(len, track.half))
        track.half = []
        track.next_chunk = header.chunk + 1
        track.sealed = header.ends == "segment"
        if header.pieces > 1:
            header = msgspec.structs.replace(header, piece=0, pieces=1)
        return ChunkEvent(header, payload, tuple(track.half_offsets), sizes)

    def _hole(self, name: str, track: _Track, events: list[Event]) -> None:
        track.half = []
        if not track.holed:
            track.holed = True
            events.append(Hole(name, self.epoch, track.msn))


def _sensible(header: Header) -> bool:
    """No number of a chunk's header is negative, or beyond what it counts."""
    return (
        0 <= header.piece < header.pieces <= MAX_PIECES
        and 0 <= header.wall <= MAX_WALL_MS
        and min(header.msn, header.part, header.chunk, header.disc, header.dts, header.dur) >= 0
        and max(header.msn, header.disc, header.dts, header.epoch) < MAX_NUMBER
        and max(header.part, header.chunk, header.dur) < MAX_COUNT
    )
