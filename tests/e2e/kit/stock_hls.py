"""hls.js as it comes, on an empty page, and the frame numbers that it shows."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
from hls_stage import until
from playwright.sync_api import Page

from kinolog.media.blockcode import read

HLS = Path(__file__).parents[3] / "web/node_modules/hls.js/dist/hls.min.js"

_START = """
([url, play]) => {
  document.body.innerHTML = "<video id=stock muted style='width:320px'></video>";
  const video = document.getElementById("stock");
  const state = { errors: [], waits: [], video, ended: false };
  window.stock?.hls?.destroy();
  window.stock = state;
  video.addEventListener("waiting", () => state.waits.push(video.currentTime));
  video.addEventListener("ended", () => { state.ended = true; });
  const hls = new Hls({ lowLatencyMode: true });
  state.hls = hls;
  hls.on(Hls.Events.ERROR, (_, data) => state.errors.push([data.details, data.fatal]));
  hls.loadSource(url);
  hls.attachMedia(video);
  if (play) video.addEventListener("canplay", () => video.play(), { once: true });
}
"""
_PICTURE = """
() => {
  const { video } = stock;
  const { videoWidth: width, videoHeight: height } = video;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(video, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  let green = "";
  for (let at = 1; at < data.length; at += 4) green += String.fromCharCode(data[at]);
  return [width, height, btoa(green)];
}
"""


class StockHls:
    """One page, one stream after another."""

    def __init__(self, page: Page, edge: str) -> None:
        self.page = page
        page.goto(f"{edge}/health")
        page.add_script_tag(path=HLS)

    def open(self, url: str, *, play: bool) -> None:
        """Attach a playlist; play it, or stay at its first picture."""
        self.page.evaluate(_START, [url, play])

    def ask(self, script: str) -> Any:
        """What a script says; `stock` has the player's state."""
        return self.page.evaluate(script)

    def frame(self) -> int | None:
        """The number in the picture that is shown; waits for it to be there."""
        until(lambda: self.ask("stock.video.readyState >= 2 && !stock.video.seeking"), "a picture")
        width, height, green = self.page.evaluate(_PICTURE)
        picture = np.frombuffer(base64.b64decode(green), np.uint8)
        return read(picture.reshape(height, width))
