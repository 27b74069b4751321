"""Far back in a stream: lists are of a day at most, and the page goes on from one to the next."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

import httpx
import pytest
from hls_stage import PATIENCE_S, fetch, stage, until
from kit.page_player import playing_s, send_to, stats, watched
from kit.screen import shown

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "far/camera"
HOUR_S = 3600
FPS = 30
FILM_S = 20
FIRST_H, SECOND_H = 40, 10
"""So many hours ago, two films of FILM_S were sent; and now there is a camera."""
SENT_TO_S = 12
BORDER_S = 24 * HOUR_S + SENT_TO_S - 10.7
"""A day after what the page is sent to lies amid a segment of a third film."""

LOOKS_OFTEN = """
const every = window.setInterval;
window.setInterval = (act, ms, ...of) => every(act, ms === 200 ? 2 : ms, ...of);
"""
"""dash.js looks each 200 ms whether the presentation's time is over, and where the browser has not
ended then, it goes half a second back and stands there."""


@dataclass(frozen=True)
class Far:
    """An edge, and when each of the two films began (Unix s)."""

    edge: str
    first_s: int
    second_s: int

    @property
    def base(self) -> str:
        return f"{self.edge}/media/{STREAM}"


@pytest.fixture(scope="module")
def far(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    with stage(one_broker, tmp_path_factory.mktemp("page-far")) as found:
        made = found.start("collections", "create", "far", "--retention", "7d")
        assert made.wait(PATIENCE_S) == 0
        now_s = int(time.time())
        begun = [now_s - hours * HOUR_S for hours in (FIRST_H, SECOND_H)]
        for at_s in (begun[0], begun[0] + BORDER_S, begun[1]):
            found.published(STREAM, f"seconds={FILM_S}", f"--at={at_s}")
        found.camera(STREAM)
        edge = found.edge()
        newest = f"{edge}/media/{STREAM}/timeline?start=-20s"
        until(lambda: httpx.get(newest).json().get("ranges"), "what the camera sends")
        yield Far(edge, *begun)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as found:
        yield found


def end_of(query: str) -> float:
    found = re.search(r"end=([\d.]+)", query)
    assert found is not None, query
    return float(found[1])


@pytest.mark.parametrize("kind", ["absolute", "relative"])
def test_a_list_from_far_back_is_closed(far: Far, client: httpx.Client, kind: str) -> None:
    """It has what was sent from then on, and not what comes a day later."""
    ago = f"-{time.time() - far.first_s - 10:.0f}s"
    start = f"{far.first_s + 10}" if kind == "absolute" else ago
    text = client.get(f"{far.base}/index.m3u8?start={start}").text
    (uri,) = re.findall(r"^video\.m3u8\?.*$", text, re.MULTILINE)
    assert end_of(uri) - far.first_s == pytest.approx(24 * HOUR_S, abs=120)
    playlist = fetch(client, f"{far.base}/{uri}")
    assert playlist.ended
    assert sum(one.seconds for one in playlist.segments[:5]) == pytest.approx(10, abs=0.1)
    assert sum(one.seconds for one in playlist.segments) == pytest.approx(20, abs=4)
    first_s = datetime.fromisoformat(playlist.segments[0].date).timestamp()
    assert first_s == pytest.approx(far.first_s + 10, abs=2.1)
    moved = client.get(f"{far.base}/video.m3u8?start={ago}")
    assert (moved.status_code, bool(end_of(moved.headers["location"]))) == (307, True)


def test_what_follows_ends_where_a_growing_list_begins(far: Far, client: httpx.Client) -> None:
    """The last stretch is closed too; behind it there is enough for a list that grows."""
    text = client.get(f"{far.base}/index.m3u8?start={far.first_s + 25 * HOUR_S}").text
    (uri,) = re.findall(r"^video\.m3u8\?.*$", text, re.MULTILINE)
    assert time.time() - end_of(uri) == pytest.approx(6 * HOUR_S, abs=60)
    playlist = fetch(client, f"{far.base}/{uri}")
    assert sum(one.seconds for one in playlist.segments) == pytest.approx(FILM_S, abs=0.1)
    text = client.get(f"{far.base}/index.m3u8?start={end_of(uri)}").text
    assert "end=" not in text
    near = client.get(f"{far.base}/index.m3u8?start=-11h").text
    assert "end=" not in near


def test_a_manifest_from_far_back_is_closed(far: Far, client: httpx.Client) -> None:
    start_s = far.first_s + 10
    moved = client.get(f"{far.base}/manifest.mpd?start={start_s}")
    assert moved.status_code == 307
    where = moved.headers["location"]
    assert "behind" not in where
    from_0 = client.get(f"{far.base}/{where}").text
    assert 'type="static"' in from_0
    assert "<Period id=" in from_0
    assert 'start="PT0S"' in from_0
    of_day = client.get(f"{far.base}/{where}&behind=0").text
    assert 'type="static"' in of_day
    names = re.compile(r'(?:media|startNumber)="([^"]*)"')
    assert names.findall(of_day) == names.findall(from_0)
    found = re.search(r'<Period id="[^"]*" start="PT([\d.]+)S"', of_day)
    assert found is not None
    assert float(found[1]) == pytest.approx(start_s, abs=2.1)


def test_a_contact_sheet_of_two_days(far: Far, client: httpx.Client) -> None:
    """One picture of each film: of what lies between its moments nothing is looked at."""
    span = f"start={far.first_s + 1}&end={far.first_s + 40 * HOUR_S}&every=30m"
    cues = client.get(f"{far.base}/stills.vtt?{span}").raise_for_status().text
    assert re.findall(r"(\d+:\d+:[\d.]+) --> ", cues) == ["00:00:00.000", "30:00:00.000"]
    sheet = client.get(f"{far.base}/stills.jpg?{span}").raise_for_status()
    assert sheet.headers["content-type"] == "image/jpeg"


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("mode", ["hls", "dash", "ws"])
def test_the_page_goes_from_stretch_to_stretch(far: Far, browser: Any, mode: str) -> None:
    """From the end of the first film to the second, which is the next that there is, and live."""
    with watched(browser, f"{far.edge}/watch/{STREAM}?mode={mode}", LOOKS_OFTEN) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        until(lambda: shown(page), "what there is")
        send_to(page, 1000 * (far.first_s + SENT_TO_S))
        until(
            lambda: far.first_s + SENT_TO_S <= playing_s(page) < far.first_s + 16, "the first film"
        )
        count, told = len(shown(page)), stats(page)
        assert told["behind_live_s"] == pytest.approx(40 * HOUR_S, rel=0.01)
        assert not told["following"]
        if mode != "ws":
            closed = [url for url in asked if f"start={far.first_s + SENT_TO_S}&end=" in url]
            assert closed, "a stretch of a day"
        until(
            lambda: (
                far.second_s <= playing_s(page) < far.second_s + 4
                and shown(page)[-1].number < 4 * FPS
            ),
            "the second film",
        )
        films: list[list[int]] = [[]]
        for one in shown(page)[count:]:
            if films[-1] and one.number < films[-1][-1] - FPS:
                films.append([])
            films[-1].append(one.number)
        assert len(films) == 3, [(film[0], film[-1]) for film in films]
        first, border, second = films
        assert (FILM_S - 0.5) * FPS <= max(first) < FILM_S * FPS
        assert second[0] < FPS / 2, "the second film is played from its begin on"
        # From one list to the next amid the film between: once, and without a hole.
        assert border[0] < FPS / 2
        assert (FILM_S - 0.5) * FPS <= border[-1] < FILM_S * FPS
        assert all(-2 <= after - before <= FPS / 2 for before, after in pairwise(border)), border
        assert stats(page)["recoveries"] == 0
        page.evaluate(f"window.kinolog.goTo({1000 * (far.second_s + FILM_S - 3)})")
        until(lambda: time.time() - playing_s(page) < 600, "what is sent now")
        assert stats(page)["phase"] == "playing"
