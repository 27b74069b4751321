"""Manifests: of the live window, of what lies behind it, of a closed range, from index and log."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from kinolog.core.errors import InputError
from kinolog.core.timebase import rescale
from kinolog.delivery.borders import Borders
from kinolog.delivery.channel import Channel
from kinolog.delivery.dash import mpd
from kinolog.delivery.dash.begins import Begins
from kinolog.delivery.dash.periods import Begin, Stretch, joined, lead_first, periods, unbroken
from kinolog.delivery.history import History, Named
from kinolog.delivery.live_rows import come_to, live_rows, row_in_progress
from kinolog.delivery.media_files import left_off
from kinolog.delivery.span import Span, nothing_between
from kinolog.log.registry import Registry
from kinolog.record.control import Open, OpenTrack
from kinolog.record.table import Table
from kinolog.timeline.measure import expected, rates
from kinolog.timeline.track import WINDOW_MS, WINDOW_TARGETS, State, Version
from kinolog.timeline.window import Run, Session, runs

MOST_SEGMENTS: Final = 200_000
"""A manifest lists no more of a track: over four days of 2 s segments."""
NEXT: Final = 1
"""So many segments after the one in progress are listed, where players cannot tell their times."""
_US: Final = 1000
_MANY: Final = 2_000
"""Rows that are more than a few milliseconds' work."""

_Sessions = dict[int, dict[str, list[Stretch]]]


class Manifests:
    """Made for the channels of this process."""

    def __init__(self, history: History, borders: Borders, registry: Registry) -> None:
        self._history = history
        self._borders = borders
        self._registry = registry
        self._begins = Begins(history)

    async def closed(self, channel: Channel, span: Span, *, of_day: bool = False) -> str:
        """Of a closed range, from 0 on, or in the media's own time, that `of_day`. NotFound where
        nothing is kept of it."""
        assert span.start_ms is not None
        assert span.end_ms is not None
        target_ms = self._target_ms(channel)
        opens = self._opens(channel)
        sessions: _Sessions = {}
        peaks: dict[str, int] = {}
        for track in _tracks(opens):
            await come_to(channel, track, span.end_ms)
            name, live = Named(channel.name, track), live_rows(channel, track)
            begin = await self._borders.begin(channel, track, span.start_ms)
            end_ms = await self._borders.end_ms(channel, track, span.start_ms, span.end_ms)
            found = await self._history.between(name, begin.at_ms, end_ms, live)
            for _, pieces in await _apart(track, found, target_ms, peaks):
                _add(sessions, opens, track, pieces, {})
        if not sessions:
            raise nothing_between(channel.name, span.start_ms, span.end_ms)

        def make() -> str:
            listed = periods(_ordered(sessions, opens), _US * target_ms, growing=False)
            if of_day:
                return mpd.growing(listed, peaks, mpd.Live(0, 0, target_ms, 0), ended=True)
            return mpd.closed(listed, peaks, target_ms)

        return await asyncio.to_thread(make)

    async def growing(
        self, channel: Channel, span: Span | None, now_ms: int, replay_ms: int = 0
    ) -> str | None:
        """Of a stream that goes on, from its window or from what `span` says on; the last one of a
        stream that has ended. None while there is nothing to list. `now_ms`: Unix time;
        `replay_ms`: how far behind that players are to begin, 0 for the live edge."""
        opens = self._opens(channel)
        target_ms = self._target_ms(channel)
        held = _too_new(channel, target_ms)
        state: State = "away" if held or left_off(channel) else channel.live.state
        sessions: _Sessions = {}
        peaks: dict[str, int] = {}
        newest_ms = 0
        since_ms = span.start_ms if span is not None else None
        for track in _tracks(opens):
            live = live_rows(channel, track)
            row = None if held else row_in_progress(channel, track, live, over=state != "live")
            if row is not None:
                live.append(row)
            found = await self._rows(channel, track, span, live)
            if held:
                found = [run for run in found if run.epoch != channel.live.epoch]
            growing = row if state == "live" else None
            begins: dict[int, Begin] = {}
            previous: Run | None = None
            for run, pieces in await _apart(track, found, target_ms, peaks):
                newest_ms = max(newest_ms, run.until if growing is None else growing.wall)
                if not pieces:
                    continue
                first = pieces[0]
                # Where what was asked for was deleted, a Period is the run's own: players would ask
                # for the numbers of what is gone.
                gone = since_ms is not None and since_ms < first.wall
                if run.epoch not in begins and not gone:
                    new = previous is not None or first.first_msn > run.first_msn
                    begins[run.epoch] = await self._begins.of(
                        channel, track, first, live, known=new
                    )
                _add(sessions, opens, track, pieces, begins)
                previous = run
            # None of the track's where what it has begun is deleted already.
            if growing is not None and track in sessions.get(growing.epoch, ()):
                last = sessions[growing.epoch][track]
                last[-1] = last[-1]._replace(growing=True)
        if not sessions:
            return None
        if state == "live" and channel.live.epoch in sessions:
            _look_ahead(channel, sessions[channel.live.epoch], target_ms)
        session = channel.live.open or opens[max(opens)]
        depth_ms = max(WINDOW_MS, WINDOW_TARGETS * target_ms)
        if span is not None and span.dvr_ms is not None:
            depth_ms = span.dvr_ms
        elif span is not None and span.start_ms is not None:
            # From the GOP on in which the moment lies: players clamp where they begin to the depth.
            depth_ms = max(depth_ms, newest_ms - _oldest_ms(sessions) + 2 * target_ms)
        depth_ms = mpd.depth_ms(depth_ms, now_ms - newest_ms, target_ms)
        fast_ms = _fast_ms(sessions[max(sessions)])
        said = mpd.Live(newest_ms, depth_ms, target_ms, _part_ms(session), fast_ms, replay_ms)

        def make() -> str:
            ended = state == "ended"
            listed = periods(_ordered(sessions, opens), _US * target_ms, growing=not ended)
            return mpd.growing(listed, peaks, said, ended=ended)

        return await asyncio.to_thread(make) if span is not None else make()

    async def _rows(
        self, channel: Channel, track: str, span: Span | None, live: Table
    ) -> list[Run]:
        if span is None:
            opens = self._opens(channel)
            known = {
                epoch: Session(info.timescale)
                for epoch, session in opens.items()
                for info in session.tracks
                if info.name == track
            }
            return list(runs([live], known, 0))
        since_ms = span.start_ms
        if since_ms is None:
            assert span.dvr_ms is not None
            newest_ms = live.wall[-1] if len(live) else channel.last_ms
            since_ms = newest_ms - span.dvr_ms
        begin = await self._borders.begin(channel, track, since_ms)
        name, until_ms = Named(channel.name, track), float("inf")
        return await self._history.between(name, begin.at_ms, until_ms, live)

    def _opens(self, channel: Channel) -> dict[int, Open]:
        """What is known of the stream's sessions, oldest first."""
        known = {
            epoch: entry.open
            for epoch, entry in self._registry.epochs.get(channel.name, {}).items()
        }
        return dict(sorted((known | dict(channel.live.opens)).items()))

    def _target_ms(self, channel: Channel) -> int:
        if channel.live.open is not None:
            return channel.live.open.target_ms
        return self._history.target_ms(channel.name)


def _tracks(opens: Mapping[int, Open]) -> list[str]:
    return list(dict.fromkeys(info.name for one in opens.values() for info in one.tracks))


def _part_ms(session: Open) -> int:
    return session.part_ms if session.parts else 0


def _too_new(channel: Channel, target_ms: int) -> bool:
    """Whether the live session follows an absence, and is shorter yet than players are behind.

    A player that has waited goes to where it should be by the clock. Where that lies before the new
    Period, dash.js stands still for good. So the Period is listed once it has that place. One that
    follows at once is listed at once, before the player runs out of pictures.
    """
    opened = channel.live.open
    if channel.live.state != "live" or opened is None or left_off(channel):
        return False
    found = [
        came
        for track in channel.live.tracks.values()
        if track.version and (came := _came(track.version, channel.live.epoch))
    ]
    behind_ms = mpd.behind_ms(target_ms, _part_ms(opened))
    return (
        bool(found)
        and min(absent_ms for absent_ms, _ in found) > behind_ms
        and max(length_ms for _, length_ms in found) < behind_ms
    )


def _came(version: Version, epoch: int) -> tuple[int, int] | None:
    """For how long a track was absent before this session, and how much there is of it; None where
    it is not listed, or nothing before it. Milliseconds."""
    count = sum(one.epoch == epoch for one in version.segments)
    if not 0 < count < len(version.segments):
        return None
    before, *new = version.segments[-count - 1 :]
    absent_ms = new[0].wall - before.wall - before.duration_us // _US
    return absent_ms, sum(one.duration_us for one in new) // _US


def _info(opens: Mapping[int, Open], epoch: int, track: str) -> OpenTrack:
    return next(info for info in opens[epoch].tracks if info.name == track)


def _add(
    sessions: _Sessions,
    opens: Mapping[int, Open],
    track: str,
    pieces: Sequence[Run],
    begins: Mapping[int, Begin],
) -> None:
    """Stretches of a track in its session. The first one's begin may be known."""
    for run in pieces:
        found = sessions.setdefault(run.epoch, {}).setdefault(track, [])
        begin = Begin(run.first_msn, run.table.dts[run.start])
        if not found:
            begin = begins.get(run.epoch, begin)
        found.append(Stretch(_info(opens, run.epoch, track), run, begin))


def _ordered(sessions: _Sessions, opens: Mapping[int, Open]) -> dict[int, list[list[Stretch]]]:
    return {
        epoch: [
            tracks[info.name] for info in lead_first(opens[epoch].tracks) if info.name in tracks
        ]
        for epoch, tracks in sessions.items()
    }


def _look_ahead(channel: Channel, tracks: dict[str, list[Stretch]], target_ms: int) -> None:
    """To what each track has, the next segments, as long as can be expected."""
    for name, stretches in tracks.items():
        track = channel.live.tracks.get(name)
        if track is None or track.silent:
            continue
        last = stretches[-1]
        table, index = last.run.table, last.run.stop - 1
        dts = table.dts[index] + table.dur[index]
        ahead = []
        for dur in expected(last.run, rescale(target_ms, 1000, last.info.timescale), NEXT):
            ahead.append((dts, dur))
            dts += dur
        stretches[-1] = last._replace(ahead=tuple(ahead))


def _fast_ms(tracks: Mapping[str, Sequence[Stretch]]) -> int:
    """By how much media time is ahead of the time of day in a session's newest segment, to a tenth
    of a second: the anchor is slewed by milliseconds all the time."""
    newest = [
        (track[-1].info, track[-1].run.table[track[-1].run.stop - 1]) for track in tracks.values()
    ]
    info, row = max(newest, key=lambda one: one[1].wall)
    return 100 * round((rescale(row.dts, info.timescale, 1000) - row.wall) / 100) if row.wall else 0


def _oldest_ms(sessions: _Sessions) -> int:
    """Where the first session that is listed begins, as media time has it, and as dates do."""
    found = []
    for track in sessions[min(sessions)].values():
        run = track[0].run
        dts = run.table.dts[run.start]
        found += [run.wall, rescale(dts, track[0].info.timescale, 1000)]
    return min(found)


async def _apart(
    track: str, found: Sequence[Run], target_ms: int, peaks: dict[str, int]
) -> list[tuple[Run, list[Run]]]:
    """What is left of a track's runs: by session, and in each the stretches without a missing
    number. Its bit rate is put among the peaks. InputError where they are too many."""
    count = sum(run.count for run in found)
    if count > MOST_SEGMENTS:
        raise InputError(
            f"these are {count} media segments, a manifest has at most {MOST_SEGMENTS}",
            hint="ask for a shorter range",
        )

    def take() -> list[tuple[Run, list[Run]]]:
        measured = rates(found, target_ms)
        if measured is not None:
            peaks[track] = measured[0]
        return [(run, list(unbroken(run))) for run in joined(found)]

    return await asyncio.to_thread(take) if count > _MANY else take()
