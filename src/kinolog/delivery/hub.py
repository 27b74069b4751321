"""The hub: the streams that this process follows, over one tail consumer.

A stream is joined at its first request: the index says where its window begins, a random reader
reads that part of the past, and the tail goes on from there without gap or repeat. Requests
create no Kafka consumer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import KinologError
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel, place_of
from kinolog.delivery.start import Start, find_start
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.decode import to_record
from kinolog.log.random_reader import RandomReader
from kinolog.log.tail_reader import Batch, Place, TailReader
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import Placement, StreamEntry

IDLE_S = 300.0
"""A stream that nobody asked for in so long is followed no more."""

_SWEEP_S = 1.0
_log = get_logger("kinolog.edge")


@dataclass(slots=True)
class _Partition:
    """A partition that is followed: how far, and for whom (by record key)."""

    position: int
    channels: dict[str, list[Channel]] = field(default_factory=dict)


class Hub:
    """Channels by stream name. `open` starts the tail; `close` ends it."""

    def __init__(
        self, settings: KafkaSettings, catalog: Catalog, reader: RandomReader, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._reader = reader
        self._clock = clock
        self._channels: dict[StreamName, Channel] = {}
        self._joining: dict[StreamName, asyncio.Task[Channel | None]] = {}
        self._partitions: dict[Place, _Partition] = {}
        self._moves: dict[Channel, asyncio.Task[None]] = {}
        self._tail = TailReader(settings, to_record, self._deliver, on_problem=_report)
        self._in_doubt: set[StreamName] = set()
        """Streams of which nothing is passed over at the next join."""
        self._unwatch = catalog.registry.watch(self._registry_changed)
        self._sweeper = asyncio.create_task(self._sweep())

    @property
    def channels(self) -> dict[StreamName, Channel]:
        """The streams that are followed now."""
        return self._channels

    def channel(self, name: StreamName) -> Channel | None:
        """The stream if it is followed already: the way of nearly every request."""
        return self._channels.get(name)

    async def join(self, name: StreamName) -> Channel | None:
        """The stream, followed from now on; None where there is none of that name."""
        found = self._channels.get(name)
        if found is not None:
            return found
        entry = self._catalog.registry.streams.get(name)
        if entry is None:
            return None
        task = self._joining.get(name)
        if task is None:
            task = asyncio.create_task(self._join(name, entry))
            self._joining[name] = task
            task.add_done_callback(lambda _: self._joining.pop(name, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Stop following; waiting requests are answered."""
        self._unwatch()
        self._sweeper.cancel()
        for task in (*self._joining.values(), *self._moves.values()):
            task.cancel()
        for channel in self._channels.values():
            channel.close()
        await self._tail.close()

    async def _join(self, name: StreamName, entry: StreamEntry) -> Channel:
        channel = Channel(name, self._clock)
        try:
            await self._read_window(channel, entry)
        except BaseException:
            self._leave(channel)
            raise
        self._channels[name] = channel
        if self._check(channel):
            return await self._join(name, entry)  # this time all is read
        self._in_doubt.discard(name)
        self._look_for_move(channel)
        _log.info("following", stream=str(name), state=channel.live.state)
        return channel

    async def _read_window(self, channel: Channel, entry: StreamEntry) -> None:
        starts: dict[Place, tuple[Start, int]] = {}
        for placement in reversed(entry.placements):
            place = place_of(placement)
            if place in starts:
                continue
            start, _ = starts[place] = await self._hold(channel, placement)
            # Back in a place where it was before, what lies between is in the others.
            here = start.session is None or start.session.epoch >= placement.from_epoch
            if start.covered and here:
                break
        sessions = [start.session for start, _ in starts.values() if start.session is not None]
        if sessions:
            channel.begin(min(sessions, key=lambda session: session.epoch))
        oldest = min((session.epoch for session in sessions), default=0)
        await self._follow(channel, starts, oldest)
        await self._stop_if_over(channel)

    async def _stop_if_over(self, channel: Channel) -> None:
        """Stop a session whose close was deleted, by the retention, say: nothing in the log tells
        any more that it is over."""
        entry = self._catalog.registry.epochs.get(channel.name, {}).get(channel.live.epoch)
        if entry is None or entry.state == "live" or channel.live.state != "live":
            return
        low, _ = await self._reader.bounds(*place_of(entry))
        if 0 <= entry.close_offset < low and channel.live.epoch == entry.epoch:
            channel.stop(entry)

    def _check(self, channel: Channel) -> bool:
        """Leave a channel that missed something; whoever asks next joins the stream anew, and
        passes over nothing. Whether it is left."""
        newest = self._catalog.registry.newest_epoch(channel.name)
        if newest is not None:
            channel.heard(newest)
        if not channel.missed(newest):
            return False
        _log.info("joined anew", stream=str(channel.name))
        self._in_doubt.add(channel.name)
        self._leave(channel)
        return True

    async def _start(self, name: StreamName, placement: Placement) -> Start:
        known = self._catalog.registry.epochs.get(name, {})
        entry = self._catalog.registry.streams.get(name)
        first_epoch = entry.placements[0].from_epoch if entry is not None else 0
        now_ms = self._clock.unix_ms()
        doubt = name in self._in_doubt
        return await find_start(
            self._reader, name, placement, known, now_ms, first_epoch, in_doubt=doubt
        )

    async def _follow(
        self, channel: Channel, starts: Mapping[Place, tuple[Start, int]], begun: int
    ) -> None:
        """Add places that are held to the channel: their past up to the tail, then the tail.
        `begun`: the epoch that the channel has begun with."""
        pasts: dict[Place, list[LogRecord]] = {}
        for place, (start, tail) in starts.items():
            # A session that the channel has not begun with is begun by its open record.
            offset = start.offset
            if start.session is not None and start.session.epoch > begun:
                offset = min(offset, start.session.open_offset)
            end = tail
            if start.over is not None and channel.name not in self._in_doubt:
                end = min(tail, start.over)
                channel.pass_over(place, range(end, tail))
            pasts[place] = await self._reader.read(*place, offset, end, channel.name.name)
        channel.release(pasts)

    async def _hold(self, channel: Channel, placement: Placement) -> tuple[Start, int]:
        """Follow a place's tail for the channel, and hold back what it brings; where to begin
        reading, and from where on the tail brings it. In this order: of what the log held before
        the tail, the index that is read then tells the sessions."""
        place = place_of(placement)
        partition = self._partitions.get(place)
        if partition is None:
            _, end = await self._reader.bounds(*place)
            partition = self._partitions.get(place)  # somebody else may have come first
            if partition is None:
                partition = self._partitions[place] = _Partition(end)
                self._tail.add(*place, end)
        partition.channels.setdefault(channel.name.name, []).append(channel)
        channel.hold(place)
        end = partition.position
        return await self._start(channel.name, placement), end

    def _look_for_move(self, channel: Channel) -> None:
        """Follow a stream to where it has moved. One task a channel: the registry's entry changes
        for other reasons too, and a place that is being added must not be added twice."""
        if channel not in self._moves and self._new_places(channel):
            self._moves[channel] = asyncio.create_task(self._move(channel))

    async def _move(self, channel: Channel) -> None:
        try:
            while placements := self._new_places(channel):
                starts = {
                    place: await self._hold(channel, placement)
                    for place, placement in placements.items()
                }
                await self._follow(channel, starts, 0)
                if self._check(channel):
                    return
        except Exception as error:
            # Whoever asks next joins the stream anew, in all its places.
            if isinstance(error, KinologError):
                _log.warning("move not followed", stream=str(channel.name), error=str(error))
            else:
                _log.exception("move not followed", stream=str(channel.name))
            if self._channels.get(channel.name) is channel:
                self._leave(channel)
        finally:
            self._moves.pop(channel, None)

    def _new_places(self, channel: Channel) -> dict[Place, Placement]:
        """Where the stream has moved to since the newest place that is followed."""
        entry = self._catalog.registry.streams.get(channel.name)
        found: dict[Place, Placement] = {}
        for placement in reversed(entry.placements if entry is not None else ()):
            place = place_of(placement)
            if place in channel.places:
                break
            found.setdefault(place, placement)
        return found

    def _deliver(self, batches: Sequence[Batch[LogRecord]]) -> None:
        for batch in batches:
            partition = self._partitions.get(batch.place)
            if partition is None:
                continue
            channels = partition.channels
            for record in batch.records:
                for channel in tuple(channels.get(record.key, ())):
                    try:
                        channel.take(batch.place, record)
                        if channel.lost:
                            self._check(channel)
                    except Exception:
                        # Other streams, and other collections, are in this batch too.
                        self._give_up(channel)
            partition.position = max(partition.position, batch.position)

    def _registry_changed(self, key: str, entry: msgspec.Struct | None) -> None:
        """A followed stream has moved to another partition, has a new epoch, or is gone."""
        parts = key.split("/")
        channel = self._channels.get(StreamName(*parts[:2])) if len(parts) > 1 else None
        if channel is None:
            return
        if len(parts) == 3:
            self._check(channel)
            return
        if not isinstance(entry, StreamEntry):
            self._leave(channel)
            return
        self._look_for_move(channel)

    def _leave(self, channel: Channel) -> None:
        self._channels.pop(channel.name, None)
        moving = self._moves.pop(channel, None)
        if moving is not None:
            moving.cancel()
        channel.close()
        for place in channel.places:
            partition = self._partitions[place]
            of_key = partition.channels[channel.name.name]
            of_key.remove(channel)
            if not of_key:
                del partition.channels[channel.name.name]
            if not partition.channels:
                del self._partitions[place]
                self._tail.remove(*place)

    def _give_up(self, channel: Channel) -> None:
        """Leave a stream at an exception of its own; whoever asks next joins it anew."""
        _log.exception("stream left", stream=str(channel.name))
        self._leave(channel)

    async def _sweep(self) -> None:
        """Once a second: what waits for too long goes on or is answered, idle streams are left."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = self._clock.monotonic()
            for channel in list(self._channels.values()):
                try:
                    channel.go_on(now)
                except Exception:
                    self._give_up(channel)
                    continue
                channel.expire(now)
                if not channel.busy and now - channel.asked_at > IDLE_S:
                    self._leave(channel)


def _report(problem: KinologError) -> None:
    _log.warning("kafka", problem=str(problem))
