"""Where a stream's live window begins in the log, told by the index, never by a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kinolog.core.names import StreamName
from kinolog.log.index_reader import newest_entries
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, SegmentEntry, SessionEntry
from kinolog.record.registry import EpochEntry, Placement
from kinolog.record.topics import topic
from kinolog.timeline.track import MAX_WINDOW_FACTOR, WINDOW_MS

_SLACK_MS = 10_000
_UNINDEXED_MS = 120_000

Session = SessionEntry | EpochEntry


class Start(NamedTuple):
    """Read from `offset`, with `session` in force there (None: its open lies behind it).

    `covered`: the window begins in this placement; else an older one has some of it.
    """

    offset: int
    session: Session | None
    covered: bool


async def find_start(
    reader: RandomReader,
    name: StreamName,
    placement: Placement,
    known: Mapping[int, EpochEntry],
    now_ms: int,
) -> Start:
    """Where to begin reading a stream's newest window in one placement. `known`: the registry's
    epochs of the stream."""
    index, media = topic(placement.base, "index"), topic(placement.base, "media")
    partition = placement.partition
    entries = await newest_entries(reader, index, partition, name.name, _covers)
    here = {
        epoch: entry
        for epoch, entry in known.items()
        if (entry.base, entry.partition) == (placement.base, partition)
    }
    sessions: dict[int, Session] = {**here}
    sessions |= {e.epoch: e for e in entries if isinstance(e, SessionEntry)}
    segments = [e for e in _window(entries) if isinstance(e, SegmentEntry) and e.epoch in sessions]
    if segments:
        first = min(segments, key=lambda e: e.offsets[0])
        return Start(first.offsets[0], sessions[first.epoch], _covers(entries))
    if sessions:
        newest = sessions[max(sessions)]
        return Start(newest.open_offset, newest, False)
    offset = await reader.offset_for_time(media, partition, now_ms - _UNINDEXED_MS)
    return Start(offset, None, False)


def _covers(entries: Sequence[IndexEntry]) -> bool:
    """Whether these entries reach back over the longest window that there can be, or over an
    ordinary one that begins with a keyframe, in every track."""
    tracks: dict[str, list[SegmentEntry]] = {}
    for entry in entries:
        if isinstance(entry, SegmentEntry):
            tracks.setdefault(entry.track, []).append(entry)
    return bool(tracks) and all(_reaches(segments) for segments in tracks.values())


def _reaches(segments: Sequence[SegmentEntry]) -> bool:
    newest = segments[-1].wall
    if newest - segments[0].wall >= MAX_WINDOW_FACTOR * WINDOW_MS + _SLACK_MS:
        return True
    return any(e.ind and newest - e.wall >= WINDOW_MS + _SLACK_MS for e in segments)


def _window(entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    """The entries from the last point on from which they still cover the window."""
    low, high = 0, len(entries)
    if not _covers(entries):
        return list(entries)
    while high - low > 1:
        middle = (low + high) // 2
        if _covers(entries[middle:]):
            low = middle
        else:
            high = middle
    return list(entries[low:])
