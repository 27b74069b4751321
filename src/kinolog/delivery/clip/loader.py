"""Loader: the sample tables of a stretch of a stream, from the index, into columns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, Unavailable
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.body import Place
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import REORDER_MS
from kinolog.delivery.history import History, Named
from kinolog.delivery.live_rows import come_to, live_rows
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack, segment_entry
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row, Table
from kinolog.record.topics import topic

P = ParamSpec("P")
T = TypeVar("T")
BATCH_ENTRIES: Final = 1024
BATCH_RECORDS: Final = 32_768
"""Of the index: so many entries are read at a time, from so many records."""
FARTHEST: Final = 2_000
"""Records between two entries that are read at a time."""
WINDOW_MS: Final = 1_800_000
"""Rows are looked up for so long a stretch at a time."""
LEAP_MS: Final = 4 * 3_600_000
"""Where nothing is kept, what comes next is looked for in stretches of so long, and longer ones."""
MOST_SEGMENTS: Final = 50_000
"""Of a track, at a time: more than a day of 2 s segments."""
INDEXED_S: Final = 5.0
"""A finished segment is in the index some 50 ms later; it is not waited for longer than this."""
_LOOK_S: Final = 0.1
_LAST_ROWS: Final = 64
"""So many may lie on both sides of a window's border."""


class Wanted(NamedTuple):
    """A row to load, the number of its track, and of what it is a part."""

    track: int
    row: Row
    part: int = 0


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

    def is_live(self, epoch: int) -> bool:
        """Whether more of an epoch may come: it is the newest, and nobody has closed it."""
        return epoch == max(self._epochs) and self._epochs[epoch].state == "live"

    def media(self, epoch: int) -> Place:
        """Where the media of an epoch are."""
        base, partition = self.place(epoch)
        return Place(topic(base, "media"), partition)

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
        info = self.tracks()[track].get(live.epoch[-1]) if len(live) else None
        if info is not None and live.late[-1] < 0:
            # What is captured now is in the log by so much later.
            end_ms += min(REORDER_MS, -1000 * live.late[-1] // info.timescale)
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
            if await self._history.row(Named(self._stream, track), newest.epoch, newest.msn):
                return  # it is in the index, and its media are deleted already
            if await self._deleted(newest):
                return  # both are
            if self._clock.monotonic() >= deadline:
                raise Unavailable(
                    f"the newest media segment of {track} is not in the index yet", hint="try again"
                )
            await asyncio.sleep(_LOOK_S)

    async def _deleted(self, row: Row) -> bool:
        """Whether Kafka has deleted a segment that the edge still has in memory."""
        media = self.media(row.epoch)
        low, _ = await self._reader.bounds(*media, self._stream.name)
        return row.last < low

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

    async def walk(self, track: str, start_ms: int, end_ms: int) -> AsyncGenerator[list[Row], None]:
        """The rows of a track that overlap [start_ms, end_ms), some at a time, none of them twice,
        in the order of time."""
        seen: list[tuple[int, int]] = []
        leap_ms = LEAP_MS
        while start_ms < end_ms:
            stop_ms = min(end_ms, (start_ms // WINDOW_MS + 1) * WINDOW_MS)
            rows = await self.rows(track, start_ms, stop_ms)
            found = [row for row in rows if (row.epoch, row.msn) not in seen]
            seen = [(row.epoch, row.msn) for row in rows[-_LAST_ROWS:]]
            start_ms = stop_ms
            if found:
                leap_ms = LEAP_MS
                yield found
                continue
            await asyncio.sleep(0)
            after = await self._next(track, start_ms, min(end_ms, start_ms + leap_ms))
            if after is None:
                start_ms += leap_ms
                leap_ms *= 4
            else:
                start_ms = max(start_ms, after)

    async def _next(self, track: str, start_ms: int, end_ms: int) -> int | None:
        """When there is something next in [start_ms, end_ms)."""
        if start_ms >= end_ms:
            return None
        named = Named(self._stream, track)
        found = await self._history.extents(named, start_ms, end_ms, Table())
        return min((int(one.start) for one in found), default=None)

    def batches(self, wanted: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
        """What is wanted, in pieces that are read at a time."""
        at = 0
        while at < len(wanted):
            batch = self._batch(wanted, at)
            yield batch
            at += len(batch)

    async def read(self, batch: Sequence[Wanted]) -> Sequence[Any]:
        """The messages of a batch, and more."""
        base, partition = self.place(batch[0].row.epoch)
        offsets = [one.row.entry for one in batch]
        return await self._reader.read_raw(
            topic(base, "index"), partition, min(offsets), max(offsets) + 1, self._stream.name
        )

    async def load(self, tracks: Sequence[Sequence[Row]]) -> list[Columns]:
        """The columns of each track's rows, in the order of these."""
        columns = [Columns() for _ in tracks]
        wanted = [Wanted(n, row) for n, rows in enumerate(tracks) for row in rows]
        # By time, which is nearly the order of the index: all tracks are read at once.
        wanted.sort(key=lambda one: (one.row.wall, one.track))
        # Where time and number disagree, each track keeps the order of its rows.
        turns = [iter(rows) for rows in tracks]
        wanted = [Wanted(one.track, next(turns[one.track])) for one in wanted]
        for batch in self.batches(wanted):
            await self.work(append, columns, batch, await self.read(batch))
        return columns

    def _batch(self, wanted: Sequence[Wanted], at: int) -> Sequence[Wanted]:
        """As many from `at` on as are read at a time."""
        place = self.place(wanted[at].row.epoch)
        low = high = wanted[at].row.entry
        stop = at
        while stop < len(wanted) and stop - at < BATCH_ENTRIES:
            row = wanted[stop].row
            far = stop > at and abs(row.entry - wanted[stop - 1].row.entry) > FARTHEST
            low, high = min(low, row.entry), max(high, row.entry)
            if self.place(row.epoch) != place or high - low > BATCH_RECORDS or far:
                break
            stop += 1
        return wanted[at : max(stop, at + 1)]


def append(columns: Sequence[Columns], batch: Sequence[Wanted], messages: Sequence[Any]) -> None:
    """Decoded one by one: an entry takes ten times as much as an object."""
    values = {message.offset(): message.value() for message in messages}
    for one in batch:
        columns[one.track].append(one.row, segment_entry(values.get(one.row.entry)))
