"""What happens to a viewer meanwhile: another session, its end, another speed, a wrong clock."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hls_stage import PATIENCE_S, Stage, stage, stop, until
from kit.media import FFMPEG, run_well
from kit.page_player import clock_off, playing_s, send_to, stats, watched
from kit.screen import shown
from playwright.sync_api import Page

pytestmark = [pytest.mark.cluster, pytest.mark.needs("chromium"), pytest.mark.timeout(240)]

LIVE, ENDED, RENEWED, SILENT = "goes/live", "goes/ended", "goes/renewed", "goes/silent"
MUTED, LATE = "goes/muted", "goes/late"
FPS = 30
AGO_S = 600
MODES = ("hls", "dash", "ws")


@dataclass(frozen=True)
class Past:
    """An edge, and when the streams began (Unix s): two that have ended, two that had no sound
    at first, and one that had none any more."""

    stage: Stage
    edge: str
    begun_s: int


def with_late_sound(file: Path) -> Path:
    """Ten seconds, of which the first 0.15 are silent."""
    pictures = ["-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30:duration=10"]
    sound = ["-itsoffset", "0.15", "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=9.8"]
    codecs = ["-c:v", "libx264", "-g", "60", "-bf", "0", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    run_well([*FFMPEG, *pictures, *sound, *codecs, str(file)])
    return file


@pytest.fixture(scope="module")
def past(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    folder = tmp_path_factory.mktemp("page-goes-on")
    (folder / "kinolog.toml").write_text("end_grace_s = 1\n")
    with stage(one_broker, folder) as found:
        begun_s = int(time.time()) - AGO_S
        found.published(SILENT, "seconds=10&audio=0", f"--at={begun_s}")
        found.published(SILENT, "seconds=20", f"--at={begun_s + 15}")
        found.published(MUTED, "seconds=20", f"--at={begun_s}")
        found.published(MUTED, "seconds=20&audio=0", f"--at={begun_s + 25}", "--no-fill-silence")
        found.published(LATE, "seconds=10&audio=0", f"--at={begun_s}")
        file = with_late_sound(folder / "late.mp4")
        sending = found.start("publish", str(file), LATE, "--fast", f"--at={begun_s + 15}")
        assert sending.wait(2 * PATIENCE_S) == 0
        for stream in (ENDED, RENEWED):
            found.published(stream, "seconds=60", f"--at={begun_s}")
        edge = found.edge()
        found.rest(edge, "ended")
        yield Past(found, edge, begun_s)


@pytest.fixture(scope="module")
def live(past: Past) -> Iterator[str]:
    camera = past.stage.camera(LIVE)
    playlist = f"{past.edge}/media/{LIVE}/video.m3u8"
    until(lambda: httpx.get(playlist).text.count("#EXTINF") > 3, "a past")
    yield past.edge
    stop(camera)


@contextmanager
def sent(past: Past, browser: Any, stream: str, mode: str, at_s: float) -> Iterator[Page]:
    """A page that shows a stream, and was sent to so many seconds from its begin."""
    with watched(browser, f"{past.edge}/watch/{stream}?mode={mode}") as page:
        until(lambda: shown(page), "what there is")
        send_to(page, 1000 * (past.begun_s + at_s))
        yield page


def test_who_is_in_the_past_stays_there_when_a_publisher_is_back(past: Past, browser: Any) -> None:
    """hls.js is begun anew then, at what is shown: not at what it was sent to half a minute ago."""
    first_s = past.begun_s
    with sent(past, browser, RENEWED, "hls", 10) as page:
        until(lambda: first_s + 16 < playing_s(page) < first_s + 40, "it to play")
        recoveries = stats(page)["recoveries"]
        camera = past.stage.camera(RENEWED)
        until(lambda: stats(page)["recoveries"] > recoveries, "it to begin anew")
        count = len(shown(page))
        until(lambda: len(shown(page)) > count + 4 * FPS, "it to go on")
        numbers = [one.number for one in shown(page)]
        # The keyframe that leads there may stand for a blink.
        assert sum(number <= numbers[count - 1] - FPS for number in numbers[count:]) <= 1
        stop(camera)


@pytest.mark.parametrize("mode", MODES)
def test_a_session_with_other_tracks_follows(past: Past, browser: Any, mode: str) -> None:
    """From pictures alone to pictures and sound: all of the first is played, then the next."""
    first_s = past.begun_s
    with sent(past, browser, SILENT, mode, 6) as page:
        until(lambda: first_s + 6 <= playing_s(page) < first_s + 9, "the first")
        count = len(shown(page))
        until(lambda: first_s + 16 <= playing_s(page), "the second")
        numbers = [one.number for one in shown(page)[count:]]
        of_first = numbers[: next(n for n, one in enumerate(numbers) if one < FPS)]
        assert max(of_first) > 9.5 * FPS
        send_to(page, 1000 * (first_s + 15.5))  # what leads to it is sought in the first, too
        until(lambda: first_s + 15.5 <= playing_s(page) < first_s + 18, "the second's begin")


def test_pictures_with_which_sound_begins_are_played_with_it(past: Past, browser: Any) -> None:
    """hls.js is given what lies before any sound as a list of its own: not the segment in which
    sound begins a little behind the pictures, or that would be silent."""
    second_s = past.begun_s + 15
    with watched(browser, f"{past.edge}/watch/{LATE}?mode=hls") as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        until(lambda: stats(page).get("playing_date"), "what there is")
        send_to(page, 1000 * (past.begun_s + 6))
        until(lambda: playing_s(page) > second_s, "the second session")
        ends = [re.search(r"video.m3u8.*&end=([^&]+)", url) for url in asked]
        (end,) = {float(found[1]) for found in ends if found}
        assert end == pytest.approx(second_s, abs=0.003)


PHASES = """
window.phases = [];
setInterval(() => window.phases.push(window.kinolog.stats().phase), 50);
"""


@pytest.mark.parametrize("mode", MODES)
def test_a_jump_to_where_there_is_no_sound_any_more(past: Past, browser: Any, mode: str) -> None:
    """It does not wait for sound, nor does it say meanwhile that all is over."""
    first_s = past.begun_s
    with sent(past, browser, MUTED, mode, 5) as page:
        until(lambda: first_s + 5 <= playing_s(page) < first_s + 9, "what has sound")
        page.evaluate(PHASES)
        send_to(page, 1000 * (first_s + 26.1))
        until(lambda: first_s + 26 <= playing_s(page) < first_s + 30, "what has none")
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        assert "ended" not in page.evaluate("window.phases")


@pytest.mark.parametrize("mode", MODES)
def test_who_is_paused_by_the_browser_is_told_so(past: Past, browser: Any, mode: str) -> None:
    """Media keys, picture in picture: not that all is over."""
    with sent(past, browser, ENDED, mode, 5) as page:
        until(lambda: past.begun_s + 5 < playing_s(page) < past.begun_s + 9, "the moment")
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        page.evaluate("document.querySelector('video').pause()")
        until(lambda: stats(page)["phase"] != "playing", "it to stand")
        assert stats(page)["phase"] in ("paused", "buffering")
        until(lambda: stats(page)["phase"] == "paused", "the page to say so")
        wall_s = time.monotonic()
        # By then it would have been helped on, had it stood of itself.
        until(lambda: stats(page)["phase"] != "paused" or time.monotonic() > wall_s + 5, "a while")
        assert stats(page)["phase"] == "paused"
        page.keyboard.press("k")
        until(lambda: stats(page)["phase"] == "playing", "it to go on")


@pytest.mark.parametrize("mode", MODES)
def test_one_that_has_ended_is_played_again(past: Past, browser: Any, mode: str) -> None:
    """From its begin."""
    first_s = past.begun_s
    with sent(past, browser, ENDED, mode, 57) as page:
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        until(lambda: stats(page)["phase"] == "ended", "its end")
        page.keyboard.press("k")
        until(lambda: stats(page)["phase"] == "playing", "it to play again")
        assert first_s <= playing_s(page) < first_s + 5


@pytest.mark.parametrize("mode", MODES)
def test_a_step_back_from_the_end_stays(past: Past, browser: Any, mode: str) -> None:
    with sent(past, browser, ENDED, mode, 57) as page:
        until(lambda: stats(page)["phase"] == "ended", "its end")
        last = shown(page)[-1].number
        page.keyboard.press(",")
        until(lambda: shown(page)[-1].number == last - 1, "the picture before the last")
        wall_s = time.monotonic()
        until(lambda: shown(page)[-1].number == last or time.monotonic() > wall_s + 2, "a while")
        assert shown(page)[-1].number == last - 1


@pytest.mark.parametrize("mode", MODES)
def test_slow_motion_at_the_live_edge_is_slow(live: str, browser: Any, mode: str) -> None:
    """And falls behind, with its way back to live."""
    with watched(browser, f"{live}/watch/{LIVE}?mode={mode}") as page:
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        page.keyboard.press("<")
        at_s, wall_s = playing_s(page), time.monotonic()
        until(lambda: len(shown(page)) > 4 and time.monotonic() > wall_s + 3, "three seconds")
        # No more than that: a busy machine stalls besides.
        assert 0.1 < (playing_s(page) - at_s) / (time.monotonic() - wall_s) < 0.62
        assert page.evaluate("document.querySelector('video').playbackRate") == 0.5
        assert not stats(page)["following"]
        page.keyboard.press("l")
        until(lambda: stats(page)["following"] and time.time() - playing_s(page) < 5, "live")
        assert page.locator("select.choice-speed").input_value() == "1"


def test_a_click_at_the_live_edge_is_live(live: str, browser: Any) -> None:
    """What the edge told of the stream is some seconds old by then."""
    with watched(browser, f"{live}/watch/{LIVE}?mode=hls") as page:
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        bar = page.locator(".timeline-bar")
        # It may be drawn anew between being found and being measured.
        now = until(lambda: page.locator(".timeline-now").bounding_box(), "now")
        box = until(bar.bounding_box, "the timeline")
        page.mouse.click(now["x"] - 1, box["y"] + 6)
        page.wait_for_timeout(700)  # the next tick tells
        assert stats(page)["following"]


@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_is_an_hour_ahead_is_not_gone_by(live: str, browser: Any, mode: str) -> None:
    """The page asks the edge for its own."""
    with watched(browser, f"{live}/watch/{LIVE}?mode={mode}", clock_off(3_600_000)) as page:
        until(lambda: stats(page)["phase"] == "playing", "it to play")
        until(lambda: page.locator(".timeline-data").count(), "what there is")
        page.keyboard.press("ArrowLeft")
        until(lambda: not stats(page)["following"], "it to go back")
        until(lambda: stats(page)["phase"] == "playing", "it to play on")
        # By WebSocket a jump has no place until its first media are there.
        assert until(lambda: stats(page)["latency_s"], "where it is") < 60
        assert page.locator(".live-button .behind").inner_text().count(":") < 2, "hours"
        until(
            lambda: all(
                page.locator(f".timeline-{one}").count() for one in ("data", "now", "head")
            ),
            "what there is, now and where it is in view",
        )


def test_a_viewer_whose_clock_is_ahead_sees_what_there_is(live: str, browser: Any) -> None:
    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.add_init_script(clock_off(20_000))
    refused: list[str] = []
    page.on("response", lambda one: refused.append(one.url) if one.status >= 400 else None)
    page.goto(f"{live}/watch/{LIVE}?mode=hls")
    until(lambda: page.locator(".timeline-data").count(), "what there is")
    assert not [url for url in refused if "timeline" in url]
    context.close()
