"""The first thing asked of the page is a moment, in each mode: of a stream that is away, and of one
that has ended, with two sessions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from hls_stage import Stage, stage, states, until
from kit.page_player import clock_off, segment_at, send_to, stats, watched
from kit.screen import Shown, settle, shown, wait_for_pictures
from playwright.sync_api import Page, Route

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

STREAM = "jumps/camera"
LONG = "jumps/long"
"""Of GOPs of ten seconds, in segments of two."""
FPS = 30
SECOND = 100_000
"""The number of the second session's first picture."""
FIRST_S, AWAY_S, SECOND_S = 90, 30, 60
LONG_S = 60
MODES = ("hls", "dash", "ws")


@dataclass(frozen=True)
class Played:
    """An edge, and when the first session began (Unix s)."""

    stage: Stage
    edge: str
    begun_s: int

    def second(self, picture: Shown) -> float:
        """Which second since then a picture is of."""
        if picture.number < SECOND:
            return picture.number / FPS
        return FIRST_S + AWAY_S + (picture.number - SECOND) / FPS


@pytest.fixture(scope="module", params=["away", "ended"])
def played(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Played]:
    """Streams that are in that state: an ingest ends one whose publisher left another's, after the
    grace that the publisher gave."""
    state = str(request.param)
    folder = tmp_path_factory.mktemp(f"page-jumps-{state}")
    grace_s = 0.1 if state == "ended" else 3600
    (folder / "kinolog.toml").write_text(f"end_grace_s = {grace_s}\n")
    with stage(one_broker, folder) as found:
        begun_s = int(time.time()) - 600
        shape = "gop=2&bframes=2"
        found.published(STREAM, f"seconds={FIRST_S}&{shape}", f"--at={begun_s}")
        again_s = begun_s + FIRST_S + AWAY_S
        query = f"seconds={SECOND_S}&start_number={SECOND}&{shape}"
        found.published(STREAM, query, f"--at={again_s}")
        found.published(LONG, f"seconds={LONG_S}&gop=10", f"--at={begun_s}")
        edge = found.edge()
        found.rest(edge, state)
        yield Played(found, edge, begun_s)


@contextmanager
def jumped(
    played: Played,
    browser: Any,
    mode: str,
    moment_s: float,
    stream: str = STREAM,
    *,
    paused: bool = False,
) -> Iterator[Page]:
    """A page that was sent to a moment, and `paused` at once, before it had anything to show."""
    with opened(played, browser, mode, stream) as page:
        send_to(page, 1000 * (played.begun_s + moment_s), paused=paused)
        yield page


@contextmanager
def opened(played: Played, browser: Any, mode: str, stream: str = STREAM) -> Iterator[Page]:
    with watched(browser, f"{played.edge}/watch/{stream}?mode={mode}") as page:
        yield page


@pytest.mark.parametrize("mode", MODES)
def test_the_first_jump_goes_to_its_moment(played: Played, browser: Any, mode: str) -> None:
    for moment_s in (0.0, 45.0, 160.0):
        with jumped(played, browser, mode, moment_s) as page:
            went_to(page, played, moment_s)


@pytest.mark.parametrize("mode", MODES)
def test_an_address_leads_to_its_moment(played: Played, browser: Any, mode: str) -> None:
    """Where there is nothing at that time, to the next that there is."""
    for asked_s, shown_s in ((45.0, 45.0), (-60.0, 0.0), (FIRST_S + 5.0, FIRST_S + AWAY_S)):
        asked = f"mode={mode}&at={played.begun_s + asked_s:.3f}"
        with watched(browser, f"{played.edge}/watch/{STREAM}?{asked}") as page:
            went_to(page, played, shown_s)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("stream", "moments_s"), [(STREAM, (45.0, 133.9)), (LONG, (33.0, 17.5))])
def test_nothing_is_played_before_the_moment(
    played: Played, browser: Any, mode: str, stream: str, moments_s: tuple[float, ...]
) -> None:
    """What the moment is decoded from stands there at most, until the moment can be shown."""
    first_s, then_s = moments_s
    asked = f"mode={mode}&at={played.begun_s + first_s:.3f}"
    with watched(browser, f"{played.edge}/watch/{stream}?{asked}") as page:
        wait_for_pictures(page, 12)
        count = page.evaluate(
            "at => { window.kinolog.goTo(at); return window.shown.length; }",
            1000 * (played.begun_s + then_s),
        )
        until(
            lambda: any(0 <= played.second(one) - then_s < 2 for one in shown(page)[count:]),
            "it to go",
        )
        found = [played.second(one) for one in shown(page)]
        for moment_s, went_s in ((first_s, found[:count]), (then_s, found[count:])):
            early = [at_s for at_s in went_s if moment_s - 10 <= at_s < moment_s - 0.1]
            assert len(set(early)) <= 1, (moment_s, went_s)


@pytest.mark.parametrize("mode", ["hls", "dash"])
def test_a_moment_that_does_not_come_is_not_waited_for(
    played: Played, browser: Any, mode: str
) -> None:
    """What leads to it is played then, and the moment is gone to all the same once it is there."""
    at_s = played.begun_s + 17.5
    segment = segment_at(played.edge, LONG, at_s)
    with opened(played, browser, mode, LONG) as page:
        until(lambda: shown(page), "what there is")
        page.route(f"**/{segment}", lambda route: None)
        send_to(page, 1000 * at_s)
        until(
            lambda: any(11 <= played.second(one) <= 13 for one in shown(page)), "what leads to it"
        )
        page.unroute_all()  # what was held goes on
        went_to(page, played, 17.5)


def test_an_address_that_leads_nowhere_says_so(played: Played, browser: Any) -> None:
    with watched(browser, f"{played.edge}/watch/{STREAM}?mode=hls&at=yesterday") as page:
        note = page.locator(".timeline-note").filter(has_text="“yesterday” is not a time")
        until(note.is_visible, "a sentence")
        until(lambda: shown(page), "what there is")


def test_a_moment_has_an_address(played: Played, browser: Any) -> None:
    """That of the picture that stands, which another page begins with."""
    with jumped(played, browser, "hls", 47.0, paused=True) as page:
        stands_at(page, played, 47.0)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.get_by_role("button", name="Copy a link to this moment").click()
        page.get_by_text("Copied").wait_for()
        link = page.evaluate("navigator.clipboard.readText()")
    with watched(browser, link) as page:
        went_to(page, played, 47.0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("stream", "moments_s"), [(STREAM, (0.0, 133.0, 178.0)), (LONG, (3.0, 17.0, 33.0))]
)
def test_who_pauses_before_anything_is_shown_sees_the_moment(
    played: Played, browser: Any, mode: str, stream: str, moments_s: tuple[float, ...]
) -> None:
    for moment_s in moments_s:
        with jumped(played, browser, mode, moment_s, stream, paused=True) as page:
            stands_at(page, played, moment_s)
            count = len(shown(page))
            page.keyboard.press("k")
            wait_for_pictures(page, count + FPS // 2)
            went_s = played.second(shown(page)[count]) - moment_s
            assert -0.04 <= went_s < 0.5


@pytest.mark.parametrize("mode", MODES)
def test_jumps_near_the_end(played: Played, browser: Any, mode: str) -> None:
    """Where what is sought is all that there is, and is sent as what is live."""
    with jumped(played, browser, mode, 178.2, paused=True) as page:
        stands_at(page, played, 178.2)
        for moment_s in (177.2, 179.2, 176.5, 178.5, 178.0, 150.0, 179.5):
            send_to(page, 1000 * (played.begun_s + moment_s))
            stands_at(page, played, moment_s)


@pytest.mark.parametrize("mode", ["hls", "dash"])
def test_a_moment_of_which_there_is_nothing_is_over_once_it_plays(
    played: Played, browser: Any, mode: str
) -> None:
    """Steps and seconds go from what is shown, not from there."""
    with jumped(played, browser, mode, FIRST_S + AWAY_S / 2) as page:
        until(
            lambda: bool(shown(page)) and shown(page)[-1].number > SECOND + 7 * FPS, "what follows"
        )
        page.keyboard.press("k")
        until(lambda: stats(page)["phase"] == "paused", "it to stand")
        settle(page)
        stood = shown(page)[-1].number
        page.keyboard.press(".")
        until(lambda: shown(page)[-1].number == stood + 1, "the next picture")
        page.keyboard.press("ArrowLeft")
        until(lambda: abs(shown(page)[-1].number - (stood + 1 - 5 * FPS)) <= 1, "5 s before")


@pytest.mark.parametrize("mode", MODES)
def test_seconds_into_an_absence_lead_to_what_follows(
    played: Played, browser: Any, mode: str
) -> None:
    """Of who stands still, too. By HLS absences are left out, and the seconds go on behind one."""
    over_s = FIRST_S + AWAY_S + (3.0 if mode == "hls" else 0.0)
    with jumped(played, browser, mode, FIRST_S - 2.0, paused=True) as page:
        stands_at(page, played, FIRST_S - 2.0)
        for shown_s in (over_s, over_s + 5.0):
            page.keyboard.press("ArrowRight")
            stands_at(page, played, shown_s)


@pytest.mark.parametrize("mode", MODES)
def test_a_moment_near_a_sessions_end_is_not_of_the_next(
    played: Played, browser: Any, mode: str
) -> None:
    """Also where both come before there is anything to append them to, as by WebSocket."""
    for before_s in (1.25, 0.6, 0.3):
        with jumped(played, browser, mode, FIRST_S - before_s, paused=True) as page:
            stands_at(page, played, FIRST_S - before_s)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("stream", "from_s", "to_s"), [(STREAM, 178.0, 78.0), (LONG, 58.0, 0.0)])
def test_seconds_back_go_over_an_absence_and_stop_at_the_begin(
    played: Played, browser: Any, mode: str, stream: str, from_s: float, to_s: float
) -> None:
    """Each is one of playing, whatever lies between."""
    with jumped(played, browser, mode, from_s, stream, paused=True) as page:
        stands_at(page, played, from_s)
        for _ in range(14):
            page.keyboard.press("ArrowLeft")
            page.wait_for_timeout(500)  # as a person would
        stands_at(page, played, to_s, within_s=0.25)
        assert not page.evaluate("document.querySelector('video').seeking")


@pytest.mark.parametrize("played", ["away"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_seconds_on_go_to_the_last_and_never_back(played: Played, browser: Any, mode: str) -> None:
    end_s = FIRST_S + AWAY_S + SECOND_S
    with jumped(played, browser, mode, end_s - 2.0, paused=True) as page:
        stands_at(page, played, end_s - 2.0)
        count = len(shown(page))
        for _ in range(3):
            page.keyboard.press("ArrowRight")
            until(
                lambda: (
                    played.second(shown(page)[-1]) >= end_s - 0.55
                    and not page.evaluate("document.querySelector('video').seeking")
                ),
                "the last",
            )
        went_s = [played.second(one) for one in shown(page)[count:]]
        assert went_s == sorted(went_s)


PAUSE_ONCE = """
what => new Promise(done => {
  const look = () => {
    const found = window.kinolog.stats();
    if (found.phase !== "playing" || !found[what]) return requestAnimationFrame(look);
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key: "k", bubbles: true }));
    done();
  };
  look();
})
"""
"""Its key, at the first picture that is played once the page says that of itself."""


@pytest.mark.parametrize("played", ["away"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_seconds_on_of_who_pauses_with_all_there(played: Played, browser: Any, mode: str) -> None:
    """A WebSocket's server has said by then that this is live."""
    end_s = FIRST_S + AWAY_S + SECOND_S
    with jumped(played, browser, mode, end_s - 4.0) as page:
        page.evaluate(PAUSE_ONCE, "following" if mode == "ws" else "playing_date")
        until(lambda: stats(page)["phase"] == "paused", "it to stand")
        settle(page)
        assert played.second(shown(page)[-1]) < end_s - 0.6
        page.keyboard.press("ArrowRight")
        until(lambda: played.second(shown(page)[-1]) >= end_s - 0.55, "the last")


@pytest.mark.parametrize("mode", MODES)
def test_it_plays_on_over_an_absence(played: Played, browser: Any, mode: str) -> None:
    with jumped(played, browser, mode, FIRST_S - 6.0) as page:
        until(lambda: any(one.number < SECOND for one in shown(page)), "the moment")
        until(lambda: shown(page) and shown(page)[-1].number > SECOND + FPS, "the second session")
        assert stats(page)["recoveries"] == 0
        # The first session's last, too: players leave its very end a little early.
        first = [one.number for one in shown(page) if one.number < SECOND]
        assert first[-1] >= FPS * FIRST_S - FPS // 3


@pytest.mark.parametrize("mode", MODES)
def test_it_plays_on_over_an_absence_fast(played: Played, browser: Any, mode: str) -> None:
    with jumped(played, browser, mode, FIRST_S - 20.0) as page:
        until(lambda: any(one.number < SECOND for one in shown(page)), "the moment")
        for _ in range(6):
            page.keyboard.press(">")
        rate = "document.querySelector('video').playbackRate"
        until(lambda: page.evaluate(rate) >= 4, "the speed")
        until(lambda: shown(page)[-1].number > SECOND + FPS, "the second session")


@pytest.mark.parametrize("played", ["ended"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_what_has_ended_is_played_to_its_end(played: Played, browser: Any, mode: str) -> None:
    with jumped(played, browser, mode, FIRST_S + AWAY_S + SECOND_S - 4.0) as page:
        until(lambda: shown(page), "the moment")
        until(lambda: page.evaluate("document.querySelector('video').ended"), "its end")
        until(lambda: stats(page)["phase"] == "ended", "the page to say so")


@pytest.mark.parametrize("played", ["ended"], indirect=True)
@pytest.mark.parametrize("mode", ["dash", "ws"])
def test_the_last_picture_of_what_has_ended(played: Played, browser: Any, mode: str) -> None:
    """Browsers keep back what a decoder may still put in another order, until all is there. By HLS
    it is not shown to who stands still: docs/plan.md 24."""
    end_s = FIRST_S + AWAY_S + SECOND_S
    with jumped(played, browser, mode, end_s - 0.5 / FPS, paused=True) as page:
        stands_at(page, played, end_s - 1 / FPS)


def test_dash_loads_little_beyond_an_absence(played: Played, browser: Any) -> None:
    """dash.js would load all of it, for what is left of what it plays stays as little."""
    with jumped(played, browser, "dash", FIRST_S - 14.0) as page:
        # Before it was sent there, it may have shown some of the second session.
        first = range(FPS * (FIRST_S - 8), SECOND)
        until(lambda: any(one.number in first for one in shown(page)), "the moment")
        assert loaded_s(page) == pytest.approx(played.begun_s + FIRST_S, abs=0.1)
        until(lambda: loaded_s(page) > played.begun_s + FIRST_S + AWAY_S, "the second session")
        while page.evaluate(POSITION) < played.begun_s + FIRST_S:
            assert loaded_s(page) <= played.begun_s + FIRST_S + AWAY_S + 12.1


def test_dash_drops_what_it_does_not_want_any_more(played: Played, browser: Any) -> None:
    """After a jump, an answer to a request of before has it ask for two segments at once, and go to
    where the second begins if that is there first."""
    # Over a minute before the segment that is held: it is asked for after the jump alone.
    with jumped(played, browser, "dash", 10.0) as page:
        until(lambda: shown(page), "the moment")
        held = "**/video/*/40.m4s"
        page.route(held, lambda route: None)
        with page.expect_request(held) as asked:
            send_to(page, 1000 * (played.begun_s + 78.0))
        # Chromium gives up others, too: an answer (304) of which it has let go before it was read.
        with page.expect_event("requestfailed", lambda request: request == asked.value):
            send_to(page, 1000 * (played.begun_s + 86.0))
        went_to(page, played, 86.0)


POSITION = "document.querySelector('video').currentTime"


def loaded_s(page: Page) -> float:
    """Where what is buffered ends (media time, s); 0: nothing is."""
    buffered = "document.querySelector('video').buffered"
    return float(page.evaluate(f"{buffered}.length && {buffered}.end({buffered}.length - 1)"))


@pytest.mark.parametrize("mode", MODES)
def test_jumps_amid_long_gops(played: Played, browser: Any, mode: str) -> None:
    """Each is shown, though players that begin amid a GOP have nothing to decode."""
    with jumped(played, browser, mode, 47.0, LONG, paused=True) as page:
        stands_at(page, played, 47.0)
        for moment_s in (5.0, 58.0, 22.0, 36.0):
            send_to(page, 1000 * (played.begun_s + moment_s))
            stands_at(page, played, moment_s)


@pytest.mark.parametrize("played", ["ended"], indirect=True)
@pytest.mark.parametrize("mode", MODES)
def test_a_jump_far_into_a_gop_goes_to_its_moment(played: Played, browser: Any, mode: str) -> None:
    """All that leads there is sent at once."""
    stream = f"jumps/far-{mode}"
    played.stage.published(stream, "seconds=50&gop=40", f"--at={played.begun_s}")
    with jumped(played, browser, mode, 38.0, stream) as page:
        went_to(page, played, 38.0)


@pytest.mark.parametrize("mode", MODES)
def test_a_clock_that_is_behind_leads_to_the_moment(
    played: Played, browser: Any, mode: str
) -> None:
    asked = f"mode={mode}&at={played.begun_s + 17.5:.3f}"
    with watched(browser, f"{played.edge}/watch/{LONG}?{asked}", clock_off(-3000)) as page:
        went_to(page, played, 17.5)


def test_a_manifest_that_is_not_read_first_leads_to_the_moment(
    played: Played, browser: Any
) -> None:
    """The page reads it before dash.js does; where that fails, it is found out afterwards."""
    failed: list[str] = []

    def fails_once(route: Route) -> None:
        if failed:
            return route.continue_()
        failed.append(route.request.url)
        return route.abort()

    with opened(played, browser, "dash", LONG) as page:
        until(lambda: shown(page), "what there is")
        page.route("**/manifest.mpd*start=*", fails_once)
        send_to(page, 1000 * (played.begun_s + 17.5))
        went_to(page, played, 17.5)
    assert failed


@pytest.mark.parametrize(
    ("mode", "stream", "end"),
    [
        *((mode, STREAM, SECOND + FPS * SECOND_S) for mode in MODES),
        *((mode, LONG, FPS * LONG_S) for mode in MODES),
    ],
)
def test_who_opens_one_that_is_not_live_sees_something(
    played: Played, browser: Any, mode: str, stream: str, end: int
) -> None:
    """Of one that is away, what was seen last, up to where Chromium begins to wait. Of one that is
    over, what its window has."""
    least = end - FPS if states(played.edge) == {"away"} else 0
    with opened(played, browser, mode, stream) as page:
        until(lambda: shown(page) and shown(page)[-1].number > least, "the last pictures")


def test_a_position_of_before_is_not_taken_to_the_next_source(played: Played, browser: Any) -> None:
    """hls.js may set one of a list that is replaced before there is anything of it: <video> would
    begin there."""
    with jumped(played, browser, "hls", 0.0, LONG) as page:
        until(lambda: shown(page), "the beginning")
        page.evaluate(
            """at => {
              const video = document.querySelector("video");
              video.removeAttribute("src");
              video.load();
              video.currentTime = 29.8;
              window.kinolog.goTo(at);
            }""",
            1000 * (played.begun_s + 47),
        )
        went_to(page, played, 47.0)


def stands_at(page: Page, played: Played, moment_s: float, within_s: float = 0.04) -> None:
    """It is paused, and shows the moment's picture."""
    until(
        lambda: (
            stats(page)["phase"] == "paused"
            and bool(shown(page))
            and played.second(shown(page)[-1]) == pytest.approx(moment_s, abs=within_s)
        ),
        f"the picture of {moment_s:.0f} s",
    )


def went_to(page: Page, played: Played, moment_s: float) -> None:
    """It shows that moment, and nothing of elsewhere after it."""

    def there() -> int | None:
        found = [played.second(one) for one in shown(page)]
        near = (n for n, at_s in enumerate(found) if abs(at_s - moment_s) < 1)
        return next(near, None) if len(found) > FPS else None

    until(lambda: there() is not None, f"the picture of {moment_s:.0f} s")
    pictures = [played.second(one) for one in shown(page)][there() :]
    assert pictures[0] == pytest.approx(moment_s, abs=0.6)
    assert all(moment_s - 0.6 < at_s < moment_s + 60 for at_s in pictures)
    assert stats(page)["following"] is False
