"""The records of a stream that has moved, in one order over its places (invariant 9)."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Generic, NamedTuple, TypeVar

from kinolog.record.control import SessionEntry
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.timeline.events import Event
from kinolog.timeline.reader import StreamReader

MOST_WAIT_S = 5.0
"""A fence follows the open that it belongs to at once. Without one the stream goes on after this,
within the three target durations that requests wait."""


P = TypeVar("P", bound=Hashable)


def join_places(places: Mapping[P, Iterable[LogRecord]]) -> Iterator[tuple[P, LogRecord]]:
    """Merge the records of several places, each in log order; each with its place.

    A stream is in one place at a time, and its epochs only grow: a record belongs where the
    greatest epoch opened, or fenced off, before it in its place belongs. A place may hold epochs
    before and after those of another: the stream moved away and came back.
    """
    runs = [_by_epoch(place, records) for place, records in places.items()]
    return ((place, record) for _, place, record in heapq.merge(*runs, key=itemgetter(0)))


def _by_epoch(place: P, records: Iterable[LogRecord]) -> Iterator[tuple[int, P, LogRecord]]:
    """Records of one place with the greatest epoch opened or fenced off there so far; those before
    the first open that is there belong to an older one."""
    newest = -1
    for record in records:
        if record.header.kind in ("open", "fence") or newest < 0:
            newest = max(newest, record.header.epoch)
        yield newest, place, record


class _Held(NamedTuple):
    """What a place has brought from an open on, whose turn has not come. `until`: the deadline."""

    records: list[LogRecord]
    until: float


class PlacesReader(Generic[P]):
    """A StreamReader over the places of a stream whose tails come in any order.

    An open in another place is held, with what follows it there, until the place of the newest
    session has been read up to the fence that the open put there: what was acknowledged before it
    is not lost. After MOST_WAIT_S it is `overdue`. Times are monotonic seconds.
    """

    def __init__(self) -> None:
        self._reader = StreamReader()
        self._place: P | None = None
        """Where the newest session is; None before a record of it."""
        self._fence = -1
        """The newest epoch that the place of a newest session was fenced off with."""
        self._held: dict[P, _Held] = {}
        self.unopened = 0
        """Chunks of sessions whose open was not among the records."""

    def start(self, entry: SessionEntry | EpochEntry) -> Sequence[Event]:
        """Begin in the middle, as StreamReader does."""
        return self._reader.start(entry)

    def feed(self, place: P, record: LogRecord, now: float) -> Sequence[Event]:
        """What this record means, and those that were held until it came."""
        held = self._held.get(place)
        if held is not None:
            held.records.append(record)
            return ()
        header = record.header
        if header.kind == "open" and self._too_early(place, header.epoch):
            self._held[place] = _Held([record], now + MOST_WAIT_S)
            return ()
        return self._take(place, record, now)

    def overdue(self, now: float) -> P | None:
        """The place whose open is held for too long, the oldest of several."""
        late = [place for place, held in self._held.items() if held.until <= now]
        return min(late, key=self._epoch_held, default=None)

    def go_on(self, place: P, now: float) -> Sequence[Event]:
        """Take what is held of a place, fence or none."""
        first, *rest = self._held.pop(place).records
        events = [*self._take(place, first, now)]
        for record in rest:
            events += self.feed(place, record, now)
        return events

    def _take(self, place: P, record: LogRecord, now: float) -> Sequence[Event]:
        events = self._reader.feed(record)
        header = record.header
        if header.kind == "chunk" and header.epoch > self._reader.epoch:
            self.unopened += 1
        if header.kind == "fence":
            if place == self._place:
                self._fence = max(self._fence, header.epoch)
        elif header.epoch == self._reader.epoch:
            self._place = place
        if not self._held:
            return events
        events = [*events]
        while (due := self._due()) is not None:
            events += self.go_on(due, now)
        return events

    def _due(self) -> P | None:
        due = (p for p in self._held if not self._too_early(p, self._epoch_held(p)))
        return min(due, key=self._epoch_held, default=None)

    def _epoch_held(self, place: P) -> int:
        return self._held[place].records[0].header.epoch

    def _too_early(self, place: P, epoch: int) -> bool:
        """Whether an open of this epoch belongs after what has not been read yet."""
        newest = self._reader.epoch
        if self._place is None or epoch <= newest:
            return False
        if place == self._place:  # moved away, and back: what is in between is elsewhere
            return newest < self._fence < epoch
        return self._fence < epoch
