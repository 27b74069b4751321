"""A stream that is over is read up to its close, however much its neighbours wrote since; and what
opened behind that, told to the registry or not, is found."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from desk_kit import AAC, AAC_FRAME, FRAME, VIDEO, Desk, both, opened, sound, video

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.hub import Hub
from kinolog.ingest.desk import Ticket
from kinolog.ingest.epoch import EpochOpener
from kinolog.ingest.past import Place
from kinolog.ingest.services import Request
from kinolog.ingest.source import Expect, Format
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter, Target
from kinolog.record.control import encode_value
from kinolog.record.header import VERSION, Header
from kinolog.record.registry import EpochEntry

pytestmark = pytest.mark.cluster

HOUR_MS = 3_600_000


class Noting(RandomReader):
    """Notes the offsets that it reads of media topics."""

    def __init__(self, settings: KafkaSettings, size: int = 4) -> None:
        super().__init__(settings, size)
        self.media: set[int] = set()

    async def read_raw(
        self,
        topic: str,
        partition: int,
        start: int,
        end: int,
        key: str | None = None,
        about_bytes: int = 0,
        track: str = "",
    ) -> list[Any]:
        if topic.endswith(".media"):
            self.media |= set(range(start, end))
        return await super().read_raw(topic, partition, start, end, key, about_bytes, track)


class HoldingWriter(LogWriter):
    """Holds up session entries while `free` is not set."""

    def __init__(self, settings: KafkaSettings) -> None:
        super().__init__(settings)
        self.free, self.held = asyncio.Event(), asyncio.Event()
        self.free.set()

    async def append(
        self, target: Target, header: Header | None, value: bytes, timestamp_ms: int
    ) -> int:
        if value.startswith(b'{"entry":"session"'):
            self.held.set()
            await self.free.wait()
        return await super().append(target, header, value, timestamp_ms)


class Stage:
    """A stream and its neighbour in one partition, an hour ago; `now` is the present again."""

    def __init__(self, bootstrap: str, desk: Desk, name: StreamName) -> None:
        self.bootstrap, self.desk, self.name = bootstrap, desk, name

    async def publish(self, *, told: bool = True) -> Ticket:
        """A session of two seconds that is open. `told`: to the registry."""
        ticket = await self.desk.publish(str(self.name), f"test 10.0.0.{len(self.known)}:1")
        if not told:
            ticket.session._opener.announcer.announce = lambda _: None  # type: ignore[method-assign]
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 60)])
        return ticket

    async def neighbour(self) -> range:
        """The media offsets of a neighbour's session."""
        before = await self.end()
        ticket = await self.desk.publish(f"{self.name.collection}/neighbour")
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 60)])
        await ticket.close("done")
        return range(before, await self.end())

    def now(self) -> None:
        self.desk.clock.now_ms = None

    async def end(self) -> int:
        return (await self.desk.reader.bounds(self.place.media, self.place.partition))[1]

    async def append(self, kind: Any, epoch: int, value: bytes = b"") -> int:
        """A record that nobody else is told of."""
        target = Target(self.place.media, self.place.partition, self.name.name.encode())
        return await self.desk.writer.append(target, Header(VERSION, kind, epoch), value, epoch)

    @property
    def place(self) -> Place:
        return Place.of(self.desk.catalog.registry.streams[self.name].placements[-1])

    @property
    def known(self) -> dict[int, EpochEntry]:
        return self.desk.catalog.registry.epochs.get(self.name, {})

    @property
    def newest(self) -> EpochEntry:
        return self.known[max(self.known)]

    @asynccontextmanager
    async def hub(self) -> AsyncIterator[tuple[Hub, Noting]]:
        settings = KafkaSettings(self.bootstrap)
        reader = Noting(settings)
        hub = Hub(settings, self.desk.catalog, reader, SystemClock())
        try:
            yield hub, reader
        finally:
            await hub.close()
            await reader.close()

    async def joined(self, hub: Hub) -> Channel:
        channel = await hub.join(self.name)
        assert channel is not None
        return channel


Run = Callable[[str, Callable[[Stage], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(one_broker: str) -> Run:
    """Runs a test with a stage in a collection of this name, of one partition."""

    def runner(collection: str, test: Callable[[Stage], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with opened(one_broker, 100, writing=HoldingWriter, reading=Noting) as desk:
                wanted = msgspec.structs.replace(
                    desk.catalog.defaults(1), partitions=1, max_partitions=1
                )
                await desk.catalog.create(collection, wanted)
                desk.clock.now_ms = SystemClock().unix_ms() - HOUR_MS
                await test(Stage(one_broker, desk, StreamName(collection, "cam")))

        asyncio.run(main())

    return runner


async def until(ask: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not ask():  # noqa: ASYNC110 - the log and the registry tell it
            await asyncio.sleep(0.02)


def pictures(channel: Channel) -> list[int]:
    """Epochs of the segments that are listed."""
    version = channel.live.tracks["video"].version
    return [segment.epoch for segment in version.segments] if version is not None else []


def test_joining_it_reads_nothing_of_what_came_since(run: Run) -> None:
    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        await until(lambda: stage.newest.state == "ended")
        since = await stage.neighbour()
        async with stage.hub() as (hub, reader):
            channel = await stage.joined(hub)
            assert not reader.media & set(since)
            assert channel.live.state == "ended"
            shown = pictures(channel)
            assert shown

            # It comes back, and the tail goes on from there.
            again = await stage.publish()
            await again.close("done")
            await until(lambda: channel.live.epoch == stage.newest.epoch)
            await until(lambda: channel.live.state != "live")
            assert hub.channel(stage.name) is channel
            assert pictures(channel)[: len(shown)] == shown
            assert set(pictures(channel)) == set(stage.known)
            assert not reader.media & set(since)

    run("over-join", test)


def test_publishing_to_it_reads_nothing_of_what_came_since(run: Run) -> None:
    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        await until(lambda: stage.newest.state == "ended")
        since = await stage.neighbour()
        stage.now()
        reader = stage.desk.reader
        assert isinstance(reader, Noting)
        reader.media.clear()
        again = await stage.publish()
        assert reader.media
        assert not reader.media & set(since)
        await again.close("done")
        first, second = (await stage.desk.read(str(stage.name))).epochs
        msns = [h.msn for e in (first, second) for h in e.tracks["video"].headers]
        assert sorted(set(msns)) == list(range(msns[-1] + 1))
        assert msns == sorted(msns)
        assert {h.disc for h in second.tracks["video"].headers} == {1}

    run("over-publish", test)


def test_joining_it_passes_over_what_lies_before_its_end(run: Run) -> None:
    """The end comes minutes after the close."""

    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        for task in stage.desk.desk._endings.values():
            task.cancel()
        between = await stage.neighbour()
        opener = EpochOpener(stage.desk.desk._services, Request(stage.name, ""))
        await opener.end(stage.newest.epoch, stage.place)
        await until(lambda: stage.newest.state == "ended")
        assert stage.newest.close_offset < between.start < stage.newest.end_offset
        async with stage.hub() as (hub, reader):
            assert (await stage.joined(hub)).live.state == "ended"
            assert not reader.media & set(between)

    run("over-end", test)


def test_joining_it_reads_the_window_alone_where_a_track_died_early(run: Run) -> None:
    """Its torn segment is indexed at the close, after the window's."""

    async def test(stage: Stage) -> None:
        ticket = await stage.desk.publish(str(stage.name))
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *both(150)])
        for second in range(5, 200):
            await ticket.feed(video(second * 30 * FRAME, 30))
        await ticket.close("done")
        await until(lambda: stage.newest.close_offset >= 0)
        async with stage.hub() as (hub, reader):
            channel = await stage.joined(hub)
            version = channel.live.tracks["video"].version
            assert version is not None
            assert len(version.segments) >= 15
            records = stage.newest.close_offset - stage.newest.open_offset
            # The longest window that there can be, of the 200 s.
            assert len(reader.media) < records * 140 / 200

    run("over-dead-track", test)


def test_a_first_segment_that_is_in_progress_is_not_missed(run: Run) -> None:
    """The other track's is indexed already, and began after it."""

    async def test(stage: Stage) -> None:
        ticket = await stage.desk.publish(str(stage.name))
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *video(0, 30)])
        await until(lambda: not ticket.session.unacked_bytes)
        await ticket.feed(sound(0, 5 * 48_000 // AAC_FRAME))
        await until(lambda: not ticket.session.unacked_bytes)
        async with stage.hub() as (hub, _):
            channel = await stage.joined(hub)
            assert channel.live.tracks["audio"].segments, "indexed"
            await ticket.feed(video(30 * FRAME, 90))
            await ticket.close("done")
            await until(lambda: channel.live.state != "live")
            first = channel.live.tracks["video"].segments[0]
            assert (first.msn, first.gap, first.independent) == (0, False, True)
            assert first.duration_ticks == 60 * FRAME

    run("over-young", test)


def test_a_session_that_the_registry_was_not_told_of_is_found(run: Run) -> None:
    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        await until(lambda: stage.newest.state == "ended")
        await stage.neighbour()
        await (await stage.publish(told=False)).close("done")
        await stage.neighbour()
        assert len(stage.known) == 1
        async with stage.hub() as (hub, _):
            assert len(set(pictures(await stage.joined(hub)))) == 2

        stage.now()
        await (await stage.publish()).close("done")
        epochs = (await stage.desk.read(str(stage.name))).epochs
        discs = [{h.disc for h in e.tracks["video"].headers} for e in epochs]
        assert discs == [{0}, {1}, {2}]
        msns = [h.msn for e in epochs for h in e.tracks["video"].headers]
        assert msns == sorted(msns)

    run("over-untold", test)


def test_an_open_of_a_clock_that_is_ahead_makes_ours_void(run: Run) -> None:
    """It has no index entry yet, and the registry knows nothing of it."""

    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        await until(lambda: stage.newest.state == "ended")
        ahead = SystemClock().unix_ms() + HOUR_MS
        await stage.append("open", ahead, encode_value(stage.newest.open))
        await stage.neighbour()
        stage.now()
        again = await stage.publish()
        assert again.session.epoch == ahead + 1
        await again.close("done")
        epochs = (await stage.desk.read(str(stage.name))).epochs
        assert len(epochs[-1].tracks["video"].samples) == 60

    run("over-ahead", test)


def test_one_that_opens_while_the_stream_is_joined_is_shown(run: Run) -> None:
    """Its open is passed over; its chunks come by the tail, and say so."""

    async def test(stage: Stage) -> None:
        writer = stage.desk.writer
        assert isinstance(writer, HoldingWriter)
        await (await stage.publish()).close("done")
        await until(lambda: stage.newest.close_offset >= 0)
        writer.free.clear()
        writer.held.clear()
        opening = asyncio.create_task(stage.publish(told=False))
        await writer.held.wait()
        async with stage.hub() as (hub, _):
            blind = await stage.joined(hub)
            assert blind.live.epoch == stage.newest.epoch
            writer.free.set()
            ticket = await opening
            await until(lambda: hub.channel(stage.name) is None)
            channel = await stage.joined(hub)
            epoch = ticket.session.epoch
            assert channel.live.epoch == epoch
            await ticket.feed(video(60 * FRAME, 60))
            await until(lambda: ticket.session.unacked_bytes == 0)
            await ticket.close("done")
            await until(lambda: channel.live.state != "live")
            assert epoch in pictures(channel)
            assert hub.channel(stage.name) is channel

    run("over-opening", test)


def test_an_end_that_the_registry_is_told_of_late_is_shown(run: Run) -> None:
    async def test(stage: Stage) -> None:
        await (await stage.publish()).close("done")
        for task in stage.desk.desk._endings.values():
            task.cancel()
        entry = stage.newest
        offset = await stage.append("end", entry.epoch)
        await stage.neighbour()
        async with stage.hub() as (hub, _):
            assert (await stage.joined(hub)).live.state == "away"
            await stage.desk.catalog.registry.change_epoch(
                stage.name,
                entry.epoch,
                lambda e: e and msgspec.structs.replace(e, state="ended", end_offset=offset),
            )
            assert (await stage.joined(hub)).live.state == "ended"

    run("over-late-end", test)
