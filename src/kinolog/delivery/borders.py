"""Where lists of the past begin and end: what a player is given first can be decoded, and all
tracks begin and end at about the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.cut import REACH_MS, REORDER_MS
from kinolog.delivery.history import History, Named
from kinolog.delivery.leads import Leads
from kinolog.delivery.live_rows import live_rows
from kinolog.log.registry import Registry
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.timeline.window import Run

SLIVER_MS: Final = 50
"""Sound is cut at its first frame behind a border of video: some 20 ms apart from it."""


class Begin(NamedTuple):
    """Unix ms. `at_ms`: its segment is the first; `shown_ms`: where players are to begin."""

    at_ms: float
    shown_ms: float


class Borders:
    """The borders of lists, for the channels of this process."""

    def __init__(self, history: History, leads: Leads, registry: Registry) -> None:
        self._history = history
        self._leads = leads
        self._registry = registry

    async def begin(self, channel: Channel, track: str, since_ms: float) -> Begin:
        """Where a track's list begins that is to go back to a moment (Unix ms). Where that lies
        amid a GOP of several segments, or is shown before its keyframe (an open GOP), it begins
        with a GOP before, and players with it: they begin to load where they begin to play, and
        would have nothing to decode. One whose keyframe is shown before its first DTS (a
        variable rate) is not the first in a list: players count from that DTS, and drop the
        keyframe; they begin with it in the second. Sound begins where the lead does: once a list
        has ended, players take what stands first in each for simultaneous, whatever its date."""
        lead = self._lead(channel, track)
        found = await self._first(channel, lead, since_ms) if lead is not None else None
        if found is None:
            return Begin(since_ms, since_ms)
        first, shown_ms = found
        if lead != track:
            return Begin(first.wall + SLIVER_MS, shown_ms)
        # Of the segment before, which may end a moment later by its rounded dates, there is none.
        least_ms = first.wall + 2
        return Begin(max(shown_ms, least_ms) if shown_ms < first.until else least_ms, shown_ms)

    async def end_ms(self, channel: Channel, track: str, since_ms: float, end_ms: float) -> float:
        """Where a track's list of a range ends (Unix ms): behind all that is shown in it; sound
        where the lead does, without what begins so near to that."""
        lead = self._lead(channel, track)
        if lead is None:
            return end_ms
        named, live = Named(channel.name, lead), live_rows(channel, lead)
        asked_ms, end_ms = end_ms, await self._leads.end_ms(named, live, end_ms)
        if lead == track:
            return end_ms
        found = await self._history.between(named, end_ms - 1, end_ms, live)
        if not found:
            found = await self._history.between(named, since_ms, end_ms, live)
        if not found:
            return end_ms
        until = found[-1].until - SLIVER_MS
        return until if end_ms > asked_ms else min(end_ms, until)

    def _lead(self, channel: Channel, track: str) -> str | None:
        """The track by whose borders a track is cut: itself where it is video, else the first of
        video in the newest session; None where there is none."""
        entries = self._registry.epochs.get(channel.name, {})
        tracks = entries[max(entries)].open.tracks if entries else ()
        video = [info.name for info in tracks if info.kind == "video"]
        return track if track in video else next(iter(video), None)

    async def _first(self, channel: Channel, track: str, at_ms: float) -> tuple[Run, float] | None:
        """The segment that is to be the first for a track's moment, and where players are to begin:
        with the moment, where its segment can be decoded by itself, else with the one that can.
        None where there is no segment then."""
        named, live = Named(channel.name, track), live_rows(channel, track)
        found = await self._history.between(named, at_ms, at_ms + 1, live)
        if not found:
            return None
        lead, shown_ms = found[0].cut(found[0].start, found[0].start + 1), at_ms
        assert lead is not None
        begins = _begins_by_itself(lead, lead.start)
        if begins and at_ms < lead.wall + REORDER_MS:
            begins = await self._leads.since_in(named, lead, at_ms) >= lead.wall
        if begins and not await self._leads.drops(named, lead):
            return lead, shown_ms
        before = await self._history.between(named, at_ms - REACH_MS, at_ms + 1, live)
        if not begins:
            earlier = _newest(before, lead, by_itself=True)
            if earlier is None:
                return lead, shown_ms
            lead, shown_ms = earlier, earlier.wall
        if begins or await self._leads.drops(named, lead):
            lead = _newest(before, lead, by_itself=False) or lead
        return lead, shown_ms


def _newest(found: Sequence[Run], below: Run, *, by_itself: bool) -> Run | None:
    """Of the session of a row, the newest before it, or the newest that can be decoded by itself;
    as runs of one."""
    for run in reversed(found):
        if run.epoch != below.epoch:
            return None
        for index in range(run.stop - 1, run.start - 1, -1):
            if run.table.msn[index] < below.first_msn and (
                _begins_by_itself(run, index) or not by_itself
            ):
                return run.cut(index, index + 1)
    return None


def _begins_by_itself(run: Run, index: int) -> bool:
    return bool(run.table.flags[index] & (INDEPENDENT | GAP))
