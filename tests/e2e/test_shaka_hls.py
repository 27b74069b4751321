"""Shaka plays the HLS playlists live, over a restart, from a moment on, and of a closed range."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.dash_page import OVER_ABSENCES, DashPage, player_pages

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(280),
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
]

PLAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "v5": ("shaka", {}),
    "v5-absences": ("shaka", OVER_ABSENCES),
    "v4-absences": ("shaka-4", OVER_ABSENCES),
}


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("shaka-hls")) as found:
        yield found


@pytest.fixture
def player(browser: Any, request: pytest.FixtureRequest) -> Iterator[DashPage]:
    context = browser.new_context()
    name, settings = PLAYERS[request.param]
    with player_pages() as pages:
        yield DashPage(context.new_page(), pages, name, settings)
    context.close()


@pytest.fixture(scope="module")
def begun(played: Stage) -> datetime:
    """Two sessions of 60 and 20 s, with a minute between them; an hour ago."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for offset_s, seconds in ((0, 60), (120, 20)):
        begin = (at + timedelta(seconds=offset_s)).isoformat()
        played.published("shaka/film", f"seconds={seconds}", f"--at={begin}")
    return at


@pytest.mark.parametrize("player", ["v5", "v4-absences"], indirect=True)
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


@pytest.mark.parametrize("player", ["v5-absences"], indirect=True)
def test_a_replay_over_an_absence(played: Stage, player: DashPage) -> None:
    """From a moment on, still growing: eight seconds of a session, and on in the next, which is
    live."""
    stream = "shaka/again"
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=70)
    played.published(stream, "seconds=40", f"--at={at.isoformat()}")
    camera = played.camera(stream)
    live = _live(played, stream)
    player.play(f"{live}?start={at.timestamp() + 32}")
    before = player.stats()
    assert before["at"] < 4  # of the list, which begins with the segment of that moment
    until(lambda: player.stats()["frames"] > before["frames"] + 16 * 30, "16 s of pictures")
    found = player.stats()
    print(f"{player.player}: {found}")
    assert found["errors"] == []
    assert [at for wall, at in found["waits"] if wall > before["wall"]] == []
    assert found["wall"] - before["wall"] < 18
    stop(camera)


@pytest.mark.parametrize("player", list(PLAYERS), indirect=True)
def test_live(played: Stage, player: DashPage, request: Any) -> None:
    """Every picture, without a stall; the latency is printed."""
    name = request.node.callspec.params["player"]
    stream = f"shaka/live-{name}"
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
    print(f"Shaka {name}, HLS: latency p50 {p50:.2f} s, {shown} pictures in 10 s")
    assert found["errors"] == []
    assert [at for wall, at in found["waits"] if wall > before["wall"]] == []
    assert shown >= 0.95 * 30 * (found["at"] - before["at"])
    stop(camera)


@pytest.mark.parametrize("player", ["v5-absences", "v4-absences"], indirect=True)
def test_live_over_two_restarts(played: Stage, player: DashPage, request: Any) -> None:
    """No stall but the publisher's absence and the moment of its return, no reload. Sessions are
    longer than ten seconds, when dates may begin to follow the clock."""
    stream = f"shaka/restart-{request.node.callspec.params['player']}"
    camera = played.camera(stream)
    player.play(_live(played, stream))
    player.played(20, "20 s played")
    for _ in range(2):
        before = player.stats()
        leaving = time.time()
        stop(camera)
        until(lambda: player.stats()["ahead"] < 0.3, "the buffer to run out")
        player.page.wait_for_timeout(6000)
        frames = player.stats()["frames"]
        camera = played.camera(stream)
        until(
            lambda frames=frames: player.stats()["frames"] > frames + 30,
            "pictures of the new session",
        )
        again = player.stats()
        player.played(20, "20 s played after the restart")
        found = player.stats()
        stalls = [(wall, at) for wall, at in found["waits"] if wall > before["wall"]]
        print(f"{player.player}, HLS: left at {leaving}, waited {stalls}, back by {again['wall']}")
        # The part that was announced when the publisher left, and never came.
        assert [one for one in found["errors"] if not re.search(r"\.0\.m4s", one)] == []
        assert len(found["errors"]) - len(before["errors"]) <= 2  # a track
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
