"""Sessions that meet: on two ingests, over a deletion, a retention, a Kafka that holds them up."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from desk_kit import AAC, AAC_FRAME, FRAME, PICTURES, VIDEO, Desk, both, opened, video

from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, InputError, Refused, Replaced
from kinolog.core.names import StreamName
from kinolog.core.timebase import rescale
from kinolog.delivery.hub import Hub
from kinolog.ingest import epoch as epoch_module
from kinolog.ingest import session as session_module
from kinolog.ingest.desk import REFUSED_S, Ticket
from kinolog.ingest.past import Place
from kinolog.ingest.source import Expect, Format, SourceEvent
from kinolog.log.client import KafkaSettings
from kinolog.log.index_reader import newest_indexed
from kinolog.log.writer import Delivered, LogWriter, Target
from kinolog.record.control import SegmentEntry
from kinolog.record.header import Header

pytestmark = pytest.mark.cluster

BEGIN: Sequence[SourceEvent] = [Expect(1), Format(0, VIDEO)]
HOUR_MS = 3_600_000


def two(bootstrap: str, test: Callable[[Desk, Desk], Coroutine[Any, Any, None]]) -> None:
    """Run a test with the desks of two ingests: two processes to each other, by their names."""

    async def main() -> None:
        async with opened(bootstrap) as one, opened(bootstrap) as other:
            await test(one, other)

    asyncio.run(main())


async def until(ask: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not ask():  # noqa: ASYNC110 - the registry tells it
            await asyncio.sleep(0.02)


def has_ended(desk: Desk, name: str) -> bool:
    """Whether the registry was told that the stream is over."""
    newest = desk.catalog.registry.newest_epoch(StreamName.parse(name))
    return newest is not None and newest.state == "ended"


async def segment_entries(desk: Desk, name: str) -> list[SegmentEntry]:
    """All index entries of a stream's segments."""
    stream = StreamName.parse(name)
    place = Place.of(desk.catalog.registry.streams[stream].placements[-1])
    found = await newest_indexed(
        desk.reader, place.index, place.partition, stream.name, lambda _: False
    )
    return [entry for _, entry in found if isinstance(entry, SegmentEntry)]


def test_two_ingests_do_not_fight_for_ever(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(here: Desk, there: Desk) -> None:
        name = "meet/fight"
        older = await here.publish(name, "rtmp 10.0.0.1:1 OBS: 31", sender="rtmp 10.0.0.1")
        await older.feed([*BEGIN, *video(0, 30)])
        newer = await there.publish(name, "rtmp 10.0.0.2:1 OBS: 31", sender="rtmp 10.0.0.2")
        monkeypatch.setattr(epoch_module, "INGEST", "another:1")
        await newer.feed([*BEGIN, *video(0, 30)])
        await until(lambda: older.session._failure)
        with pytest.raises(Replaced):
            await older.feed(video(30 * FRAME, 1))
        await older.close("replaced")
        with pytest.raises(Refused, match="10 s more"):
            await here.publish(name, "rtmp 10.0.0.1:2 OBS: 31", sender="rtmp 10.0.0.1")
        here.clock.monotonic_s += REFUSED_S + 1
        again = await here.publish(name, "rtmp 10.0.0.1:3 OBS: 31", sender="rtmp 10.0.0.1")
        await again.close("done")
        await newer.close("done")

    two(one_broker, test)


class HeldSession(LogWriter):
    """Holds up the session entry, which comes between an open and its first chunk."""

    async def append(
        self, target: Target, header: Header | None, value: bytes, timestamp_ms: int
    ) -> int:
        if value.startswith(b'{"entry":"session"'):
            held.set()
            await released.wait()
        return await super().append(target, header, value, timestamp_ms)


held, released = asyncio.Event(), asyncio.Event()


def test_one_that_is_replaced_while_it_opens_is_told(one_broker: str) -> None:
    async def main() -> None:
        held.clear()
        released.clear()
        name = "meet/opening"
        async with opened(one_broker, writing=HeldSession) as slow, opened(one_broker) as quick:
            loser = await slow.publish(name)
            feeding = asyncio.create_task(loser.feed([*BEGIN, *video(0, 30)]))
            await held.wait()
            winner = await quick.publish(name)
            await winner.feed([*BEGIN, *video(0, 30)])
            stream = StreamName.parse(name)
            await until(lambda: slow.catalog.registry.newest_epoch(stream))
            released.set()
            with pytest.raises(Replaced):
                await feeding
            await loser.close("replaced")
            await winner.close("done")
            kept = await quick.read(name)
            assert [len(e.tracks["video"].samples) for e in kept.epochs] == [0, 30]

    asyncio.run(main())


def test_one_that_is_replaced_while_it_gathers_opens_nothing(one_broker: str) -> None:
    async def test(here: Desk, _: Desk) -> None:
        name = "meet/gathering"
        early = await here.publish(name)
        await early.feed([Format(0, VIDEO), *video(0, 5)])  # more tracks may come yet
        winner = await here.publish(name, "test 10.0.0.2:1")
        await winner.feed([*BEGIN, *video(0, 30)])
        await early.close("replaced")
        await winner.feed(video(30 * FRAME, 30))
        await winner.close("done")
        assert len((await here.read(name)).only().tracks["video"].samples) == 60

    two(one_broker, test)


def test_a_replaced_session_indexes_nothing_behind_its_successor(one_broker: str) -> None:
    """The half-dead connection of an encoder that came back writes what it still held."""

    async def test(here: Desk, there: Desk) -> None:
        name = "meet/zombie"
        older = await here.publish(name)
        await older.feed([*BEGIN, *video(0, 20)])
        await until(lambda: not older.session.unacked_bytes)
        newer = await there.publish(name)
        await newer.feed([*BEGIN, *video(0, 20)])
        await until(lambda: older.session._failure)
        await older.close("gone")
        await newer.close("done")
        names = Counter((e.epoch, e.msn) for e in await segment_entries(there, name))
        assert len(names) == 2
        assert set(names.values()) == {1}

    two(one_broker, test)


def test_a_deleted_stream_ends_its_publisher_and_begins_anew(one_broker: str) -> None:
    async def test(here: Desk, there: Desk) -> None:
        name = "meet/deleted"
        stream = StreamName.parse(name)
        first = await here.publish(name)
        await first.feed([*BEGIN, *video(0, 90)])
        await there.catalog.delete_stream(stream)
        await until(lambda: first.session._failure)
        with pytest.raises(Replaced, match="was deleted"):
            await first.feed(video(90 * FRAME, 1))
        await first.close("deleted")
        await until(lambda: stream not in here.catalog.registry.streams)
        await until(lambda: not here.catalog.registry.epochs.get(stream))

        second = await here.publish(name)
        await second.feed([*BEGIN, *video(0, 90)])
        await second.close("done")
        kept = await here.read(name)
        assert len(kept.epochs) == 1
        # Nor does an edge show anything of the one before.
        hub = Hub(KafkaSettings(one_broker), here.catalog, here.reader, SystemClock())
        try:
            channel = await hub.join(stream)
            assert channel is not None
            shown = channel.live.tracks["video"].version
            assert {segment.epoch for segment in shown.segments} == {kept.epochs[0].number}
        finally:
            await hub.close()

    two(one_broker, test)


def test_media_of_the_future_are_refused(one_broker: str) -> None:
    async def main() -> None:
        async with opened(one_broker) as desk:
            with pytest.raises(InputError, match="is in the future"):
                await desk.publish("meet/later", at_ms=SystemClock().unix_ms() + HOUR_MS)
            assert not desk.desk.sessions

    asyncio.run(main())


def test_what_the_retention_would_delete_at_once_is_refused(one_broker: str) -> None:
    async def test(here: Desk, _: Desk) -> None:
        now_ms = SystemClock().unix_ms()
        ticket = await here.publish("meet/ancient", at_ms=now_ms - 25 * HOUR_MS, live=False)
        with pytest.raises(ConfigError, match="keeps 1d, and") as refused:
            await ticket.feed([*BEGIN, *video(0, 30)])
        assert "--retention" in refused.value.hint
        await ticket.close("refused")
        ticket = await here.publish("meet/yesterday", at_ms=now_ms - 23 * HOUR_MS, live=False)
        await ticket.feed([*BEGIN, *video(0, 30)])
        await ticket.close("done")
        assert len((await here.read("meet/yesterday")).only().tracks["video"].samples) == 30

    two(one_broker, test)


class Stalling(LogWriter):
    """Keeps chunks back while `stalled`, as a Kafka does that is away; in order, none lost."""

    stalled = False
    kept: list[tuple[Any, ...]]

    def send(
        self,
        target: Target,
        header: Header | None,
        value: bytes,
        timestamp_ms: int,
        done: Delivered,
    ) -> None:
        if self.stalled:
            self.kept.append((target, header, value, timestamp_ms, done))
        else:
            super().send(target, header, value, timestamp_ms, done)

    def go_on(self) -> None:
        self.stalled = False
        for words in self.kept:
            super().send(*words)


async def held_up(desk: Desk, ticket: Ticket) -> Stalling:
    """Publish 30 GOPs of 15 pictures, of which Kafka takes two: the rest is dropped."""
    writer = desk.writer
    assert isinstance(writer, Stalling)
    writer.kept = []
    await ticket.feed([*BEGIN, *video(0, 30)])
    writer.stalled = True
    for gop in range(2, 30):
        await ticket.feed(video(gop * 15 * FRAME, 15))
    assert ticket.session._dropping
    return writer


def test_a_live_source_that_is_held_up_for_too_long_loses_whole_gops_and_says_so(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_LIVE_PATIENCE_S", 0.1)

    async def main() -> None:
        async with opened(one_broker, buffer_bytes=4_000, writing=Stalling) as desk:
            ticket = await desk.publish("meet/held-up")
            writer = await held_up(desk, ticket)
            assert ticket.session.unacked_bytes < 20_000
            writer.go_on()
            await until(lambda: ticket.session.unacked_bytes == 0)
            # In the middle of a GOP: the rest of it is lost, too.
            await ticket.feed(video(30 * 15 * FRAME + 7 * FRAME, 8, first=7))
            await ticket.feed(video(31 * 15 * FRAME, 30))
            await ticket.close("done")
            first, second = (await desk.read("meet/held-up")).epochs
        (gap,) = first.gaps
        before, after = first.tracks["video"].samples, second.tracks["video"].samples
        print(f"{len(before)} pictures, a gap of {gap.frames}, {len(after)} pictures")
        assert (first.closed, gap.track) == ("frames were dropped", "video")
        assert len(before) + gap.frames + len(after) == 30 * 15 + 8 + 30
        assert len(before) > 30
        assert after[0].sync
        assert [s.data for s in after] == [data for _, data in PICTURES]
        last = before[-1]
        assert last.dts < gap.from_dts <= last.dts + last.duration
        assert gap.to_dts == after[0].dts

    asyncio.run(main())


def test_no_silence_is_made_for_pictures_that_were_dropped(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_LIVE_PATIENCE_S", 0.1)

    async def main() -> None:
        async with opened(one_broker, buffer_bytes=4_000, writing=Stalling) as desk:
            first = await desk.publish("meet/quiet")
            await first.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *both(30)])
            await first.close("done")
            ticket = await desk.publish("meet/quiet")
            writer = await held_up(desk, ticket)
            writer.go_on()
            await until(lambda: ticket.session.unacked_bytes == 0)
            await ticket.feed(video(31 * 15 * FRAME, 30))
            await ticket.close("done")
            _, before, after = (await desk.read("meet/quiet")).epochs
        assert before.closed == "frames were dropped"
        for epoch in (before, after):
            pictures, quiet = (epoch.tracks[track].samples for track in ("video", "audio"))
            assert epoch.tracks["audio"].info.silence
            assert {b.dts - a.dts for a, b in pairwise(quiet)} == {AAC_FRAME}
            assert quiet[0].dts == rescale(pictures[0].dts, 90_000, 48_000)
            end = rescale(pictures[-1].dts + FRAME, 90_000, 48_000)
            assert 0 <= quiet[-1].dts + AAC_FRAME - end < 2 * AAC_FRAME

    asyncio.run(main())


@pytest.mark.parametrize("jump_s", [0, 60, -60])
def test_what_is_dropped_at_the_end_or_before_a_jump_is_named_in_its_epoch(
    jump_s: int, one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_module, "_LIVE_PATIENCE_S", 0.1)

    async def main() -> None:
        async with opened(one_broker, buffer_bytes=4_000, writing=Stalling) as desk:
            writer, name = desk.writer, f"meet/dropped{jump_s}"
            assert isinstance(writer, Stalling)
            writer.kept = []
            ticket = await desk.publish(name)
            start = 90_000 * 100
            await ticket.feed([*BEGIN, *video(start, 30)])
            writer.stalled = True
            for gop in range(2, 30):
                await ticket.feed(video(start + gop * 15 * FRAME, 15))
            assert ticket.session._dropping
            end = start + 30 * 15 * FRAME
            await ticket.feed(video(end, 7))  # amid a GOP
            writer.go_on()
            if jump_s:
                await ticket.feed(video(end + jump_s * 90_000, 30))
            await ticket.close("done")
            first, *others = (await desk.read(name)).epochs
        (gap,) = first.gaps
        kept = first.tracks["video"].samples
        assert len(kept) + gap.frames == 30 * 15 + 7
        assert gap.from_dts == kept[-1].dts + FRAME
        assert gap.to_dts == gap.from_dts + gap.frames * FRAME
        assert [len(e.tracks["video"].samples) for e in others] == ([30] if jump_s else [])
        assert all(not epoch.gaps for epoch in others)
        assert ticket.session.left_out == gap.frames

    asyncio.run(main())


def test_msns_are_set_aside_before_they_are_used(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Floors of three, so that a short stream goes through several."""
    monkeypatch.setattr(epoch_module, "MSN_STEP", 3)

    async def test(here: Desk, _: Desk) -> None:
        name = StreamName.parse("meet/floor")
        floors: list[tuple[int, int]] = []
        send = LogWriter.send

        def seen(writer: LogWriter, target: Target, header: Header | None, *rest: Any) -> None:
            if header is not None and header.kind == "chunk":
                floors.append((header.msn, here.catalog.registry.streams[name].msn_floor))
            send(writer, target, header, *rest)

        monkeypatch.setattr(LogWriter, "send", seen)
        ticket = await here.publish(str(name))
        await ticket.feed(BEGIN)
        for second in range(30):
            await ticket.feed(video(second * 30 * FRAME, 30))
        await ticket.close("done")
        headers = (await here.read(str(name))).only().tracks["video"].headers
        msns = sorted({header.msn for header in headers})
        assert msns == list(range(len(msns)))
        assert len(msns) > 3 * 3
        assert all(msn < floor for msn, floor in floors)
        # After a loss of everything but the registry, numbering goes on behind all of them.
        assert here.catalog.registry.streams[name].msn_floor > msns[-1]

    two(one_broker, test)


def test_a_stream_whose_ingest_is_gone_is_ended_by_another(one_broker: str) -> None:
    async def main() -> None:
        name = "meet/orphan"
        async with opened(one_broker, end_grace_ms=100) as gone:
            ticket = await gone.publish(name)
            await ticket.feed([*BEGIN, *video(0, 30)])
            await ticket.close("the publisher disconnected")
            await gone.desk.close()  # before the grace is over
            assert not (await gone.read(name)).ended
        async with opened(one_broker) as other:
            await until(lambda: has_ended(other, name))
            assert (await other.read(name)).ended

    asyncio.run(main())


def test_one_that_comes_and_opens_nothing_does_not_keep_the_stream_from_ending(
    one_broker: str,
) -> None:
    async def main() -> None:
        name = "meet/silent"
        async with opened(one_broker, end_grace_ms=100) as desk:
            ticket = await desk.publish(name)
            await ticket.feed([*BEGIN, *video(0, 30)])
            await ticket.close("the publisher disconnected")
            silent = await desk.publish(name)
            await silent.close("nothing was sent")
            await until(lambda: has_ended(desk, name))

    asyncio.run(main())


def test_what_a_crash_left_of_a_stream_that_moves_is_indexed(one_broker: str) -> None:
    """The first session never closes: its last segment has no end but the fence."""

    async def test(here: Desk, there: Desk) -> None:
        name = "meet/crashed"
        stream = StreamName.parse(name)
        crashed = await here.publish(name)
        await crashed.feed([*BEGIN, *video(0, 90)])
        await until(lambda: crashed.session.unacked_bytes == 0)
        partition = here.catalog.registry.streams[stream].placements[0].partition
        moved_ms = SystemClock().unix_ms()
        await there.catalog.move(stream, (partition + 1) % 4, moved_ms)
        await here.desk.close()  # it hears of nothing more
        newer = await there.publish(name)
        await newer.feed([*BEGIN, *video(0, 30)])
        await newer.close("done")
        former = there.catalog.registry.streams[stream].placements[0]
        place = Place.of(former)
        found = await newest_indexed(
            there.reader, place.index, place.partition, stream.name, lambda _: False
        )
        pictures = sum(
            sum(entry.chunk_samples) for _, entry in found if isinstance(entry, SegmentEntry)
        )
        chunks = (await there.read(name)).epochs[0].tracks["video"].samples
        assert pictures == len(chunks) > 60

    two(one_broker, test)


def test_a_stream_that_cannot_be_read_is_left_and_its_neighbours_are_not(one_broker: str) -> None:
    """In one partition, so in one batch of the tail; a defect of one stream's reading."""

    async def test(here: Desk, _: Desk) -> None:
        wanted = here.catalog.defaults(1)
        await here.catalog.create(
            "neighbours", msgspec.structs.replace(wanted, partitions=1, max_partitions=1)
        )
        names = [StreamName("neighbours", name) for name in ("bad", "good")]
        tickets = [await here.publish(str(name)) for name in names]
        for ticket in tickets:
            await ticket.feed([*BEGIN, *video(0, 30)])
        hub = Hub(KafkaSettings(one_broker), here.catalog, here.reader, SystemClock())
        try:
            bad, good = [await hub.join(name) for name in names]
            assert bad is not None
            assert good is not None

            def broken(*_: object) -> None:
                raise ZeroDivisionError

            bad.take = broken  # type: ignore[method-assign]
            for ticket in tickets:
                await ticket.feed(video(30 * FRAME, 90))
            await until(lambda: good.live.tracks["video"].version.last.msn >= 1)
            assert hub.channel(names[0]) is None
            assert hub.channel(names[1]) is good
        finally:
            await hub.close()
            for ticket in tickets:
                await ticket.close("done")

    two(one_broker, test)
