"""The records of a stream that has moved, in one order over its places (invariant 9)."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import itemgetter

from kinolog.record.log_record import LogRecord


def join_places(places: Iterable[Iterable[LogRecord]]) -> Iterator[LogRecord]:
    """Merge the records of several places, each in log order.

    A stream is in one place at a time, and its epochs only grow: a record belongs where the
    greatest epoch opened, or fenced off, before it in its place belongs. A place may hold epochs
    before and after those of another: the stream moved away and came back.
    """
    runs = [_by_epoch(records) for records in places]
    return (record for _, record in heapq.merge(*runs, key=itemgetter(0)))


def _by_epoch(records: Iterable[LogRecord]) -> Iterator[tuple[int, LogRecord]]:
    """Records of one place with the greatest epoch opened or fenced off there so far; those before
    the first open that is there belong to an older one."""
    newest = -1
    for record in records:
        if record.header.kind in ("open", "fence") or newest < 0:
            newest = max(newest, record.header.epoch)
        yield newest, record
