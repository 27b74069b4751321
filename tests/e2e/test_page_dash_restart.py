"""The page by DASH while its publisher goes and comes back: it goes on by itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.page_player import stats, summary
from kit.screen import shown, wait_for_pictures, watch_screen
from playwright.sync_api import Page

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.slow,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

SECOND = 1_000_000
"""The number of the second publisher's first picture."""


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("dash-restart")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(played: Stage) -> str:
    return played.edge()


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True)
    yield context.new_page()
    context.close()


def epoch_of(edge: str, stream: str) -> int:
    """Which publisher's session the edge lists."""
    listed = httpx.get(f"{edge}/api/streams", timeout=30).json()["streams"]
    return next(
        int(one["epoch"]) for one in listed if stream == f"{one['collection']}/{one['name']}"
    )


@pytest.mark.parametrize(("how", "away_s"), [("ends", 2), ("killed", 2), ("killed", 20)], ids=str)
def test_it_goes_on(played: Stage, edge: str, page: Page, how: str, away_s: int) -> None:
    stream = f"dash-restart/{how}-{away_s}"
    camera = played.camera(stream)
    with httpx.Client(timeout=30) as client:
        url = f"{edge}/media/{stream}/video.m3u8"
        until(lambda: client.get(url).text.count("#EXTINF") > 3, "some segments")
    page.goto(f"{edge}/watch/{stream}?mode=dash")
    until(lambda: stats(page).get("phase") == "playing", "it to play")
    page.evaluate("window.samePage = true")
    watch_screen(page)
    begin_s = stats(page)["currentTime"]
    until(lambda: stats(page)["currentTime"] > begin_s + 5, "five seconds")
    before, epoch = stats(page), epoch_of(edge, stream)
    if how == "ends":
        stop(camera)
    else:
        camera.send_signal(signal.SIGKILL)
        camera.wait(10)
    time.sleep(away_s)
    camera = played.camera(stream, f"start_number={SECOND}")
    until(lambda: epoch_of(edge, stream) > epoch, "the next publisher")
    back_s = time.monotonic()
    until(lambda: [one for one in shown(page) if one.number >= SECOND], "the new pictures", 60)
    found_s = time.monotonic() - back_s
    count = len(shown(page))
    wait_for_pictures(page, count + 150)
    until(lambda: stats(page)["phase"] == "playing", "it to say so")
    after = stats(page)
    print(
        f"{how}, away {away_s} s: new pictures {found_s:.1f} s after the edge listed the publisher"
    )
    print(summary(before), summary(after), sep="\n")
    assert page.evaluate("window.samePage") is True
    assert after["following"]
    assert after["stalls"] - before["stalls"] <= 2
    until(lambda: stats(page)["latency_s"] < 3, "it to come near again", 90)
    stop(camera)
