"""A stream by WebSocket from any time, at any speed, until it has come to the present."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from hls_stage import Stage, stage, until
from ws_watch import Got, Seen, Watch, check_against, discontinuities, in_the_log

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]
STREAM, OVER = "ws/past", "ws/over"
TRACKS = ("video", "audio")


@dataclass(frozen=True)
class Recorded:
    """Ninety seconds, a pause, and what is still being published."""

    stage: Stage
    edge: str
    begun_s: float

    def watch(self, query: str) -> Watch:
        return Watch(self.edge, STREAM, query)

    def at(self, seconds: float) -> str:
        return f"{self.begun_s + seconds:.3f}"

    def check(self, seen: Seen) -> None:
        """Each chunk once, in order."""
        log = in_the_log(self.stage, STREAM)
        for track in TRACKS:
            check_against(log[track], seen.of(track))


@pytest.fixture(scope="module")
def recorded(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with stage(one_broker, tmp_path_factory.mktemp("ws-past")) as found:
        begun_s = int(time.time()) - 300.0
        found.published(STREAM, "seconds=90", f"--at={begun_s}")
        found.published(OVER, "seconds=10", f"--at={begun_s}")
        found.camera(STREAM, "", "--profile", "frame")
        address = found.edge()
        url = f"{address}/media/{STREAM}/video.m3u8"
        until(lambda: httpx.get(url, timeout=30).text.count("#EXTINF") > 4, "some segments")
        yield Recorded(found, address, begun_s)


@pytest.mark.parametrize("end_s", [9.95, 10.5, 60.0])
def test_a_range_that_ends_behind_the_last_has_an_end(recorded: Recorded, end_s: float) -> None:
    """Its publisher is away; whatever comes back is of later."""
    query = f"start={recorded.at(5)}&end={recorded.at(end_s)}&speed=max"
    with Watch(recorded.edge, OVER, query) as watch:
        seen = watch.until(lambda seen: seen.told("end"))
    assert not live(seen)
    # The last chunk, of a tenth of a second or two.
    assert captured_s(seen.of("video")[-1]) >= recorded.begun_s + 9.75


def live(seen: Seen) -> bool:
    return any(told["live"] for told in seen.told("position"))


def answered(seen: Seen, number: int) -> bool:
    return any(told["id"] == number for told in seen.told("position"))


def captured_s(one: Got) -> float:
    return one.wall / 1000


def test_the_past_joins_the_present_without_gap_or_repeat(recorded: Recorded) -> None:
    """From the beginning, as fast as it goes: the publisher's pause is leapt over and told."""
    with recorded.watch(f"start={recorded.at(0)}&speed=max") as watch:
        watch.until(live)
        count = len(watch.seen.of("video"))
        seen = watch.until(lambda seen: len(seen.of("video")) > count + 90)
    recorded.check(seen)
    assert captured_s(seen.of("video")[0]) == pytest.approx(recorded.begun_s, abs=0.05)
    gaps = [told for told in seen.told("gap") if "from_ms" in told]
    assert len(gaps) == 1
    assert gaps[0]["to_ms"] - gaps[0]["from_ms"] > 60_000
    for track in TRACKS:
        assert len(list(discontinuities(seen.of(track)))) == 2
    assert len(seen.told("epoch")) == 2


def test_it_begins_with_the_picture_of_that_time(recorded: Recorded) -> None:
    with recorded.watch(f"start={recorded.at(33.3)}&end={recorded.at(40)}&speed=max") as watch:
        seen = watch.until(lambda seen: seen.told("end"))
    recorded.check(seen)
    video, audio = seen.of("video"), seen.of("audio")
    assert video[0].independent
    assert recorded.begun_s + 31 < captured_s(video[0]) <= recorded.begun_s + 33.3
    assert captured_s(audio[0]) == pytest.approx(captured_s(video[0]), abs=0.25)
    assert captured_s(video[-1]) < recorded.begun_s + 40 <= captured_s(video[-1]) + 0.25
    (position,) = seen.told("position")
    assert position["at_ms"] == min(video[0].wall, audio[0].wall)


def test_before_all_that_is_kept_it_begins_with_the_first(recorded: Recorded) -> None:
    with recorded.watch("start=-7d&speed=max") as watch:
        seen = watch.until(lambda seen: len(seen.of("video")) > 10)
    recorded.check(seen)
    assert captured_s(seen.of("video")[0]) == pytest.approx(recorded.begun_s, abs=0.05)


@pytest.mark.parametrize("speed", [0.5, 1, 2, 4])
def test_it_is_sent_at_the_speed_that_is_asked_for(recorded: Recorded, speed: float) -> None:
    with recorded.watch(f"start={recorded.at(10)}&speed={speed}") as watch:
        watch.until(lambda seen: seen.of("video"))
        begun_s = time.monotonic()
        first_s = captured_s(watch.seen.of("video")[0])
        seen = watch.until(lambda _: time.monotonic() - begun_s > 4)
    media_s = captured_s(seen.of("video")[-1]) - first_s
    ahead_s = 1.5 * max(1, speed)
    assert media_s == pytest.approx(4 * speed + ahead_s, abs=0.4 + 0.2 * speed)
    recorded.check(seen)


def test_very_fast_there_are_keyframes_only(recorded: Recorded) -> None:
    with recorded.watch(f"start={recorded.at(0)}&end={recorded.at(88)}&speed=32") as watch:
        seen = watch.until(lambda seen: seen.told("end"))
    assert {one.track for one in seen.chunks} == {"video"}
    assert all(one.independent and one.discontinuous for one in seen.chunks)
    walls = [captured_s(one) - recorded.begun_s for one in seen.chunks]
    assert walls == sorted(walls)
    assert len(walls) == pytest.approx(88, abs=2)  # one a second


def test_seek_pause_resume_and_speed(recorded: Recorded) -> None:
    with recorded.watch(f"start={recorded.at(10)}") as watch:
        watch.until(lambda seen: len(seen.of("video")) > 5)
        watch.say("seek", to=recorded.at(60), id=7)
        watch.until(lambda seen: answered(seen, 7))
        watch.seen.chunks.clear()
        watch.until(lambda seen: len(seen.of("video")) > 5)
        there_s = captured_s(watch.seen.of("video")[0]) - recorded.begun_s
        assert 58 <= there_s <= 60
        watch.say("pause")
        watch.say("dance")  # the answer tells that the pause has been obeyed
        watch.until(lambda seen: seen.told("error"))
        count = len(watch.seen.chunks)
        watch.until(lambda seen: seen.told("beat"))
        assert len(watch.seen.chunks) == count
        watch.say("speed", speed=4)
        watch.say("resume")
        seen = watch.until(lambda seen: captured_s(seen.chunks[-1]) > recorded.begun_s + 80)
        recorded.check(seen)
        watch.say("seek", to="live", id=8)
        watch.until(live)
        watch.seen.chunks.clear()
        seen = watch.until(lambda seen: len(seen.of("video")) > 60)
        assert captured_s(seen.of("video")[-1]) > time.time() - 5
        recorded.check(seen)


def test_a_paused_live_stream_goes_on_where_it_was(recorded: Recorded) -> None:
    with recorded.watch("") as watch:
        watch.until(lambda seen: len(seen.of("video")) > 30)
        watch.say("pause")
        watch.until(lambda seen: seen.told("beat"))
        watch.say("resume")
        count = len(watch.seen.of("video"))
        seen = watch.until(lambda seen: len(seen.of("video")) > count + 60)
    recorded.check(seen)
    assert list(discontinuities(seen.of("video"))) == [0]


def test_a_window_holds_the_server_back(recorded: Recorded) -> None:
    with Watch(recorded.edge, STREAM, f"start={recorded.at(0)}", timeout_s=3) as watch:
        watch.say("window", bytes=200_000)
        watch.say("play", start=recorded.at(0), speed="max", id=1)
        watch.until(lambda seen: answered(seen, 1))
        with pytest.raises(TimeoutError):  # nothing more comes
            watch.to_the_end()
        assert watch.seen.size < 1_000_000
        for _ in range(3):
            before = watch.seen.size
            watch.say("ack", bytes=before)
            watch.until(lambda seen, before=before: seen.size > before + 100_000)


def test_only_the_tracks_that_are_asked_for(recorded: Recorded) -> None:
    with recorded.watch(f"start={recorded.at(5)}&tracks=audio") as watch:
        seen = watch.until(lambda seen: len(seen.chunks) > 5)
        assert {one.track for one in seen.chunks} == {"audio"}
        assert captured_s(seen.chunks[0]) == pytest.approx(recorded.begun_s + 5, abs=0.25)
