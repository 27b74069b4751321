"""hls.js, dash.js, Shaka and the page, with the CMCD that is built in: what the edge makes of
their reports beside what the page itself measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.dash_page import PLAYERS, player_pages
from kit.page_player import stats
from kit.stock_hls import HLS

pytestmark = [pytest.mark.cluster, pytest.mark.needs("chromium"), pytest.mark.timeout(400)]

KEYS = ["sid", "cid", "sta", "ltc", "msd", "br", "bl", "dfa", "sf", "st", "sn", "pr", "ec"]
SHAKA = PLAYERS / "node_modules/shaka-player/dist"
SCRIPTS = {
    "hls": HLS,
    "dashjs": PLAYERS / "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
    "shaka": SHAKA / "shaka-player.compiled.js",
    "shaka-debug": SHAKA / "shaka-player.compiled.debug.js",
}
_SHAKA = """
  const player = window.player = new shaka.Player();
  await player.attach(video);
  player.configure({ streaming: { lowLatencyMode: true }, cmcd: {
    enabled: true, version: 2, contentId: stream,
    eventTargets: [{ ...target, enabled: true, batchSize: 1, includeKeys: [] }],
  } });
  await player.load(`${media}/manifest.mpd`);
"""
START = {
    "hls": """
      const hls = window.player = new Hls({
        lowLatencyMode: true,
        cmcd: { version: 2, contentId: stream, eventTargets: [target] },
      });
      hls.loadSource(`${media}/index.m3u8`);
      hls.attachMedia(video);
    """,
    "dashjs": """
      const player = window.player = dashjs.MediaPlayer().create();
      player.updateSettings({ streaming: { cmcd: {
        enabled: true, version: 2, cid: stream, includeInRequests: [],
        eventTargets: [
          { ...target, enabled: true, batchSize: 2, enabledKeys: keys,
            includeInRequests: ["segment"] },
        ],
      } } });
      player.initialize(video, `${media}/manifest.mpd`, true);
    """,
    "shaka": _SHAKA,
    "shaka-debug": _SHAKA,
}
PREPARE = """async ([edge, stream, keys]) => {
  const media = `${edge}/media/${stream}`;
  const target = { url: `${edge}/cmcd`, events: ["ps", "t", "e"], interval: 2 };
  const video = window.video = document.querySelector("video");
  const said = window.said = { begun: Date.now(), first: 0, waited: 0, since: 0, stalls: 0 };
  video.addEventListener("waiting", () => {
    if (!said.first || said.since) return;
    said.since = Date.now();
    said.stalls += 1;
  });
  video.addEventListener("playing", () => {
    said.first ||= Date.now();
    said.behind = Date.now() - 1000 * video.currentTime;  // DASH: media time is Unix time
    if (said.since) said.waited += Date.now() - said.since;
    said.since = 0;
  });
"""


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("qoe-players")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture
def stream(request: pytest.FixtureRequest, played: Stage, edge: str) -> Iterator[str]:
    """A live one, of this test's own."""
    name = f"qoe-players/{request.node.callspec.params.get('player', 'page')}"
    camera = played.camera(name)
    media = f"{edge}/media/{name}/index.m3u8"
    until(lambda: httpx.get(media, timeout=30).status_code == 200, "the camera")
    yield name
    stop(camera)


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with player_pages() as found:
        yield found


def audience(edge: str, stream: str) -> Callable[[], dict[str, Any]]:
    return lambda: dict(httpx.get(f"{edge}/media/{stream}/viewers").json())


@pytest.mark.parametrize("player", ["hls", "dashjs", "shaka-debug"])
@pytest.mark.slow
def test_the_figures_are_those_of_the_page(
    browser: Any, edge: str, pages: str, stream: str, player: str
) -> None:
    figures = audience(edge, stream)
    with browser.new_context() as context:
        page = start(context, edge, pages, stream, player)
        ask = page.evaluate
        page.route("**/*.m4s*", lambda _: None)  # media stop coming; reports go on
        until(lambda: ask("said.stalls"), "a stall")
        begun = figures()
        page.wait_for_timeout(2500)
        page.unroute("**/*.m4s*")  # what waits goes on
        until(lambda: not ask("said.since"), "play after the stall", 90)
        page.wait_for_timeout(3000)
        until(lambda: figures()["played_s"] > begun["played_s"] + 2, "reports of playing on")
        found, said = figures(), ask("said")
    startup_ms = said["first"] - said["begun"]
    print(f"{player}: startup {startup_ms} ms, waited {said['waited']} ms; {found}")
    assert (found["viewers"], found["sessions"]) == (1, 1)
    assert found["startup_ms"]["p50"] == pytest.approx(startup_ms, abs=500)
    assert found["stalls"] >= 1
    assert found["stalled_s"] == pytest.approx(said["waited"] / 1000, abs=1.0)
    assert found["stalled_s"] > 2
    assert found["rebuffer_ratio"] > 0.1
    assert found["bitrate_kbps"]["p50"] > 50
    if player == "dashjs":  # it tells its latency when its state changes
        assert found["latency_ms"]["p50"] == pytest.approx(said["behind"], abs=500)


@pytest.mark.parametrize("player", ["shaka"])
def test_what_a_player_leaves_out_is_not_made_up(
    browser: Any, edge: str, pages: str, stream: str, player: str
) -> None:
    """The compiled Shaka 5.2.12 sends no `sta`: nothing is known of its waiting."""
    figures = audience(edge, stream)
    with browser.new_context() as context:
        page = start(context, edge, pages, stream, player)
        until(lambda: figures()["startup_ms"], "its media start delay")
        found, said = figures(), page.evaluate("said")
    print(found)
    assert found["viewers"] == 1
    assert found["startup_ms"]["p50"] == pytest.approx(said["first"] - said["begun"], abs=500)
    assert (found["played_s"], found["rebuffer_ratio"]) == (0, 0)
    assert found["bitrate_kbps"]["p50"] > 50


def start(context: Any, edge: str, pages: str, stream: str, player: str) -> Any:
    """A page of another origin than the edge's, whose player has played for some seconds."""
    page = context.new_page()
    page.goto(pages)
    page.add_script_tag(path=SCRIPTS[player])
    page.evaluate(f"{PREPARE}{START[player]} }}", [edge, stream, KEYS])
    until(lambda: page.evaluate("said.first && video.currentTime"), "pictures")
    until(lambda: audience(edge, stream)()["viewers"] == 1, "a viewer")
    page.wait_for_timeout(4000)
    return page


@pytest.mark.parametrize("player", ["page"])
def test_the_page_reports_shows_and_says_good_bye(
    browser: Any, edge: str, stream: str, player: str
) -> None:
    figures = audience(edge, stream)
    asked: list[str] = []
    with browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{edge}/watch/{stream}")
        until(lambda: stats(page).get("phase") == "playing", "pictures")
        until(lambda: figures()["latency_ms"], "its latency", 40)
        page.get_by_text("1 watching").first.wait_for(timeout=20_000)
        found, said = figures(), stats(page)
        print(found, said)
        assert found["players"] == {"page": 1}
        assert found["latency_ms"]["p50"] == pytest.approx(said["latency_s"] * 1000, abs=1500)
        assert 0 < found["startup_ms"]["p50"] < 10_000
        assert found["dropped_frames"] <= said["dropped"]
        page.goto("about:blank")
        until(lambda: figures()["viewers"] == 0, "its good-bye", 10)
    assert not [url for url in asked if "CMCD" in url]
