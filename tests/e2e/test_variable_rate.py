"""Pictures that come at no steady rate, with B-frames, or whose times are rounded: each has its own
date, whoever asks."""

from __future__ import annotations

import io
import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from clip_stage import RATE, Recorded, between_frames, coded_again
from hls_stage import stage, until
from kit.page_player import watched
from kit.screen import numbers
from kit.stock_hls import StockHls

from failover_kit import numbers_of
from kinolog.testing import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]

STREAM = "paced/screen"
SECONDS = 20
X264 = "bframes=3:scenecut=0"
CODECS = {
    "closed": ("libx264", "-x264-params", f"{X264}:keyint=12:min-keyint=12"),
    "open": ("libx265", "-x265-params", "keyint=12:min-keyint=12:bframes=4:log-level=1"),
    # Segments begin amid it.
    "long": ("libx264", "-x264-params", f"{X264}:keyint=150:min-keyint=150:b-adapt=0"),
}


KEPT = "if(lt(n,120),not(mod(n,6)),lt(n,240)+lt(mod(n*n,11),4)*not(between(n,400,430)))"
SENT = [
    n
    for n in range(SECONDS * RATE)
    if (not n % 6 if n < 120 else n < 240 or (n * n % 11 < 4 and not 400 <= n <= 430))
]
"""Which of the camera's pictures are sent: slow at first, then all, then as it comes."""


@dataclass(frozen=True)
class Paced:
    """A recording, how it was coded, and which number is shown when."""

    recorded: Recorded
    coded: str

    def shown_at(self, at_s: float) -> int:
        return SENT[bisect_right(SENT, int(at_s * RATE)) - 1]


@pytest.fixture(scope="module", params=list(CODECS))
def paced(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Paced]:
    folder = tmp_path_factory.mktemp("paced")
    coded = str(request.param)
    with stage(one_broker, folder) as found:
        edge = found.edge()
        how = ("-an", "-vf", f"select='{KEPT}'", "-fps_mode", "passthrough", "-c:v", *CODECS[coded])
        begun_s = coded_again(found, edge, folder, STREAM, SECONDS, *how)
        recorded = Recorded(f"{edge}/media/{STREAM}", begun_s, ((0, SECONDS * RATE, 0),))
        yield Paced(recorded, coded)


def moments(count: int, seed: int, first_s: float = 0) -> list[float]:
    """Random ones at which something is shown, in seconds of the recording."""
    chance = random.Random(seed)
    last_s = SENT[-1] / RATE
    return [between_frames(chance, chance.uniform(first_s, last_s)) for _ in range(count)]


def test_a_still_shows_the_picture_of_its_moment(paced: Paced) -> None:
    wrong = []
    with httpx.Client(timeout=60) as client:
        for at_s in moments(60, seed=1):
            url = f"{paced.recorded.base}/still.jpg?at={paced.recorded.begun_s + at_s:.4f}&w=320"
            answer = client.get(url)
            assert answer.status_code == 200, answer.text
            (number,) = numbers_of(read_block_codes(io.BytesIO(answer.content)))
            if number != paced.shown_at(at_s):
                wrong.append((at_s, number, paced.shown_at(at_s)))
    assert wrong == []


def test_a_clip_has_the_pictures_of_its_range_when_they_were(paced: Paced) -> None:
    chance = random.Random(2)
    wrong = []
    with httpx.Client(timeout=60) as client:
        for start_s in moments(60, seed=3):
            end_s = between_frames(chance, start_s + chance.choice((0.2, 2, 9)))
            expected = [number for number in SENT if start_s <= number / RATE < end_s]
            if not expected:
                continue
            answer = client.get(paced.recorded.url(start_s, end_s)).raise_for_status()
            seen = read_block_codes(io.BytesIO(answer.content))
            times = [round((number - expected[0]) / RATE, 2) for number in expected]
            got = (numbers_of(seen), [round(one.pts_seconds, 2) for one in seen])
            if got[0] != expected or got[1] != pytest.approx(times, abs=0.011):
                wrong.append((start_s, end_s, expected[:3], got[0][:3], expected[-1], got[0][-1:]))
    assert wrong == []


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("paced", ["closed"], indirect=True)
@pytest.mark.parametrize("mode", ["hls", "dash", "ws"])
def test_the_page_goes_to_a_moment(paced: Paced, browser: Any, mode: str) -> None:
    """To about it: Chromium shows a neighbour, where the moment is further from a picture than that
    is said to last, by the order of decoding; what it plays first it may drop, or what leads there
    stand meanwhile."""
    recorded = paced.recorded
    edge = recorded.base.partition("/media/")[0]
    for at_s in moments(8, seed=6):
        asked = f"mode={mode}&at={recorded.begun_s + at_s:.3f}"
        near = [number for number in SENT if abs(number - paced.shown_at(at_s)) <= RATE // 2]
        with watched(browser, f"{edge}/watch/{STREAM}?{asked}") as page:
            seen = until(lambda page=page, near=near: _up_to(numbers(page), near), f"{near}")
            assert len(seen) <= 3, (at_s, near, seen)


def _up_to(seen: list[int], near: list[int]) -> list[int]:
    """The pictures up to the first of those that are looked for; none where that has not come."""
    first = next((n for n, number in enumerate(seen) if number in near), None)
    return seen[: first + 1] if first is not None else []


@pytest.mark.needs("chromium")
def test_hls_js_begins_with_any_segment_of_a_source_that_counts_in_milliseconds(
    one_broker: str, tmp_path: Path, browser: Any
) -> None:
    """As RTMP does: a keyframe that is shown a millisecond before its DTS is one that it drops, and
    with it all that is decoded from it."""
    gop = 61
    with stage(one_broker, tmp_path) as found:
        edge = found.edge()
        how = ("-an", "-c:v", "libx264", "-x264-params", f"bframes=2:scenecut=0:keyint={gop}")
        begun_s = coded_again(found, edge, tmp_path, "paced/flv", SECONDS, *how, suffix="flv")
        recorded = Recorded(f"{edge}/media/paced/flv", begun_s, ((0, SECONDS * RATE, 0),))
        context = browser.new_context(bypass_csp=True)
        hls = StockHls(context.new_page(), edge)
        for key in range(0, SECONDS * RATE - gop, gop):
            at_s = (key + 5.5) / RATE
            hls.open(recorded.url(at_s, at_s + 4, "index.m3u8"), play=False)
            until(lambda: hls.ask("stock.video.currentTime > 0"), "the moment")
            assert hls.frame() == key + 5
        context.close()
