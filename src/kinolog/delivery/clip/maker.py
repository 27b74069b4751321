"""Maker: what a clip needs of the index, found, read once and laid into its tables.

Two passes. The first goes over rows alone (pages of the index), and reads the entries at the ends
of each stretch of the leading track that nothing interrupts. The second reads every entry, a
thousand at a time: what is kept of them is in the clip's spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, Final

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, Unavailable
from kinolog.core.names import StreamName
from kinolog.core.timebase import rescale
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.changes import changes, refuse_codecs
from kinolog.delivery.clip.clip import Clip, Composer
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import (
    HOLE_S,
    REACH_MS,
    REORDER_MS,
    Heard,
    NoSyncError,
    Opening,
    Stretch,
    date_of,
    heard,
    lengths,
    room_before,
    shown_ms,
    stretch,
    unbroken,
)
from kinolog.delivery.clip.lay import At, Piece
from kinolog.delivery.clip.loader import BATCH_ENTRIES, Loader, Wanted, append
from kinolog.delivery.clip.spool import Room, Spool
from kinolog.delivery.history import History
from kinolog.delivery.span import nothing_between
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack
from kinolog.record.table import Row

BACK_MS: Final = (0, 10_000, 60_000, 600_000, 3_600_000)
"""So far before its beginning a clip looks for a segment that can be decoded by itself."""
SOUND_MS: Final = 2_000
"""Sound may be so far from the pictures of its time in the log."""
END_ROWS: Final = 3
"""At the ends of a stretch so many segments say what is shown of it."""
STRETCHES: Final = 256
"""The ends of so many are read at a time."""
MOST_STRETCHES: Final = 20_000
MOST_CLIP_BYTES: Final = 1 << 30
"""Of disk, for the tables of one clip: a fortnight at 30 frames a second with sound, and more."""
MOST_BYTES: Final = 3 << 30
"""Of disk, for all clips of a process."""
_ROWS_AT_ONCE: Final = 256
"""Rows that are gone through before others have their turn."""
KEPT_WAIT_S: Final = 1.0
SOUND_SENT_MS: Final = 10_000
"""A session that has sent no sound for so long sends none."""
TOO_LONG: Final = "the tables of this clip take over 1 GB: players could not open it"


@dataclass
class _Plan:
    """What a clip is of: names of tracks, the leading one first; `infos`: what each is in each
    epoch. `begins_ms`: the date of the first frame of each epoch, in order. `rooms`: of each
    stretch but the first, by track, how far sound may go on into it."""

    names: list[str]
    infos: list[Mapping[int, OpenTrack]]
    begins_ms: dict[int, int] = field(default_factory=dict)
    stretches: list[Stretch] = field(default_factory=list)
    rooms: list[dict[int, int]] = field(default_factory=list)
    opening: Opening = field(default_factory=Opening)

    @cached_property
    def scales(self) -> dict[int, int]:
        return {epoch: info.timescale for epoch, info in self.infos[0].items()}

    @cached_property
    def by_sample(self) -> bool:
        return next(iter(self.infos[0].values())).kind == "audio"


@dataclass
class _Run:
    """Rows that follow one another: the first ones, the last ones."""

    whole: bool
    first: list[Row] = field(default_factory=list)
    last: list[Row] = field(default_factory=list)

    def add(self, row: Row, start_ms: int) -> None:
        if len(self.first) < END_ROWS or self.first[-END_ROWS + 1].wall < start_ms:
            self.first.append(row)
            return
        self.last = [*self.last, row][-END_ROWS:]

    @property
    def rows(self) -> list[Row]:
        return [*self.first, *self.last]

    @property
    def newest(self) -> Row:
        return self.rows[-1]


class ClipMaker:
    """Makes clips from the index alone."""

    def __init__(
        self, reader: RandomReader, history: History, registry: Registry, clock: Clock
    ) -> None:
        self._reader = reader
        self._history = history
        self._registry = registry
        self._clock = clock
        self._room = Room(MOST_BYTES)
        # One thread: what a long clip takes for a while is taken once, whoever asks.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="clips")

    def close(self) -> None:
        """Stop."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def make(
        self, stream: StreamName, channel: Channel | None, start_ms: int, end_ms: int
    ) -> Clip:
        """The clip of [start_ms, end_ms) (Unix ms). `channel`: what of it is live is waited for.

        NotFound where nothing is kept of it, InputError where its tables were too large or a codec
        becomes another, Overloaded where those of all clips are.
        """
        loader = Loader(
            self._reader, self._history, self._registry, self._clock, stream, self._pool
        )
        plan = await self._plan(loader, channel, start_ms, end_ms)
        if plan is None:
            raise nothing_between(stream, start_ms, end_ms)
        spool = Spool(MOST_CLIP_BYTES, self._room, TOO_LONG)
        try:
            return await self._compose(loader, plan, Composer(stream.name, spool, plan.infos))
        except BaseException:
            spool.close()
            raise

    async def is_kept(self, stream: StreamName, clip: Clip) -> bool:
        """Whether the oldest media of a clip are there still; while Kafka does not tell in a
        moment, they are."""
        with suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(KEPT_WAIT_S):
                for place, oldest in clip.body.oldest.items():
                    if oldest < await self._history.low(stream, *place):
                        return False
        return True

    def look_again(self, stream: StreamName) -> None:
        """Of this stream, media proved to be deleted."""
        self._history.look_again(stream)

    async def _plan(
        self, loader: Loader, channel: Channel | None, start_ms: int, end_ms: int
    ) -> _Plan | None:
        tracks = loader.tracks()
        for name in tracks:
            await loader.arrived(channel, name, start_ms, end_ms)
        for name in tracks:
            # Pictures lead; where there are none, the first sound does.
            if await _any(loader, name, start_ms, end_ms):
                return await self._plan_by(loader, name, start_ms, end_ms)
            if await _any(loader, name, start_ms - REORDER_MS, start_ms):
                late = await self._plan_by(loader, name, start_ms, end_ms)
                if late is not None:
                    return late
        return None

    async def _plan_by(self, loader: Loader, lead: str, start_ms: int, end_ms: int) -> _Plan | None:
        """The same, led by a track."""
        tracks = loader.tracks()
        others = [
            name
            for name, infos in tracks.items()
            if name != lead and next(iter(infos.values())).kind == "audio"
        ]
        names = [lead, *others]
        plan = _Plan(names, [tracks[name] for name in names])
        by_ms = start_ms
        for step, back_ms in enumerate(BACK_MS):
            last = step + 1 == len(BACK_MS)
            since_ms = await _independent(loader, lead, by_ms, back_ms)
            if since_ms is None and not last:
                continue
            if since_ms is None:
                since_ms = start_ms - back_ms
            try:
                await _find(loader, plan, (since_ms, start_ms, end_ms), complete=last)
            except NoSyncError:
                # Its keyframe is shown after the first frame (an open GOP): the one before it.
                by_ms = since_ms - 1
                continue
            if not plan.stretches:
                return None
            # At once, before the index of all of it is read.
            refuse_codecs(changes(plan.infos[0], plan.begins_ms))
            await _find_rooms(loader, plan)
            return plan
        raise AssertionError("the last step is complete")

    async def _compose(self, loader: Loader, plan: _Plan, composer: Composer) -> Clip:
        places = lengths(plan.stretches, plan.scales)
        work = partial(_lay, loader, plan, composer, places)
        async with aclosing(_wanted(loader, plan)) as wanted:
            ahead: asyncio.Task[Sequence[Any]] | None = None
            laying: asyncio.Future[None] | None = None
            try:
                async for batch in wanted:
                    # One batch is read while the one before is laid.
                    ahead = asyncio.ensure_future(loader.read(batch))
                    messages = await ahead
                    if laying is not None:
                        await laying
                    laying = asyncio.ensure_future(loader.work(work, batch, messages))
                if laying is not None:
                    await laying
            finally:
                for task in (ahead, laying):
                    if task is not None:
                        task.cancel()
        return await loader.work(composer.done, plan.begins_ms, places[-1])


async def _any(loader: Loader, track: str, start_ms: int, end_ms: int) -> bool:
    async with aclosing(loader.walk(track, start_ms, end_ms)) as found:
        async for _ in found:
            return True
    return False


async def _independent(loader: Loader, track: str, start_ms: int, back_ms: int) -> int | None:
    """Since when rows are wanted: from the newest one on that can be decoded by itself and begins
    at or before a moment. None where that may be older still."""
    rows = await loader.rows(track, start_ms - back_ms, start_ms + 1)
    if not rows:
        return start_ms if back_ms else await _broken_off(loader, track, start_ms)
    infos = loader.tracks()[track]
    begun = [row for row in rows if shown_ms(row, infos[row.epoch].timescale) <= start_ms]
    found = newest_sync(begun)
    return None if found is None else found.wall


async def _broken_off(loader: Loader, track: str, start_ms: int) -> int:
    """Since when rows are wanted of a moment that none has: a session that broke off amid B-frames
    ends by their count, and its last is shown later. The moment itself where none did."""
    rows = await loader.rows(track, start_ms - REORDER_MS, start_ms)
    if rows:
        rows = await loader.rows(track, start_ms - REACH_MS, start_ms)
    found = newest_sync([row for row in rows if row.epoch == rows[-1].epoch])
    return start_ms if found is None else found.wall


def newest_sync(rows: Sequence[Row]) -> Row | None:
    """The newest that can be decoded by itself."""
    return next((row for row in reversed(rows) if row.independent and not row.gap), None)


def from_independent(rows: Sequence[Row], start_ms: int) -> list[Row] | None:
    """The rows from the newest on that can be decoded by itself and begins at or before a moment;
    None where one may be older than these."""
    before = [n for n, row in enumerate(rows) if row.wall <= start_ms]
    if not before:
        return list(rows)
    for index in reversed(before):
        if rows[index].independent and not rows[index].gap:
            return list(rows[index:])
    return None


async def _find(loader: Loader, plan: _Plan, span: tuple[int, int, int], *, complete: bool) -> None:
    """Find the stretches of (since, start, end): NoSyncError where the first frame needs what is
    before `since`, unless nothing older is to be had (`complete`)."""
    since_ms, start_ms, end_ms = span
    runs: list[_Run] = []
    plan.stretches, plan.begins_ms = [], {}
    before: Row | None = None
    over = False
    async with aclosing(loader.walk(plan.names[0], since_ms, end_ms + REORDER_MS)) as found:
        async for rows in found:
            if over:
                break
            for row in rows:
                goes_on = unbroken(before, row, plan.scales)
                if not goes_on and before is not None and not plan.by_sample:
                    goes_on = await stands(loader, before, row, plan.scales[before.epoch])
                # What goes on amid a GOP may have something that is shown before the end.
                first_ms = shown_ms(row, plan.scales[row.epoch]) if goes_on else row.wall
                over = min(row.wall, first_ms) >= end_ms and (row.independent or not goes_on)
                if over:
                    break
                if not goes_on:
                    if len(runs) >= STRETCHES:
                        await _read_ends(loader, plan, runs, span)
                        runs = []
                    runs.append(_Run(complete or before is not None))
                if row.gap:
                    runs.pop()
                else:
                    runs[-1].add(row, start_ms)
                before = row
            await asyncio.sleep(0)
    await _read_ends(loader, plan, runs, span)


async def stands(loader: Loader, before: Row, row: Row, scale: int) -> bool:
    """Whether the last picture of a row stands until another begins: pictures pause in a session (a
    shared screen sends none while nothing changes) and sound goes on; where the session sends none,
    for up to a minute. Else something is missing. `scale`: of the track."""
    if before.gap or row.gap or before.epoch != row.epoch or row.dts < before.dts:
        return False
    heard_ms = await _heard_on(loader, before, scale, row.wall)
    if heard_ms is None:
        return row.wall - _ends_ms(before, scale) <= REACH_MS
    return heard_ms + 1000 * HOLE_S >= row.wall


async def stands_until(loader: Loader, before: Row, scale: int) -> int:
    """How long (Unix ms) the last picture of a session stands: while its sound goes on, of which a
    minute is looked at. Of one that is live nothing is said: pictures of the segment in progress
    may be newer."""
    ends_ms = _ends_ms(before, scale)
    if before.gap or loader.is_live(before.epoch):
        return ends_ms
    heard_ms = await _heard_on(loader, before, scale, ends_ms + REACH_MS)
    return ends_ms if heard_ms is None else heard_ms + 1000 * HOLE_S


async def _heard_on(loader: Loader, before: Row, scale: int, until_ms: int) -> int | None:
    """Until when (Unix ms), of what is before `until_ms`, the sound of a row's session goes on
    behind it without a hole. None where the session sends none."""
    since_ms, found_ms = _ends_ms(before, scale), None
    for name, infos in loader.tracks().items():
        info = infos.get(before.epoch)
        if info is None or info.kind != "audio":
            continue
        heard_ms = since_ms
        async with aclosing(loader.walk(name, since_ms - SOUND_SENT_MS, until_ms)) as found:
            async for rows in found:
                for one in rows:
                    if one.epoch != before.epoch or one.gap:
                        continue
                    if one.wall <= heard_ms + 1000 * HOLE_S:
                        heard_ms = max(heard_ms, one.wall + 1000 * one.dur // info.timescale)
                    found_ms = max(heard_ms, found_ms or 0)
    return found_ms


def _ends_ms(row: Row, scale: int) -> int:
    return row.wall + 1000 * row.dur // scale


async def _read_ends(
    loader: Loader, plan: _Plan, runs: Sequence[_Run], span: tuple[int, int, int]
) -> None:
    if not runs:
        return
    wanted = [Wanted(number, row) for number, run in enumerate(runs) for row in run.rows]
    columns = [Columns() for _ in runs]
    for batch in loader.batches(wanted):
        await loader.work(append, columns, batch, await loader.read(batch))
    for run, read in zip(runs, columns, strict=True):
        ends = read.usable()
        if not len(ends):
            continue
        scale = plan.scales[ends.epoch[0]]
        got = stretch(
            ends, scale, span[1], span[2], by_sample=plan.by_sample,
            complete=run.whole or bool(plan.stretches),
        )  # fmt: skip
        if got is None:
            continue
        plan.begins_ms.setdefault(got[0].epoch, date_of(ends, got[1], scale))
        plan.stretches.append(got[0])
    if len(plan.stretches) > MOST_STRETCHES:
        raise InputError(
            f"media are missing over {MOST_STRETCHES} times in this range",
            hint="ask for a shorter one",
        )


async def _find_rooms(loader: Loader, plan: _Plan) -> None:
    """Look how far sound may go on into each stretch but the first."""
    plan.rooms = [{}]
    later = plan.stretches[1:]
    for first in range(0, len(later), STRETCHES):
        group = later[first : first + STRETCHES]
        wanted: list[Wanted] = []
        keys: list[tuple[int, int]] = []  # stretch, track
        for number, one in enumerate(group):
            for track in range(1, len(plan.names)):
                what = _heard(plan, track, first + 1 + number, {})
                if what is None:
                    continue
                about = one.wall - SOUND_MS, one.wall + 2 * SOUND_MS
                rows = await loader.rows(plan.names[track], *about)
                wanted += [Wanted(len(keys), row) for row in rows if _has(row, one, what)]
                keys.append((number, track))
        columns = [Columns() for _ in keys]
        wanted.sort(key=lambda one: (one.row.wall, one.track))
        for batch in loader.batches(wanted):
            await loader.work(append, columns, batch, await loader.read(batch))
        rooms: list[dict[int, int]] = [{} for _ in group]
        for (number, track), read in zip(keys, columns, strict=True):
            one = group[number]
            own = plan.infos[track][one.epoch].timescale
            rooms[number][track] = room_before(read, one, plan.scales[one.epoch], own)
        plan.rooms += rooms


def _has(row: Row, one: Stretch, what: Heard) -> bool:
    return row.epoch == one.epoch and not row.gap and what.overlaps(row.dts, row.dur)


def _heard(plan: _Plan, track: int, number: int, room: Mapping[int, int] | None) -> Heard | None:
    """Of a track of sound in the stretch of this number. `room`: of the next stretch, by track;
    None where there is no next."""
    one = plan.stretches[number]
    info = plan.infos[track].get(one.epoch)
    if info is None:
        return None
    room_ticks = None
    if room is not None:
        room_ticks = room.get(track, 0)
    return heard(one, plan.scales[one.epoch], info.timescale, opens=number == 0, room=room_ticks)


async def _wanted(loader: Loader, plan: _Plan) -> AsyncGenerator[Sequence[Wanted], None]:
    """All rows of a clip, in the order of its bytes, in pieces that are read at a time."""
    held: list[Wanted] = []
    for number, one in enumerate(plan.stretches):
        turns = [_lead_rows(loader, plan.names[0], one)]
        for track in range(1, len(plan.names)):
            what = _heard(plan, track, number, None)
            if what is not None:
                turns.append(_sound_rows(loader, plan.names[track], one, what))
        tracks = [0, *(t for t in range(1, len(plan.names)) if one.epoch in plan.infos[t])]
        async with aclosing(_merged(turns)) as rows:
            async for turn, row in rows:
                held.append(Wanted(tracks[turn], row, number))
                if len(held) % _ROWS_AT_ONCE == 0:
                    await asyncio.sleep(0)
                if len(held) >= 2 * BATCH_ENTRIES:
                    batch = next(loader.batches(held))
                    yield batch
                    held = held[len(batch) :]
    for batch in loader.batches(held):
        yield batch


async def _lead_rows(loader: Loader, track: str, one: Stretch) -> AsyncGenerator[Row, None]:
    async with aclosing(loader.walk(track, one.wall, one.over)) as found:
        async for rows in found:
            for row in rows:
                if row.epoch == one.epoch and one.first <= row.msn <= one.last and not row.gap:
                    yield row


async def _sound_rows(
    loader: Loader, track: str, one: Stretch, what: Heard
) -> AsyncGenerator[Row, None]:
    async with aclosing(loader.walk(track, one.wall - SOUND_MS, one.over + SOUND_MS)) as found:
        async for rows in found:
            for row in rows:
                if _has(row, one, what):
                    yield row


async def _merged(
    turns: Sequence[AsyncGenerator[Row, None]],
) -> AsyncGenerator[tuple[int, Row], None]:
    """The rows of several tracks, by time; each keeps its order."""
    waiting: dict[int, Row] = {}
    try:
        for number, rows in enumerate(turns):
            row = await anext(rows, None)
            if row is not None:
                waiting[number] = row
        while waiting:
            number = min(waiting, key=lambda n: (waiting[n].wall, n))
            yield number, waiting.pop(number)
            row = await anext(turns[number], None)
            if row is not None:
                waiting[number] = row
    finally:
        for rows in turns:
            await rows.aclose()


def _lay(
    loader: Loader,
    plan: _Plan,
    composer: Composer,
    places: Sequence[int],
    batch: Sequence[Wanted],
    messages: Sequence[Any],
) -> None:
    """Put what was read into the clip."""
    columns = [Columns() for _ in plan.names]
    append(columns, batch, messages)
    segments = [0] * len(plan.names)
    for wanted in batch:
        track, number = wanted.track, wanted.part
        read, segment = columns[track], segments[track]
        segments[track] += 1
        if read.gap[segment]:
            continue  # its entry is not what the pages say: the picture before it stays
        one = plan.stretches[number]
        at_lead = places[number]
        own = plan.infos[track][one.epoch].timescale
        lead_scale = plan.scales[plan.stretches[0].epoch]
        place = rescale(at_lead, lead_scale, composer.scale(track, one.epoch))
        if track == 0:
            begin, end = one.samples(read, segment)
            at = At(own, one.shown, place)
        else:
            room = plan.rooms[number + 1] if number + 1 < len(plan.rooms) else None
            what = _heard(plan, track, number, room)
            assert what is not None
            begin, end = what.samples(read, segment)
            at = At(own, what.shown, place)
        if begin >= end:
            continue
        piece = Piece(segment, begin, end)
        kept = [piece]
        if track == 0 and not plan.by_sample:
            first = read.msn[segment] == one.first
            kept = plan.opening.pieces(read, piece, number, first=first)
        for part in kept:
            composer.add(track, read, part, at, loader.media(one.epoch))
    composer.settle()
