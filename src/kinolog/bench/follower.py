"""Follows a stream's records as an edge's tail does, and notes when each part is whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kinolog.record.control import OpenTrack
from kinolog.record.header import Header
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.timeline.events import ChunkEvent, Event, Opened
from kinolog.timeline.reader import StreamReader

_NO_TRACK = OpenTrack(name="", kind="video", codec="", timescale=1, init=b"")
_USUAL_RATE = 30.0  # where the open record does not tell


class Place(NamedTuple):
    """What a part is called; places of a track rise."""

    epoch: int
    msn: int
    part: int


@dataclass(frozen=True, slots=True)
class Part:
    """A whole part. Times are Unix seconds.

    `first` and `last` are when its first and last picture were captured, by the wall clock in
    the log; `dts` and `last_dts` are the pictures' decode times in ticks of `timescale`.
    """

    first: float
    last: float
    dts: int
    last_dts: int
    timescale: int
    frame_s: float
    last_chunk: int
    independent: bool
    readable: float
    """When the tail had all of it."""


@dataclass(slots=True)
class _Growing:
    """A part's first chunk and its newest one, and when that came."""

    place: Place
    first: Header
    newest: Header
    came: float


class Follower:
    """The parts of a stream's first video track, from the records of its partition."""

    def __init__(self, key: str, entry: EpochEntry | None = None) -> None:
        """`key`: the stream's name without its collection. `entry`: the session that the
        first record is in the middle of."""
        self.parts: dict[Place, Part] = {}
        self.zero: dict[int, int] = {}
        """DTS of the first picture seen of each epoch."""
        self._key = key
        self._reader = StreamReader()
        self._track = _NO_TRACK
        self._growing: _Growing | None = None
        for event in self._reader.start(entry) if entry is not None else ():
            self._event(event, 0.0)

    @property
    def newest(self) -> Place | None:
        """The newest whole part."""
        return max(self.parts, default=None)

    def take(self, records: Sequence[LogRecord], now: float) -> None:
        """Records of the partition, in order, that could be read at `now`."""
        for record in records:
            if record.key == self._key:
                for event in self._reader.feed(record):
                    self._event(event, now)

    def _event(self, event: Event, now: float) -> None:
        if isinstance(event, ChunkEvent):
            if event.header.track == self._track.name:
                self._chunk(event.header, now)
            return
        # An open, a close or an end: what had begun is as long as it will get.
        self._finish(now)
        if isinstance(event, Opened):
            tracks = [track for track in event.open.tracks if track.kind == "video"]
            self._track = tracks[0] if tracks else _NO_TRACK

    def _chunk(self, header: Header, now: float) -> None:
        place = Place(header.epoch, header.msn, header.part)
        self.zero.setdefault(header.epoch, header.dts)
        growing = self._growing
        if growing is not None and growing.place != place:
            self._finish(now)  # no mark said so: profile `frame`
            growing = None
        if growing is None:
            growing = self._growing = _Growing(place, header, header, now)
        growing.newest, growing.came = header, now
        if header.ends:
            self._finish(now)

    def _finish(self, now: float) -> None:
        growing, self._growing = self._growing, None
        if growing is None:
            return
        first, newest, scale = growing.first, growing.newest, self._track.timescale
        frame_ticks = round(scale / (self._track.frame_rate or _USUAL_RATE))
        last_dts = max(first.dts, newest.dts + newest.dur - frame_ticks)
        self.parts[growing.place] = Part(
            first=first.wall / 1000,
            last=first.wall / 1000 + (last_dts - first.dts) / scale,
            dts=first.dts,
            last_dts=last_dts,
            timescale=scale,
            frame_s=frame_ticks / scale,
            last_chunk=newest.chunk,
            independent=first.ind,
            readable=now,
        )
