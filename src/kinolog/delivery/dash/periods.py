"""Periods: a stream's recorded and live media segments, cut where numbers or sessions break off.

$Number$ counts the segments of a Representation one by one, so within a Period no number may be
missing: a session begins one, and so does what follows a gap. Pure.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from kinolog.core.timebase import rescale
from kinolog.record.control import OpenTrack
from kinolog.record.page import GAP
from kinolog.record.table import Row, Table
from kinolog.timeline.segment import MICROSECONDS
from kinolog.timeline.window import Run


class Begin(NamedTuple):
    """The first segment of a stretch in which no number is missing: its number, and its DTS in
    ticks."""

    msn: int
    dts: int


class Stretch(NamedTuple):
    """Segments of a track in one session, without a missing number. `begin` may lie before the
    first of `run`. `growing`: the last is in progress, its duration what can be expected. `ahead`:
    (DTS, duration) in ticks of those that are to come, as far as can be told."""

    info: OpenTrack
    run: Run
    begin: Begin
    growing: bool = False
    ahead: tuple[tuple[int, int], ...] = ()

    @property
    def begin_us(self) -> int:
        """When it begins, microseconds of media time."""
        return rescale(self.begin.dts, self.info.timescale, MICROSECONDS)

    @property
    def end_us(self) -> int:
        """When the last segment that is whole ends."""
        table, last = self.run.table, self.run.stop - 1
        return rescale(table.dts[last] + table.dur[last], self.info.timescale, MICROSECONDS)

    def within(self, start_us: int, end_us: int | None) -> Stretch | None:
        """The segments that overlap [start_us, end_us)."""
        scale, table, run = self.info.timescale, self.run.table, self.run
        start = bisect_right(table.dts, rescale(start_us, MICROSECONDS, scale), run.start, run.stop)
        if start > run.start:
            before = start - 1
            start -= table.dts[before] + table.dur[before] > rescale(start_us, MICROSECONDS, scale)
        stop = run.stop
        if end_us is not None:
            stop = bisect_left(table.dts, rescale(end_us, MICROSECONDS, scale), start, run.stop)
        part = run.cut(start, stop)
        return self._replace(run=part) if part is not None else None


class Period(NamedTuple):
    """Of one session: what plays together from `start_us` (microseconds of media time) on, up to
    where the session's next Period begins (`until_us`), if there is one. `whole`: nothing more
    comes. `followed`: it is not the last."""

    epoch: int
    start_us: int
    stretches: tuple[Stretch, ...]
    whole: bool
    until_us: int | None = None
    followed: bool = False

    @property
    def end_us(self) -> int:
        """When the lead track's last segment ends, or the next Period begins. The last Period ends
        a little behind the last of any track: a player that takes it for over before the browser
        does may never say that it has ended (docs/explanation/dash.md)."""
        if not self.followed:
            latest_us = max(one.end_us for one in self.stretches)
            return (latest_us // 1000 + 2) * 1000
        end_us = self.stretches[0].end_us
        return end_us if self.until_us is None else min(end_us, self.until_us)


def joined(found: Iterable[Run]) -> list[Run]:
    """Runs of one epoch that follow one another, made one: pages of the index end anywhere."""
    made: list[Run] = []
    for _, group in groupby(found, lambda run: run.epoch):
        same = list(group)
        if len(same) > 1:
            table = Table()
            for run in same:
                for name, column in zip(Row._fields, table.columns(), strict=True):
                    column.extend(getattr(run.table, name)[run.start : run.stop].tolist())
            same = [replace(same[0], table=table, start=0, stop=len(table))]
        made += same
    return made


def unbroken(run: Run) -> Iterator[Run]:
    """The run in pieces within which every number is there, and none is a gap."""
    table = run.table
    numbers = run.last_msn - run.first_msn + 1
    if numbers == run.count and max(table.flags[run.start : run.stop]) < GAP:
        yield run  # the rule, and a matter of a loop in C
        return
    begun = run.start
    for index in range(run.start, run.stop):
        if index > begun and table.msn[index] != table.msn[index - 1] + 1:
            yield from _piece(run, begun, index)
            begun = index
        if table.flags[index] & GAP:
            yield from _piece(run, begun, index)
            begun = index + 1
    yield from _piece(run, begun, run.stop)


def _piece(run: Run, start: int, stop: int) -> Iterator[Run]:
    found = run.cut(start, stop)
    if found is not None:
        yield found


def periods(
    sessions: Mapping[int, Sequence[Sequence[Stretch]]], target_us: int, *, growing: bool
) -> list[Period]:
    """In the order of time. `sessions`: by epoch, for each of its tracks, the lead first, its
    stretches in order, one at least. `growing`: the last has more to come."""
    found: list[Period] = []
    ordered = sorted(sessions.values(), key=lambda tracks: min(t[0].begin_us for t in tracks))
    for tracks in ordered:
        cuts = _cuts(tracks, target_us)
        for cut_us, next_us in zip(cuts, [*cuts[1:], None], strict=True):
            members = []
            for track in tracks:
                chosen = [one for one in track if one.begin_us <= cut_us + target_us]
                part = chosen[-1].within(cut_us, next_us) if chosen else None
                if part is not None:
                    members.append(
                        part if next_us is None else part._replace(growing=False, ahead=())
                    )
            if members:
                epoch = members[0].run.epoch
                found.append(Period(epoch, cut_us, tuple(members), True, next_us))
    found = [one._replace(followed=one is not found[-1]) for one in found]
    if found and growing:
        found[-1] = found[-1]._replace(whole=False)
    return found


def _cuts(tracks: Sequence[Sequence[Stretch]], target_us: int) -> list[int]:
    """Where Periods begin: with each stretch of the lead, and with those of others after a gap of
    their own."""
    cuts = [one.begin_us for one in tracks[0]]
    for track in tracks[1:]:
        for one in track[1:]:
            if all(abs(one.begin_us - cut) > target_us for cut in cuts):
                cuts.append(one.begin_us)
    return sorted(cuts)


def lead_first(infos: Iterable[OpenTrack]) -> list[OpenTrack]:
    """A session's tracks in the order in which they are listed: video before sound."""
    return sorted(infos, key=lambda info: info.kind != "video")
