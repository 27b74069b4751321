"""The page waits for what a moment is decoded from, and is asked for something meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hls_stage import stage, until
from kit.page_player import segment_at, send_to, stats, watched
from kit.screen import numbers, shown
from playwright.sync_api import Page, Route

pytestmark = [pytest.mark.cluster, pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

STREAM = "holds/long"
"""Of GOPs of ten seconds, in segments of two."""
LENGTH_S = 60
FPS = 30
MOMENT_S = 17.5
KEYFRAME_S = 10.0
MODES = ("hls", "dash")

HOLDS = """
(() => {
  const { playbackRate, readyState, seeking } = document.querySelector("video");
  return playbackRate === 0 && readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && !seeking;
})()
"""


@dataclass(frozen=True)
class Past:
    """An edge, when the stream began (Unix s), and the segment in which the moment lies."""

    edge: str
    begun_s: int
    segment: str


@pytest.fixture(scope="module")
def past(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("page-holds")
    (folder / "kinolog.toml").write_text("end_grace_s = 3600\n")
    with stage(one_broker, folder) as found:
        begun_s = int(time.time()) - 600
        found.published(STREAM, f"seconds={LENGTH_S}&gop=10", f"--at={begun_s}")
        edge = found.edge()
        found.rest(edge, "away")
        yield Past(edge, begun_s, segment_at(edge, STREAM, begun_s + MOMENT_S))


@contextmanager
def holding(
    past: Past, browser: Any, mode: str, answer: Callable[[Route], None], *, paused: bool = False
) -> Iterator[Page]:
    """A page that waits for a moment whose segment is answered so; its way on begins `paused`."""
    with watched(browser, f"{past.edge}/watch/{STREAM}?mode={mode}") as page:
        until(lambda: shown(page), "what there is")
        page.route(f"**/{past.segment}", answer)
        send_to(page, 1000 * (past.begun_s + MOMENT_S), paused=paused)
        # Not where it waited before it was sent there: for the last of the stream.
        until(
            lambda: page.evaluate(HOLDS) and leads(numbers(page)[-1] / FPS),
            "it to wait at the keyframe",
        )
        yield page


def leads(at_s: float) -> bool:
    """It is of the keyframe's: players begin a little after its very begin."""
    return KEYFRAME_S <= at_s < KEYFRAME_S + 0.1


def held(_route: Route) -> None:
    """It is not answered."""


def since(page: Page, count: int) -> list[float]:
    """Which seconds have been shown but for the first `count`."""
    return [number / FPS for number in numbers(page)[count:]]


def goes_to(page: Page, count: int) -> float:
    """Which second is the first that has been shown since, but for what leads to it."""
    until(lambda: len(shown(page)) > count + FPS, "it to go")
    return next(at_s for at_s in since(page, count) if not leads(at_s))


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_shown_while_it_waits(past: Past, browser: Any, mode: str) -> None:
    """But the keyframe; and it goes at the speed that is chosen then."""
    with holding(past, browser, mode, held) as page:
        count = len(shown(page))
        page.keyboard.press("<")
        frames = "document.querySelector('video').getVideoPlaybackQuality().totalVideoFrames"
        stands = page.evaluate("document.querySelector('video').currentTime")
        decoded = page.evaluate(frames)
        page.wait_for_timeout(2000)  # it is to stand for all of these
        assert all(leads(at_s) for at_s in since(page, count))
        assert page.evaluate("document.querySelector('video').currentTime") == stands
        assert page.evaluate(frames) - decoded <= 2, "pictures are decoded, as if it played"
        page.unroute_all()  # what was held goes on
        assert -0.04 <= goes_to(page, count) - MOMENT_S < 0.5
        assert page.evaluate("document.querySelector('video').playbackRate") == 0.5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("keys", "goes_to_s"),
    [("..", MOMENT_S + 2 / FPS), (",", MOMENT_S - 1 / FPS), (["ArrowLeft"] * 2, MOMENT_S - 10)],
)
def test_it_goes_by_the_moment(
    past: Past, browser: Any, mode: str, keys: list[str], goes_to_s: float
) -> None:
    """Not by the keyframe, at which it stands: by pictures, by seconds."""
    with holding(past, browser, mode, held, paused=True) as page:
        for key in keys:
            page.keyboard.press(key)
        page.unroute_all()
        until(
            lambda: bool(
                stats(page)["phase"] == "paused"
                and numbers(page)[-1] / FPS == pytest.approx(goes_to_s, abs=0.01)
            ),
            f"the picture of {goes_to_s:.2f} s",
        )


def listed_ms(past: Past) -> float:
    """When the newest of it was captured, as the list of streams has it."""
    httpx.get(f"{past.edge}/media/{STREAM}/video.m3u8").raise_for_status()
    found = httpx.get(f"{past.edge}/api/streams").json()["streams"]
    return float(next(one["last_ms"] for one in found if one["name"] == "long"))


@pytest.mark.parametrize(
    ("keys", "goes_to_s"),
    [
        (["ArrowRight"] * 2, 52.0),
        (["ArrowRight"] * 4, 57.0),
        ([*["ArrowRight"] * 4, "ArrowLeft"], 52.0),
    ],
)
def test_it_goes_no_further_than_there_is(
    past: Past, browser: Any, keys: list[str], goes_to_s: float
) -> None:
    """Also while it still asks what there is around where it was sent, as by DASH."""
    # Once it is followed, the list says how long it is.
    until(lambda: listed_ms(past) < 1000 * (past.begun_s + LENGTH_S), "its end")
    with watched(browser, f"{past.edge}/watch/{STREAM}?mode=dash") as page:
        until(lambda: shown(page) and numbers(page)[-1] >= FPS * LENGTH_S - 5, "the last of it")
        count = len(shown(page))
        page.route("**/manifest.mpd*start=*", held)
        with page.expect_request("**/manifest.mpd*start=*"):
            send_to(page, 1000 * (past.begun_s + 42))
        for key in keys:
            page.keyboard.press(key)
        page.unroute_all()
        until(lambda: len(shown(page)) > count + FPS, "it to go")
        # Neither what leads to it nor what was left of the last.
        went_s = next(at_s for at_s in since(page, count) if 50.1 <= at_s < LENGTH_S - 1)
        assert -0.04 <= went_s - goes_to_s < 0.5


@pytest.mark.parametrize("mode", [*MODES, "ws"])
def test_seconds_on_from_the_last_are_live(past: Past, browser: Any, mode: str) -> None:
    """Which is the last that there is while its publisher is away."""
    with at_the_end(past, browser, mode) as page:
        until(
            lambda: stats(page)["phase"] == "away" and numbers(page)[-1] / FPS >= LENGTH_S - 0.2,
            "the last",
        )
        assert stats(page)["following"]
        page.keyboard.press("ArrowLeft")
        until(lambda: not stats(page)["following"], "it to go back")
        until(lambda: numbers(page)[-1] / FPS < LENGTH_S - 4, "the picture of 5 s before")


@pytest.mark.parametrize("mode", MODES)
def test_who_paused_stands_at_the_last(past: Past, browser: Any, mode: str) -> None:
    with at_the_end(past, browser, mode, paused=True) as page:
        until(lambda: numbers(page)[-1] / FPS >= LENGTH_S - 2, "one of the last")
        assert stats(page)["phase"] == "paused"
        assert page.evaluate("document.querySelector('video').paused")


@contextmanager
def at_the_end(past: Past, browser: Any, mode: str, *, paused: bool = False) -> Iterator[Page]:
    """A page that is sent to three seconds before it, and then on by fifteen."""
    with watched(browser, f"{past.edge}/watch/{STREAM}?mode={mode}") as page:
        until(lambda: shown(page), "what there is")
        sent_s = LENGTH_S - 3
        send_to(page, 1000 * (past.begun_s + sent_s), paused=paused)
        until(lambda: sent_s - 0.05 <= numbers(page)[-1] / FPS < sent_s + 1, "the moment")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        yield page


@pytest.mark.parametrize("mode", MODES)
def test_who_paused_stands_until_the_moment_is_there(past: Past, browser: Any, mode: str) -> None:
    """Longer than who plays waits for it."""
    with holding(past, browser, mode, held, paused=True) as page:
        count = len(shown(page))
        page.wait_for_timeout(13_000)  # it is to stand for all of these
        assert all(leads(at_s) for at_s in since(page, count))
        page.unroute_all()
        until(lambda: numbers(page)[-1] / FPS == pytest.approx(MOMENT_S, abs=0.01), "the moment")
        assert stats(page)["phase"] == "paused"


@pytest.mark.parametrize(("mode", "then"), [("hls", "dash"), ("dash", "ws"), ("dash", "hls")])
def test_another_mode_goes_to_the_moment(past: Past, browser: Any, mode: str, then: str) -> None:
    with holding(past, browser, mode, held) as page:
        count = len(shown(page))
        page.get_by_label("Mode", exact=True).select_option(then)
        page.unroute_all()
        assert -0.04 <= goes_to(page, count) - MOMENT_S < 0.5


@pytest.mark.parametrize(("mode", "fails_so_often"), [("hls", 4), ("dash", 20)])
def test_a_segment_that_fails_is_asked_for_again(
    past: Past, browser: Any, mode: str, fails_so_often: int
) -> None:
    """At once, and the moment is not forgotten: dash.js gives up after 16."""
    failed = 0

    def fails(route: Route) -> None:
        nonlocal failed
        failed += 1
        if failed > fails_so_often:
            route.continue_()
        else:
            route.fulfill(status=503)

    with holding(past, browser, mode, fails) as page:
        count = len(shown(page))
        assert -0.04 <= goes_to(page, count) - MOMENT_S < 0.5
        assert failed > fails_so_often
