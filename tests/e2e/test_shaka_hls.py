"""Shaka plays the HLS playlists live, over a restart, from a moment on, and of a closed range."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.dash_page import DashPage, player_pages

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(280),
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("shaka-hls")) as found:
        yield found


@pytest.fixture
def player(browser: Any, request: pytest.FixtureRequest) -> Iterator[DashPage]:
    context = browser.new_context()
    with player_pages() as pages:
        yield DashPage(context.new_page(), pages, request.param)
    context.close()


@pytest.fixture(scope="module")
def begun(played: Stage) -> datetime:
    """Two sessions of 60 and 20 s, with a minute between them; an hour ago."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for offset_s, seconds in ((0, 60), (120, 20)):
        begin = (at + timedelta(seconds=offset_s)).isoformat()
        played.published("shaka/film", f"seconds={seconds}", f"--at={begin}")
    return at


@pytest.mark.parametrize("player", ["shaka"], indirect=True)
def test_a_closed_range_over_an_absence(played: Stage, begun: datetime, player: DashPage) -> None:
    start_s = begun.timestamp() + 52
    url = f"{played.edge()}/media/shaka/film/index.m3u8?start={start_s}&end={start_s + 74}"
    player.play(url)
    until(lambda: player.stats()["ended"], "the end")
    found = player.stats()
    print(f"shaka: {found}")
    assert found["errors"] == []
    # Eight seconds of the first session, six of the second: as many pictures, but for a few that a
    # busy machine drops at the beginning.
    assert found["frames"] >= 14 * 30 - 6
    assert [at for _, at in found["waits"] if 0.5 < at < 13.8] == []


@pytest.mark.parametrize("player", ["shaka"], indirect=True)
def test_a_replay_from_a_moment_on(played: Stage, begun: datetime, player: DashPage) -> None:
    start_s = begun.timestamp() + 120
    player.play(f"{played.edge()}/media/shaka/film/index.m3u8?start={start_s}")
    player.played(8, "8 s played")
    assert player.stats()["errors"] == []


@pytest.mark.parametrize("player", ["shaka", "shaka-4"], indirect=True)
def test_live(played: Stage, player: DashPage) -> None:
    """Every picture, without a stall; the latency is printed."""
    stream = f"shaka/live-{player.player}"
    camera = played.camera(stream)
    player.play(_live(played, stream))
    player.played(8, "8 s played")
    before = player.stats()
    behind_s = []
    while player.stats()["at"] < before["at"] + 10:
        at_s = player.page.evaluate("() => player.getPlayheadTimeAsDate().getTime() / 1000")
        behind_s.append(player.stats()["wall"] - at_s)
    found = player.stats()
    p50 = statistics.median(behind_s)
    shown = found["frames"] - before["frames"]
    print(f"{player.player}, HLS: latency p50 {p50:.2f} s, {shown} pictures in 10 s")
    assert found["errors"] == []
    assert [at for wall, at in found["waits"] if wall > before["wall"]] == []
    assert shown >= 0.95 * 30 * (found["at"] - before["at"])
    stop(camera)


@pytest.mark.parametrize("player", ["shaka-4"], indirect=True)  # 5.2: watch-with-players.md
def test_live_over_a_restart(played: Stage, player: DashPage) -> None:
    """No stall but the publisher's absence and the moment of its return, no reload. The first
    session is longer than ten seconds, when its dates may begin to follow the clock."""
    camera = played.camera("shaka/restart")
    player.play(_live(played, "shaka/restart"))
    player.played(20, "20 s played")
    before = player.stats()
    leaving = time.time()
    stop(camera)
    until(lambda: player.stats()["ahead"] < 0.3, "the buffer to run out")
    player.page.wait_for_timeout(6000)
    frames = player.stats()["frames"]
    camera = played.camera("shaka/restart")
    until(lambda: player.stats()["frames"] > frames + 30, "pictures of the new session")
    again = player.stats()
    player.played(8, "8 s played after the restart")
    found = player.stats()
    stalls = [(wall, at) for wall, at in found["waits"] if wall > before["wall"]]
    print(f"shaka 4, HLS: left at {leaving}, waited {stalls}, back by {again['wall']}")
    assert found["errors"] == []
    assert [at for wall, at in stalls if wall < leaving or wall > again["wall"]] == []
    assert found["frames"] - again["frames"] >= 0.95 * 30 * (found["at"] - again["at"])
    stop(camera)


def _live(played: Stage, stream: str) -> str:
    """The address of a stream that has begun. Shaka looks for captions in segments amid the list,
    and ends where that is the one in progress, in a stream's first 6 s."""
    url = f"{played.edge()}/media/{stream}/index.m3u8"
    with httpx.Client(timeout=30) as client:
        for track in ("video", "audio"):
            listed = url.replace("index", track)
            until(lambda url=listed: client.get(url).text.count("#EXTINF") >= 3, f"{track}: 6 s")
    return url
