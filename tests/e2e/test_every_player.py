"""All players in turn on one 360p stream: live, replay and closed range over a restart."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.dash_page import OVER_ABSENCES, DashPage, player_pages

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(400),
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.needs("chromium", "ffmpeg"),
]

CAMERA = "test:640x360@30?gop=2"
FPS = 30
AWAY_MS = 4000
STALL_S = 0.2
"""Who shows no new picture for so long stalls. Chromium says `waiting` for a few hundredths of a
second where one session follows another, too."""


class Way(NamedTuple):
    """A player, what it is given, and its settings where the publisher may leave."""

    player: str
    manifest: str
    live: dict[str, Any]


WAYS = {
    "hls.js": Way("hlsjs", "index.m3u8", {}),
    "shaka-hls": Way("shaka", "index.m3u8", OVER_ABSENCES),
    "shaka-dash": Way("shaka", "manifest.mpd", {}),
    "dash.js": Way("dashjs", "manifest.mpd", {}),
}


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("every")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with player_pages() as found:
        yield found


@pytest.mark.parametrize("name", list(WAYS))
def test_a_player(played: Stage, edge: str, pages: str, browser: Any, name: str) -> None:
    """No stall after the start but the publisher's absence."""
    way, stream = WAYS[name], f"every/{name}".replace(".", "")
    base = f"{edge}/media/{stream}"

    def opened(query: str = "", settings: dict[str, Any] | None = None) -> DashPage:
        player = DashPage(browser.new_context().new_page(), pages, way.player, settings)
        player.play(f"{base}/{way.manifest}{query}")
        return player

    camera = played.start("publish", CAMERA, stream)
    with httpx.Client(timeout=30) as client:
        until(lambda: _whole(client, base) >= 3, "6 s of a session")
    player = opened(settings=way.live)
    player.played(10, "10 s live")
    before = player.stats()
    left_s = time.time()
    stop(camera)
    until(lambda: player.stats()["ahead"] < 0.3, "the buffer to run out")
    player.page.wait_for_timeout(AWAY_MS)
    frames = player.stats()["frames"]
    camera = played.start("publish", CAMERA, stream)
    until(lambda: player.stats()["frames"] > frames + FPS, "pictures of the new session")
    again = player.stats()
    player.played(12, "12 s live after the return")
    found = player.stats()
    back_s = again["wall"]
    stalls = _stalls(found, before["wall"])
    away_s = back_s - left_s
    print(f"{name}, live: back {away_s:.1f} s after it left; {stalls}, errors {found['errors']}")
    assert [one for one in found["errors"] if not re.search(r"\.0\.m4s", one)] == []
    if name != "dash.js":  # it has some of 0.2 to 0.6 s behind the return (docs/plan.md)
        assert [one for one in stalls if not left_s <= one.since_s <= back_s] == []
    assert found["frames"] - again["frames"] >= 0.95 * FPS * (found["at"] - again["at"])
    player.page.context.close()

    player = opened(f"?start={left_s - 10:.3f}")
    before = player.stats()
    until(lambda: player.stats()["frames"] > before["frames"] + 18 * FPS, "18 s of pictures")
    found = player.stats()
    # By DASH an absence is as long as it was; nobody waits for anything else.
    stalls = _stalls(found, before["wall"])
    shown, took_s = found["frames"] - before["frames"], found["wall"] - before["wall"]
    print(f"{name}, replay: {shown} pictures in {took_s:.1f} s, stalls {stalls}")
    assert found["errors"] == []
    assert len(stalls) <= (way.manifest == "manifest.mpd")
    assert all(stall.lasted_s < away_s for stall in stalls)
    player.page.context.close()

    begin_s, end_s = left_s - 8, back_s + 4
    span = f"start={begin_s:.3f}&end={end_s:.3f}"
    ranges = httpx.get(f"{base}/timeline?{span}", timeout=30).json()["ranges"]
    player = opened(f"?{span}")
    begun_s = player.stats()["wall"]
    # Not `ended`: hls.js stays for good some pictures before it (docs/plan.md).
    length_s = player.page.evaluate("document.querySelector('video').duration")
    until(lambda: player.stats()["at"] > length_s - 0.1, "the end")
    found = player.stats()
    stalls = [one for one in _stalls(found, begun_s) if one.at_s < length_s - 0.1]
    print(f"{name}, range: {found['frames']} pictures, stalls {stalls}, {ranges}")
    assert len(ranges) == 2
    assert found["errors"] == []
    assert stalls == []
    # From the moment on that was asked for, which lies within the first segment.
    ends = [datetime.fromisoformat(one["end"]).timestamp() for one in ranges]
    begins = [datetime.fromisoformat(one["start"]).timestamp() for one in ranges]
    least = FPS * (ends[0] - begin_s + ends[1] - begins[1])
    assert least - 8 <= found["frames"] <= least + 2 * FPS + 8
    if way.manifest == "index.m3u8":
        pictures = _by_ffmpeg(f"{base}/index.m3u8?{span}")
        print(f"ffmpeg, range: {pictures} pictures")
        assert pictures == pytest.approx(FPS * sum(ends) - FPS * sum(begins), abs=2)
    player.page.context.close()
    stop(camera)


def _whole(client: httpx.Client, base: str) -> int:
    """How many whole segments of the newest session the shorter playlist has."""
    texts = [client.get(f"{base}/{track}.m3u8").text for track in ("video", "audio")]
    return min(text.rpartition("#EXT-X-MAP")[2].count("#EXTINF") for text in texts)


class Stall(NamedTuple):
    """Since when (Unix s), at which time of the player, and how long."""

    since_s: float
    at_s: float
    lasted_s: float


def _stalls(found: dict[str, Any], since_s: float) -> list[Stall]:
    stalls = []
    for wall, at in found["waits"]:
        again = min((one for one, _ in found["plays"] if one >= wall), default=found["wall"])
        if wall > since_s and again - wall > STALL_S:
            stalls.append(Stall(wall, at, round(again - wall, 2)))
    return stalls


def _by_ffmpeg(url: str) -> int:
    """How many pictures ffmpeg decodes of it."""
    words = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-count_frames", "-show_streams"]
    done = subprocess.run(
        [*words, "-of", "json", url], check=True, capture_output=True, timeout=100
    )
    return int(json.loads(done.stdout)["streams"][0]["nb_read_frames"])
