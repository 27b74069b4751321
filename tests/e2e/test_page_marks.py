"""Marks on the page's timeline: they come, say what they are, lead there, are set; with a mouse,
with keys, with fingers on a phone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import pytest
from hls_stage import stage, stop, until
from kit.page_player import playing_s, send_to, stats
from playwright.sync_api import CDPSession, Locator, Page, Route

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

STREAM = "page-marks/camera"
PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}


@dataclass(frozen=True)
class Marked:
    """An edge, and when its stream's recording of two minutes began, Unix s."""

    edge: str
    begun_s: float
    other: str
    """An edge that takes no marks."""

    @property
    def closed(self) -> Marked:
        """The same by the other edge."""
        return Marked(self.other, self.begun_s, self.other)

    def add(self, at: float | str, **words: Any) -> None:
        """Write a mark by HTTP; a number counts from where the recording began."""
        moment = self.begun_s + at if isinstance(at, float | int) else at
        answer = httpx.post(
            f"{self.edge}/media/{STREAM}/events", json={"at": moment, **words}, timeout=30
        )
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def marked(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Marked]:
    with stage(one_broker, tmp_path_factory.mktemp("page-marks")) as found:
        begun_s = int(time.time()) - 400
        found.published(STREAM, "seconds=120", f"--at={begun_s}")
        camera = found.camera(STREAM)
        edge = found.edge()
        with httpx.Client(timeout=30) as client:
            url = f"{edge}/media/{STREAM}/video.m3u8"
            until(lambda: client.get(url).text.count("#EXTINF") > 2, "some segments")
        made = Marked(edge, begun_s, found.edge("--no-take-marks"))
        made.add(30, text="the door opens", kind="door")
        made.add(90, end=begun_s + 100, text="a dog", kind="detection")
        yield made
        stop(camera)


def opened(browser: Any, marked: Marked, **options: Any) -> Page:
    """The page, with all of the stream in sight."""
    page: Page = browser.new_context(bypass_csp=True, **options).new_page()
    page.goto(f"{marked.edge}/watch/{STREAM}?mode=hls")
    page.get_by_role("button", name="All").click()
    until(lambda: stats(page).get("phase") == "playing", "it to play")
    until(lambda: page.locator(".mark-pin").count() >= 2, "the marks")
    page.locator(".timeline-bar").scroll_into_view_if_needed()
    return page


@pytest.fixture
def page(browser: Any, marked: Marked) -> Iterator[Page]:
    found = opened(browser, marked, viewport={"width": 1280, "height": 1000})
    yield found
    found.context.close()


def second_of(page: Page, marked: Marked) -> float:
    """Which second of the recording is played."""
    at_s = playing_s(page)
    return at_s - marked.begun_s if at_s else -1.0


def is_at(page: Page, marked: Marked, second: float, within_s: float = 4.0) -> None:
    until(lambda: 0 <= second_of(page, marked) - second + 0.2 < within_s, f"second {second}", 15)


def pin(page: Page, text: str) -> Locator:
    return page.get_by_role("button", name=text)


def middle(found: Locator) -> tuple[float, float]:
    box = found.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_mark_that_is_written_comes_onto_the_timeline(page: Page, marked: Marked) -> None:
    marked.add("-5s", text="just now")
    until(lambda: pin(page, "just now").count() == 1, "the new mark", 15)


def test_it_says_what_it_is_and_leads_there(page: Page, marked: Marked) -> None:
    page.mouse.move(*middle(pin(page, "the door opens")))
    preview = page.locator(".timeline-preview")
    until(lambda: "the door opens" in preview.inner_text(), "its words")
    until(lambda: preview.locator("img").count() == 1, "its picture")
    pin(page, "the door opens").click()
    is_at(page, marked, 30)
    until(lambda: "the door opens" in page.locator(".timeline-here").inner_text(), "what it is")


def test_keys_go_from_mark_to_mark(page: Page, marked: Marked) -> None:
    send_to(page, 1000 * (marked.begun_s + 10))
    is_at(page, marked, 10)
    page.keyboard.press("]")
    is_at(page, marked, 30)
    page.keyboard.press("]")
    is_at(page, marked, 90)
    page.keyboard.press("[")
    is_at(page, marked, 30)
    # Also where none is in sight.
    page.get_by_role("button", name="1 min").click()
    until(lambda: pin(page, "a dog").count() == 0, "a view without the dog")
    page.keyboard.press("]")
    is_at(page, marked, 90)


def test_many_are_one_until_they_are_looked_at_closely(page: Page, marked: Marked) -> None:
    for part in range(12):
        marked.add(60 + part / 2, text="a person", kind="detection")
    cluster = pin(page, "a person ×12")
    until(lambda: cluster.count() == 1, "one pin for twelve", 15)
    assert cluster.inner_text() == "12"
    send_to(page, 1000 * (marked.begun_s + 60))
    is_at(page, marked, 60)
    page.keyboard.press("k")
    page.get_by_role("button", name="1 min").click()
    for _ in range(2):
        page.get_by_role("button", name="Zoom in").click()
    until(lambda: page.locator(".mark-one").count() >= 5, "a pin for each", 15)


def test_a_mark_is_set_at_what_is_shown(page: Page, marked: Marked) -> None:
    send_to(page, 1000 * (marked.begun_s + 20))
    is_at(page, marked, 20)
    page.keyboard.press("b")
    field = page.get_by_placeholder("What is there")
    assert field.input_value() == ""  # the key is no text
    page.keyboard.type("a hat, by kbd")  # none of these is a key of the player
    page.keyboard.press("Enter")
    until(lambda: pin(page, "a hat, by kbd").count() == 1, "the mark", 5)
    assert field.count() == 0
    (found,) = (
        one
        for one in httpx.get(f"{marked.edge}/media/{STREAM}/events").json()["marks"]
        if one.get("text") == "a hat, by kbd"
    )
    assert -0.3 < datetime.fromisoformat(found["at"]).timestamp() - marked.begun_s - 20 < 4
    page.get_by_role("button", name="Mark", exact=True).click()
    page.keyboard.press("Escape")
    assert field.count() == 0


def test_a_mark_that_is_refused(page: Page) -> None:
    page.route(
        "**/events",
        lambda route: route.fulfill(status=403, content_type="text/plain", body="not here"),
    )
    page.get_by_role("button", name="Mark", exact=True).click()
    page.get_by_role("button", name="Set", exact=True).click()
    until(lambda: page.get_by_role("alert").inner_text() == "Not set: not here", "why not")


def test_where_no_marks_are_taken(browser: Any, marked: Marked) -> None:
    found = opened(browser, marked.closed, viewport={"width": 1280, "height": 1000})
    assert found.get_by_role("button", name="Clip", exact=True).count() == 1
    assert found.get_by_role("button", name="Mark", exact=True).count() == 0
    found.keyboard.press("b")
    assert found.locator(".mark-tool").count() == 0
    found.context.close()


class Fingers:
    """Touches, as Chromium takes them from a screen."""

    def __init__(self, page: Page) -> None:
        self._session: CDPSession = page.context.new_cdp_session(page)

    def put(self, *points: tuple[float, float]) -> None:
        self._send("touchStart", points)

    def move(self, *points: tuple[float, float]) -> None:
        self._send("touchMove", points)

    def lift(self) -> None:
        self._send("touchEnd", ())

    def _send(self, kind: str, points: tuple[tuple[float, float], ...]) -> None:
        touches = [{"x": x, "y": y, "id": n} for n, (x, y) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})


@pytest.fixture
def phone(browser: Any, marked: Marked) -> Iterator[Page]:
    found = opened(browser, marked, **PHONE)
    yield found
    found.context.close()


def length_s(page: Page) -> float:
    """What the timeline shows, in seconds."""
    bar = page.locator(".timeline-bar")
    ends = [float(bar.get_attribute(f"aria-value{end}") or 0) for end in ("min", "max")]
    return ends[1] - ends[0]


def test_a_finger_drags_to_seek(phone: Page, marked: Marked) -> None:
    recording = phone.locator(".timeline-data").first
    box = recording.bounding_box()
    assert box is not None
    fingers, y = Fingers(phone), box["y"] + box["height"] / 2
    fingers.put((box["x"] + 300, y))
    for x in (200, 100, 0.5 * box["width"]):
        fingers.move((box["x"] + x, y))
    preview = phone.locator(".timeline-preview")
    until(lambda: preview.locator("img").count() == 1, "a picture under way")
    assert stats(phone)["following"] is True
    fingers.lift()
    until(lambda: 40 < second_of(phone, marked) < 90, "the middle of the recording")
    until(lambda: preview.count() == 0, "the preview to go")


def test_a_finger_that_rests_looks_and_does_not_seek(phone: Page) -> None:
    fingers, at = Fingers(phone), middle(phone.locator(".timeline-data").first)
    fingers.put(at)
    preview = phone.locator(".timeline-preview")
    until(lambda: preview.locator("img").count() == 1, "the preview")
    fingers.lift()
    until(lambda: preview.count() == 0, "the preview to go")
    assert stats(phone)["following"] is True


def test_a_preview_shows_no_other_moment_than_it_names(phone: Page) -> None:
    box = phone.locator(".timeline-data").first.bounding_box()
    assert box is not None
    fingers, y = Fingers(phone), box["y"] + box["height"] / 2
    fingers.put((box["x"] + 0.2 * box["width"], y))
    fingers.move((box["x"] + 0.4 * box["width"], y))
    picture = phone.locator(".timeline-preview img")
    until(picture.is_visible, "a picture")
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    phone.route("**/still.jpg?at=*", hold)
    fingers.move((box["x"] + 0.6 * box["width"], y))
    until(lambda: picture.is_hidden() and len(held) == 1, "the one before to go")
    held[0].continue_()
    until(picture.is_visible, "the next picture")
    fingers.lift()


def test_two_fingers_zoom(phone: Page) -> None:
    bar = phone.locator(".timeline-bar").bounding_box()
    assert bar is not None
    fingers, y, whole_s = Fingers(phone), bar["y"] + 30, length_s(phone)
    fingers.put((180, y), (220, y))
    for apart in (30, 50, 80, 120):
        fingers.move((200 - apart, y), (200 + apart, y))
    fingers.lift()
    until(lambda: length_s(phone) < whole_s / 4, "a closer look")
    close_s = length_s(phone)
    assert close_s == pytest.approx(whole_s / 6, rel=0.25)
    fingers.put((80, y), (320, y))
    for apart in (80, 40, 20):
        fingers.move((200 - apart, y), (200 + apart, y))
    fingers.lift()
    until(lambda: length_s(phone) > 4 * close_s, "a view from further away")
    assert stats(phone)["following"] is True


def test_a_finger_taps_a_mark(phone: Page, marked: Marked) -> None:
    x, y = middle(pin(phone, "the door opens"))
    phone.touchscreen.tap(x + 5, y)
    is_at(phone, marked, 30)
    until(lambda: "the door opens" in phone.locator(".timeline-here").inner_text(), "what it is")


def test_everything_is_within_a_phones_screen(phone: Page) -> None:
    send_to(phone, 1000 * (time.time() - 350))
    until(lambda: stats(phone)["following"] is False, "the past")
    wide = phone.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390
    row = phone.locator(".control-row > *:visible")
    for n in range(row.count()):
        box = row.nth(n).bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390


SEND = """
async ([url, type, mode, text]) => {
  const headers = { "content-type": type };
  try {
    await fetch(url, { headers }).catch(() => {}); // leave to read is none to write
    const body = JSON.stringify({ at: "-390s", text });
    return (await fetch(url, { method: "POST", mode, headers, body })).status;
  } catch (error) {
    return String(error);
  }
}
"""


def test_a_page_of_another_site_reads_marks_and_writes_none(browser: Any, marked: Marked) -> None:
    url = f"{marked.edge}/media/{STREAM}/events"
    elsewhere: Page = browser.new_context(bypass_csp=True).new_page()
    elsewhere.goto(marked.edge.replace("127.0.0.1", "localhost"))
    assert elsewhere.evaluate("url => fetch(url).then(answer => answer.status)", url) == 200
    for sort, mode in (
        ("application/json", "cors"),
        ("text/plain", "cors"),
        ("text/plain", "no-cors"),
    ):
        told = elsewhere.evaluate(SEND, [url, sort, mode, "from elsewhere"])
        assert told in ("TypeError: Failed to fetch", 403, 0)
    elsewhere.goto(marked.edge)
    assert elsewhere.evaluate(SEND, [url, "application/json", "cors", "from here"]) == 201
    texts = [mark.get("text") for mark in httpx.get(url).json()["marks"]]
    assert ("from elsewhere" in texts, "from here" in texts) == (False, True)
    elsewhere.context.close()
