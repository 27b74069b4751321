"""Waiting: a stream's records of the index that are in no block of the archive yet, and where the
next block ends.

Where it ends follows from the records alone, as long as the stream goes on: with the first segment
that begins in another stretch of the clock, or once there is enough of it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final, NamedTuple

from kinolog.record.control import IndexRecord, SegmentEntry

MOST_RECORDS: Final = 8_192
"""Of the index, in a block."""


class Item(NamedTuple):
    """A record of the index: its offset, its value, and what it says."""

    offset: int
    value: bytes
    entry: IndexRecord

    @property
    def media_bytes(self) -> int:
        """Of the segment that it tells of."""
        return sum(self.entry.sizes) if isinstance(self.entry, SegmentEntry) else 0


class Waiting:
    """Of one stream in one place. `stretch_ms`: length of a stretch of the clock; `most_bytes`: a
    block ends with the segment with which it has so many bytes of media."""

    def __init__(self, stretch_ms: int, most_bytes: int) -> None:
        self._stretch_ms = stretch_ms
        self._most_bytes = most_bytes
        self._items: list[Item] = []
        self._again()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def start(self) -> int | None:
        """The index offset with which the next block begins; None where nothing waits."""
        return self._items[0].offset if self._items else None

    def add(self, item: Item) -> None:
        """The next record."""
        self._items.append(item)

    def due(self) -> Sequence[Item]:
        """The next block, where what came behind it ends it; else nothing."""
        while self._seen < len(self._items):
            if self._ends_before(self._items[self._seen]):
                return self._items[: self._seen]
            self._seen += 1
        return ()

    def all(self) -> Sequence[Item]:
        """All that waits, for a stream that has ended."""
        return self._items

    def drop(self, below: int) -> None:
        """What is below this index offset is in the archive."""
        del self._items[: bisect_left(self._items, below, key=lambda item: item.offset)]
        self._again()

    def _again(self) -> None:
        self._seen = 0
        self._epoch = self._stretch = -1
        self._bytes = 0

    def _ends_before(self, item: Item) -> bool:
        entry = item.entry
        if self._seen >= MOST_RECORDS:
            return True
        if not isinstance(entry, SegmentEntry):
            return False
        stretch = entry.wall // self._stretch_ms
        if self._epoch >= 0:
            # Within a session time goes on; another one may be of a time before it.
            later = entry.epoch == self._epoch and stretch > self._stretch
            other = entry.epoch > self._epoch and stretch != self._stretch
            if later or other or self._bytes >= self._most_bytes:
                return True
        if entry.epoch >= self._epoch:  # not a zombie's
            self._epoch, self._stretch = entry.epoch, max(self._stretch, stretch)
        self._bytes += item.media_bytes
        return False
