"""A camera whose microphone is off for a session: stock players show all of it, and go on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.dash_page import DashPage, player_pages
from kit.stock_hls import StockHls

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(280),
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
]
SESSION_S = 10
APART_S = 25
FRAME_RATE = 30
SECONDS = 3 * SESSION_S - 4
"""Of a range that begins 2 s into the first session and ends 2 s before the end of the last."""


class Film(NamedTuple):
    """An edge, a stream, and the range as a query."""

    edge: str
    stream: str
    query: str

    def url(self, name: str) -> str:
        return f"{self.edge}/media/{self.stream}/{name}?{self.query}"


class Shown(NamedTuple):
    """What a player shows: its time, when that was captured, and how many pictures so far."""

    at_s: float
    captured_s: float
    frames: int


SHOWN = """[
  stock.video.currentTime, (stock.hls.playingDate?.getTime() ?? 0) / 1000,
  stock.video.getVideoPlaybackQuality().totalVideoFrames,
]"""


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("silent-players")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture(scope="module", params=["h264", "vp9"], ids=["aac", "opus"])
def film(request: pytest.FixtureRequest, played: Stage, edge: str) -> Film:
    """Three sessions, of which the middle one has no sound; an hour ago."""
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    stream = f"quiet/film-{request.param}"
    for number, audio in enumerate((1, 0, 1)):
        at = (begun + timedelta(seconds=number * APART_S)).isoformat()
        query = f"seconds={SESSION_S}&codec={request.param}&audio={audio}"
        played.published(stream, query, f"--at={at}")
    start_s = begun.timestamp() + 2
    end_s = begun.timestamp() + 2 * APART_S + SESSION_S - 2
    return Film(edge, stream, f"start={start_s}&end={end_s}")


def test_hls_js_shows_it_all(film: Film, browser: Any) -> None:
    context = browser.new_context(bypass_csp=True)
    hls = StockHls(context.new_page(), film.edge)
    hls.open(film.url("index.m3u8"), play=True)
    until(lambda: hls.ask("stock.ended"), "the end")
    frames = hls.ask("stock.video.getVideoPlaybackQuality().totalVideoFrames")
    errors, waits, at = hls.ask("[stock.errors, stock.waits, stock.video.currentTime]")
    print(f"hls.js: {frames} pictures, {at} s, waited at {waits}, errors {errors}")
    assert frames >= SECONDS * FRAME_RATE - 6
    assert [at for at in waits if at > 0.5] == []
    assert errors == []
    context.close()


@pytest.mark.parametrize(
    ("player", "name"),
    [("dashjs", "manifest.mpd"), ("shaka", "manifest.mpd"), ("shaka", "index.m3u8")],
    ids=["dash.js", "shaka-dash", "shaka-hls"],
)
def test_others_show_it_all(film: Film, browser: Any, player: str, name: str) -> None:
    context = browser.new_context()
    with player_pages() as pages:
        page = DashPage(context.new_page(), pages, player)
        page.play(film.url(name))
        until(lambda: page.stats()["ended"], "the end")
        found = page.stats()
    print(f"{player}: {found}")
    assert found["frames"] >= SECONDS * FRAME_RATE - 6
    assert [at for _, at in found["waits"] if 0.5 < at < SECONDS - 0.2] == []
    assert found["errors"] == []
    context.close()


def through_the_silence(
    played: Stage, stream: str, camera: subprocess.Popen[bytes], shown: Callable[[], Shown]
) -> None:
    """The camera comes back without sound, and again with it: each time the player goes on by
    itself, and shows every picture of eight seconds."""
    for audio in (0, 1):
        stop(camera)
        left_s = time.time()
        camera = played.camera(stream, f"audio={audio}")
        until(lambda left_s=left_s: shown().captured_s > left_s, "pictures of the next session")
        before = shown()
        until(lambda before=before: shown().at_s > before.at_s + 8, "eight seconds of it")
        after = shown()
        print(f"audio={audio}: {before}, {after}")
        assert after.frames - before.frames >= 8 * FRAME_RATE - 12
    stop(camera)


def test_hls_js_goes_on_live(played: Stage, edge: str, browser: Any) -> None:
    context = browser.new_context(bypass_csp=True)
    hls, stream = StockHls(context.new_page(), edge), "quiet/live-hls"
    camera = played.camera(stream)
    url = f"{edge}/media/{stream}/index.m3u8"
    until(lambda: httpx.get(url, timeout=30).status_code == 200, "a playlist")
    hls.open(url, play=True)
    until(lambda: hls.ask("stock.hls.playingDate && stock.video.currentTime > 4"), "live")
    through_the_silence(played, stream, camera, lambda: Shown(*hls.ask(SHOWN)))
    assert hls.ask("stock.errors.filter(([, fatal]) => fatal)") == []
    context.close()


@pytest.mark.parametrize("player", ["dashjs", "shaka"])
def test_dash_players_go_on_live(played: Stage, edge: str, browser: Any, player: str) -> None:
    context = browser.new_context()
    stream = f"quiet/live-{player}"
    camera = played.camera(stream)
    url = f"{edge}/media/{stream}/manifest.mpd"
    until(lambda: httpx.get(url, timeout=30).status_code == 200, "a manifest")
    with player_pages() as pages:
        page = DashPage(context.new_page(), pages, player)
        page.play(url)
        page.played(4, "live")

        def shown() -> Shown:
            found = page.stats()  # a live presentation's time is Unix time
            return Shown(found["at"], found["at"], found["frames"])

        through_the_silence(played, stream, camera, shown)
        assert page.stats()["errors"] == []
    context.close()
