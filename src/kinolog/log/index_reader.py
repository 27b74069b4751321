"""A stream's index entries: the newest, found from the end backwards, or those of one moment."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from kinolog.core.errors import ArchiveUnavailable, WireError
from kinolog.log.random_reader import FETCH_BYTES, RandomReader
from kinolog.record.control import IndexEntry, Open, SegmentEntry, SessionEntry, decode_index
from kinolog.record.page import PageEntry, Where
from kinolog.record.registry import EpochEntry

DEAD_MS = 30_000
"""A track whose newest segment is so much older than another's has nothing under way: a segment
is indexed when it ends, and lasts for some seconds."""

_ENTRY_BYTES = 128
"""What an entry comes to, compressed with others: 60 to 200 bytes, and 15 where a stream's segments
are all alike."""

MOST_BLOCKS = 16
"""Of the archive, that are looked through for a track's newest: hours of a stream. A track that has
been silent for longer begins again."""

CLOSING = 4096
"""Behind the entry that was acknowledged before a close, so many index records may hold the last
entries of its session, between those of other streams."""

_FIRST_STEP = 256
_AT_ONCE = 1_000


def about_bytes(entries: int) -> int:
    """What so many entries may come to, as a RandomReader is told. Of many entries, what is fetched
    at a time: a fetch of 1 MB may be 25 MB of entries (measured: 92 ms and 30 MB for 2,048 of them,
    13 ms and 2 MB so)."""
    return min(_ENTRY_BYTES * entries, FETCH_BYTES[-2])


async def newest_indexed(
    reader: RandomReader,
    topic: str,
    partition: int,
    key: str,
    enough: Callable[[list[IndexEntry]], bool],
    lowest: int = 0,
    down_to: int = -1,
    *,
    below: int | None = None,
    without_archive: bool = False,
) -> list[tuple[int, IndexEntry]]:
    """Entries of one stream in log order with their offsets, as many from the end as `enough` asks
    for, and all from the offset `down_to` on (-1: no such); all there are where it is never
    satisfied. `below`: an offset to begin at in place of the end. Steps back in doubling strides,
    so the cost follows what is found, not the length of the archive.

    The archive is asked only for what Kafka does not have, a block at a time, MOST_BLOCKS at most.
    `without_archive`: where it does not answer, what Kafka has is enough; else ArchiveUnavailable.
    """
    low, end = await reader.bounds(topic, partition)
    if below is not None:
        end = min(end, below)
    above = low
    low = max(low, lowest)
    found: list[tuple[int, IndexEntry]] = []

    def is_enough() -> bool:
        return enough([entry for _, entry in found])

    step = _FIRST_STEP
    while end > low:
        start = max(low, end - step)
        about = about_bytes(end - start)
        above, records = await reader.read_above(topic, partition, start, end, key, about)
        found = await _decoded(records) + found
        if is_enough() and (down_to < 0 or start <= down_to):
            return found
        if start < above:  # deleted meanwhile
            break
        end, step = start, step * 2
    # From here on offsets are those of this stream alone: an archive has no neighbours.
    before = above
    try:
        for _ in range(MOST_BLOCKS):
            if before <= lowest or not reader.tiered:
                break
            records = await reader.older(topic, partition, before, key)
            if not records:
                break
            before = records[0].offset()
            older = [one for one in await _decoded(records) if one[0] >= lowest]
            found = older + found
            if is_enough() and (down_to < 0 or before <= down_to):
                break
    except ArchiveUnavailable:
        if not without_archive:
            raise
    return found


async def _decoded(messages: Sequence[Any]) -> list[tuple[int, IndexEntry]]:
    """Their entries with their offsets, decoded without holding up others for long."""
    if len(messages) <= _AT_ONCE:
        return _decode_all(messages)
    return await asyncio.to_thread(_decode_all, messages)


def _decode_all(messages: Sequence[Any]) -> list[tuple[int, IndexEntry]]:
    found = ((message.offset(), _decode(message.value())) for message in messages)
    return [(offset, entry) for offset, entry in found if entry is not None]


def newest_pages(entries: Sequence[tuple[int, IndexEntry]]) -> dict[str, Where]:
    """Where the tracks of a stream are in the index, as the newest of these entries tells. What a
    zombie wrote behind a newer session's entry does not count."""
    epoch = 0
    found: dict[str, Where] = {}
    for offset, entry in entries:
        if entry.epoch < epoch:
            continue
        if isinstance(entry, SessionEntry):
            epoch = entry.epoch
            begins = {track.name: Where(offset, offset) for track in entry.open.tracks}
            found = begins | found | entry.pages
        else:
            found = found | entry.pages
    return found


def over_at(newest: EpochEntry | None, entries: Sequence[IndexEntry]) -> int | None:
    """Where a stream is over in a place: the media offset behind its newest session's close or end
    record; None where more may count. `newest`: the registry's newest epoch in that place;
    `entries`: the index's from its `close_index` on, read after what is to be told.

    Behind its close nothing of a session counts but its end, and that is then in the registry. A
    session that opened there, and that the registry was not told of, has its entry in the index
    before its first chunk, so among `entries`.
    """
    if newest is None or min(newest.close_offset, newest.close_index) < 0:
        return None
    for entry in entries:
        if entry.epoch > newest.epoch:
            return None
        if entry.epoch == newest.epoch and last_offset(entry) > newest.close_offset:
            return None  # the offsets of another log: a topic that was mirrored, or made again
    return newest.close_offset + 1


def last_offset(entry: IndexEntry) -> int:
    """The media offset of the last record that an entry tells of."""
    return entry.last_offset if isinstance(entry, SegmentEntry) else entry.open_offset


def dead_ms(session: Open) -> int:
    """DEAD_MS, or more where a session's segments are long."""
    return max(DEAD_MS, 3 * session.target_ms)


def is_void(entry: SegmentEntry, sessions: Mapping[int, SessionEntry | EpochEntry]) -> bool:
    """Whether a segment was written behind a newer session's open, by a zombie that could still
    index it. `sessions`: those of the entry's own place, by epoch."""
    return any(
        epoch > entry.epoch and session.open_offset < entry.offsets[0]
        for epoch, session in sessions.items()
    )


def _decode(value: bytes | None) -> IndexEntry | None:
    try:
        entry = decode_index(value or b"")
    except WireError:
        return None
    return None if isinstance(entry, PageEntry) else entry
