"""Publishers' edge cases (DESIGN.md section 3), row by row, through the desk into a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from desk_kit import (
    AAC,
    AAC_FRAME,
    FRAME,
    PICTURES,
    VIDEO,
    WIDE,
    WIDE_PICTURES,
    Desk,
    KeptSample,
    both,
    opened,
    sound,
    video,
)

from kinolog.core.clock import SystemClock
from kinolog.core.errors import Refused, Replaced, UnsupportedCodec
from kinolog.core.names import StreamName
from kinolog.ingest.desk import REFUSED_S
from kinolog.ingest.source import Expect, Format, Skipped
from kinolog.media.types import Packet, TrackFormat

pytestmark = pytest.mark.cluster

Run = Callable[[Callable[[Desk], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def run(one_broker: str) -> Run:
    """Runs a test's coroutine with a desk."""

    def runner(test: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with opened(one_broker) as desk:
                await test(desk)

        asyncio.run(main())

    return runner


def steps(samples: list[KeptSample]) -> set[int]:
    """The distances of neighbours' DTS."""
    return {b.dts - a.dts for a, b in pairwise(samples)}


def test_the_newest_publisher_wins_and_the_older_waits(run: Run) -> None:
    async def test(desk: Desk) -> None:
        name = "edge/fight"
        older = await desk.publish(name, "rtmp 10.0.0.1:1 OBS: 31", sender="rtmp 10.0.0.1")
        await older.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        newer = await desk.publish(name, "rtmp 10.0.0.2:1 OBS: 31", sender="rtmp 10.0.0.2")
        with pytest.raises(Replaced, match="replaced by a newer publisher"):
            await older.feed(video(30 * FRAME, 1))
        await older.close("replaced")
        with pytest.raises(Refused, match="10 s more"):
            await desk.publish(name, "rtmp 10.0.0.1:2 OBS: 31", sender="rtmp 10.0.0.1")
        await newer.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        desk.clock.monotonic_s += REFUSED_S + 1
        again = await desk.publish(name, "rtmp 10.0.0.1:3 OBS: 31", sender="rtmp 10.0.0.1")
        with pytest.raises(Replaced):
            await newer.feed(video(30 * FRAME, 1))
        await newer.close("replaced")
        await again.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        await again.close("done")
        kept = await desk.read(name)
        assert [len(e.tracks["video"].samples) for e in kept.epochs] == [30, 30, 30]
        assert [e.open.publisher.split()[1] for e in kept.epochs] == [
            "10.0.0.1:1", "10.0.0.2:1", "10.0.0.1:3"
        ]  # fmt: skip
        headers = [h for e in kept.epochs for h in e.tracks["video"].headers]
        assert [h.disc for h in headers] == sorted(h.disc for h in headers)
        assert [h.msn for h in headers] == sorted(h.msn for h in headers)

    run(test)


def test_video_waits_for_a_keyframe_and_sound_for_video(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/late-key")
        packets = [p for p in both(60) if isinstance(p, Packet)]
        # Joined in the middle of a GOP: the first keyframe is the 16th picture.
        joined = [p for p in packets if p.track == 1 or p.dts >= 5 * FRAME]
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *joined])
        await ticket.close("done")
        (epoch,) = (await desk.read("edge/late-key")).epochs
        pictures, frames = epoch.tracks["video"].samples, epoch.tracks["audio"].samples
        assert len(pictures) == 60 - 15
        assert pictures[0].sync
        expected = [p for p in packets if p.track == 1 and p.dts / 48_000 >= 15 / 30]
        assert [f.data for f in frames] == [p.data for p in expected]

    run(test)


def test_the_same_parameter_sets_again_change_nothing(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/same")
        again = Format(0, TrackFormat("h264", 90_000, bytes(VIDEO.extradata), 64, 64))
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        await ticket.feed([again, *video(30 * FRAME, 30)])
        await ticket.close("done")
        epoch = (await desk.read("edge/same")).only()
        assert len(epoch.tracks["video"].samples) == 60

    run(test)


def test_other_parameter_sets_open_a_new_epoch(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/changed")
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        await ticket.feed([Format(0, WIDE), *video(30 * FRAME, 30, WIDE_PICTURES)])
        await ticket.close("done")
        first, second = (await desk.read("edge/changed")).epochs
        assert first.open.session == second.open.session
        assert [e.open.tracks[0].width for e in (first, second)] == [64, 128]
        before, after = first.tracks["video"].samples, second.tracks["video"].samples
        assert (len(before), len(after)) == (30, 30)
        assert after[0].dts - before[-1].dts == FRAME  # one time line
        disc = [e.tracks["video"].headers[0].disc for e in (first, second)]
        assert disc[1] == disc[0] + 1

    run(test)


def test_a_late_track_opens_a_new_epoch(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/late-track")
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 45)])
        rest = [p for p in both(90) if isinstance(p, Packet)]
        late = [p for p in rest if p.dts / (90_000 if p.track == 0 else 48_000) >= 1.5]
        await ticket.feed([Format(1, AAC), *late])
        await ticket.close("done")
        first, second = (await desk.read("edge/late-track")).epochs
        assert (list(first.tracks), list(second.tracks)) == (["video"], ["video", "audio"])
        assert len(first.tracks["video"].samples) + len(second.tracks["video"].samples) == 90
        assert len(second.tracks["audio"].samples) == sum(p.track == 1 for p in late)

    run(test)


@pytest.mark.parametrize("jump", [90_000 * 3, -90_000 * 3, 90_000 * 86_400])
def test_a_jump_of_time_stamps_opens_a_new_epoch(jump: int, run: Run) -> None:
    async def test(desk: Desk) -> None:
        name = f"edge/jump{jump}"
        ticket = await desk.publish(name)
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(90_000 * 10, 30)])
        await ticket.feed(video(90_000 * 10 + 30 * FRAME + jump, 30))
        await ticket.close("done")
        first, second = (await desk.read(name)).epochs
        assert first.closed == "time stamps jumped"
        for epoch in (first, second):
            samples = epoch.tracks["video"].samples
            assert len(samples) == 30
            assert steps(samples) == {FRAME}

    run(test)


def test_a_source_whose_clock_is_off_for_long_gets_one_new_epoch(run: Run) -> None:
    """Half a second a batch; after 5 s every packet is 3 s late by ingest's clock, for good."""

    async def test(desk: Desk) -> None:
        start_ms = SystemClock().unix_ms()
        ticket = await desk.publish("edge/late")
        desk.clock.now_ms = start_ms
        await ticket.feed([Expect(1), Format(0, VIDEO)])
        for batch in range(60):
            media_ms = batch * 500
            desk.clock.now_ms = start_ms + media_ms + (3_000 if media_ms >= 5_000 else 0)
            await ticket.feed(video(media_ms * 90, 15))
        await ticket.close("done")
        first, second = (await desk.read("edge/late")).epochs
        assert first.closed == "the source's clock is over a second off"
        samples = [epoch.tracks["video"].samples for epoch in (first, second)]
        assert sum(map(len, samples)) == 900
        assert all(steps(one) == {FRAME} for one in samples)

    run(test)


def test_small_backward_steps_are_clamped_and_counted(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/clamped")
        await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
        await ticket.feed(video(30 * FRAME - 20_000, 30, first=0))
        session = ticket.session
        gate = session._gate
        await ticket.close("done")
        samples = (await desk.read("edge/clamped")).only().tracks["video"].samples
        assert len(samples) == 60
        assert all(step > 0 for step in steps(samples))
        assert [s.data for s in samples] == [data for _, data in [*PICTURES, *PICTURES]]
        assert gate is not None
        assert gate.clamped == 6  # as many as are at or before the newest before them

    run(test)


def test_an_unsupported_track_is_named_and_skipped(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/skipped")
        await ticket.feed([Expect(2), Skipped(1, "Speex"), Format(0, VIDEO), *video(0, 30)])
        await ticket.close("done")
        assert ticket.session.skipped == {1: "Speex"}
        epoch = (await desk.read("edge/skipped")).only()
        assert list(epoch.tracks) == ["video"]
        assert len(epoch.tracks["video"].samples) == 30

    run(test)


def test_an_unsupported_track_alone_is_refused(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/refused")
        with pytest.raises(UnsupportedCodec, match="VP6"):
            await ticket.feed([Expect(1), Skipped(0, "VP6")])
        await ticket.close("refused")
        assert StreamName("edge", "refused") not in desk.catalog.registry.streams

    run(test)


def test_an_unsupported_track_alone_is_refused_where_none_was_announced(run: Run) -> None:
    """RTMP without onMetaData: it is waited for others, and not for ever."""

    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/refused-later")
        await ticket.feed([Skipped(0, "VP6")])
        desk.clock.monotonic_s += 4.9
        await ticket.feed([])
        desk.clock.monotonic_s += 0.2
        with pytest.raises(UnsupportedCodec, match="VP6"):
            await ticket.feed([])
        await ticket.close("refused")
        ticket = await desk.publish("edge/refused-not")
        await ticket.feed([Skipped(0, "VP6")])
        desk.clock.monotonic_s += 4.9
        await ticket.feed([Format(1, AAC), *sound(0, 100)])
        desk.clock.monotonic_s += 60
        await ticket.feed(sound(100 * AAC_FRAME, 100))
        await ticket.close("done")
        assert list((await desk.read("edge/refused-not")).only().tracks) == ["audio"]

    run(test)


@pytest.mark.parametrize(("waited_ms", "dated_ms"), [(0, 0), (300, 300), (5_000, 1_000)])
def test_a_live_session_begins_when_its_first_packet_came(
    waited_ms: int, dated_ms: int, run: Run
) -> None:
    """Not when its tracks had been gathered; nor before that by more than gathering takes."""

    async def test(desk: Desk) -> None:
        name = f"edge/dated-{waited_ms}"
        ticket = await desk.publish(name)
        desk.clock.now_ms = begun_ms = SystemClock().unix_ms()
        await ticket.feed([Format(0, VIDEO), *video(0, 1)])
        desk.clock.now_ms += waited_ms
        await ticket.feed([Format(1, AAC), Expect(2), *sound(0, 1)])
        await ticket.close("done")
        first = (await desk.read(name)).only().tracks["video"].samples[0]
        assert first.dts == 90 * (begun_ms + waited_ms - dated_ms)

    run(test)


def test_gone_closes_and_only_the_grace_ends(one_broker: str) -> None:
    async def main() -> None:
        name = "edge/gone"
        async with opened(one_broker) as desk:
            ticket = await desk.publish(name)
            await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
            await ticket.close("the publisher disconnected")
            kept = await desk.read(name)
            assert kept.epochs[-1].closed == "the publisher disconnected"
            assert not kept.ended
        async with opened(one_broker, end_grace_ms=100) as desk:
            ticket = await desk.publish(name)
            await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 30)])
            await ticket.close("gone again")
            async with asyncio.timeout(20):
                while not (await desk.read(name)).ended:  # noqa: ASYNC110 - it is in the log
                    await asyncio.sleep(0.05)
            assert len((await desk.read(name)).epochs) == 2

    asyncio.run(main())


def test_more_streams_than_partitions_make_more_partitions(run: Run) -> None:
    async def test(desk: Desk) -> None:
        names = [f"crowd/camera-{number}" for number in range(7)]
        for name in names:
            ticket = await desk.publish(name)
            await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, 15)])
            await ticket.close("done")
        places = set()
        for name in names:
            kept = await desk.read(name)
            assert len(kept.only().tracks["video"].samples) == 15
            places.add(kept.entry.placements[0].partition)
        assert places == set(range(7))

    run(test)
