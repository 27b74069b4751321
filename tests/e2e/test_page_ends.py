"""The end of a stream that has ended, on the page, in each mode: it is shown with its last seconds,
and can be left and come back to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.page_player import send_to, stats, watched
from kit.screen import numbers
from playwright.sync_api import Page, Route

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

STREAM = "ends/camera"
FPS = 30
LAST = 60 * FPS - 1
SEEN = LAST - 2
"""The last that a browser holds back is decoded at the very end: a busy one drops it."""
LAST_S = 2.0
"""So much of the last is shown to who opens the page."""
MODES = ("hls", "dash", "ws")


@dataclass(frozen=True)
class Over:
    """An edge, and when the stream began (Unix s)."""

    stage: Stage
    edge: str
    begun_s: int


@pytest.fixture(scope="module")
def over(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Over]:
    folder = tmp_path_factory.mktemp("page-ends")
    (folder / "kinolog.toml").write_text("end_grace_s = 0.1\n")
    with stage(one_broker, folder) as found:
        begun_s = int(time.time()) - 600
        found.published(STREAM, "seconds=60&gop=2&bframes=2", f"--at={begun_s}")
        for mode in MODES:
            found.published(f"ends/back-{mode}", "seconds=12", f"--at={begun_s}")
        edge = found.edge()
        found.rest(edge, "ended")
        yield Over(found, edge, begun_s)


def ended(page: Page) -> None:
    until(lambda: stats(page)["phase"] == "ended", "the page to say that it has ended")


def shows(page: Page, number: int) -> None:
    """It stands still, with that picture."""
    until(lambda: stats(page)["phase"] == "paused" and numbers(page)[-1] == number, str(number))


@pytest.mark.parametrize("mode", MODES)
def test_it_opens_with_its_last_seconds(over: Over, browser: Any, mode: str) -> None:
    with watched(browser, f"{over.edge}/watch/{STREAM}?mode={mode}") as page:
        ended(page)
        found = numbers(page)
        assert min(found) >= LAST - LAST_S * FPS
        assert max(found) >= SEEN
        assert stats(page)["following"] is True
        # And once more, where it stands there.
        page.keyboard.press("l")
        until(lambda: len(numbers(page)) > len(found) + FPS, "a second of it")
        ended(page)
        assert min(numbers(page)[len(found) :]) >= LAST - LAST_S * FPS


@pytest.mark.parametrize("mode", MODES)
def test_live_is_its_last_seconds(over: Over, browser: Any, mode: str) -> None:
    """Nothing of elsewhere is shown on the way."""
    with watched(browser, f"{over.edge}/watch/{STREAM}?mode={mode}") as page:
        send_to(page, 1000 * (over.begun_s + 20))
        until(lambda: any(20 * FPS <= number < 24 * FPS for number in numbers(page)), "the moment")
        page.keyboard.press("l")
        ended(page)
        found = numbers(page)
        moment = next(n for n, number in enumerate(found) if 20 * FPS <= number < 24 * FPS)
        left = next(n for n, number in enumerate(found) if n > moment and number >= 30 * FPS)
        assert min(found[left:]) >= LAST - LAST_S * FPS
        assert found[-1] >= SEEN


@pytest.mark.parametrize("mode", MODES)
def test_seconds_on_and_back_while_it_stands_still(over: Over, browser: Any, mode: str) -> None:
    """By whole seconds, up to the last that every browser shows to who stands still."""
    with watched(browser, f"{over.edge}/watch/{STREAM}?mode={mode}") as page:
        at = 49 * FPS + 3
        send_to(page, 1000 * (over.begun_s + (at + 0.5) / FPS), paused=True)
        shows(page, at)
        page.keyboard.press("ArrowRight")
        until(lambda: abs(numbers(page)[-1] - at - 5 * FPS) <= 1, "five seconds on")
        page.keyboard.press("ArrowRight")
        until(lambda: numbers(page)[-1] >= at + 10 * FPS - 2, "ten seconds on")
        for _ in range(2):
            page.keyboard.press("ArrowRight")
        # A fifth of a second before the end of what ends first.
        until(lambda: LAST - 9 <= numbers(page)[-1] <= LAST, "the end")
        assert stats(page)["phase"] == "paused"
        last = numbers(page)[-1]
        page.keyboard.press("ArrowLeft")
        until(lambda: abs(numbers(page)[-1] - last + 5 * FPS) <= 1, "five seconds back")
        assert stats(page)["phase"] == "paused"


@pytest.mark.parametrize("mode", MODES)
def test_seconds_on_while_it_plays_play_to_the_end(over: Over, browser: Any, mode: str) -> None:
    """And seconds back from there play on."""
    with watched(browser, f"{over.edge}/watch/{STREAM}?mode={mode}") as page:
        send_to(page, 1000 * (over.begun_s + 49))
        until(lambda: any(49 * FPS <= number < 53 * FPS for number in numbers(page)), "the moment")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        ended(page)
        assert numbers(page)[-1] >= SEEN
        count = len(numbers(page))
        page.keyboard.press("ArrowLeft")
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        until(lambda: len(numbers(page)) > count + FPS, "a second of it")
        back = numbers(page)[count + 1]  # before it, HLS may show what leads there
        assert LAST - 5.5 * FPS <= back <= LAST - 4 * FPS
        ended(page)


@pytest.mark.parametrize("mode", MODES)
def test_it_is_played_again_from_its_begin(over: Over, browser: Any, mode: str) -> None:
    with watched(browser, f"{over.edge}/watch/{STREAM}?mode={mode}") as page:
        ended(page)
        count = len(numbers(page))
        page.keyboard.press("k")
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        until(lambda: len(numbers(page)) > count + FPS, "a second of it")
        assert max(numbers(page)[count:]) < 10 * FPS


@pytest.mark.parametrize("mode", MODES)
def test_it_begins_again_before_who_has_seen_its_end(over: Over, browser: Any, mode: str) -> None:
    stream = f"ends/back-{mode}"
    with watched(browser, f"{over.edge}/watch/{stream}?mode={mode}") as page:
        ended(page)
        count = len(numbers(page))
        camera = over.stage.camera(stream, "start_number=5000")
        try:
            until(lambda: any(number >= 5000 for number in numbers(page)[count:]), "the new one")
            until(lambda: stats(page)["phase"] == "playing", "it to play")
            until(lambda: stats(page)["behind_live_s"] is not None, "its figures")
            assert stats(page)["following"] is True
            assert all(number >= 5000 for number in numbers(page)[count:])
        finally:
            stop(camera)


def test_hls_waits_for_a_session_that_is_not_listed_yet(over: Over, browser: Any) -> None:
    """Where it is known to be live, and lists have what was seen alone."""
    stream = "ends/late"
    over.stage.published(stream, "seconds=12", f"--at={over.begun_s}")
    listed = f"{over.edge}/media/{stream}/video.m3u8"
    until(lambda: "ENDLIST" in httpx.get(listed).text, "its end")
    old, answered = httpx.get(listed), []
    body = old.text.replace("#EXT-X-ENDLIST\n", "")

    def answer(route: Route) -> None:
        answered.append(route.request.url)
        route.fulfill(status=200, headers=dict(old.headers), body=body)

    with watched(browser, f"{over.edge}/watch/{stream}?mode=hls") as page:
        ended(page)
        count = len(numbers(page))
        page.route(f"{listed}*", answer)
        camera = over.stage.camera(stream, "start_number=5000")
        try:
            # Routes are answered while the page is asked.
            until(lambda: bool(stats(page)) and len(answered) >= 4, "it to ask again")
            page.unroute(f"{listed}*")
            until(lambda: any(number >= 5000 for number in numbers(page)[count:]), "the new one")
            assert all(number >= 5000 for number in numbers(page)[count:])
        finally:
            stop(camera)


@pytest.mark.parametrize("mode", MODES)
def test_who_sees_it_end_stays_where_he_is(over: Over, browser: Any, mode: str) -> None:
    """One who follows sees each picture once, to the last; one who stands still stays so, and sees
    what was left when he plays on."""
    stream = f"ends/live-{mode}"
    camera = over.stage.camera(stream, "start_number=7000")
    try:
        url = f"{over.edge}/watch/{stream}?mode={mode}"
        with watched(browser, url) as follows, watched(browser, url) as stands:
            for page in (follows, stands):
                until(lambda page=page: len(numbers(page)) > 3 * FPS, "three seconds")
            stands.keyboard.press("k")
            until(lambda: stats(stands)["phase"] == "paused", "it to stand")
            seen, count = numbers(stands), len(numbers(follows))
            stop(camera)
            ended(follows)
            found = numbers(follows)[count:]
            assert found == sorted(found)
            # hls.js and dash.js ask for what is new while they stand, too.
            wall_s = time.monotonic()
            until(lambda: time.monotonic() > wall_s + 4, "a while")
            assert numbers(stands)[-1] - seen[-1] <= 2
            seen = numbers(stands)
            stands.keyboard.press("k")
            until(lambda: len(numbers(stands)) > len(seen), "it to play")
            ended(stands)
            rest = numbers(stands)[len(seen) :]
            assert min(rest) >= seen[-1] - 5
            # A busy browser drops some; WebSocket may leap over what it takes for a delay (plan 0).
            steps = pairwise([seen[-1], *sorted({*rest} - {*seen}), found[-1]])
            assert max(then - one for one, then in steps) <= (FPS if mode == "ws" else FPS // 2)
    finally:
        stop(camera)
