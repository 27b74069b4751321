"""The page's player in a headless Chromium, and what it says of itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import httpx
from hls_stage import until
from playwright.sync_api import Page

from kit.screen import READ_FIRST, shown


def stats(page: Page) -> dict[str, Any]:
    return dict(page.evaluate("window.kinolog?.stats() ?? {}"))


def clock_off(ms: int) -> str:
    """For a page whose machine's clock is ahead by that."""
    return f"""
    window.Date = class extends Date {{
      constructor(...of) {{ of.length ? super(...of) : super(Date.now()); }}
      static now() {{ return super.now() + {ms}; }}
    }};
    """


def playing_s(page: Page) -> float:
    """When what is shown was captured, Unix s; 0 where nothing is."""
    date = stats(page).get("playing_date")
    return datetime.fromisoformat(date).timestamp() if date else 0.0


STATE = """
() => {
  const video = document.querySelector("video");
  const { readyState, paused, seeking, ended, currentTime, buffered } = video;
  const ranges = [...Array(buffered.length).keys()];
  const times = ranges.map((n) => [buffered.start(n), buffered.end(n)]);
  return { readyState, paused, seeking, ended, currentTime, times };
}
"""


@contextmanager
def watched(browser: Any, url: str, first: str = "") -> Iterator[Page]:
    """A page of a stream whose pictures are read from the first on, and which is to throw nothing.
    What fails tells of it. `first` is run before anything of it."""
    context = browser.new_context(bypass_csp=True)
    warned: list[str] = []
    failed: list[str] = []
    try:
        page = context.new_page()
        page.on("console", lambda told: warned.append(told.text) if told.type != "log" else None)
        page.on("pageerror", lambda error: failed.append(f"{error}\n{error.stack}"))
        page.add_init_script(READ_FIRST + first)
        page.goto(url)
        page.wait_for_function("() => window.kinolog")
        yield page
        assert not failed, "what nobody caught"
    except AssertionError as error:
        error.add_note(
            f"{stats(page)}\n{page.evaluate(STATE)}\n{shown(page)[-5:]}\n{warned}\n{failed}"
        )
        raise
    finally:
        context.close()


def send_to(page: Page, at_ms: float, *, paused: bool = False) -> None:
    """Send it to a moment (Unix ms), and pause it by its key at once, before it can play."""
    page.evaluate(
        """([at, paused]) => {
          window.kinolog.goTo(at);
          const pressed = new KeyboardEvent("keydown", { key: "k", bubbles: true });
          if (paused) document.body.dispatchEvent(pressed);
        }""",
        [at_ms, paused],
    )


def segment_at(edge: str, stream: str, at_s: float) -> str:
    """The segment in which a moment of the past (Unix s) lies, as its playlist names it."""
    media = f"{edge}/media/{stream}/video.m3u8?start={at_s}&end={at_s + 0.1}"
    listed = [line for line in httpx.get(media).text.splitlines() if not line.startswith("#")]
    return listed[-1]


BUFFERS = """
window.buffers = [];
const add = MediaSource.prototype.addSourceBuffer;
MediaSource.prototype.addSourceBuffer = function (type) {
  const buffer = add.call(this, type);
  window.buffers.push([type.split("/")[0], buffer]);
  return buffer;
};
"""
WAITS = """
() => {
  window.waits = [];
  window.plays = [];
  let beat = performance.now(), late = 0;
  setInterval(() => {
    const now = performance.now();
    late = Math.max(0.9 * late, now - beat - 100);
    beat = now;
  }, 100);
  const end = ({ buffered }) => buffered.length ? buffered.end(buffered.length - 1) : 0;
  document.querySelector("video").addEventListener("waiting", ({ target }) => {
    const at = target.currentTime;
    const ahead = window.buffers.map(([kind, buffer]) => [kind, +(end(buffer) - at).toFixed(2)]);
    const wall = Date.now() / 1000;
    window.waits.push({ wall, at, ahead: Object.fromEntries(ahead), late_ms: Math.round(late) });
  });
  document.querySelector("video").addEventListener("playing", ({ target }) => {
    window.plays.push({ wall: Date.now() / 1000, at: target.currentTime });
  });
}
"""
"""Each time the video waits: where, what each track has ahead, how late the page's timers are; and
each time that it plays again."""


class PagePlayer:
    """The page's player in a browser: hls.js, and what it says of itself."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.seen: list[dict[str, Any]] = []

    def open(self, edge: str, stream: str) -> None:
        """Play until a picture has moved."""
        with httpx.Client(timeout=30) as client:
            url = f"{edge}/media/{stream}/video.m3u8"
            until(lambda: client.get(url).text.count("#EXTINF") > 3, "some segments")
        self.page.add_init_script(BUFFERS)
        self.page.goto(f"{edge}/watch/{stream}")
        self.page.evaluate("window.samePage = true")
        until(lambda: self.stats().get("currentTime", 0) > 0, "the first picture")
        self.page.evaluate(WAITS)

    def played(self, seconds: float, what: str) -> None:
        """Wait until it has played so much more."""
        begin = self.stats()["currentTime"]
        until(lambda: self.stats()["currentTime"] > begin + seconds, what)

    def leaving(self) -> None:
        """Keep what it says of itself while the publisher is still there."""
        self.seen.append(self.stats())
        print(f"hls.js: {summary(self.seen[-1])}")

    def stats(self) -> dict[str, Any]:
        return stats(self.page)

    def assert_it_went_on(self) -> None:
        """It never stalled while something was published, waited once for the publisher, and went
        on without a reload."""
        before, after = self.seen
        waits = self.page.evaluate("window.waits")
        print(f"waited: {waits}")
        assert self.page.evaluate("window.samePage") is True
        assert before["stalls"] == 0, waits
        assert after["stalls"] <= 1, waits
        for found in self.seen:
            assert found["phase"] == "playing"
            assert found["latency_s"] < 4


def summary(found: dict[str, Any]) -> dict[str, Any]:
    names = ("currentTime", "latency_s", "stalls", "stalled_s", "recoveries", "dropped")
    return {name: found[name] for name in names}
