"""The past of open GOPs: pictures are decoded behind a keyframe and shown before it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from clip_stage import RATE, Recorded, coded_again
from hls_stage import stage, until
from kit.media import ffmpeg, file_packets
from kit.page_player import send_to, stats, watched
from kit.screen import shown
from ws_watch import Watch

from failover_kit import numbers_of
from kinolog.testing import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]

STREAM = "opens/gops"
SECONDS = 20
X264 = "open-gop=1:bframes=3:scenecut=0"


@dataclass(frozen=True)
class Coded:
    """What ffmpeg is told, and pictures from one keyframe to the next."""

    gop: int
    options: tuple[str, ...]


CODECS = {
    "h264": Coded(60, ("libx264", "-x264-params", f"{X264}:keyint=60:min-keyint=60")),
    # Segments are cut amid it, and what is left of it is a picture or two.
    "h264-long": Coded(150, ("libx264", "-x264-params", f"{X264}:keyint=150:b-adapt=0")),
    "hevc": Coded(60, ("libx265", "-x265-params", "keyint=60:min-keyint=60:bframes=4:log-level=1")),
}


@dataclass(frozen=True)
class Open:
    """A recording of open GOPs, numbered from 0 on, and where they begin."""

    recorded: Recorded
    borders: range

    def span(self, first: int, count: int) -> str:
        """A query for so many pictures."""
        return self.recorded.span((first - 0.5) / RATE, (first + count - 0.5) / RATE)

    def url(self, name: str, first: int, count: int) -> str:
        return f"{self.recorded.base}/{name}?{self.span(first, count)}"


@pytest.fixture(scope="module", params=list(CODECS))
def opens(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Open]:
    folder = tmp_path_factory.mktemp("open-gops")
    with stage(one_broker, folder) as found:
        edge = found.edge()
        codec = CODECS[str(request.param)]
        how = ("-an", "-sc_threshold", "0", "-c:v", *codec.options)
        begun_s = coded_again(found, edge, folder, STREAM, SECONDS, *how)
        recorded = Recorded(f"{edge}/media/{STREAM}", begun_s, ((0, SECONDS * RATE, 0),))
        yield Open(recorded, range(codec.gop, (SECONDS - 2) * RATE, codec.gop))


def test_a_still_before_a_keyframe(opens: Open) -> None:
    numbers = [border + by for border in opens.borders for by in range(-6, 3)]
    with httpx.Client(timeout=60) as client:
        for number in numbers:
            at_s = opens.recorded.begun_s + (number + 0.5) / RATE
            answer = client.get(f"{opens.recorded.base}/still.jpg?at={at_s:.3f}&w=320")
            assert answer.status_code == 200, (number, answer.text)
            assert numbers_of(read_block_codes(io.BytesIO(answer.content))) == [number]


@pytest.mark.parametrize("count", [1, 8])
def test_a_clip_that_begins_or_ends_before_a_keyframe(opens: Open, count: int) -> None:
    spans = [border + by for border in list(opens.borders)[:4] for by in range(-12, 3)]
    with httpx.Client(timeout=60) as client:
        for first in spans:
            answer = client.get(opens.url("clip.mp4", first, count)).raise_for_status()
            found = numbers_of(read_block_codes(io.BytesIO(answer.content)))
            assert found == list(range(first, first + count))


@pytest.mark.parametrize("name", ["clip.m4s", "clip.ts"])
def test_a_clip_of_another_form_has_all_pictures_of_its_range(opens: Open, name: str) -> None:
    """And some around it, each once; of any bytes of it, the same."""
    with httpx.Client(timeout=60) as client:
        for first in (opens.borders[0] - 2, opens.borders[0], opens.borders[1] + 5):
            answer = client.get(opens.url(name, first, 40)).raise_for_status()
            found = numbers_of(read_block_codes(io.BytesIO(answer.content)))
            assert set(range(first, first + 40)) <= set(found), first
            assert found == sorted(set(found))
            if name == "clip.m4s":
                size = len(answer.content)
                assert int(answer.headers["content-length"]) == size
                parts = [(at, min(at + 3000, size) - 1) for at in range(0, size, 3000)]
                ranges = [{"range": f"bytes={begin}-{end}"} for begin, end in parts]
                bodies = [client.get(answer.url, headers=one).content for one in ranges]
                assert b"".join(bodies) == answer.content


@pytest.mark.parametrize("name", ["index.m3u8", "manifest.mpd"])
@pytest.mark.parametrize("count", [3, 40])
def test_a_list_has_all_pictures_of_its_range(
    opens: Open, tmp_path: Path, name: str, count: int
) -> None:
    """And some around it, each once."""
    for border in list(opens.borders)[:2]:
        for first in range(border - 4, border + 2):
            file = tmp_path / f"{first}.mkv"
            ffmpeg("-i", opens.url(name, first, count), "-map", "0:v", "-c", "copy", file)
            found = numbers_of(read_block_codes(file))
            assert set(range(first, first + count)) <= set(found), first
            assert found == sorted(set(found))


@pytest.mark.parametrize("count", [3, 40])
def test_a_socket_is_sent_all_pictures_of_its_range(opens: Open, count: int) -> None:
    edge = opens.recorded.base.partition("/media/")[0]
    for border in list(opens.borders)[:2]:
        for first in range(border - 4, border + 2):
            query = f"{opens.span(first, count)}&speed=max"
            with Watch(edge, STREAM, query) as watch:
                seen = watch.until(lambda seen: bool(seen.told("end")))
            (init,) = seen.inits.values()
            media = init + b"".join(one.body for one in seen.of("video"))
            found = numbers_of(read_block_codes(io.BytesIO(media)))
            assert set(range(first, first + count)) <= set(found), first
            assert found == sorted(set(found))


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("opens", ["h264"], indirect=True)
@pytest.mark.parametrize("mode", ["hls", "dash", "ws"])
def test_the_page_says_what_its_browser_cannot_decode(opens: Open, browser: Any, mode: str) -> None:
    """And plays where it can: docs/how-to/watch-with-players.md."""
    edge = opens.recorded.base.partition("/media/")[0]
    begun_ms = 1000 * opens.recorded.begun_s
    ten_s = datetime.fromtimestamp(opens.recorded.begun_s + 10, UTC).isoformat()
    with watched(browser, f"{edge}/watch/{STREAM}?mode={mode}&at={begun_ms / 1000:.3f}") as page:
        until(lambda: shown(page), "the beginning")
        send_to(page, begun_ms + 11_000)
        page.get_by_text("This browser cannot decode what is here").wait_for(timeout=60_000)
        assert stats(page)["phase"] == "undecodable"
        count = len(shown(page))
        send_to(page, begun_ms)
        until(lambda: len(shown(page)) > count + RATE, "the beginning again")
        until(lambda: stats(page)["phase"] == "playing", "it to say so")
        # It is left alone there, though what failed was to be tried again.
        begun = stats(page)["recoveries"]
        until(lambda: stats(page)["playing_date"] > ten_s, "ten seconds")
        assert (stats(page)["phase"], stats(page)["recoveries"]) == ("playing", begun)


PLAY = """url => new Promise((done, fail) => {
  const video = document.createElement('video')
  video.muted = true
  video.onerror = () => fail(new Error(video.error.message))
  video.onended = () => done([video.duration, video.getVideoPlaybackQuality().totalVideoFrames])
  setTimeout(() => fail(new Error(`at ${video.currentTime} s after 20`)), 20_000)
  video.src = url
  video.play().catch(fail)
})"""


@pytest.fixture(scope="module")
def entered(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Open GOPs that Chromium's decoder can begin with where it is not given what is shown before
    their keyframe: no picture behind that refers to those."""
    folder = tmp_path_factory.mktemp("entered")
    with stage(one_broker, folder) as found:
        film = folder / "film.mp4"
        how = ("-c:v", "libx264", "-x264-params", f"{X264}:keyint=60:min-keyint=60", "-an")
        picture = f"mandelbrot=s=320x180:r={RATE}"
        ffmpeg("-f", "lavfi", "-i", picture, "-t", str(SECONDS), "-pix_fmt", "yuv420p", *how, film)
        packets = file_packets(film, "video")
        keyframes = [n for n, packet in enumerate(packets) if packet.keyframe]
        assert len(keyframes) == SECONDS // 2
        assert all(packets[n + 1].pts < packets[n].pts for n in keyframes[1:])
        begun_s = int(time.time()) - 1800
        found.film(film, STREAM, begun_s)
        yield Recorded(f"{found.edge()}/media/{STREAM}", begun_s, ((0, SECONDS * RATE, 0),))


@pytest.mark.needs("chromium")
def test_chromium_plays_a_clip_that_begins_amid_it(entered: Recorded, browser: Any) -> None:
    page = browser.new_page()
    for border in range(60, 400, 60):
        for first in (border - 2, border, border + 5):
            url = entered.url((first - 0.5) / RATE, (first + RATE - 0.5) / RATE)
            duration_s, shown = page.evaluate(PLAY, url)
            # It may count two pictures more, by which B-frames delay the decoding.
            assert duration_s == pytest.approx(1, abs=0.07)
            assert shown >= RATE
    page.close()
