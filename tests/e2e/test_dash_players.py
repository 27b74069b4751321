"""dash.js and Shaka play live, a closed range, and over a publisher's restart."""

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
    pytest.mark.needs("chromium"),
]
PLAYERS = ("dashjs", "shaka")


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("dash-players")) as found:
        yield found


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with player_pages() as found:
        yield found


@pytest.fixture
def player(browser: Any, pages: str, request: pytest.FixtureRequest) -> Iterator[DashPage]:
    context = browser.new_context()
    yield DashPage(context.new_page(), pages, request.param)
    context.close()


@pytest.fixture(scope="module")
def film(played: Stage) -> str:
    """A closed range of 8 s, over an absence of a minute."""
    stream = "dash/film"
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for offset_s in (0, 66):
        at = (begun + timedelta(seconds=offset_s)).isoformat()
        played.published(stream, "seconds=6", f"--at={at}")
    start_s = begun.timestamp()
    return f"{played.edge()}/media/{stream}/manifest.mpd?start={start_s + 2}&end={start_s + 70}"


@pytest.mark.slow
@pytest.mark.parametrize("player", PLAYERS, indirect=True)
def test_a_closed_range_over_an_absence(film: str, player: DashPage) -> None:
    """Every picture up to the end, without a stop between the two sessions."""
    player.play(film)
    until(lambda: player.stats()["ended"], "the end")
    found = player.stats()
    print(f"{player.player}: {found}")
    assert found["errors"] == []
    assert found["at"] == pytest.approx(8, abs=0.1)
    assert found["frames"] >= 235
    assert [at for _, at in found["waits"] if 0.5 < at < 7.8] == []


@pytest.mark.slow
@pytest.mark.parametrize("player", PLAYERS, indirect=True)
def test_a_replay_over_an_absence(played: Stage, player: DashPage) -> None:
    """From a moment on of a stream that goes on: it begins there, waits no longer than the
    publisher was away, and does not hurry to the present."""
    stream = f"dash/replay-{player.player}"
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=20)
    played.published(stream, "seconds=12", f"--at={begun.isoformat()}")
    camera = played.camera(stream)
    url = f"{played.edge()}/media/{stream}/manifest.mpd"
    with httpx.Client(timeout=30) as client:
        until(lambda: b"<Latency" in client.get(url).content, "the camera")
        until(lambda: client.get(url).content.count(b"<Period") == 2, "both sessions")
    start_s = begun.timestamp() + 5
    player.play(f"{url}?start={start_s}")
    first = player.stats()
    assert start_s - 2 <= first["at"] <= start_s + 3
    until(lambda: player.stats()["at"] > start_s + 8, "the second session")
    player.played(1, "pictures of it")
    again = player.stats()
    player.played(6, "6 s played of the second session")
    found = player.stats()
    print(f"{player.player}: began {first['at'] - start_s:+.2f} s from start, {found}")
    assert found["errors"] == []
    assert found["wall"] - again["wall"] == pytest.approx(found["at"] - again["at"], abs=0.7)
    assert found["frames"] >= 0.9 * 30 * (6 + found["at"] - again["at"])
    stalls = [(wall, at - start_s) for wall, at in found["waits"] if at > first["at"] + 0.5]
    assert [at for wall, at in stalls if at < 6 or wall > again["wall"]] == []
    stop(camera)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["", "gop=1.7"])
@pytest.mark.parametrize("player", PLAYERS, indirect=True)
def test_live_over_a_restart(played: Stage, player: DashPage, query: str) -> None:
    """No stall but the publisher's absence, no reload; the latency is printed."""
    stream = f"dash/live-{player.player}{'-irregular' if query else ''}"
    camera = played.camera(stream, query)
    url = f"{played.edge()}/media/{stream}/manifest.mpd"
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(url).status_code == 200, "a manifest")
    player.play(url)
    player.played(8, "8 s played")
    before = player.stats()
    if player.player == "dashjs":
        # It passes over a service description whose scope it does not know.
        told = httpx.get(url, timeout=30).text.partition('<Latency target="')[2].partition('"')[0]
        heeded_s = player.page.evaluate("player.getTargetLiveDelay()")
        assert heeded_s == pytest.approx(int(told) / 1000)
    latencies = player.latencies(10)
    after = player.stats()
    p50 = statistics.median(latencies)
    kind = "irregular" if query else "regular"
    print(f"{player.player}, {kind}: latency p50 {p50:.2f} s, most {max(latencies):.2f} s")
    assert after["errors"] == []
    leaving = time.time()
    stop(camera)
    left = time.time()
    until(lambda: player.stats()["ahead"] < 0.3, "the buffer to run out")
    camera = played.camera(stream, query)
    until(lambda: player.stats()["at"] > left, "pictures of the new session")
    player.played(8, "8 s played after the restart")
    found = player.stats()
    stalls = [(wall, at) for wall, at in found["waits"] if wall > before["wall"]]
    print(f"{player.player}, {kind}: waited {stalls}")
    assert found["ahead"] > 0
    if not query:
        assert p50 < 1.0
        assert [at for wall, at in stalls if wall < leaving] == []
        back = min(wall for wall, at in found["plays"] if at > left)
        assert [at for wall, at in stalls if wall > back + 1] == []
    stop(camera)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("player", "query"),
    [("dashjs", ""), ("dashjs", "gop=1.7"), ("shaka", ""), ("shaka", "gop=1.7")],
    indirect=["player"],
)
def test_a_publisher_that_was_killed(played: Stage, player: DashPage, query: str) -> None:
    """Nothing says that it has left: the player waits, and goes on when it is back."""
    stream = f"dash/killed-{player.player}{'-irregular' if query else ''}"
    camera = played.camera(stream, query)
    edge = played.edge()
    url = f"{edge}/media/{stream}/manifest.mpd"
    answered: list[tuple[int, int]] = []

    def answers(response: Any) -> None:
        if response.url.startswith(edge):
            length = response.headers.get("content-length", "-1")
            answered.append((response.status, int(length)))

    player.page.on("response", answers)
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(url).status_code == 200, "a manifest")
        player.play(url)
        player.played(4, "4 s played")
        camera.kill()
        camera.wait(10)
        killed = time.time()
        streams = f"{edge}/api/streams"

        def states() -> dict[str, str]:
            return {one["name"]: one["state"] for one in client.get(streams).json()["streams"]}

        until(lambda: states()[stream.partition("/")[2]] == "away", "the edge to notice")
        at_leaving = player.stats()["at"]
        player.page.wait_for_timeout(27_000)  # longer than a player has patience, and the window
    before = player.stats()
    camera = played.camera(stream, query)
    back = time.time()
    try:
        until(lambda: player.stats()["at"] > back, "pictures of the new session")
        player.played(6, "6 s played after the return")
    finally:
        print(player.stats(), answered[-12:])
    found = player.stats()
    empty = sum(status == 200 and not length for status, length in answered)
    refused = [status for status, _ in answered if status >= 400]
    kind = "irregular" if query else "regular"
    print(
        f"{player.player}, {kind}: played to {at_leaving - killed:+.2f} s of the kill, pictures of "
        f"the new session, {empty} empty bodies, refused {refused}, errors {found['errors']}"
    )
    assert before["errors"] == found["errors"] == []
    assert refused == []
    assert found["ahead"] > 0
    stop(camera)
