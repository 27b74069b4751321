"""Sessions without sound in a stream that had some: a silent track, from a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import msgspec
import pytest
from desk_kit import AAC, AAC_FRAME, FRAME, VIDEO, Desk, both, opened, video
from kit.readback import KeptEpoch, KeptTrack

from kinolog.core.timebase import rescale
from kinolog.ingest.source import Expect, Format, SourceEvent
from kinolog.media.types import Packet

pytestmark = pytest.mark.cluster

BOTH: Sequence[SourceEvent] = [Expect(2), Format(0, VIDEO), Format(1, AAC)]
MUTE: Sequence[SourceEvent] = [Expect(1), Format(0, VIDEO)]
BOTH_NAMES = ["video", "audio"]


async def send(desk: Desk, name: str, *events: SourceEvent) -> int:
    """A session; how many packets it says that it let through."""
    ticket = await desk.publish(name)
    await ticket.feed(events)
    await ticket.close("done")
    return ticket.session.packets


def with_sound() -> list[SourceEvent]:
    return [*BOTH, *both(60)]


def without(count: int = 60) -> list[SourceEvent]:
    return [*MUTE, *video(0, count)]


def silent(epoch: KeptEpoch) -> bool:
    audio = epoch.tracks.get("audio")
    return audio is not None and audio.info.silence


def assert_beside(epoch: KeptEpoch) -> KeptTrack:
    """The epoch's silence lasts from its first picture to the end of its last one."""
    assert silent(epoch)
    audio, pictures = epoch.tracks["audio"], epoch.tracks["video"].samples
    samples = audio.samples
    assert {b.dts - a.dts for a, b in pairwise(samples)} == {AAC_FRAME}
    assert samples[0].dts == rescale(pictures[0].dts, 90_000, 48_000)
    end = rescale(pictures[-1].dts + FRAME, 90_000, 48_000)
    assert 0 <= samples[-1].dts + AAC_FRAME - end < 2 * AAC_FRAME
    assert len({s.data for s in samples}) == 1
    return audio


@pytest.mark.parametrize("profile", ["frame", "low", "standard"])
def test_it_is_there_until_sound_is_back(profile: str, one_broker: str) -> None:
    async def main() -> None:
        name = f"silence/{profile}"
        async with opened(one_broker, profile=profile) as desk:
            await send(desk, name, *without())
            await send(desk, name, *with_sound())
            assert await send(desk, name, *without()) == 60
            await send(desk, name, *without())
            await send(desk, name, *with_sound())
            kept = await desk.read(name)
        assert kept.holes == 0
        assert [list(epoch.tracks) for epoch in kept.epochs] == [["video"], *4 * [BOTH_NAMES]]
        assert [silent(epoch) for epoch in kept.epochs] == [False, False, True, True, False]
        for epoch in kept.epochs[2:4]:
            info = assert_beside(epoch).info
            assert (info.codec, info.sample_rate, info.channels) == ("mp4a.40.2", 48_000, 2)
            cuts = {track: _begun(epoch.tracks[track]) for track in BOTH_NAMES}
            assert len(cuts["audio"]) == len(cuts["video"])
            for heard, seen in zip(cuts["audio"], cuts["video"], strict=True):
                assert 0 <= heard - rescale(seen, 90_000, 48_000) < 2 * AAC_FRAME
        numbers = [h.msn for epoch in kept.epochs[1:] for h in epoch.tracks["audio"].headers]
        assert sorted(set(numbers)) == list(range(numbers[0], numbers[-1] + 1))

    asyncio.run(main())


def _begun(track: KeptTrack) -> list[int]:
    """Where its media segments begin."""
    firsts = {header.msn: header.dts for header in reversed(track.headers)}
    return sorted(firsts.values())


def test_mono_and_its_language_stay(one_broker: str) -> None:
    async def main() -> None:
        mono = msgspec.structs.replace(
            AAC, extradata=bytes.fromhex("1188"), channels=1, language="deu"
        )
        async with opened(one_broker) as desk:
            await send(desk, "silence/mono", *MUTE, Format(1, mono), Expect(2), *both(30))
            await send(desk, "silence/mono", *without())
            _, second = (await desk.read("silence/mono")).epochs
        info = assert_beside(second).info
        assert (info.channels, info.language) == (1, "deu")

    asyncio.run(main())


def test_it_can_be_switched_off(one_broker: str) -> None:
    async def main() -> None:
        async with opened(one_broker, fill_silence=False) as desk:
            await send(desk, "silence/off", *with_sound())
            await send(desk, "silence/off", *without())
            epochs = (await desk.read("silence/off")).epochs
        assert [list(epoch.tracks) for epoch in epochs] == [BOTH_NAMES, ["video"]]

    asyncio.run(main())


def test_a_deleted_streams_sound_is_forgotten(one_broker: str) -> None:
    async def main() -> None:
        async with opened(one_broker) as desk:
            first = await desk.publish("silence/deleted")
            await first.feed(with_sound())
            await first.close("done")
            await desk.catalog.delete_stream(first.session.request.name)
            await send(desk, "silence/deleted", *without())
            (epoch,) = (await desk.read("silence/deleted")).epochs
        assert list(epoch.tracks) == ["video"]

    asyncio.run(main())


def test_sound_that_was_announced_and_does_not_come(one_broker: str) -> None:
    """Its format is never told: after a second of pictures the session begins without."""

    async def main() -> None:
        async with opened(one_broker) as desk:
            await send(desk, "silence/announced", *with_sound())
            await send(desk, "silence/announced", Expect(2), Format(0, VIDEO), *video(0, 60))
            _, second = (await desk.read("silence/announced")).epochs
        assert_beside(second)
        assert len(second.tracks["video"].samples) == 60

    asyncio.run(main())


def test_it_gives_way_to_sound_that_comes_late(one_broker: str) -> None:
    async def main() -> None:
        async with opened(one_broker) as desk:
            await send(desk, "silence/late", *with_sound())
            late = [Format(1, AAC), *_from(1.0, both(60))]
            await send(desk, "silence/late", *MUTE, *video(0, 30), *late)
            _, second, third = (await desk.read("silence/late")).epochs
        assert second.closed == "tracks changed"
        quiet = assert_beside(second)
        assert not silent(third)
        heard = third.tracks["audio"]
        assert heard.samples[0].data.startswith(b"sound")
        assert abs(quiet.samples[-1].dts + AAC_FRAME - heard.samples[0].dts) <= 2 * AAC_FRAME
        assert heard.headers[0].msn == quiet.headers[-1].msn + 1

    asyncio.run(main())


def _from(begin_s: float, events: list[SourceEvent]) -> list[SourceEvent]:
    rate = {0: 90_000, 1: 48_000}
    return [e for e in events if isinstance(e, Packet) and e.dts / rate[e.track] >= begin_s]


@pytest.mark.parametrize("jump_s", [60, -60])
def test_it_leaps_with_the_pictures(jump_s: int, one_broker: str) -> None:
    async def main() -> None:
        name = f"silence/jump{jump_s}"
        start = 100 * 90_000
        async with opened(one_broker) as desk:
            await send(desk, name, *with_sound())
            leapt = video(start + 30 * FRAME + jump_s * 90_000, 30)
            await send(desk, name, *MUTE, *video(start, 30), *leapt)
            _, second, third = (await desk.read(name)).epochs
        assert second.closed == "time stamps jumped"
        for epoch in (second, third):
            assert_beside(epoch)
            assert len(epoch.tracks["video"].samples) == 30

    asyncio.run(main())


def test_it_goes_on_through_a_change_of_the_pictures(one_broker: str) -> None:
    """One time line, two epochs: no sound is missing between them, and none is there twice."""

    async def main() -> None:
        wider = msgspec.structs.replace(VIDEO, language="deu")
        async with opened(one_broker) as desk:
            await send(desk, "silence/changed", *with_sound())
            events = [*video(0, 30), Format(0, wider), *video(30 * FRAME, 30)]
            await send(desk, "silence/changed", *MUTE, *events)
            _, second, third = (await desk.read("silence/changed")).epochs
        assert second.closed == "tracks changed"
        assert silent(third)
        samples = [*second.tracks["audio"].samples, *third.tracks["audio"].samples]
        assert {b.dts - a.dts for a, b in pairwise(samples)} == {AAC_FRAME}

    asyncio.run(main())


def test_a_pause_is_filled(one_broker: str) -> None:
    async def main() -> None:
        async with opened(one_broker) as desk:
            await send(desk, "silence/pause", *with_sound())
            paused = [*video(0, 30), *video(30 * FRAME + 8 * 90_000, 30)]
            await send(desk, "silence/pause", *MUTE, *paused)
            _, second = (await desk.read("silence/pause")).epochs
        assert_beside(second)

    asyncio.run(main())
