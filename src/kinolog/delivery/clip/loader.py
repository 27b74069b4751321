"""Loader: the sample tables of a stretch of a stream, from the index, into columns."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, Unavailable, WireError
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.history import History, Named
from kinolog.delivery.live_rows import come_to, live_rows
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack, SegmentEntry, decode_index
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row, Table
from kinolog.record.topics import topic

P = ParamSpec("P")
T = TypeVar("T")
BATCH_ENTRIES: Final = 1024
BATCH_RECORDS: Final = 32_768
"""Of the index: so many entries are read at a time, from so many records."""
MOST_SEGMENTS: Final = 50_000
"""Of a track: more than a day of 2 s segments."""
INDEXED_S: Final = 5.0
"""A finished segment is in the index some 50 ms later; it is not waited for longer than this."""
_LOOK_S: Final = 0.1


class Wanted(NamedTuple):
    """A row to load, and the number of its track."""

    track: int
    row: Row


class Loader:
    """Reads for one stream: rows by time, then the entries that they name."""

    def __init__(
        self,
        reader: RandomReader,
        history: History,
        registry: Registry,
        clock: Clock,
        stream: StreamName,
        pool: Executor | None = None,
    ) -> None:
        """`pool`: where entries are decoded."""
        self._reader = reader
        self._history = history
        self._clock = clock
        self._stream = stream
        self._pool = pool
        self._epochs: Mapping[int, EpochEntry] = registry.epochs.get(stream, {})

    def tracks(self) -> dict[str, dict[int, OpenTrack]]:
        """By name, those of every epoch that has the track; pictures first."""
        found: dict[str, dict[int, OpenTrack]] = {}
        for epoch, entry in sorted(self._epochs.items()):
            for info in entry.open.tracks:
                found.setdefault(info.name, {})[epoch] = info

        def order(name: str) -> tuple[bool, str]:
            return next(iter(found[name].values())).kind != "video", name

        return {name: found[name] for name in sorted(found, key=order)}

    def place(self, epoch: int) -> tuple[str, int]:
        """Topics' base name and partition of an epoch."""
        entry = self._epochs[epoch]
        return entry.base, entry.partition

    async def work(self, do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what takes long in the pool."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, partial(do, *args, **kwargs))

    async def arrived(
        self, channel: Channel | None, track: str, start_ms: int, end_ms: int
    ) -> None:
        """Wait until all of [start_ms, end_ms) that is live now is finished, and in the index.
        Unavailable where the index does not get it."""
        if channel is None:
            await self._indexed(track, end_ms)
            return
        await come_to(channel, track, end_ms)
        live = live_rows(channel, track)
        expected = [row.msn for row in live if row.wall < end_ms]
        if not expected or live[len(expected) - 1].wall < start_ms - 60_000:
            return
        deadline = self._clock.monotonic() + INDEXED_S
        while True:
            newest = live[len(expected) - 1]
            rows = await self.rows(track, newest.wall, newest.wall + 1)
            if any(row.msn >= expected[-1] and row.epoch == newest.epoch for row in rows):
                return
            if self._clock.monotonic() >= deadline:
                raise Unavailable(
                    f"the newest media segment of {track} is not in the index yet", hint="try again"
                )
            await asyncio.sleep(_LOOK_S)

    async def _indexed(self, track: str, end_ms: int) -> None:
        """Wait, by the index alone, while the segment in which a moment lies may still come."""
        newest = self._epochs[max(self._epochs)] if self._epochs else None
        if newest is None or newest.state != "live":
            return
        # So late is what is captured now, at most: a segment, and its way to the index.
        patience_ms = 1.5 * newest.open.target_ms + 1000 * INDEXED_S
        while self._clock.unix_ms() < end_ms + patience_ms:
            rows = await self.rows(track, end_ms - 1, end_ms + patience_ms)
            if rows:
                return
            await asyncio.sleep(_LOOK_S)

    async def rows(self, track: str, start_ms: float, end_ms: float) -> list[Row]:
        """The rows of a track that overlap [start_ms, end_ms), in the order of time. InputError
        where they are too many."""
        runs = await self._history.between(Named(self._stream, track), start_ms, end_ms, Table())
        count = sum(run.count for run in runs)
        if count > MOST_SEGMENTS:
            raise InputError(
                f"these are {count} media segments of {track}, {MOST_SEGMENTS} are read at once",
                hint="ask for a shorter range",
            )
        return [row for run in runs for row in run]

    async def load(self, tracks: Sequence[Sequence[Row]]) -> list[Columns]:
        """The columns of each track's rows, in the order of these."""
        columns = [Columns() for _ in tracks]
        wanted = [Wanted(n, row) for n, rows in enumerate(tracks) for row in rows]
        # By time, which is nearly the order of the index: all tracks are read at once.
        wanted.sort(key=lambda one: (one.row.wall, one.track))
        # Where time and number disagree, each track keeps the order of its rows.
        turns = [iter(rows) for rows in tracks]
        wanted = [Wanted(one.track, next(turns[one.track])) for one in wanted]
        at = 0
        while at < len(wanted):
            batch = self._batch(wanted, at)
            base, partition = self.place(batch[0].row.epoch)
            offsets = [one.row.entry for one in batch]
            messages = await self._reader.read_raw(
                topic(base, "index"),
                partition,
                min(offsets),
                max(offsets) + 1,
                self._stream.name,
            )
            await self.work(_append, columns, batch, messages)
            at += len(batch)
        return columns

    def _batch(self, wanted: Sequence[Wanted], at: int) -> Sequence[Wanted]:
        """As many from `at` on as are read at a time."""
        place = self.place(wanted[at].row.epoch)
        low = high = wanted[at].row.entry
        stop = at
        while stop < len(wanted) and stop - at < BATCH_ENTRIES:
            row = wanted[stop].row
            low, high = min(low, row.entry), max(high, row.entry)
            if self.place(row.epoch) != place or high - low > BATCH_RECORDS:
                break
            stop += 1
        return wanted[at : max(stop, at + 1)]


def _append(columns: Sequence[Columns], batch: Sequence[Wanted], messages: Sequence[Any]) -> None:
    """Decoded one by one: an entry takes ten times as much as an object."""
    values = {message.offset(): message.value() for message in messages}
    for track, row in batch:
        columns[track].append(row, _entry(values.get(row.entry)))


def _entry(value: bytes | None) -> SegmentEntry | None:
    try:
        entry = decode_index(value or b"")
    except WireError:
        return None
    return entry if isinstance(entry, SegmentEntry) else None
