"""Frame: the picture that is shown at a moment, as the smallest movie that shows it alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from kinolog.core.clock import Clock
from kinolog.core.errors import NotFound
from kinolog.core.names import StreamName
from kinolog.core.units import show_time
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.clip import Clip, Composer
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import (
    HOLE_S,
    REACH_MS,
    REORDER_MS,
    Section,
    date_of,
    shown_ms,
    unbroken,
)
from kinolog.delivery.clip.lay import At, Piece
from kinolog.delivery.clip.loader import Loader
from kinolog.delivery.clip.maker import BACK_MS, from_independent, newest_sync, stands, stands_until
from kinolog.delivery.clip.spool import Spool
from kinolog.delivery.history import History
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack
from kinolog.record.table import Row

MOST_BYTES: Final = 128 << 20
"""Of media between a keyframe and the frame that is wanted."""
SPARSE_MS: Final = 60_000
"""Moments that are further apart are looked up one by one: what is between them may be long."""


@dataclass(frozen=True)
class Frame:
    """A frame of a stream: its name (epoch, PTS in ticks), when it was captured (Unix ms), and the
    movie that shows it alone."""

    epoch: int
    pts: int
    date_ms: int
    movie: Clip


class Frames:
    """Finds frames by the index."""

    def __init__(
        self, reader: RandomReader, history: History, registry: Registry, clock: Clock
    ) -> None:
        self._reader = reader
        self._history = history
        self._registry = registry
        self._clock = clock

    async def at(self, stream: StreamName, channel: Channel | None, at_ms: int) -> Frame:
        """The newest frame whose date is not after a moment (Unix ms). NotFound where nothing is
        shown then."""
        loader = self._loader(stream)
        for track, infos in pictures(loader).items():
            await loader.arrived(channel, track, at_ms, at_ms + 1)
            by_ms = at_ms
            columns: Columns | None = None
            for back_ms in BACK_MS:
                rows = await loader.rows(
                    track, at_ms - back_ms - 1000 * HOLE_S, at_ms + 1 + REORDER_MS
                )
                rows, later = _parted(rows, infos, at_ms)
                while rows and rows[-1].gap:
                    rows.pop()
                if not _shows(rows, infos, at_ms):
                    pause = await _pause(loader, track, infos, at_ms)
                    if pause is None:
                        break
                    return await self.at(stream, None, pause.since_ms)
                chosen = from_independent(rows, by_ms)
                if chosen is None:
                    continue
                (columns,) = await loader.load([[*chosen, *later]])
                section = find(columns, infos, at_ms)
                if section is not None:
                    return make(loader, stream, infos, columns, section)
                # Its keyframe is shown after the moment: the one before it.
                by_ms = chosen[0].wall - 1
            if columns is not None:
                oldest = find(columns, infos, at_ms, complete=True)
                if oldest is not None:
                    return make(loader, stream, infos, columns, oldest)
        raise nothing(stream, at_ms)

    async def keyframes(
        self, stream: StreamName, channel: Channel | None, times_ms: Sequence[int]
    ) -> list[Frame | None]:
        """Of each moment, in their order, the first keyframe of the media segment that is shown
        then; amid a GOP of several segments, where it has none, the keyframe before it. None where
        nothing is shown then, or no keyframe leads there within a minute."""
        loader = self._loader(stream)
        for track, infos in pictures(loader).items():
            await loader.arrived(channel, track, times_ms[-1], times_ms[-1] + 1)
            rows, wanted = await _shown_at(loader, track, infos, times_ms)
            if not rows:
                continue
            used = sorted({index for index in wanted if index is not None})
            made = await _keyframes(loader, stream, infos, [rows[index] for index in used])
            leads = {
                index: await _lead(loader, track, rows, index)
                for index in used
                if _name(rows[index]) not in made and not rows[index].independent
            }
            led = {_name(row): row for row in leads.values() if row is not None}
            more = [row for name, row in led.items() if name not in made]
            made |= await _keyframes(loader, stream, infos, more)
            shown = {index: made.get(_name(leads.get(index) or rows[index])) for index in used}
            return [shown[index] if index is not None else None for index in wanted]
        raise nothing(stream, times_ms[0])

    async def shown(
        self, stream: StreamName, channel: Channel | None, times_ms: Sequence[int]
    ) -> list[bool]:
        """Of each moment, in their order, whether a picture is shown then."""
        loader = self._loader(stream)
        for track, infos in pictures(loader).items():
            await loader.arrived(channel, track, times_ms[-1], times_ms[-1] + 1)
            rows, wanted = await _shown_at(loader, track, infos, times_ms)
            if rows:
                return [index is not None for index in wanted]
        raise nothing(stream, times_ms[0])

    def size(self, stream: StreamName) -> tuple[int, int]:
        """Width and height of the stream's pictures, in pixels; (0, 0) where it has none."""
        for infos in pictures(self._loader(stream)).values():
            info = infos[max(infos)]
            return info.width, info.height
        return 0, 0

    async def media(self, frame: Frame) -> bytes:
        """A frame's movie. NotFound where it is not kept any more."""
        movie = frame.movie
        if movie.size > MOST_BYTES:
            raise NotFound("too much would have to be decoded for this frame")
        return b"".join([part async for part in movie.read(self._reader, 0, movie.size)])

    def _loader(self, stream: StreamName) -> Loader:
        return Loader(self._reader, self._history, self._registry, self._clock, stream)


def pictures(loader: Loader) -> dict[str, dict[int, OpenTrack]]:
    """The tracks of pictures, by name."""
    return {
        name: infos
        for name, infos in loader.tracks().items()
        if next(iter(infos.values())).kind == "video"
    }


def nothing(stream: StreamName, at_ms: int) -> NotFound:
    """What to say where there is no picture."""
    return NotFound(f"of {stream} no picture is kept of {show_time(at_ms)}")


async def _shown_at(
    loader: Loader, track: str, infos: Mapping[int, OpenTrack], times_ms: Sequence[int]
) -> tuple[list[Row], list[int | None]]:
    """Rows, and which of them is shown at each of some moments, in their order: where pictures
    pause, the one before."""
    sparse = len(times_ms) > 1 and times_ms[1] - times_ms[0] > SPARSE_MS
    rows = await _rows_at(loader, track, times_ms, sparse)
    shown = shown_in(rows, infos, times_ms)
    moved = list(times_ms)
    pause: _Pause | None = None
    for place, at_ms in enumerate(times_ms):
        if shown[place] is not None:
            continue
        if pause is None or not pause.since_ms < at_ms < pause.until_ms:
            pause = await _pause(loader, track, infos, at_ms)
        if pause is not None:
            moved[place] = pause.since_ms
    if moved != list(times_ms):
        rows = await _rows_at(loader, track, moved, sparse)
        shown = shown_in(rows, infos, moved)
    return rows, shown


async def _rows_at(loader: Loader, track: str, times_ms: Sequence[int], sparse: bool) -> list[Row]:
    """The rows that some moments lie in, and maybe more, in the order of time."""
    before_ms = round(1000 * HOLE_S)
    if not sparse:
        return await loader.rows(track, min(times_ms) - before_ms, max(times_ms) + 1)
    found: dict[tuple[int, int], Row] = {}
    for at_ms in sorted(times_ms):
        rows = await loader.rows(track, at_ms - before_ms, at_ms + 1)
        found |= {(row.epoch, row.msn): row for row in rows}
    return list(found.values())


def _name(row: Row) -> tuple[int, int]:
    return row.epoch, row.msn


async def _lead(loader: Loader, track: str, rows: Sequence[Row], index: int) -> Row | None:
    """The newest row up to one of these that begins with a sync sample, of its session."""
    row = rows[index]
    for back in range(index + 1):
        one = rows[index - back]
        if _name(one) != (row.epoch, row.msn - back):
            break  # what is between is not among these
        if row.wall - one.wall > REACH_MS:
            return None
        if one.independent and not one.gap:
            return one
    before = await loader.rows(track, row.wall - REACH_MS, row.wall + 1)
    return newest_sync([one for one in before if one.epoch == row.epoch and one.msn < row.msn])


async def _keyframes(
    loader: Loader, stream: StreamName, infos: Mapping[int, OpenTrack], rows: Sequence[Row]
) -> dict[tuple[int, int], Frame]:
    """By their names, the first keyframes of those rows that have one."""
    if not rows:
        return {}
    (columns,) = await loader.load([rows])
    sections = {_name(row): _first_of(columns, place) for place, row in enumerate(rows)}
    return {
        name: make(loader, stream, infos, columns, section)
        for name, section in sections.items()
        if section is not None
    }


def shown_in(
    rows: Sequence[Row], infos: Mapping[int, OpenTrack], times_ms: Sequence[int]
) -> list[int | None]:
    """Which row each moment lies in; a short hole, or the begin of a gap, is the row's before."""
    whole = [index for index, row in enumerate(rows) if not row.gap]
    # Where clocks were set back, the last that begins before the moment: the least of what follows.
    walls = np.array([rows[index].wall for index in whole], np.int64)
    least = np.minimum.accumulate(walls[::-1])[::-1]
    found: list[int | None] = []
    for at_ms, count in zip(times_ms, np.searchsorted(least, times_ms, "right"), strict=True):
        if not count:
            found.append(None)
            continue
        index = whole[count - 1]
        row = rows[index]
        ends_ms = row.wall + 1000 * row.dur / infos[row.epoch].timescale
        found.append(index if at_ms < ends_ms + 1000 * HOLE_S else None)
    return found


def _parted(
    rows: Sequence[Row], infos: Mapping[int, OpenTrack], at_ms: int
) -> tuple[list[Row], list[Row]]:
    """The rows that begin at or before a moment; and those behind them of which some pictures may
    be shown then: amid a GOP, or at a variable rate."""
    count = sum(row.wall <= at_ms for row in rows)
    scales = {epoch: info.timescale for epoch, info in infos.items()}
    stop = count
    while 0 < stop < len(rows) and unbroken(rows[stop - 1], rows[stop], scales):
        if rows[stop].independent and shown_ms(rows[stop], scales[rows[stop].epoch]) > at_ms:
            break
        stop += 1
    return list(rows[:count]), list(rows[count:stop])


class _Pause(NamedTuple):
    """While a picture stands: what is shown at `since_ms`, up to `until_ms` (Unix ms)."""

    since_ms: int
    until_ms: int


async def _pause(
    loader: Loader, track: str, infos: Mapping[int, OpenTrack], at_ms: int
) -> _Pause | None:
    """Where pictures pause in a session, or are over while its sound goes on. None where they do
    not, or for over a minute."""
    rows = await loader.rows(track, at_ms - REACH_MS, at_ms + REACH_MS)
    count = sum(row.wall <= at_ms for row in rows)
    if not count:
        return None
    before, scale = rows[count - 1], infos[rows[count - 1].epoch].timescale
    since_ms = before.wall + max(0, 1000 * before.dur // scale - 1)
    after = rows[count] if count < len(rows) else None
    if after is not None and after.epoch == before.epoch:
        until_ms = after.wall if await stands(loader, before, after, scale) else 0
    else:
        until_ms = await stands_until(loader, before, scale)
        if after is not None:
            until_ms = min(until_ms, after.wall)
    until_ms = min(until_ms, since_ms + REACH_MS)
    return _Pause(since_ms, until_ms) if since_ms < at_ms < until_ms else None


def _shows(rows: Sequence[Row], infos: Mapping[int, OpenTrack], at_ms: int) -> bool:
    return shown_in(rows, infos, [at_ms])[0] is not None


def find(
    columns: Columns, infos: Mapping[int, OpenTrack], at_ms: int, *, complete: bool = False
) -> Section | None:
    """What shows the newest frame whose date is not after a moment, from the sync sample before it
    on: by the last segment that begins at or before it, and those behind that. None where that is
    older than these columns; where nothing older is to be had (`complete`), the oldest of them."""
    last = len(columns) - 1
    while last and columns.wall[last] > at_ms and columns.gap[last]:
        last -= 1
    if columns.gap[last]:
        return None
    first = last
    while first and not columns.gap[first - 1] and columns.epoch[first - 1] == columns.epoch[last]:
        first -= 1
    base, end = columns.samples(first)[0], columns.samples(last)[1]
    pts = columns.presentation_times(first, last + 1)
    timescale = infos[columns.epoch[last]].timescale
    within = max((n for n in range(first, last + 1) if columns.wall[n] <= at_ms), default=first)
    newest = columns.dts[within] + (at_ms - columns.wall[within]) * timescale // 1000
    index = int(np.where(pts <= newest, pts, pts.min() - 1).argmax())
    shown = int(pts[index])
    if shown > newest:
        if not complete:
            return None
        index = int(pts.argmin())
        shown = int(pts[index])
    synced = np.flatnonzero(np.frombuffer(columns.sync, np.uint8)[base:end])
    before = synced[pts[synced] <= shown]
    if not len(before):
        return None
    return _only(columns, first, last, base + int(before[-1]), base + index, shown)


def _first_of(columns: Columns, segment: int) -> Section | None:
    """What shows the first sync sample of a segment; None where it has none."""
    if columns.gap[segment]:
        return None
    begin, end = columns.samples(segment)
    index = columns.sync.find(1, begin, end)
    if index < 0:
        return None
    shown = int(columns.presentation_times(segment, segment + 1)[index - begin])
    return _only(columns, segment, segment, index, index, shown)


def _only(columns: Columns, first: int, last: int, begin: int, index: int, shown: int) -> Section:
    """The samples from `begin` to `index`, of which the last is shown."""
    lasts = max(1, columns.duration[index])
    return Section(first, last + 1, columns.epoch[last], begin, index + 1, shown, shown + lasts)


def make(
    loader: Loader,
    stream: StreamName,
    infos: Mapping[int, OpenTrack],
    columns: Columns,
    section: Section,
) -> Frame:
    """The frame that a section shows."""
    composer = Composer(stream.name, Spool(), [infos])
    at = At(infos[section.epoch].timescale, section.shown, 0)
    for segment in range(section.first, section.stop):
        begin, end = columns.samples(segment)
        piece = Piece(segment, max(begin, section.begin), min(end, section.end))
        if piece.begin < piece.end:
            composer.add(0, columns, piece, at, loader.media(section.epoch))
    begins_ms = date_of(columns, section, at.timescale)
    movie = composer.done({section.epoch: begins_ms}, section.until - section.shown)
    return Frame(section.epoch, section.shown, movie.begins_ms, movie)
