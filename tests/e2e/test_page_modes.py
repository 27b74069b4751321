"""The page's modes: each plays live and the past to the frame, and a switch keeps the position."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.page_player import send_to, stats
from kit.screen import Shown, settle, shown, wait_for_pictures, watch_screen
from playwright.sync_api import Page

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

STREAM = "modes/camera"
FPS = 30
LIVE = 1_000_000
"""The number of the live camera's first picture."""
MODES = ("hls", "dash", "ws")


@dataclass(frozen=True)
class Played:
    """An edge on a stage, and when a minute's recording began (Unix s): picture n is n/30 s on."""

    stage: Stage
    edge: str
    begun_s: float

    def second(self, picture: Shown) -> float:
        """Which second of the recording a picture is of."""
        return picture.number / FPS


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    with stage(one_broker, tmp_path_factory.mktemp("page-modes")) as found:
        begun_s = int(time.time()) - 600
        found.published(STREAM, "seconds=60", f"--at={begun_s}")
        camera = found.camera(STREAM, f"start_number={LIVE}")
        edge = found.edge()
        ready(edge, STREAM)
        yield Played(found, edge, begun_s)
        stop(camera)


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


def ready(edge: str, stream: str) -> None:
    """Wait until the live camera has something to play."""
    with httpx.Client(timeout=30) as client:
        url = f"{edge}/media/{stream}/video.m3u8"
        until(lambda: client.get(url).text.count("#EXTINF") > 2, "some segments")


def phase_of(page: Page) -> tuple[str | None, str | None]:
    found = stats(page)
    return found.get("mode"), found.get("phase")


def after(page: Page, count: int, *, past: bool) -> list[Shown]:
    """Pictures that came after so many others, of the recording or of the live camera."""
    return [one for one in shown(page)[count:] if (one.number < LIVE) == past]


def open_live(page: Page, played: Played, mode: str) -> None:
    page.goto(f"{played.edge}/watch/{STREAM}?mode={mode}")
    until(lambda: phase_of(page) == (mode, "playing"), f"{mode}: to play")
    watch_screen(page)
    until(lambda: after(page, 0, past=False), f"{mode}: the live picture")


def go_to(page: Page, played: Played, second: float) -> list[Shown]:
    """Seek into the recording; what is shown of it."""
    count = len(shown(page))
    send_to(page, 1000 * (played.begun_s + second))
    until(lambda: len(after(page, count, past=True)) > 5, "the past")
    return after(page, count, past=True)


def still(page: Page) -> int:
    """The picture that it stands still at, once that is on the screen."""
    settle(page)
    return shown(page)[-1].number


def speed(pictures: list[Shown]) -> float:
    """How fast the fastest second of pictures was: a busy machine may stand still in another."""
    pairs = zip(pictures, pictures[FPS:], strict=False)
    return max(
        (
            (last.number - first.number) / FPS / ((last.at_ms - first.at_ms) / 1000)
            for first, last in pairs
        ),
        default=0,
    )


@pytest.mark.parametrize("mode", MODES)
def test_live_and_the_very_moment_that_is_sought(played: Played, page: Page, mode: str) -> None:
    open_live(page, played, mode)
    engine = {"hls": "hls.js", "dash": "dash.js", "ws": "socket"}[mode]
    assert stats(page)["engine"] == engine
    until(lambda: 0 < (stats(page)["latency_s"] or 99) < 8, "it to be near live")
    wanted_s = 21.5
    pictures = go_to(page, played, wanted_s)
    until(lambda: phase_of(page) == (mode, "playing"), "it to play")
    # The first may be the one that others are decoded from, for a moment.
    assert played.second(pictures[3]) == pytest.approx(wanted_s, abs=0.6)
    count = len(shown(page))
    wait_for_pictures(page, count + FPS)
    found = stats(page)
    said_s = datetime.fromisoformat(found["playing_date"]).timestamp() - played.begun_s
    assert said_s == pytest.approx(played.second(shown(page)[-1]), abs=0.5)
    assert found["following"] is False
    assert found["stalls"] <= 1
    # Picture by picture, and twice as fast.
    page.keyboard.press(".")
    until(lambda: stats(page)["phase"] == "paused", "it to stand still")
    at = still(page)
    for key, by in ((".", 1), (".", 1), (",", -1), (".", 1), (",", -1), (",", -1), (",", -1)):
        page.keyboard.press(key)
        at += by
        until(lambda at=at: shown(page)[-1].number == at, f"the picture {by} on")
    page.keyboard.press("k")
    page.get_by_label("Speed").select_option("2")
    until(lambda: stats(page)["playback_rate"] == 2, "twice the speed")
    count = len(shown(page))
    until(lambda: speed(shown(page)[count:]) > 1.7, "a second at twice the speed")
    count = len(shown(page))
    page.keyboard.press("l")
    until(lambda: after(page, count, past=False), "the live picture again")
    until(lambda: stats(page)["following"] and (stats(page)["latency_s"] or 99) < 8, "the present")


@pytest.mark.parametrize("mode", MODES)
def test_who_is_faster_than_what_is_published_gets_to_live(
    played: Played, page: Page, mode: str
) -> None:
    open_live(page, played, mode)
    page.evaluate("() => window.kinolog.goTo(Date.now() - 12_000)")
    until(lambda: stats(page)["following"] is False, "it to be behind")
    page.get_by_label("Speed").select_option("4")
    until(lambda: stats(page)["following"] and phase_of(page) == (mode, "playing"), "the live edge")
    until(lambda: stats(page)["playback_rate"] < 1.5, "the speed of what is published")


@pytest.mark.parametrize("mode", MODES)
def test_who_is_faster_from_within_an_absence_gets_to_live(
    played: Played, page: Page, mode: str
) -> None:
    open_live(page, played, mode)
    send_to(page, 1000 * (played.begun_s + 90))
    until(lambda: stats(page)["following"] is False, "it to be behind")
    page.get_by_label("Speed").select_option("4")
    until(lambda: stats(page)["following"] and phase_of(page) == (mode, "playing"), "the live edge")
    until(lambda: stats(page)["playback_rate"] < 1.5, "the speed of what is published")


def test_who_pauses_at_once_sees_what_was_sought(played: Played, page: Page) -> None:
    """By WebSocket, with nothing of the run before in its place."""
    open_live(page, played, "ws")
    for second in (31.0, 7.0, 44.0, 19.0):
        send_to(page, 1000 * (played.begun_s + second), paused=True)
        until(
            lambda second=second: (
                stats(page)["phase"] == "paused"
                and played.second(shown(page)[-1]) == pytest.approx(second, abs=0.05)
            ),
            f"the picture of {second:.0f} s",
        )
        page.keyboard.press("k")
        count = len(shown(page))
        wait_for_pictures(page, count + FPS // 2)
        went_s = played.second(shown(page)[count]) - second
        assert 0 <= went_s < 0.5


def test_a_switch_keeps_the_position(played: Played, page: Page) -> None:
    open_live(page, played, "hls")
    go_to(page, played, 12.0)
    menu = page.get_by_label("Mode", exact=True)
    for mode in ("dash", "ws", "hls", "ws", "dash", "hls"):
        before_s = played.second(shown(page)[-1])
        menu.select_option(mode)
        count = len(shown(page))  # with all that the mode before may have shown
        until(
            lambda mode=mode, count=count: (
                phase_of(page) == (mode, "playing") and len(after(page, count, past=True)) > 5
            ),
            f"{mode}: to go on",
        )
        goes_on_s = played.second(after(page, count, past=True)[3])
        print(f"{mode}: {before_s:.2f} s before, {goes_on_s:.2f} s after")
        assert abs(goes_on_s - before_s) < 1
        assert f"mode={mode}" in page.url
    # Standing still, it stays where it is.
    page.keyboard.press("k")
    at_s = stats(page)["playing_date"]
    for mode in ("dash", "ws", "hls"):
        menu.select_option(mode)
        until(
            lambda mode=mode: (
                phase_of(page) == (mode, "paused") and stats(page)["playing_date"] is not None
            ),
            f"{mode}: to stand still, with a picture",
        )
        now_s = stats(page)["playing_date"]
        apart = datetime.fromisoformat(now_s) - datetime.fromisoformat(at_s)
        assert abs(apart.total_seconds()) < 0.5
    page.keyboard.press("k")
    until(lambda: phase_of(page) == ("hls", "playing"), "it to go on")
    # And what was chosen last is what the next page plays.
    menu.select_option("ws")
    page.goto(f"{played.edge}/watch/{STREAM}")
    until(lambda: phase_of(page) == ("ws", "playing"), "the mode of last time")
    menu.select_option("auto")
    until(lambda: phase_of(page) == ("hls", "playing"), "the mode by itself")
    assert "mode=" not in page.url


@pytest.mark.slow
def test_frame_by_frame_where_it_is_published_so(played: Played, page: Page) -> None:
    stream = "modes/frames"
    camera = played.stage.camera(stream, "", "--profile", "frame")
    ready(played.edge, stream)
    page.goto(f"{played.edge}/watch/{stream}")
    until(lambda: phase_of(page) == ("ws", "playing"), "it to play by WebSocket")
    assert page.get_by_label("Mode", exact=True).input_value() == "auto"
    stop(camera)


@pytest.mark.slow
def test_a_websocket_that_does_not_get_through(played: Played, page: Page) -> None:
    """A proxy in between knows no WebSockets: what was chosen by itself gives way."""
    stream = "modes/held"
    camera = played.stage.camera(stream, "", "--profile", "frame")
    ready(played.edge, stream)
    page.add_init_script(
        "window.WebSocket = class extends WebSocket {"
        " constructor() { super(location.origin.replace('http', 'ws') + '/nowhere'); } }"
    )
    page.goto(f"{played.edge}/watch/{stream}")
    until(lambda: phase_of(page) == ("hls", "playing"), "HLS in its place")
    stop(camera)


def test_the_stats_are_there_in_each_mode_and_can_be_copied(played: Played, page: Page) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    for mode, name in (("hls", "LL-HLS"), ("dash", "DASH"), ("ws", "WebSocket")):
        open_live(page, played, mode)
        page.keyboard.press("i")
        panel = page.locator(".stats")
        until(lambda panel=panel: "320×180" in panel.inner_text(), "the picture's size")
        until(lambda panel=panel: "kb/s" in panel.inner_text(), "the bit rate")
        panel.get_by_role("button", name="Copy the stats").click()
        until(lambda panel=panel: "Copied" in panel.inner_text(), "the copy")
        copied = page.evaluate("navigator.clipboard.readText()")
        for line in (
            f"Mode: {name}",
            "Latency: ",
            "Buffer ahead: ",
            "Bit rate: ",
            "Picture: 320×180",
            "H.264 avc1",
            "Frames dropped: ",
            "Stalls: ",
        ):
            assert line in copied, copied


@pytest.mark.parametrize(("mode", "player"), [("dash", "dash"), ("ws", "page")])
def test_a_viewer_is_counted(page: Page, played: Played, mode: str, player: str) -> None:
    stream = f"modes/alone-{mode}"
    camera = played.stage.camera(stream)
    ready(played.edge, stream)
    url = f"{played.edge}/media/{stream}/viewers"
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{played.edge}/watch/{stream}?mode={mode}")
    until(lambda: stats(page).get("phase") == "playing", "it to play")
    until(lambda: httpx.get(url).json()["players"] == {player: 1}, "a viewer", 30)
    # The addresses of media stay the same for all, and so cacheable.
    assert mode == "ws" or [one for one in asked if ".m4s" in one]
    assert not [one for one in asked if "CMCD" in one]
    if mode == "ws":
        until(lambda: httpx.get(url).json()["played_s"] > 5, "a report after ten seconds", 30)
        found, said = httpx.get(url).json(), stats(page)
        print(found, said)
        assert (found["viewers"], found["sessions"]) == (1, 1)
        assert found["stalled"] <= min(1, said["stalls"])  # none that the page does not know of
        assert 0 < found["startup_ms"]["p50"] < 20_000
        assert found["bitrate_kbps"]["p50"] > 50
        assert found["latency_ms"]["p50"] == pytest.approx(1000 * said["latency_s"], abs=1500)
        page.keyboard.press("k")
        until(lambda: httpx.get(url).json()["paused"] == 1, "the pause", 10)
    page.goto("about:blank")
    until(lambda: httpx.get(url).json()["viewers"] == 0, "no viewer any more", 30)
    stop(camera)
