"""Reach: a partition read on from an offset, wherever its records are: what Kafka does not have any
more comes by a reader that has it, the rest by a cursor, without a gap at the border."""

from __future__ import annotations

from typing import Final

from kinolog.log.cursor import Cursor, Pulled
from kinolog.log.random_reader import RandomReader

STRIDE: Final = 250
MOST_STRIDE: Final = 4_000
"""Offsets that are read at a time of what Kafka has deleted: more, where others were there."""


class Reach:
    """As a Cursor, whose key's records it reads. The cursor alone, where the reader has no more
    than Kafka has."""

    def __init__(self, reader: RandomReader, cursor: Cursor, key: str) -> None:
        self._reader = reader
        self._cursor = cursor
        self._key = key
        self._place = ("", 0)
        self._position = 0
        self._stride = STRIDE
        self._moved = False

    async def move(self, topic: str, partition: int, offset: int) -> None:
        """Read on from there."""
        self._place, self._position, self._moved = (topic, partition), offset, False
        if not self._reader.tiered:
            await self._cursor.move(topic, partition, offset)

    async def pull(self, timeout_s: float) -> Pulled:
        """As Cursor.pull. ArchiveUnavailable where what is wanted is in the archive, and that does
        not answer."""
        if not self._reader.tiered:
            return await self._cursor.pull(timeout_s)
        if not self._moved:
            if self._position < (low := await self._low()):
                return await self._pull_older(low)
            await self._cursor.move(*self._place, self._position)
            self._moved = True
        pulled = await self._cursor.pull(timeout_s)
        if pulled.position > self._position and self._position < await self._low():
            # Deleted while it was asked for: the cursor may have gone on behind it.
            self._moved = False
            return Pulled([], self._position)
        self._position = max(self._position, pulled.position)
        return pulled

    async def close(self) -> None:
        """As Cursor.close."""
        await self._cursor.close()

    async def _pull_older(self, low: int) -> Pulled:
        stop = min(self._position + self._stride, low)
        records = await self._reader.read(*self._place, self._position, stop, self._key)
        self._stride = STRIDE if records else min(2 * self._stride, MOST_STRIDE)
        self._position = stop
        return Pulled(records, stop)

    async def _low(self) -> int:
        return (await self._reader.bounds(*self._place))[0]
