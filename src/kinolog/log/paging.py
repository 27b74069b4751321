"""Paging: the pages of an epoch's tracks, sealed beside its media and never in their way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kinolog.core.errors import KinologError, WireError
from kinolog.core.log import get_logger
from kinolog.log.index_reader import about_bytes
from kinolog.log.pager import Pager, Write
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexRecord, SegmentEntry, decode_index
from kinolog.record.page import PageEntry, Where
from kinolog.record.table import Row, row_of

MOST_BEHIND = 10_000
"""Index records between a track's newest and the newest of the stream, from which on it is taken
to have gone silent: what is under way to Kafka is far less."""

_log = get_logger("kinolog.index")


async def read_track(
    reader: RandomReader, topic: str, partition: int, key: str, where: Where, end: int
) -> list[tuple[int, IndexRecord]]:
    """The stream's index entries from a track's root on, as far as any may be the track's.
    `end`: an offset (exclusive) that is not before the entry that told `where`."""
    if end - where.last > MOST_BEHIND:
        end = where.last + 1
    return await read_entries(reader, topic, partition, key, where.root, end)


async def read_entries(
    reader: RandomReader, topic: str, partition: int, key: str, start: int, end: int
) -> list[tuple[int, IndexRecord]]:
    """The stream's index entries of [start, end), with their offsets."""
    about = about_bytes(end - start)
    return decoded(await reader.read_raw(topic, partition, start, end, key, about))


def decoded(messages: Sequence[Any]) -> list[tuple[int, IndexRecord]]:
    """The index entries in these messages, with their offsets."""
    found = []
    for message in messages:
        try:
            found.append((message.offset(), decode_index(message.value() or b"")))
        except WireError:
            continue
    return found


async def read_pages(
    reader: RandomReader, topic: str, partition: int, key: str, offsets: Sequence[int]
) -> list[PageEntry]:
    """The stream's pages at these index offsets; those that are not kept any more are left out."""
    pages = []
    for offset in offsets:
        found = await read_entries(reader, topic, partition, key, offset, offset + 1)
        pages += [entry for _, entry in found if isinstance(entry, PageEntry)]
    return pages


class Paging:
    """Takes the acknowledged entries of one epoch. What fails here is made up for by the stream's
    next session: it takes up what is in no page."""

    def __init__(
        self,
        reader: RandomReader,
        place: tuple[str, int, str],
        timescales: Mapping[str, int],
        pages: Mapping[str, Where],
        end: int,
        write: Write,
        over: Callable[[], bool],
    ) -> None:
        """`place`: index topic, partition, record key. `timescales`: by track. `pages`: where the
        stream's tracks are in the index, of which `end` (exclusive) has been written. `over`:
        whether the stream has a newer session, so that nothing of this one counts any more."""
        self._reader = reader
        self._place = place
        self._pages = dict(pages)
        self._end = end
        self._over = over
        self._write = write
        self._pagers = {
            name: Pager(name, timescale, pages[name].root, self._read, self._append)
            for name, timescale in timescales.items()
        }
        self._queue: asyncio.Queue[tuple[str, Row] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.complete = False
        """Closed, with all that was added taken."""

    @property
    def pages(self) -> dict[str, Where]:
        """Where the stream's tracks are in the index, as far as is known now."""
        return self._pages

    def add(self, entry: SegmentEntry, offset: int) -> None:
        """The next finished segment, whose entry is acknowledged."""
        self._queue.put_nowait((entry.track, row_of(entry, offset)))

    def start(self) -> None:
        """Take up what is in no page yet, then what is added."""
        self._task = asyncio.create_task(self._run())

    async def close(self, timeout_s: float) -> None:
        """Seal what is due. Nothing is written after this."""
        if self._task is not None:
            self._queue.put_nowait(None)
            await asyncio.wait([self._task], timeout=timeout_s)
        self.stop()

    def stop(self) -> None:
        """Leave what is due to the next session."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            for name, pager in self._pagers.items():
                where = self._pages[name]
                entries = await read_track(self._reader, *self._place, where, self._end)
                await pager.go_on(entries)
                self._pages[name] = pager.where
            while await self._take():
                pass
            self.complete = True
        except _OverError:
            return
        except KinologError as error:
            _log.warning("index pages are left to the next session", error=str(error))

    async def _take(self) -> bool:
        """Add what waits, all at once; whether there may be more."""
        items = [await self._queue.get()]
        while not self._queue.empty():
            items.append(self._queue.get_nowait())
        rows: dict[str, list[Row]] = {}
        for item in items:
            if item is not None:
                rows.setdefault(item[0], []).append(item[1])
        for name, found in rows.items():
            await self._pagers[name].add(found)
            self._pages[name] = self._pagers[name].where
        return None not in items

    async def _read(self, offsets: Sequence[int]) -> Sequence[PageEntry]:
        return await read_pages(self._reader, *self._place, offsets)

    async def _append(self, data: bytes, timestamp_ms: int) -> int:
        if self._over():
            raise _OverError
        return await self._write(data, timestamp_ms)


class _OverError(Exception):
    """The stream has a newer session."""
