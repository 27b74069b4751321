"""What a browser shows and when: the block code of each presented frame, read in the page."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from playwright.sync_api import Page

READ = """
() => {
  const video = document.querySelector("video");
  const [width, height] = [416, 240];
  const top = height - height * 2 / 15;
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  const crc = (bytes) => bytes.reduce((sum, byte) => {
    sum ^= byte << 8;
    for (let n = 0; n < 8; n += 1) sum = ((sum << 1) ^ (sum & 0x8000 ? 0x1021 : 0)) & 0xffff;
    return sum;
  }, 0xffff);
  const read = () => {
    context.drawImage(video, 0, 0, width, height);
    const { data } = context.getImageData(0, 0, width, height);
    const block = (row, column) => {
      const x = Math.floor((column + 0.5) * width / 26);
      const y = Math.floor(top + (row + 0.5) * (height - top) / 2);
      return data[4 * (y * width + x) + 1] > 127 ? 1 : 0;
    };
    const bytes = [0, 0, 0, 0, 0, 0];
    for (let n = 0; n < 48; n += 1) {
      bytes[n >> 3] |= block(n < 24 ? 0 : 1, 1 + n % 24) << (7 - n % 8);
    }
    const number = new DataView(new Uint8Array(bytes).buffer).getUint32(0);
    return crc(bytes.slice(0, 4)) === bytes[4] * 256 + bytes[5] ? number : null;
  };
  window.shown = [];
  const look = (_, { expectedDisplayTime, mediaTime }) => {
    const number = read();
    if (number !== null) {
      window.shown.push([number, performance.timeOrigin + expectedDisplayTime, mediaTime]);
    }
    video.requestVideoFrameCallback(look);
  };
  video.requestVideoFrameCallback(look);
  // A picture that comes while the one before is read is told to nobody; standing, none follows.
  const stands = () => (video.paused || video.playbackRate === 0) && !video.seeking;
  const lookAgain = () => requestAnimationFrame(() => requestAnimationFrame((now) => {
    const number = stands() ? read() : null;
    if (number === null || number === window.shown.at(-1)?.[0]) return;
    window.shown.push([number, performance.timeOrigin + now, video.currentTime]);
  }));
  for (const name of ["seeked", "pause"]) video.addEventListener(name, lookAgain);
}
"""


READ_FIRST = f"""
window.shown = [];
new MutationObserver((_, observer) => {{
  if (!document.querySelector("video")) return;
  observer.disconnect();
  ({READ})();
}}).observe(document, {{ childList: true, subtree: true }});
"""
"""To be run in a page before its own scripts: reads from the very first picture on."""


class Shown(NamedTuple):
    """A frame's number, when it was on the screen (Unix ms), and its place in the media (s)."""

    number: int
    at_ms: float
    media_s: float


def watch_screen(page: Page) -> None:
    """Begin to read what is shown."""
    page.evaluate(READ)


def shown(page: Page) -> list[Shown]:
    """What has been read so far."""
    return [Shown(*one) for one in page.evaluate("window.shown ?? []")]


def numbers(page: Page) -> list[int]:
    """Of the pictures that have been read so far."""
    return [one.number for one in shown(page)]


def wait_for_pictures(page: Page, count: int) -> None:
    """Until more than `count` have been read; to fetch them for that would make the page late."""
    page.wait_for_function(
        "(count) => window.shown.length > count", arg=count, polling=100, timeout=60_000
    )


def settle(page: Page) -> None:
    """Wait until what was sought is on the screen."""
    page.wait_for_function("() => !document.querySelector('video').seeking")
    page.evaluate(
        "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


def latencies_ms(frames: list[Shown], captured_ms: Callable[[int], float | None]) -> list[float]:
    """Capture to presentation of each frame of which it is known when it was captured, sorted."""
    found = [one.at_ms - at_ms for one in frames if (at_ms := captured_ms(one.number)) is not None]
    return sorted(found)


def spread(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=20)
    return f"p50 {statistics.median(values):.0f} ms, p5 {cuts[0]:.0f}, p95 {cuts[-1]:.0f}"


def status(page: Page) -> dict[str, Any]:
    """What the page's WebSocket player says of itself."""
    return dict(page.evaluate("window.kinolog?.socket?.status() ?? {}"))
