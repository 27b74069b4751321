"""Clips on the page: a range is selected, kept, played by its link, deleted; and where none are."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlparse

import httpx
import pytest
from hls_stage import stage, until
from kit.page_player import playing_s, send_to
from playwright.sync_api import Locator, Page, Route

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.needs("chromium"),
    pytest.mark.timeout(240),
]

STREAM = "page-clips/camera"
BEGUN_S = int(time.time()) - 4 * 3600
LATER_S = 3 * 3600
"""The second of two recordings of a minute begins so long after the first."""


@dataclass(frozen=True)
class Edges:
    keeps: str
    shows: str
    """Sends what is kept, and keeps nothing."""
    none: str
    """Has no place for clips."""


@pytest.fixture(scope="module")
def edges(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edges]:
    place = str(tmp_path_factory.mktemp("page-clips-place") / "clips")
    with stage(one_broker, tmp_path_factory.mktemp("page-clips")) as found:
        for at_s in (BEGUN_S, BEGUN_S + LATER_S):
            found.published(STREAM, "seconds=60", f"--at={at_s}")
        yield Edges(
            found.edge("--clips", place),
            found.edge("--clips", place, "--no-keep-clips"),
            found.edge(),
        )


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    context = browser.new_context(bypass_csp=True, viewport={"width": 1280, "height": 1000})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    yield context.new_page()
    context.close()


def opened(page: Page, edge: str) -> Locator:
    """The page with all of the stream in sight, and the clip tool open."""
    page.goto(f"{edge}/watch/{STREAM}?mode=hls")
    page.get_by_role("button", name="All").click()
    until(lambda: page.locator(".timeline-data").count() == 2, "both recordings")
    page.get_by_role("button", name="Clip", exact=True).click()
    return page.get_by_role("region", name="Clip", exact=True)


def drag(page: Page, start_s: float, end_s: float) -> None:
    """Over a stretch, in seconds from where the first recording began."""
    bar = page.locator(".timeline-bar")
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box is not None
    begin, end = (float(bar.get_attribute(f"aria-value{one}") or 0) for one in ("min", "max"))

    def x(second: float) -> float:
        return box["x"] + box["width"] * (BEGUN_S + second - begin) / (end - begin)

    page.mouse.move(x(start_s), box["y"] + 30)
    page.mouse.down()
    page.mouse.move(x(end_s), box["y"] + 30, steps=4)
    page.mouse.up()


def selected(panel: Locator) -> tuple[float, float]:
    """What the download would be of, in seconds from where the first recording began."""
    link = panel.get_by_role("link", name="Download").get_attribute("href")
    query = parse_qs(urlparse(link).query)
    return tuple(float(query[one][0]) - BEGUN_S for one in ("start", "end"))  # type: ignore[return-value]


def shown_s(page: Page) -> float:
    """Which second of the first recording is shown."""
    at_s = playing_s(page)
    return at_s - BEGUN_S if at_s else -1.0


def test_a_range_is_kept_and_deleted(page: Page, edges: Edges) -> None:
    panel = opened(page, edges.keeps)
    drag(page, -100, LATER_S + 200)
    start_s, end_s = selected(panel)
    assert start_s < 0 < LATER_S + 60 < end_s  # longer than two hours
    # As long as what is there: the clip leaves the rest out.
    said = panel.locator(".clip-what b")
    until(lambda: said.inner_text().startswith("2:00 min of 3 h"), "its length")
    panel.get_by_label("Name of the clip").fill("both of them")
    panel.get_by_role("button", name="Keep").click()
    until(lambda: "Kept." in panel.locator(".clip-job").inner_text(), "it to be kept")
    (card,) = httpx.get(f"{edges.keeps}/media/{STREAM}/clips").json()["clips"]
    assert (card["name"], round(card["seconds"])) == ("both of them", 120)
    assert card["begins_ms"] == 1000 * BEGUN_S > card["start_ms"]
    # Its link is the file.
    panel.locator(".clip-job").get_by_role("button", name="Copy the link").click()
    until(lambda: "Copied" in panel.locator(".clip-job").inner_text(), "the copy")
    link = page.evaluate("navigator.clipboard.readText()")
    assert link == edges.keeps + card["url"]
    assert len(httpx.get(link).content) == card["bytes"]
    # It is in the list, also after a reload; and leads back to where it was taken.
    kept = opened(page, edges.keeps).get_by_role("list", name="Kept clips")
    until(lambda: "both of them" in kept.inner_text(), "the list")
    shows = panel.get_by_title("Show it on the timeline")
    begun = page.evaluate("at => new Date(at).toTimeString().slice(0, 8)", 1000 * BEGUN_S)
    assert shows.inner_text().endswith(begun)
    shows.click()
    assert selected(panel) == pytest.approx((start_s, end_s), abs=0.01)
    # The same again is the same clip.
    panel.get_by_role("button", name="Keep").click()
    until(lambda: "Kept." in panel.locator(".clip-job").inner_text(), "it to be kept")
    assert kept.get_by_role("listitem").count() == 1
    panel.get_by_role("button", name="Delete both of them", exact=True).click()
    panel.get_by_role("button", name="Really delete both of them").click()
    until(lambda: kept.count() == 0, "it to be gone")
    assert httpx.get(link).status_code == 404


def test_what_cannot_be_kept_is_said(page: Page, edges: Edges) -> None:
    panel = opened(page, edges.keeps)
    drag(page, 3600, 7200)
    panel.get_by_role("button", name="Keep").click()
    until(lambda: "Not kept: " in panel.locator(".clip-job").inner_text(), "why not")
    assert "nothing" in panel.locator(".clip-job").inner_text()


def test_a_clip_without_a_mouse(page: Page, edges: Edges) -> None:
    panel = opened(page, edges.keeps)
    for second, button in ((10, "From here"), (30, "To here")):
        send_to(page, 1000 * (BEGUN_S + second))
        until(lambda at=second: 0 <= shown_s(page) - at + 0.2 < 6, f"second {second}")
        page.keyboard.press(".")
        panel.get_by_role("button", name=button).press("Enter")
    start_s, end_s = selected(panel)
    assert (start_s, end_s) == (pytest.approx(13, abs=3.5), pytest.approx(33, abs=3.5))


def test_where_nothing_is_kept(page: Page, edges: Edges) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    panel = opened(page, edges.none)
    with page.expect_response("**/clips") as answer:
        page.reload()
        assert not [url for url in asked if url.endswith("/clips")][1:]
        panel = opened(page, edges.none)
    assert answer.value.status == 400
    drag(page, 10, LATER_S)
    panel.get_by_role("link", name="Download").wait_for()
    assert panel.get_by_role("button", name="Keep").count() == 0
    assert panel.locator(".clip-trouble").count() == 0


def test_where_it_is_only_shown(page: Page, edges: Edges) -> None:
    made = httpx.post(
        f"{edges.keeps}/media/{STREAM}/clips",
        json={"start": BEGUN_S + 5, "end": BEGUN_S + 9, "name": "short"},
        timeout=60,
    )
    assert made.status_code == 201, made.text
    panel = opened(page, edges.shows)
    kept = panel.get_by_role("list", name="Kept clips")
    until(lambda: "short" in kept.inner_text(), "the list")
    drag(page, 10, LATER_S)
    panel.get_by_role("link", name="Download").wait_for()
    assert panel.get_by_role("button", name="Keep").count() == 0
    assert panel.get_by_role("button", name="Delete short").count() == 0
    assert panel.get_by_role("button", name="Copy the link to short").count() == 1


def test_a_download_says_what_its_edge_says_of_it(page: Page, edges: Edges) -> None:
    panel = opened(page, edges.none)
    drag(page, 10, LATER_S)
    link = panel.get_by_role("link", name="Download")
    with page.expect_download(timeout=60_000) as got:
        link.click()
    assert got.value.suggested_filename.endswith(".mp4")
    assert got.value.path().stat().st_size > 100_000
    assert panel.locator(".clip-offer").inner_text() == ""
    # Which clips an edge refuses, and of which it says what, test_clip_changes shows.
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.headers.get("range", ""))
        route.fulfill(status=400, content_type="text/plain", body="the codec of video changes\n")

    page.route("**/clip.mp4*", refuse)
    link.click()
    until(lambda: "Not one file: the codec of video changes" in panel.inner_text(), "why")
    assert asked == ["bytes=0-0"]
    page.unroute("**/clip.mp4*")

    def tell(route: Route) -> None:
        if route.request.headers.get("range"):
            changes = {"kinolog-changes": "2026-01-01T12:00:00.123Z"}
            route.fulfill(status=206, headers=changes, body="x")
        else:
            route.continue_()

    page.route("**/clip.mp4*", tell)
    with page.expect_download(timeout=60_000):
        link.click()
    said = panel.locator(".clip-offer").inner_text()
    assert "Some players stop" in said
    assert ":00.123" in said
    assert "Not one file" not in said
