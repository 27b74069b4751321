"""dash.js, Shaka and hls.js in a headless Chromium, as their packages are, and what they say."""

from __future__ import annotations

import functools
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from hls_stage import until
from playwright.sync_api import Page

from example_kit import NODE, NPM
from kit.stock_hls import HLS

PLAYERS = Path(__file__).parents[1] / "dash_players"
SCRIPTS = {
    "dashjs": "node_modules/dashjs/dist/modern/umd/dash.all.min.js",
    "shaka": "node_modules/shaka-player/dist/shaka-player.compiled.js",
    "shaka-4": "node_modules/shaka-4/dist/shaka-player.compiled.js",
}
OVER_ABSENCES = {
    "streaming": {"rebufferingGoal": 0.5},
    "manifest": {
        "availabilityWindowOverride": 300,
        "hls": {"ignoreManifestProgramDateTime": True, "sequenceMode": True},
    },
}
"""With these Shaka 5.2 plays HLS over absences (docs/how-to/watch-with-players.md)."""
ENDS_OVER_ABSENCES = {"maxBufferHole": 0.01}
"""With this hls.js says `ended` of a closed range over an absence (the same)."""
PAGE = """
<video muted autoplay></video>
<script>
  const video = document.querySelector("video");
  window.said = { errors: [], waits: [], plays: [], stills: [] };
  const wall = () => Date.now() / 1000;
  video.addEventListener("waiting", () => said.waits.push([wall(), video.currentTime]));
  video.addEventListener("playing", () => said.plays.push([wall(), video.currentTime]));
  // Shaka stops the playback itself before the media run out, and nothing says `waiting` then. Two
  // looks that find the same position are what counts, not the time since the last: a page that had
  // no processor for a while is not a player that stood still.
  let still = [wall(), 0, 0];
  setInterval(() => {
    const [since, at] = still, now = wall();
    if (video.currentTime !== at) still = [now, video.currentTime, 0];
    else {
      if (!still[2]) said.stills.push(still);
      still[2] = now - since;
    }
  }, 20);
</script>
"""
START = {
    "dashjs": """([url]) => {
      const player = window.player = dashjs.MediaPlayer().create();
      player.on("error", (event) => said.errors.push(JSON.stringify(event.error.message)));
      player.initialize(document.querySelector("video"), url, true);
    }""",
    "hlsjs": """([url, settings]) => {
      const player = window.player = new Hls(settings);
      player.on(Hls.Events.ERROR, (_, { fatal, details }) => fatal && said.errors.push(details));
      player.loadSource(url);
      player.attachMedia(document.querySelector("video"));
    }""",
    "shaka": """async ([url, settings]) => {
      const player = window.player = new shaka.Player();
      await player.attach(document.querySelector("video"));
      player.configure({ streaming: { lowLatencyMode: true } });
      player.configure(settings);
      player.addEventListener("error", (event) => said.errors.push(String(event.detail)));
      await player.load(url);
    }""",
}
STATS = """() => {
  const video = document.querySelector("video"), { buffered } = video;
  const end = buffered.length ? buffered.end(buffered.length - 1) : 0;
  return {
    ...said, at: video.currentTime, wall: Date.now() / 1000, ended: video.ended,
    ahead: end - video.currentTime, frames: video.getVideoPlaybackQuality().totalVideoFrames,
  };
}"""


def install() -> None:
    """The players and mpd-parser, as the lock file says."""
    if not (PLAYERS / "node_modules" / "shaka-4").is_dir():
        subprocess.run(
            [NODE, NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=PLAYERS,
            check=True,
            capture_output=True,
            timeout=120,
        )


def read_by_mpd_parser(manifests: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """What mpd-parser, the parser of video.js, makes of them (see check.mjs)."""
    install()
    given = json.dumps([{"name": name, "text": text} for name, text in manifests])
    done = subprocess.run(
        [NODE, "check.mjs"], cwd=PLAYERS, input=given, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())


@contextmanager
def player_pages() -> Iterator[str]:
    """Serves a page with a video element and the players' scripts, from another origin."""
    install()
    handler = functools.partial(_Quiet, directory=str(PLAYERS))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class DashPage:
    """One of the players with its defaults (Shaka: low-latency mode on), playing a manifest."""

    def __init__(
        self, page: Page, pages: str, player: str, settings: dict[str, Any] | None = None
    ) -> None:
        self.page = page
        self.player = player
        self.settings = settings or {}
        page.goto(f"{pages}/")
        if player == "hlsjs":
            page.add_script_tag(path=HLS)
        else:
            page.add_script_tag(url=f"{pages}/{SCRIPTS[player]}")

    def play(self, url: str) -> None:
        """Start, and wait for moving pictures."""
        start = START[self.player.removesuffix("-4")]
        self.page.evaluate(start, [url, self.settings])
        until(lambda: self.stats()["frames"] > 5, f"{self.player}: the first pictures")

    def stats(self) -> dict[str, Any]:
        return dict(self.page.evaluate(STATS))

    def played(self, seconds: float, what: str) -> None:
        """Wait until it has played so much more without a break."""
        begin = self.stats()["at"]
        until(lambda: self.stats()["at"] > begin + seconds, what)

    def latencies(self, seconds: float) -> list[float]:
        """How far behind the moment of capture it is: a live presentation's time is Unix time."""
        found = []
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            stats = self.stats()
            found.append(stats["wall"] - stats["at"])
            time.sleep(0.1)
        return found
