"""Where a stream's live window begins in the log, told by the index, never by a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kinolog.core.names import StreamName
from kinolog.log.index_reader import CLOSING, dead_ms, is_void, newest_indexed, over_at
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, SegmentEntry, SessionEntry
from kinolog.record.registry import EpochEntry, Placement
from kinolog.record.topics import topic
from kinolog.timeline.track import MAX_WINDOW_FACTOR, SILENT_WINDOWS, WINDOW_MS, WINDOW_TARGETS

_SLACK_MS = 10_000
_UNINDEXED_MS = 120_000

Session = SessionEntry | EpochEntry


class Start(NamedTuple):
    """Read from `offset`, with `session` in force there (None: its open lies behind it).

    `covered`: the window begins in this placement; else an older one has some of it. `over`:
    nothing counts from this offset on that the log held when the index was read, unless a session
    opened that has no index entry yet; None where more may count.
    """

    offset: int
    session: Session | None
    covered: bool
    over: int | None = None


async def find_start(
    reader: RandomReader,
    name: StreamName,
    placement: Placement,
    known: Mapping[int, EpochEntry],
    now_ms: int,
    first_epoch: int = 0,
    *,
    in_doubt: bool = False,
) -> Start:
    """Where to begin reading a stream's newest window in one placement. `known`: the registry's
    epochs of the stream. What is older than `first_epoch` is of a deleted stream of that name.
    `in_doubt`: the stream may go on behind a close, untold to the registry."""
    index, media = topic(placement.base, "index"), topic(placement.base, "media")
    partition = placement.partition
    here = {
        epoch: entry
        for epoch, entry in known.items()
        if (entry.base, entry.partition) == (placement.base, partition)
    }
    newest_here = here[max(here)] if here else None
    closed = newest_here.close_index if newest_here is not None else -1

    async def read(below: int | None = None) -> list[IndexEntry]:
        found = await newest_indexed(
            reader,
            index,
            partition,
            name.name,
            lambda found: _covers(found, known) or any(e.epoch < first_epoch for e in found[:1]),
            down_to=closed,
            below=below,
            without_archive=True,
        )
        return [entry for _, entry in found]

    found: list[IndexEntry] = []
    over = None
    if closed >= 0 and not in_doubt:
        # What the neighbours indexed since the close is not read, however long ago that was. A
        # session that the registry was not told of is found by what it sends (Channel.missed).
        found = await read(closed + CLOSING)
        over = over_at(newest_here, found)
    if over is None or not found:
        found = await read()
        over = over_at(newest_here, found)
    entries = [entry for entry in found if entry.epoch >= first_epoch]
    sessions: dict[int, Session] = {**here}
    sessions |= {e.epoch: e for e in entries if isinstance(e, SessionEntry)}
    listed = [
        e
        for e in _window(entries, known)
        if isinstance(e, SegmentEntry) and e.epoch in sessions and not is_void(e, sessions)
    ]
    # The index may tell longer of media than they are kept: of those of a session before, whose
    # open would be waited for in vain.
    low, _ = await reader.bounds(media, partition)
    if any(e.last_offset < low for e in listed):
        low, _ = await reader.bounds(media, partition, name.name)
    segments = [e for e in listed if e.last_offset >= low]
    if segments:
        first = min(_of_living(segments, sessions), key=lambda e: e.offsets[0])
        session, covered = sessions[first.epoch], _covers(entries, known)
        offset = first.offsets[0]
        short = len(segments) < len(listed) and session.open_offset >= low
        if not covered or short:
            # All that there is: a track's first segment may be in progress, and have begun earlier.
            offset = min(offset, session.open_offset + 1)
        return Start(offset, session, covered, over)
    since_ms = max(now_ms - _UNINDEXED_MS, first_epoch)
    offset = await reader.offset_for_time(media, partition, since_ms)
    if sessions:
        # Not indexed yet, or by a writer that leaves that to others: not read whole.
        newest = sessions[max(sessions)]
        told = here.get(newest.epoch)
        if told is not None and over is not None and told.close_offset >= 0:
            offset = min(offset, told.close_offset)
        return Start(max(newest.open_offset, offset), newest, False, over)
    return Start(offset, None, False)


def _of_living(
    segments: Sequence[SegmentEntry], sessions: Mapping[int, Session]
) -> list[SegmentEntry]:
    """The segments of tracks that lived to the end of their session, as far as it is seen. What a
    dead track had begun is indexed at the close, among the newest, and points at its death."""
    track_ms: dict[tuple[int, str], int] = {}
    session_ms: dict[int, int] = {}
    for e in segments:
        track_ms[e.epoch, e.track] = max(track_ms.get((e.epoch, e.track), 0), e.wall)
        session_ms[e.epoch] = max(session_ms.get(e.epoch, 0), e.wall)
    return [
        e
        for e in segments
        if session_ms[e.epoch] - track_ms[e.epoch, e.track] <= dead_ms(sessions[e.epoch].open)
    ]


def _covers(entries: Sequence[IndexEntry], known: Mapping[int, EpochEntry]) -> bool:
    """Whether these entries reach back over an ordinary window that begins with a keyframe in
    every track, or over the longest that there can be in one: a track that shows nothing there
    is new, or dead, and is not waited for. Windows are counted in media, not by the clock: what
    lies before a pause may still be listed."""
    sessions: dict[int, Session] = {**known}
    sessions |= {entry.epoch: entry for entry in entries if isinstance(entry, SessionEntry)}
    targets_ms = [session.open.target_ms for session in sessions.values()]
    window_ms = max([WINDOW_MS, *(WINDOW_TARGETS * target_ms for target_ms in targets_ms)])
    timescales = {
        (epoch, track.name): track.timescale
        for epoch, session in sessions.items()
        for track in session.open.tracks
    }
    tracks: dict[str, list[tuple[SegmentEntry, int]]] = {}
    for entry in entries:
        if isinstance(entry, SegmentEntry):
            timescale = timescales.get((entry.epoch, entry.track), 0)
            duration_ms = entry.dur * 1000 // timescale if timescale else 0
            tracks.setdefault(entry.track, []).append((entry, duration_ms))
    if not tracks:
        return False
    lengths_ms = (sum(ms for _, ms in segments) for segments in tracks.values())
    # A track that is behind but not yet silent has a whole window, too.
    longest_ms = MAX_WINDOW_FACTOR * window_ms + window_ms // SILENT_WINDOWS + _SLACK_MS
    if max(lengths_ms) >= longest_ms:
        return True
    return all(_reaches(segments, window_ms) for segments in tracks.values())


def _reaches(segments: Sequence[tuple[SegmentEntry, int]], window_ms: int) -> bool:
    """One track's segments with their durations in ms."""
    after_ms = 0
    for entry, duration_ms in reversed(segments):
        if entry.ind and after_ms >= window_ms + _SLACK_MS:
            return True
        after_ms += duration_ms
    return False


def _window(entries: Sequence[IndexEntry], known: Mapping[int, EpochEntry]) -> Sequence[IndexEntry]:
    """The entries from the last point on from which they still cover the window."""
    low, high = 0, len(entries)
    if not _covers(entries, known):
        return entries
    while high - low > 1:
        middle = (low + high) // 2
        if _covers([*_sessions(entries[:middle]), *entries[middle:]], known):
            low = middle
        else:
            high = middle
    return entries[low:]


def _sessions(entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    """The session entries: they say what the ticks of later segments are."""
    return [entry for entry in entries if isinstance(entry, SessionEntry)]
