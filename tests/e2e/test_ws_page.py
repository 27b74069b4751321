"""The page's WebSocket player in a headless Chromium: what is shown, and how soon."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hls_stage import Stage, stage, stop, until
from kit.screen import (
    Shown,
    latencies_ms,
    shown,
    spread,
    status,
    wait_for_pictures,
    watch_screen,
)
from playwright.sync_api import Page
from ws_watch import in_the_log

import kinolog
from kinolog.cluster import Cluster
from kinolog.media import blockcode

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]
FPS = 30


@pytest.fixture(scope="module")
def live(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("ws-page")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(live: Stage) -> str:
    return live.edge()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


class Painter:
    """Publishes numbered pictures, and knows when each was made, before it was encoded."""

    def __init__(self, live: Stage, stream: str, size: tuple[int, int] = (640, 360)) -> None:
        self.captured_ms: list[float] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(live, stream, size))

    def __enter__(self) -> Painter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def at(self, number: int) -> float | None:
        return self.captured_ms[number] if number < len(self.captured_ms) else None

    def _run(self, live: Stage, stream: str, size: tuple[int, int]) -> None:
        width, height = size
        luma = np.full((height, width), 90, np.uint8)
        with kinolog.publish(
            stream,
            fps=FPS,
            profile="frame",
            connection=kinolog.connect(live.bootstrap, topic_prefix=live.prefix),
        ) as publisher:
            begun = time.monotonic()
            while not self._stop.wait(
                max(0.0, begun + len(self.captured_ms) / FPS - time.monotonic())
            ):
                now_ms = time.time() * 1000
                blockcode.draw(luma, len(self.captured_ms))
                self.captured_ms.append(now_ms)
                publisher.write(np.repeat(luma[:, :, None], 3, axis=2))


def opened(page: Page, edge: str, stream: str) -> None:
    url = f"{edge}/media/{stream}/video.m3u8"
    until(lambda: httpx.get(url, timeout=30).status_code == 200, "a playlist")
    page.goto(f"{edge}/watch/{stream}?mode=ws")
    until(lambda: status(page).get("phase") == "playing", "the first picture")
    watch_screen(page)


def settle(page: Page) -> None:
    """Ten seconds to come near, ten to be measured."""
    wait_for_pictures(page, 20 * FPS)


def in_order(frames: list[Shown]) -> bool:
    numbers = [one.number for one in frames]
    return numbers == sorted(numbers)


@pytest.mark.slow
def test_pictures_are_shown_soon(live: Stage, edge: str, page: Page) -> None:
    """Every picture is a chunk; the figure is printed, for a busy machine may take longer."""
    stream = "ws-page/painter"
    with Painter(live, stream) as painter:
        opened(page, edge, stream)
        settle(page)
        said, frames = status(page), shown(page)  # to fetch the pictures makes the page late
    settled = frames[-10 * FPS :]
    took = latencies_ms(settled, painter.at)
    print(f"capture to presentation: {spread(took)}; {said}")
    assert in_order(settled)
    assert len({one.number for one in settled}) > 0.8 * (settled[-1].number - settled[0].number)
    assert took[len(took) // 2] < 1000
    # What the player says of its latency is what it was at that time.
    newest = latencies_ms(frames[-FPS // 2 :], painter.at)
    assert abs(said["latency_s"] * 1000 - newest[len(newest) // 2]) < 250


@pytest.mark.slow
def test_with_sound(live: Stage, edge: str, page: Page) -> None:
    stream = "ws-page/camera"
    camera = live.camera(stream, "", "--profile", "frame")
    opened(page, edge, stream)
    settle(page)
    said, frames = status(page), shown(page)
    stop(camera)
    walls = [event.header.wall for event in in_the_log(live, stream)["video"]]
    took = latencies_ms(
        frames[-10 * FPS :], lambda number: walls[number] if number < len(walls) else None
    )
    print(f"capture to presentation, with sound: {spread(took)}; {said}")
    assert in_order(frames[-10 * FPS :])
    assert took[len(took) // 2] < 1500


@pytest.mark.slow
def test_a_publisher_that_comes_back_with_another_codec(live: Stage, edge: str, page: Page) -> None:
    """The page goes on by itself, in the same connection and the same <video>."""
    stream = "ws-page/codecs"
    camera = live.camera(stream, "", "--profile", "frame")
    opened(page, edge, stream)
    page.evaluate("window.samePage = true")
    before = status(page)
    stop(camera)
    until(lambda: status(page)["phase"] == "away", "the publisher's absence")
    camera = live.camera(stream, "codec=vp9&start_number=1000000", "--profile", "frame")
    until(lambda: any(one.number > 1_000_000 + FPS for one in shown(page)), "pictures of VP9")
    after = status(page)
    stop(camera)
    assert page.evaluate("window.samePage") is True
    assert after["epoch"] > before["epoch"]
    assert "avc1" in before["codecs"]
    assert "vp09" in after["codecs"]
    assert after["connections"] == 1
    assert in_order(shown(page))


@pytest.mark.slow
def test_seek_speed_and_back_to_live(live: Stage, edge: str, page: Page) -> None:
    stream = "ws-page/seek"
    live.published(stream, "seconds=60", "--at=-65s")
    camera = live.camera(stream, "start_number=1000000", "--profile", "frame")
    opened(page, edge, stream)
    until(lambda: shown(page) and shown(page)[-1].number >= 1_000_000, "the live picture")
    wanted_ms = time.time() * 1000 - 60_000
    page.evaluate("at => window.kinolog.socket.seek(at)", wanted_ms)
    until(lambda: shown(page)[-1].number < 1_000_000, "a picture of the past")
    count = len(shown(page))
    said = status(page)
    assert not said["live"]
    assert abs(said["captured_ms"] - wanted_ms) < 8_000
    wait_for_pictures(page, count + 2 * FPS)
    page.evaluate("window.kinolog.socket.setSpeed(4)")
    first = shown(page)[-1]
    until(lambda: shown(page)[-1].number > first.number + 8 * FPS, "eight seconds more")
    last = shown(page)[-1]
    fast = (last.number - first.number) / FPS / (last.at_ms - first.at_ms) * 1000
    print(f"at speed 4: {fast:.1f} seconds a second")
    assert 2 < fast < 6
    page.evaluate("window.kinolog.socket.toLive()")
    until(lambda: shown(page)[-1].number >= 1_000_000, "the live picture again")
    until(lambda: status(page)["latency_s"] < 5, "being near live")
    assert status(page)["connections"] == 1
    stop(camera)


@pytest.mark.slow
@pytest.mark.alone
def test_three_brokers_that_all_acknowledge(cluster3: Cluster, tmp_path: Path, page: Page) -> None:
    """Frame by frame through a replicated log, in the time that issue 4 asks for."""
    with stage(cluster3.bootstrap_servers, tmp_path) as found:
        edge, stream = found.edge(), "ws-page/three"
        with Painter(found, stream) as painter:
            opened(page, edge, stream)
            settle(page)
            said, frames = status(page), shown(page)
    took = latencies_ms(frames[-10 * FPS :], painter.at)
    print(f"three brokers: {spread(took)}; {said}")
    assert took[len(took) // 2] <= 150
