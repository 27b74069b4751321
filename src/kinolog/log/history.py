"""A stream's records from a moment on: over epochs and placements, through the present, and on.

One cursor reads them all. A stream that moves is read to the end of its old place first: its
next session opens in the new one only after the old one's records were acknowledged.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.errors import KafkaUnavailable, NotFound
from kinolog.core.names import StreamName
from kinolog.log.client import KafkaSettings
from kinolog.log.cursor import Cursor, Pulled
from kinolog.log.random_reader import RandomReader
from kinolog.log.reach import Reach
from kinolog.log.registry import Registry
from kinolog.log.seek import Beginning, Seeker, Session, Stretch
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import StreamEntry

Moment = int | Literal["earliest", "live"]
"""A capture time (Unix ms), the oldest that is kept, or the present."""

_PULL_S = 0.25
_SILENCE_S = 60.0
_LATE_MS = 10_000


class Passage(NamedTuple):
    """Records in log order. `session`: take it as in force before them (StreamReader.start).

    `present`: with this passage everything is given that the log held at the call. `found`: on
    the first passage, whether a media segment at or before the moment is kept.
    """

    records: list[LogRecord]
    session: Session | None = None
    present: bool = False
    found: bool = True


@dataclass(frozen=True, slots=True)
class Archive:
    """What reading the past needs of one cluster."""

    kafka: KafkaSettings
    registry: Registry
    reader: RandomReader
    clock: Clock

    async def passages(
        self, name: StreamName, moment: Moment, *, follow: bool, until_ms: int | None = None
    ) -> AsyncGenerator[Passage, None]:
        """The stream's records from a little before `moment` on.

        Ends at what is the present at the call, or with `follow` never; with `until_ms`, also when
        the present is past that time. Raises NotFound for a stream that does not exist or is
        deleted meanwhile, KafkaUnavailable when the past cannot be read for a minute.
        """
        await self.registry.catch_up()  # the stream may have been made, or have moved, just now
        stretches = _stretches(self._entry(name))
        last = stretches[-1]
        _, present = await self.reader.bounds(last.media, last.partition)
        at, beginning = await self._begin(name, stretches, moment)
        cursor = Reach(self.reader, Cursor(self.kafka, name.name), name.name)
        try:
            yield Passage([], beginning.session, False, beginning.found)
            while at < len(stretches) - 1:
                stretch = stretches[at]
                _, end = await self.reader.bounds(stretch.media, stretch.partition)
                await cursor.move(stretch.media, stretch.partition, beginning.offset)
                async for pulled in _up_to(cursor, beginning.offset, end):
                    records, over = _within(pulled.records, stretch)
                    yield Passage(records)
                    if over:
                        break
                at += 1
                beginning = await self._seeker(name, stretches[at]).oldest()
                yield Passage([], beginning.session)
            await cursor.move(last.media, last.partition, beginning.offset)
            async for pulled in _up_to(cursor, beginning.offset, present, exact=not follow):
                yield Passage(pulled.records)
            yield Passage([], present=True)
            if follow:
                async for passage in self._tail(name, cursor, last, until_ms):
                    yield passage
        finally:
            await cursor.close()

    async def _tail(
        self, name: StreamName, cursor: Reach, stretch: Stretch, until_ms: int | None
    ) -> AsyncGenerator[Passage, None]:
        while until_ms is None or self.clock.unix_ms() <= until_ms + _LATE_MS:
            pulled = await cursor.pull(_PULL_S)
            if pulled.records:
                yield Passage(pulled.records)
            moved = self._moved(name, stretch)
            if moved is None:
                continue
            _, end = await self.reader.bounds(stretch.media, stretch.partition)
            async for rest in _up_to(cursor, pulled.position, end):
                yield Passage(rest.records)
            stretch = moved
            beginning = await self._seeker(name, stretch).oldest()
            await cursor.move(stretch.media, stretch.partition, beginning.offset)
            yield Passage([], beginning.session)

    def _entry(self, name: StreamName) -> StreamEntry:
        entry = self.registry.streams.get(name)
        if entry is None:
            raise NotFound(f"there is no stream {name}", hint="`kinolog streams` lists them")
        return entry

    def _moved(self, name: StreamName, stretch: Stretch) -> Stretch | None:
        """The next place of the stream, once a session has opened there."""
        known = self.registry.epochs.get(name, {})
        for later in _stretches(self._entry(name)):
            if later.least > stretch.least and later.sessions(known):
                return later
        return None

    def _seeker(self, name: StreamName, stretch: Stretch) -> Seeker:
        return Seeker(self.reader, name.name, stretch, self.registry.epochs.get(name, {}))

    async def _begin(
        self, name: StreamName, stretches: list[Stretch], moment: Moment
    ) -> tuple[int, Beginning]:
        """In which stretch to begin, and where in it."""
        if moment == "live":
            at = len(stretches) - 1
            beginning = await self._seeker(name, stretches[at]).newest()
            while (
                at
                and not beginning.found
                and not stretches[at].sessions(self.registry.epochs.get(name, {}))
            ):
                at -= 1  # moved, but nobody has published since
                beginning = await self._seeker(name, stretches[at]).newest()
            return at, beginning
        if moment == "earliest":
            return 0, await self._seeker(name, stretches[0]).oldest()
        for at in range(len(stretches) - 1, -1, -1):
            beginning = await self._seeker(name, stretches[at]).at_time(moment)
            if beginning.found:
                return at, beginning
        return 0, await self._seeker(name, stretches[0]).oldest()


def _stretches(entry: StreamEntry) -> list[Stretch]:
    """A stream's placements, oldest first. One that it came back to later is told apart by the
    epochs: those that opened before it went."""
    placements = entry.placements
    found = []
    for at, (one, following) in enumerate(pairwise([*placements, None])):
        assert one is not None
        again = any(
            (p.base, p.partition) == (one.base, one.partition) for p in placements[at + 1 :]
        )
        below = following.from_epoch if again and following is not None else float("inf")
        found.append(Stretch(one.base, one.partition, one.from_epoch, below))
    return found


async def _up_to(
    cursor: Reach, position: int, end: int, *, exact: bool = False
) -> AsyncGenerator[Pulled, None]:
    """What the cursor pulls until everything below `end` has been read; with `exact`, nothing of
    what came along from behind it."""
    silent_s = 0.0
    while position < end:
        pulled = await cursor.pull(_PULL_S)
        silent_s = 0.0 if pulled.position > position else silent_s + _PULL_S
        position = max(position, pulled.position)
        if silent_s >= _SILENCE_S:
            raise KafkaUnavailable(f"Kafka has given nothing for {_SILENCE_S:.0f} s")
        if exact and position > end:
            kept = [record for record in pulled.records if record.offset < end]
            pulled = Pulled(kept, position)
        yield pulled


def _within(records: list[LogRecord], stretch: Stretch) -> tuple[list[LogRecord], bool]:
    """The records before the stretch's end, and whether it has ended."""
    for at, record in enumerate(records):
        if record.header.kind in ("open", "fence") and record.header.epoch >= stretch.below:
            return records[:at], True
    return records, False
