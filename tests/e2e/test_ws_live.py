"""A stream by WebSocket as it is published: every chunk once, in order, as it is in the log."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from ws_watch import Watch, check_against, discontinuities, in_the_log

from kinolog.testing.websocket import Refused, WebSocket

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]
STREAM = "ws/camera"


@pytest.fixture(scope="module")
def live(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("ws")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(live: Stage) -> str:
    """With a camera whose every frame is a chunk."""
    address = live.edge()
    live.camera(STREAM, "", "--profile", "frame")
    url = f"{address}/media/{STREAM}/video.m3u8"
    until(lambda: httpx.get(url, timeout=30).status_code == 200, "a playlist")
    return address


def test_every_frame_comes_once_and_in_order(live: Stage, edge: str) -> None:
    with Watch(edge, STREAM) as watch:
        seen = watch.until(lambda seen: len(seen.of("video")) >= 120)
    (hello,) = seen.told("hello")
    assert hello["version"] == 1
    assert hello["stream"] == STREAM
    assert hello["state"] == "live"
    video, audio = hello["session"]["tracks"]
    assert (video["name"], video["kind"], video["width"], video["height"]) == (
        "video", "video", 320, 180,
    )  # fmt: skip
    assert (audio["kind"], audio["sample_rate"]) == ("audio", 48_000)
    assert [told["live"] for told in seen.told("position")] == [True]
    log = in_the_log(live, STREAM)
    for track in ("video", "audio"):
        check_against(log[track], seen.of(track))
        assert list(discontinuities(seen.of(track))) == [0]
    first = seen.of("video")[0]
    assert first.independent
    assert abs(seen.of("audio")[0].wall - first.wall) < 100
    assert {one.dur for one in seen.of("video")} == {video["timescale"] // 30}


def test_frames_come_as_they_are_appended(edge: str) -> None:
    with Watch(edge, STREAM) as watch:
        watch.until(lambda seen: len(seen.of("video")) >= 60)
        late_ms = []
        for _ in range(120):
            before = len(watch.seen.chunks)
            watch.until(lambda seen, before=before: len(seen.chunks) > before)
            late_ms.append(time.time() * 1000 - watch.seen.chunks[-1].wall)
    late_ms.sort()
    print(f"captured to received: p50 {late_ms[60]:.0f} ms, p95 {late_ms[114]:.0f} ms")
    assert late_ms[60] < 1000


def test_what_is_not_there_is_said_before_the_upgrade(edge: str) -> None:
    for path, status in (
        ("/media/ws/nobody/ws", 404),
        ("/media/ws/Not-A-Name/ws", 400),
        (f"/media/{STREAM}/wss", 404),
        ("/ws", 404),
    ):
        with pytest.raises(Refused) as refused:
            WebSocket(edge.replace("http", "ws") + path)
        assert refused.value.status == status
    answer = httpx.get(f"{edge}/media/{STREAM}/ws")
    assert answer.status_code == 426


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("start=tomorrow", "not a time"),
        ("start=4000000000", "future"),
        ("start=-5m&end=-10m", "end is not after start"),
        ("end=-5m", "end needs a start"),
        ("start=-5m&speed=-1", "above 0"),
        ("start=-5m&speed=1e9", "up to 64"),
        ("start=-5m&speed=fast", "max"),
        ("tracks=nothing", "no track"),
        ("dvr=1h", "start"),
        ("start=%00", "not a time"),
    ],
)
def test_what_cannot_be_is_said(edge: str, query: str, why: str) -> None:
    with Watch(edge, STREAM, query) as watch:
        seen = watch.to_the_end()
    (error,) = seen.told("error")
    assert error["code"] == 400
    assert why in error["message"]


def test_a_message_that_cannot_be_leaves_the_stream_as_it_is(edge: str) -> None:
    with Watch(edge, STREAM) as watch:
        watch.until(lambda seen: seen.chunks)
        for words in (
            "",
            "{}",
            "[1]",
            '{"type":"dance"}',
            '{"type":"speed","speed":0}',
            "x" * 9999,
        ):
            watch.socket.send(words)
        watch.socket.send(b"\0\1")
        watch.say("seek", to="yesterday")
        seen = watch.until(lambda seen: len(seen.told("error")) == 8)
        count = len(seen.of("video"))
        watch.until(lambda seen: len(seen.of("video")) > count + 30)
    assert list(discontinuities(seen.of("video"))) == [0]


def test_the_publisher_comes_back(live: Stage, edge: str) -> None:
    """A new epoch goes on in the same connection, with its tracks and init segments."""
    stream = "ws/back"
    camera = live.camera(stream, "", "--profile", "frame")
    url = f"{edge}/media/{stream}/video.m3u8"
    until(lambda: httpx.get(url, timeout=30).status_code == 200, "a playlist")
    with Watch(edge, stream) as watch:
        watch.until(lambda seen: len(seen.of("video")) > 30)
        stop(camera)
        watch.until(lambda seen: seen.told("away"))
        live.camera(stream, "", "--profile", "frame")
        seen = watch.until(lambda seen: len({one.epoch for one in seen.of("audio")}) == 2)
        seen = watch.until(lambda seen: len({one.epoch for one in seen.of("video")}) == 2)
    assert len(seen.told("epoch")) == 2
    log = in_the_log(live, stream)
    for track in ("video", "audio"):
        check_against(log[track], seen.of(track))
        cuts = list(discontinuities(seen.of(track)))
        assert len(cuts) == 2
        assert all(seen.of(track)[index].independent for index in cuts)
    assert len(seen.inits) == 4
