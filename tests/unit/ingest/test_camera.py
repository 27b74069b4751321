"""The synthetic camera: its URL, its numbers, its times, its sound."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from fractions import Fraction
from itertools import pairwise

import pytest

from kinolog.core.errors import ConfigError
from kinolog.ingest.camera import AUDIO_TRACK, VIDEO_TRACK, SyntheticCamera
from kinolog.ingest.camera_card import TestCard
from kinolog.ingest.camera_options import CameraOptions, parse_camera
from kinolog.ingest.source import Expect, Format, SourceEvent
from kinolog.media import blockcode
from kinolog.media.types import Packet
from kinolog.testing import compare, measure_av_sync, read_block_codes, record
from kinolog.testing.frames import luma

START_MS = 1_900_000_000_000


class TurnedClock:
    """Time that only its `sleep` moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def unix_ms(self) -> int:
        return START_MS + round((self.now - 100.0) * 1000)

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


def made(url: str) -> list[SourceEvent]:
    return [event for batch in SyntheticCamera(url).events(START_MS) for event in batch]


def packets(events: list[SourceEvent], track: int) -> list[Packet]:
    return [event for event in events if isinstance(event, Packet) and event.track == track]


@pytest.mark.parametrize(
    "url",
    [
        "test:320x180@30?seconds=3",
        "test:320x180@29.97?seconds=3&bframes=2&start_number=1000",
        "test:320x180@25?seconds=3&codec=vp9&gop=0.5",
        "test:320x180@25?seconds=2&codec=hevc&bitrate=150k",
        "test:320x180@25?seconds=2&codec=av1&audio=0",
        "test:160x90@7/2?seconds=4&bitrate=40k",
    ],
)
def test_each_number_is_seen_once_in_order(url: str) -> None:
    camera = SyntheticCamera(url)
    events = [event for batch in camera.events(START_MS) for event in batch]
    options = camera.options
    count = round(options.seconds * options.frame_rate)
    seen = read_block_codes(io.BytesIO(record(events)))
    report = compare(range(options.start_number, options.start_number + count), seen)
    assert report.clean, report
    assert report.longest_gap_seconds == pytest.approx(1 / options.frame_rate, abs=0.0011)


def test_tells_its_tracks_first() -> None:
    head = next(SyntheticCamera("test:320x180?codec=vp9").events(START_MS))
    assert head[0] == Expect(2)
    assert [(e.track, e.format.codec) for e in head[1:] if isinstance(e, Format)] == [
        (VIDEO_TRACK, "vp9"),
        (AUDIO_TRACK, "opus"),
    ]
    assert next(SyntheticCamera("test:320x180?audio=0").events(START_MS))[0] == Expect(1)


@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_both_tracks_have_neither_hole_nor_overlap(codec: str) -> None:
    events = made(f"test:320x180@29.97?seconds=3&codec={codec}")
    for track in (VIDEO_TRACK, AUDIO_TRACK):
        own = packets(events, track)
        assert all(a.dts + (a.duration or 0) == b.dts for a, b in pairwise(own))
    sound = packets(events, AUDIO_TRACK)
    assert sound[0].pts < 0 <= sound[1].pts  # the codec's priming
    assert abs(sound[-1].pts + (sound[-1].duration or 0) - 48_000 * 3) <= 2048


def test_keyframes_stand_at_whole_intervals() -> None:
    own = packets(made("test:320x180@25?seconds=3&gop=0.5"), VIDEO_TRACK)
    assert [p.pts / 90_000 for p in own if p.keyframe] == [0, 0.52, 1, 1.52, 2, 2.52]


def test_beep_and_flash_are_together() -> None:
    offsets = measure_av_sync(io.BytesIO(record(made("test:320x180@30?seconds=4"))))
    assert len(offsets) == 3  # those of second 0 begin with the recording
    assert all(abs(offset) < 0.005 for offset in offsets), offsets


def test_is_the_same_bytes_each_time() -> None:
    assert made("test:320x180?seconds=1") == made("test:320x180?seconds=1")


def test_the_card_has_number_and_lamp_at_every_size() -> None:
    for width, height in ((160, 90), (320, 180), (854, 480), (480, 854), (1280, 720)):
        card = TestCard(width, height, caption="any")
        lit, dark = card.draw(41, START_MS, 3000), card.draw(42, START_MS, 3100)
        assert (blockcode.read(luma(lit)), blockcode.read(luma(dark))) == (41, 42)
        spot = (int(height * 0.09), int(width * 0.92))
        assert luma(lit)[spot] > 200
        assert luma(dark)[spot] < 60


def test_the_hand_the_number_and_the_clock_move() -> None:
    card = TestCard(320, 180)
    first = luma(card.draw(1, START_MS, 500)).copy()
    later = luma(card.draw(2, START_MS + 40, 540)).copy()
    hand, number, clock = (
        (slice(32, 126), slice(16, 110)),
        (slice(44, 76), slice(136, 304)),
        (
            slice(94, 120),
            slice(136, 304),
        ),
    )
    for place in (hand, number, clock):
        assert (first[place] != later[place]).any()


def test_paced_frames_come_when_they_are_due() -> None:
    clock = TurnedClock()

    async def run() -> list[float]:
        camera = SyntheticCamera("test:160x90@25?seconds=2", sleep=clock.sleep)
        async with contextlib.aclosing(camera.run(clock)) as batches:
            return [
                clock.now - 100.0
                async for batch in batches
                for event in batch
                if isinstance(event, Packet) and event.track == VIDEO_TRACK
            ]

    assert asyncio.run(run()) == pytest.approx([n / 25 for n in range(50)], abs=1e-6)


async def ran(*, fast: bool, at_ms: int | None = None, clock_s: float = 100.0) -> list[SourceEvent]:
    """All that it makes, started when the clock tells that."""
    clock = TurnedClock()
    clock.now = clock_s
    camera = SyntheticCamera("test:160x90@25?seconds=1", sleep=clock.sleep)
    return [event async for batch in camera.run(clock, fast=fast, at_ms=at_ms) for event in batch]


def test_fast_gives_the_same_packets_as_paced() -> None:
    fast, paced = asyncio.run(ran(fast=True)), asyncio.run(ran(fast=False))
    assert fast == paced == made("test:160x90@25?seconds=1")


@pytest.mark.parametrize("fast", [True, False])
def test_pictures_of_the_past_are_dated_then(fast: bool) -> None:
    asked = made("test:160x90@25?seconds=1")
    assert asyncio.run(ran(fast=fast, at_ms=START_MS, clock_s=7300.0)) == asked
    assert asyncio.run(ran(fast=fast, clock_s=7300.0)) != asked


@pytest.mark.parametrize("fast", [True, False])
def test_cancelled_it_leaves_no_thread(fast: bool) -> None:
    before = threading.active_count()

    async def run() -> None:
        clock = TurnedClock()
        started = asyncio.Event()

        async def take() -> None:
            camera = SyntheticCamera("test:160x90", sleep=clock.sleep)
            async with contextlib.aclosing(camera.run(clock, fast=fast)) as batches:
                async for batch in batches:
                    if any(isinstance(event, Packet) for event in batch):
                        started.set()

        task = asyncio.create_task(take())
        await asyncio.wait_for(started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 30)

    asyncio.run(run())
    assert threading.active_count() == before


def test_url_alone_is_720p30_with_sound() -> None:
    assert parse_camera("test:") == CameraOptions()
    options = parse_camera("test:")
    assert (options.width, options.height, options.frame_rate) == (1280, 720, 30)
    assert options.audio
    assert options.seconds is None


def test_url_says_everything() -> None:
    options = parse_camera(
        "test:?size=640x360&fps=59.94&audio=0&codec=hevc&bitrate=1.5M&gop=2&bframes=3"
        "&seconds=2.5&start_number=7"
    )
    assert (options.width, options.height) == (640, 360)
    assert options.frame_rate == Fraction(60_000, 1001)
    assert (options.audio, options.seconds, options.start_number) == (False, Fraction(5, 2), 7)
    target = options.target
    assert (target.codec, target.bitrate_bps, target.bframes) == ("hevc", 1_500_000, 3)
    assert target.keyframe_seconds == 2
    assert parse_camera("test:640x360@59.94").frame_rate == options.frame_rate
    assert parse_camera("test:@25") == parse_camera("test:?fps=25")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("file:x", "not a synthetic camera"),
        ("test:640", "not a size"),
        ("test:641x360", "odd"),
        ("test:64x36", "outside"),
        ("test:9000x5000", "outside"),
        ("test:640x360@", "not a rate"),
        ("test:640x360@0", "outside"),
        ("test:640x360@1/0", "not a rate"),
        ("test:640x360@1000", "outside"),
        ("test:640x360?size=320x180", "twice"),
        ("test:?fps=30&fps=25", "twice"),
        ("test:?colour=1", "unknown option"),
        ("test:?fps", "not options"),
        ("test:?codec=mpeg2", "cannot encode to"),
        ("test:?codec=h264:1M", "not a codec"),
        ("test:?bitrate=fast", "not a bitrate"),
        ("test:?bitrate=1", "not a bitrate"),
        ("test:?gop=0", "no frame"),
        ("test:?gop=100", "100 seconds apart"),
        ("test:?codec=vp9&bframes=2", "B-frames"),
        ("test:?bframes=17", "B-frames"),
        ("test:?audio=yes", "audio is 1 or 0"),
        ("test:?seconds=-1", "not a number"),
        ("test:?start_number=99999999999", "not a frame number"),
    ],
)
def test_a_wrong_url_is_named(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_camera(url)
    assert caught.value.hint
