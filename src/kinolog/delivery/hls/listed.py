"""What growing playlists of a track list behind its live window, made once for all who ask.

Lists that begin at different moments have the same lines, but for those with which each begins.
What left the live window is added as it comes: the cost of a new version does not grow with the
list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from kinolog.delivery.channel import Channel
from kinolog.delivery.history import History, Kept, Named
from kinolog.delivery.hls import recorded
from kinolog.delivery.hls.recorded import DATED, MOST_SEGMENTS
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.timeline.window import Run

MOST_LINES: Final = 500_000
"""Of all tracks together, so many numbers are kept in memory (about 110 bytes each)."""
_SPARE: Final = 1_000
"""So many more than a playlist lists are kept before the oldest go."""


@dataclass(slots=True)
class Lines:
    """The text of each number from `first` on, which is all that can be listed from `since` on; the
    last is that of a segment, the end of `last`. `leads`: what stands before a number at which
    another session begins. `dependent`: the newest number of one that does not begin with a
    keyframe; -1 for none."""

    since: int
    first: int
    texts: list[str]
    leads: dict[int, str]
    last: Run
    dependent: int

    @property
    def below(self) -> int:
        """All numbers are below this."""
        return self.first + len(self.texts)


class Head(NamedTuple):
    """With what a list begins: its first segment's number, discontinuity sequence and wall time
    (Unix ms), its lines before those that all lists have in common, and with which number those
    begin. `whole`: it will have no more."""

    first_msn: int
    disc: int
    wall: int
    text: str
    resumes: int
    whole: bool


class Listed:
    """Of one track."""

    def __init__(self, history: History, name: Named, target_ms: int) -> None:
        self._history = history
        self._name = name
        self._target_ms = target_ms
        self.turn = 0
        """When it was asked for last: greater is later."""
        self._lines: Lines | None = None
        self._kept: Kept | None = None
        self._lock = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._lines.texts) if self._lines is not None else 0

    def forget(self) -> None:
        """What was made is made again when it is asked for."""
        self._lines = None

    async def lines(self, first: int, below: int, kept: Kept) -> Lines | None:
        """Those from a number on, or from where they can be listed, up to `below`, the first of the
        live window, or beyond; None where there are none. `kept`: of the media, now."""
        async with self._lock:
            if kept != self._kept:
                self._lines, self._kept = None, kept
            lines = self._lines
            if lines is not None and first < lines.since:
                lines = await self._older(lines, first)
            if lines is not None and lines.below < below:
                lines = await self._newer(lines, below)
            if lines is None:
                lines = await self._of(first, below, below)
            self._lines = lines
            if lines is None or below - lines.last.last_msn > recorded.MOST_FILLED + 1:
                return None
            return lines

    async def head(self, lines: Lines, first: int, below: int) -> Head | None:
        """Where a list begins that is to begin with a number or, where there is no segment of it,
        with the next; None where nothing is listed from there up to `below`."""
        first, below = max(first, lines.first), min(below, lines.below)
        border, step = _border(first), DATED
        while first < below:
            found = await self._history.numbered(self._name, first, min(border, below))
            if found:
                track = self._name.track
                text = "".join(recorded.lines(track, found, self._target_ms, closed=False))
                run = found[0]
                resumes = found[-1].last_msn + 1
                return Head(run.first_msn, run.disc, run.wall, text, resumes, border <= below)
            first, step = border, 2 * step
            border += step
        return None

    async def _older(self, lines: Lines, first: int) -> Lines | None:
        """With those from `first` on before them; None where they do not meet any more."""
        below = min(_border(lines.first), lines.below)
        older = await self._of(first, below, lines.first + 1)
        if older is None or older.below <= lines.first:
            return None
        texts = older.texts + lines.texts[older.below - lines.first :]
        leads = {msn: lead for msn, lead in lines.leads.items() if msn != lines.first}
        leads |= older.leads
        dependent = max(older.dependent, lines.dependent)
        return Lines(first, older.first, texts, leads, lines.last, dependent)

    async def _newer(self, lines: Lines, below: int) -> Lines | None:
        """With those behind them; None where they do not meet any more."""
        last = lines.last.last_msn
        newer = await self._of(max(lines.first, last // DATED * DATED), below, below)
        if newer is None or not newer.first <= last < newer.below:
            return None
        texts = lines.texts
        texts += newer.texts[lines.below - newer.first :]
        lines.leads |= {msn: lead for msn, lead in newer.leads.items() if msn > last}
        lines.last, lines.dependent = newer.last, max(lines.dependent, newer.dependent)
        if len(texts) <= MOST_SEGMENTS + _SPARE:
            return lines
        # Another one: what is being made for an older version goes on with that.
        first = lines.below - MOST_SEGMENTS
        leads = {msn: lead for msn, lead in lines.leads.items() if msn >= first}
        return Lines(first, first, texts[-MOST_SEGMENTS:], leads, lines.last, lines.dependent)

    async def _of(self, first: int, below: int, to: int) -> Lines | None:
        """Of the segments with numbers in [first, below), those that a list can have up to `to`."""
        found = await self._history.numbered(self._name, first, below)
        runs = recorded.unbroken(found, to)
        if not runs:
            return None
        texts: list[str] = []
        leads: dict[int, str] = {}
        made = recorded.pieces(self._name.track, runs, self._target_ms, closed=False)
        for lead, more in made:
            if lead:
                leads[runs[0].first_msn + len(texts)] = lead
            texts += [lead + more[0], *more[1:]]
            if len(more) > DATED:
                await asyncio.sleep(0)  # others work in between
        return Lines(first, runs[0].first_msn, texts, leads, runs[-1], _dependent(runs))


class AllListed:
    """Of all tracks, for as long as their channels are there: those that were asked for last, up to
    MOST_LINES together."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._of: WeakKeyDictionary[Channel, dict[str, Listed]] = WeakKeyDictionary()
        self._turns = count(1)

    async def lines(
        self, channel: Channel, track: str, first: int, below: int, kept: Kept
    ) -> tuple[Listed, Lines | None]:
        """A track's, as `Listed.lines` has it."""
        tracks = self._of.setdefault(channel, {})
        listed = tracks.get(track)
        if listed is None:
            target_ms = self._history.target_ms(channel.name)
            listed = tracks[track] = Listed(self._history, Named(channel.name, track), target_ms)
        listed.turn = next(self._turns)
        found = await listed.lines(first, below, kept)
        every = [one for tracks in self._of.values() for one in tracks.values()]
        held = sum(map(len, every))
        if held > MOST_LINES:
            for one in sorted(every, key=lambda one: one.turn)[:-1]:
                if held > MOST_LINES and one is not listed:
                    held -= len(one)
                    one.forget()
        return listed, found


def oldest(first: int, below: int) -> int:
    """The number with which a list begins that is to begin with `first`, and goes up to `below`."""
    return max(first, below - MOST_SEGMENTS)


def _border(msn: int) -> int:
    """The next number at which all lists have the same lines."""
    return (msn // DATED + 1) * DATED


def _dependent(runs: Sequence[Run]) -> int:
    for run in reversed(runs):
        flags = run.table.flags
        for index in range(run.stop - 1, run.start - 1, -1):
            if not flags[index] & (INDEPENDENT | GAP):
                return run.table.msn[index]
    return -1
