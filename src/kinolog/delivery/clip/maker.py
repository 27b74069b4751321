"""Maker: what a clip needs of the index, found and loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.clip import Clip, Loaded, compose
from kinolog.delivery.clip.cut import NoSyncError, sections
from kinolog.delivery.clip.loader import Loader
from kinolog.delivery.history import History
from kinolog.delivery.span import nothing_between
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.table import Row

BACK_MS: Final = (0, 10_000, 60_000, 600_000, 3_600_000)
"""So far before its beginning a clip looks for a segment that can be decoded by itself."""
SOUND_MS: Final = 2_000
"""Sound may be so far from the pictures of its time in the log."""


class ClipMaker:
    """Makes clips from the index alone."""

    def __init__(
        self, reader: RandomReader, history: History, registry: Registry, clock: Clock
    ) -> None:
        self._reader = reader
        self._history = history
        self._registry = registry
        self._clock = clock
        # One thread: what a long clip takes for a while is taken once, whoever asks.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="clips")

    def close(self) -> None:
        """Stop."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def make(
        self, stream: StreamName, channel: Channel | None, start_ms: int, end_ms: int
    ) -> Clip:
        """The clip of [start_ms, end_ms) (Unix ms). `channel`: what of it is live is waited for.

        NotFound where nothing is kept of it, InputError where it is too long (over a day).
        """
        loader = Loader(
            self._reader, self._history, self._registry, self._clock, stream, self._pool
        )
        loaded = await self._load(loader, channel, start_ms, end_ms)
        if loaded is None:
            raise nothing_between(stream, start_ms, end_ms)
        return await loader.work(compose, loader, stream, loaded)

    async def _load(
        self, loader: Loader, channel: Channel | None, start_ms: int, end_ms: int
    ) -> Loaded | None:
        tracks = loader.tracks()
        names = list(tracks)
        for name in names:
            await loader.arrived(channel, name, start_ms, end_ms)
        for name in names:
            # Pictures lead; where there are none, the first sound does.
            if await loader.rows(name, start_ms, end_ms):
                lead = name
                break
        else:
            return None
        if tracks[lead] and next(iter(tracks[lead].values())).kind == "video":
            others = [n for n in names if next(iter(tracks[n].values())).kind == "audio"]
        else:
            others = [n for n in names if n != lead]
        infos = tracks[lead]
        by_sample = next(iter(infos.values())).kind == "audio"
        scales = {epoch: info.timescale for epoch, info in infos.items()}
        for step, back_ms in enumerate(BACK_MS):
            last = step + 1 == len(BACK_MS)
            rows = await loader.rows(lead, start_ms - back_ms, end_ms)
            kept = from_independent(rows, start_ms)
            if kept is None and not last:
                continue
            chosen = kept if kept is not None else rows
            sound = [await loader.rows(n, *_around(chosen, scales)) for n in others]
            columns = await loader.load([chosen, *sound])
            try:
                found = await loader.work(
                    sections,
                    columns[0],
                    scales,
                    start_ms,
                    end_ms,
                    by_sample=by_sample,
                    complete=last,
                )
            except NoSyncError:
                continue
            if not found:
                return None
            return Loaded([infos, *(tracks[n] for n in others)], columns, found)
        raise AssertionError("the last step is complete")


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


def _around(rows: Sequence[Row], scales: Mapping[int, int]) -> tuple[float, float]:
    """When there may be sound of these rows."""
    ends = max(row.wall + 1000 * row.dur / scales[row.epoch] for row in rows)
    return min(row.wall for row in rows) - SOUND_MS, ends + SOUND_MS
