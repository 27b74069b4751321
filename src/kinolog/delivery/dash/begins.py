"""Where the stretch began whose segments are listed: told by the index where it left the window."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from kinolog.delivery.channel import Channel
from kinolog.delivery.dash.periods import Begin, unbroken
from kinolog.delivery.history import History, Named
from kinolog.record.table import Table
from kinolog.timeline.extent import TOLERANCE_MS, merged
from kinolog.timeline.window import Run

MOST_KEPT: Final = 64
_BACK_MS: Final = (3_600_000, 86_400_000, 0)
"""How far back is looked for it: most streams began, or broke off, not long ago; 0 for all."""


class _Seen(NamedTuple):
    begin: Begin
    last_msn: int


class Begins:
    """A Period must begin at the same moment in every manifest of a stream."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._kept: WeakKeyDictionary[Channel, OrderedDict[tuple[str, int], _Seen]] = (
            WeakKeyDictionary()
        )

    async def of(
        self, channel: Channel, track: str, first: Run, live: Table, *, known: bool
    ) -> Begin:
        """The begin of the stretch that this run of a track is of. `known`: it is the run's own."""
        kept = self._kept.setdefault(channel, OrderedDict())
        key = (track, first.epoch)
        seen = kept.get(key)
        begin = Begin(first.first_msn, first.table.dts[first.start])
        if seen is not None and seen.begin.msn <= first.first_msn <= seen.last_msn + 1:
            begin = seen.begin
        elif not known:
            begin = await self._look(Named(channel.name, track), first, live) or begin
        kept[key] = _Seen(begin, first.last_msn)
        kept.move_to_end(key)
        while len(kept) > MOST_KEPT:
            kept.popitem(last=False)
        return begin

    async def _look(self, name: Named, first: Run, live: Table) -> Begin | None:
        until = first.wall + 1
        for back_ms in _BACK_MS:
            since = max(0, first.wall - back_ms) if back_ms else 0
            found = await self._history.extents(name, since, until, live)
            of_epoch = [one for one in merged(found, 0) if one.epoch == first.epoch]
            if not of_epoch:
                return None
            start = of_epoch[-1].start
            if start > since + TOLERANCE_MS or not back_ms:
                break
        for run in await self._history.between(name, start, start + 1, live):
            if run.epoch == first.epoch:
                piece = list(unbroken(run))[-1]
                return Begin(piece.first_msn, piece.table.dts[piece.start])
        return None
