"""The page's timeline: what is there, and the way to any moment of it and back to the present."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.page_player import playing_s, stats
from kit.screen import settle
from playwright.sync_api import Page

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

STREAM = "timeline/camera"


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("timeline")) as found:
        yield found


def second_shown(page: Page, begun: datetime) -> float:
    """Which second of the recording is played; -1 where none is yet."""
    at_s = playing_s(page)
    return at_s - begun.timestamp() if at_s else -1.0


def is_between(page: Page, begun: datetime, start_s: float, end_s: float) -> bool:
    """Whether a moment of the recording is played, in seconds of it."""
    return start_s <= second_shown(page, begun) < end_s


@pytest.mark.needs("chromium")
def test_any_moment_and_back_to_the_present(played: Stage, browser: Any) -> None:
    begun = datetime.now(UTC) - timedelta(minutes=10)
    for at_s, seconds in ((0, 120), (240, 120)):
        at = (begun + timedelta(seconds=at_s)).isoformat()
        source = f"test:160x90@30?seconds={seconds}"
        assert played.start("publish", source, STREAM, "--fast", f"--at={at}").wait(120) == 0
    camera = played.camera(STREAM)
    edge = played.edge()
    live = f"{edge}/media/{STREAM}/video.m3u8"
    with httpx.Client(timeout=30) as client:
        until(lambda: "#EXT-X-DISCONTINUITY\n" in client.get(live).text, "the camera")
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(f"{edge}/watch/{STREAM}")
    page.wait_for_selector(".timeline-bar")
    page.evaluate("window.samePage = true")
    page.get_by_role("button", name="All").click()
    data = page.locator(".timeline-data")
    until(lambda: data.count() >= 3, "three stretches")

    def at(number: int, share: float) -> tuple[float, float]:
        box = data.nth(number).bounding_box()
        assert box is not None
        return box["x"] + share * box["width"], box["y"] + box["height"] / 2

    bar = page.locator(".timeline-bar").bounding_box()
    assert bar is not None
    until(lambda: at(0, 0)[0] > bar["x"] + 10, "all of it in sight")
    page.mouse.click(*at(0, 0.5))
    until(lambda: is_between(page, begun, 50, 80), "the middle of the first recording")
    until(lambda: stats(page)["phase"] == "playing", "it to play")
    gauges = page.locator(".gauges")
    until(lambda: "Behind live" in gauges.inner_text(), "how far behind live it is")
    # Where there is nothing, the next that there is.
    first, second = data.nth(0).bounding_box(), data.nth(1).bounding_box()
    assert first is not None
    assert second is not None
    page.mouse.click((first["x"] + first["width"] + second["x"]) / 2, at(0, 0)[1])
    until(lambda: is_between(page, begun, 239, 270), "the second recording")
    page.mouse.click(*at(1, 0.3))
    # The first step is from anywhere in a picture, the next from that which it showed.
    for _ in range(2):
        page.keyboard.press(".")
        settle(page)
    paused = stats(page)["currentTime"]
    page.keyboard.press(".")
    one_more = pytest.approx(paused + 1 / 30, abs=0.01)
    until(lambda: stats(page)["currentTime"] == one_more, "one picture more")
    # One who paused stays so where it loads anew, and goes by 5 s with the bar in focus too.
    source = page.evaluate("window.kinolog.hls.url")
    page.mouse.click(*at(0, 0.2))
    until(lambda: is_between(page, begun, 22, 26), "a picture from before what was loaded")
    assert page.evaluate("window.kinolog.hls.url") != source
    until(lambda: page.evaluate("window.kinolog.video.readyState") == 4, "enough to play")
    stands = second_shown(page, begun)
    for key, by_s in (("Right", 5), ("Left", 0), ("Left", -5), ("Left", -10), ("Left", -15)):
        page.keyboard.press(f"Arrow{key}")
        to = pytest.approx(stands + by_s, abs=0.1)
        until(lambda to=to: second_shown(page, begun) == to, f"{by_s} s on")
    until(lambda: page.evaluate("window.kinolog.video.readyState") == 4, "enough to play")
    assert page.evaluate("window.kinolog.video.paused") is True
    page.keyboard.press("<")
    assert page.evaluate("window.kinolog.video.playbackRate") == 0.5
    # A clip, dragged.
    page.get_by_role("button", name="Clip", exact=True).click()
    page.mouse.move(*at(1, 0.25))
    page.mouse.down()
    page.mouse.move(*at(1, 0.75), steps=4)
    page.mouse.up()
    link = page.get_by_role("link", name="Download").get_attribute("href")
    assert link is not None
    asked = dict(item.split("=") for item in link.partition("?")[2].split("&"))
    length_s = float(asked["end"]) - float(asked["start"])
    assert 50 < length_s < 70
    page.keyboard.press("l")
    until(lambda: (stats(page)["latency_s"] or 99) < 5, "the present")
    assert page.evaluate("window.kinolog.video.playbackRate") <= 1.1
    page.locator(".timeline-bar").focus()
    for key, from_s, to_s in (("Home", 0, 9), ("PageUp", 40, 120)):
        page.keyboard.press(key)
        until(lambda a=from_s, b=to_s: is_between(page, begun, a, b), key)
    page.keyboard.press("End")
    until(lambda: (stats(page)["latency_s"] or 99) < 5, "the present, once more")
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    assert "one picture back or on" in keys.inner_text()
    page.keyboard.press("k")  # the sheet's, while it is there
    page.keyboard.press("Escape")
    assert not keys.is_visible()
    assert stats(page)["phase"] == "playing"
    assert page.evaluate("window.samePage") is True
    context.close()
    stop(camera)
