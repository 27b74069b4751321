"""Publishers' edge cases (DESIGN.md section 3), row by row, through the desk into a real broker."""

from __future__ import annotations

import asyncio
import tracemalloc
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
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.media.types import Packet, TrackFormat
from kinolog.record.header import Header

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
        with pytest.raises(Replaced, match="replaced by a newer publisher") as replaced:
            await older.feed(video(30 * FRAME, 1))
        assert "another name" in replaced.value.hint
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


@pytest.mark.parametrize("jump", [90_000 * 13, -90_000 * 3, 90_000 * 86_400])
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


def without(
    packets: list[SourceEvent], track: int, from_s: float, to_s: float
) -> list[SourceEvent]:
    """But for a track's packets of these seconds."""
    return [p for p in packets if not (is_of(p, track) and from_s <= time_s(p) < to_s)]


def is_of(event: SourceEvent, track: int) -> bool:
    return isinstance(event, Packet) and event.track == track


def time_s(event: SourceEvent) -> float:
    assert isinstance(event, Packet)
    return event.dts / (90_000 if event.track == 0 else 48_000)


def msn_steps(headers: list[Header]) -> list[int]:
    """By how much MSNs go up from one segment to the next."""
    return [b.msn - a.msn for a, b in pairwise(headers) if b.msn != a.msn]


@pytest.mark.parametrize(
    ("track", "away_s", "left_out"), [(1, 1.5, 0), (1, 6, 3), (0, 2, 0), (0, 6, 3), (1, 30, 15)]
)
def test_a_track_that_pauses_amid_a_gop_loses_nothing(
    track: int, away_s: float, left_out: int, run: Run
) -> None:
    async def test(desk: Desk) -> None:
        name = f"edge/pause-{track}-{away_s}".replace(".", "-")
        ticket = await desk.publish(name)
        sent = without(both(1_200), track, 1.8, 1.8 + away_s)
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *sent])
        await ticket.close("done")
        epoch = (await desk.read(name)).only()
        for number, kept in enumerate(epoch.tracks.values()):
            expected = [p.data for p in sent if is_of(p, number) and isinstance(p, Packet)]
            assert [s.data for s in kept.samples] == expected
        assert ticket.session.packets == len(sent)
        assert 39_500 < ticket.session.published_ms <= 40_000  # of 1,200 pictures at 30 a second
        assert ticket.session.left_out == 0
        paused, other = (list(epoch.tracks.values())[n] for n in (track, 1 - track))
        assert max(msn_steps(paused.headers)) == 1 + left_out
        assert set(msn_steps(other.headers)) == {1}

    run(test)


def amid_a_gop() -> tuple[list[SourceEvent], list[SourceEvent], float]:
    """2 s of pictures with sound, cut after the 22nd picture; when the next keyframe is."""
    packets = both(60)
    cut_s = 22 / 30
    before = [p for p in packets if time_s(p) < cut_s]
    return before, packets[len(before) :], 1.0


def test_a_late_track_waits_for_the_next_keyframe_of_video(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/late-amid")
        before, after, key_s = amid_a_gop()
        await ticket.feed([Expect(1), Format(0, VIDEO), *[p for p in before if is_of(p, 0)]])
        await ticket.feed([Format(1, AAC), *after])
        await ticket.close("done")
        first, second = (await desk.read("edge/late-amid")).epochs
        assert first.closed == "tracks changed"
        assert len(first.tracks["video"].samples) == 30
        assert len(second.tracks["video"].samples) == 30
        assert second.tracks["video"].samples[0].sync
        early = [p for p in after if is_of(p, 1) and time_s(p) < key_s]
        heard = [p for p in after if is_of(p, 1) and time_s(p) >= key_s]
        kept = second.tracks["audio"].samples
        assert len(kept) == len(heard)
        (gap,) = [*first.gaps, *second.gaps]
        assert second.gaps == [gap]
        assert (gap.track, gap.frames) == ("audio", len(early))
        assert gap.to_dts == kept[0].dts
        assert gap.from_dts == kept[0].dts - len(early) * AAC_FRAME
        assert ticket.session.packets == 60 + len(heard)
        assert ticket.session.left_out == len(early)

    run(test)


def test_sound_whose_format_changes_waits_for_the_next_keyframe_of_video(run: Run) -> None:
    async def test(desk: Desk) -> None:
        mono = TrackFormat("aac", 48_000, bytes.fromhex("1188"), sample_rate=48_000, channels=1)
        ticket = await desk.publish("edge/changed-amid")
        before, after, key_s = amid_a_gop()
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *before])
        await ticket.feed([Format(1, mono), *after])
        await ticket.close("done")
        first, second = (await desk.read("edge/changed-amid")).epochs
        assert [len(e.tracks["video"].samples) for e in (first, second)] == [30, 30]
        assert [e.open.tracks[1].channels for e in (first, second)] == [2, 1]
        (gap,) = first.gaps
        left_out = sum(is_of(p, 1) and time_s(p) < key_s for p in after)
        assert (gap.track, gap.frames) == ("audio", left_out)
        kept = first.tracks["audio"].samples + second.tracks["audio"].samples
        assert len(kept) + left_out == sum(is_of(p, 1) for p in [*before, *after])

    run(test)


@pytest.mark.parametrize("jump_s", [20, -60, 86_400])
def test_a_jump_amid_a_gop_names_what_it_costs(jump_s: int, run: Run) -> None:
    async def test(desk: Desk) -> None:
        name = f"edge/jump-amid{jump_s}"
        ticket = await desk.publish(name)
        before, after, key_s = amid_a_gop()
        moved = []
        for p in [*before, *after]:
            assert isinstance(p, Packet)
            at = 100 + (jump_s if p in after else 0)
            by = at * (90_000 if p.track == 0 else 48_000)
            moved.append(p._replace(dts=p.dts + by, pts=p.pts + by))
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *moved])
        await ticket.close("done")
        first, second = (await desk.read(name)).epochs
        assert first.closed == "time stamps jumped"
        assert len(first.tracks["video"].samples) == 22
        assert len(second.tracks["video"].samples) == 30
        assert first.gaps == []
        sound_gap, picture_gap = second.gaps
        pictures = second.tracks["video"].samples
        assert (picture_gap.track, picture_gap.frames) == ("video", 8)
        assert picture_gap.from_dts == pictures[0].dts - 8 * FRAME
        assert picture_gap.to_dts == pictures[0].dts
        lost = [p for p in after if is_of(p, 1) and time_s(p) < key_s]
        frames = second.tracks["audio"].samples
        assert (sound_gap.track, sound_gap.frames) == ("audio", len(lost))
        assert sound_gap.to_dts == frames[0].dts
        assert ticket.session.left_out == 8 + len(lost)
        assert ticket.session.packets + ticket.session.left_out == len(moved)

    run(test)


def test_the_second_of_two_video_tracks_does_not_begin_the_session(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/two")
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, WIDE)])
        for number in range(60):  # the first joined amid a GOP, the second's keyframes elsewhere
            await ticket.feed(video(number * FRAME, 1, first=7 + number))
            await ticket.feed(video(number * FRAME, 1, WIDE_PICTURES, first=10 + number, track=1))
        await ticket.close("done")
        (epoch,) = (await desk.read("edge/two")).epochs
        big, wide = (track.samples for track in epoch.tracks.values())
        assert big[0].sync
        assert wide[0].sync
        assert (len(big), len(wide)) == (60 - 8, 60 - 20)

    run(test)


def test_sound_beside_video_that_sends_nothing_is_published_and_goes_on_with_it(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/silent")
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC)])
        frames = 20_200 * 48 // AAC_FRAME
        for number, packet in enumerate(sound(0, frames)):
            await ticket.feed([packet])
            assert (ticket.session.epoch > 0) == (number * AAC_FRAME >= 5 * 48_000)
        # Video comes at last, amid a GOP.
        rest = [p for p in both(700) if time_s(p) >= frames * AAC_FRAME / 48_000]
        pictures = len([p for p in rest if is_of(p, 0)])
        await ticket.feed(rest)
        await ticket.close("done")
        first, second = (await desk.read("edge/silent")).epochs
        assert (list(first.tracks), list(second.tracks)) == (["audio"], ["video", "audio"])
        heard = [s.data for e in (first, second) for s in e.tracks["audio"].samples]
        assert heard == [b"sound %d" % number for number in range(len(heard))]
        assert len(heard) == frames + sum(is_of(p, 1) for p in rest)
        (gap,) = second.gaps
        assert second.tracks["video"].samples[0].sync
        assert gap.frames + len(second.tracks["video"].samples) == pictures

    run(test)


def test_a_short_source_with_video_that_never_came_is_published_at_its_end(run: Run) -> None:
    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/silent-short")
        await ticket.feed([Expect(2), Format(0, VIDEO), Format(1, AAC), *sound(0, 100)])
        await ticket.close("done")
        epoch = (await desk.read("edge/silent-short")).only()
        assert list(epoch.tracks) == ["audio"]
        assert len(epoch.tracks["audio"].samples) == 100

    run(test)


def test_what_is_held_before_an_epoch_begins_is_bounded_by_bytes(run: Run) -> None:
    """Keyframes of 8 MiB with one time stamp, and sound that is announced and never comes."""

    async def test(desk: Desk) -> None:
        ticket = await desk.publish("edge/large")
        await ticket.feed([Expect(2), Format(0, VIDEO)])
        tracemalloc.start()
        try:
            for _ in range(24):
                data = PICTURES[0][1] + bytes(8 << 20)
                await ticket.feed([Packet(0, 0, 0, None, True, data)])
                if ticket.session.epoch:
                    break
                assert tracemalloc.get_traced_memory()[0] < 20 << 20
        finally:
            tracemalloc.stop()
        assert ticket.session.epoch
        await ticket.close("done")

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
