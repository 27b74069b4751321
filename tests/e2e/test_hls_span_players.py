"""Players over the past: the picture of the moment that was asked for, and no stalls."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.stock_hls import StockHls

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]

STREAM = "spans/numbered"
SECONDS = 120
FRAME_RATE = 30


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("span-players")) as found:
        yield found


@pytest.fixture(scope="module", params=[0, 2], ids=["no-b-frames", "b-frames"])
def numbered(request: pytest.FixtureRequest, played: Stage) -> tuple[str, str, float]:
    """An edge, a stream whose pictures bear their numbers, and when the first was captured."""
    begun_s = float(int(time.time()) - 600)
    stream = f"{STREAM}-{request.param}"
    query = f"seconds={SECONDS}&bframes={request.param}"
    played.published(stream, query, f"--at={begun_s:.0f}")
    return played.edge(), stream, begun_s


@pytest.fixture
def hls(browser: Any, numbered: tuple[str, str, float]) -> Iterator[StockHls]:
    context = browser.new_context(bypass_csp=True)
    yield StockHls(context.new_page(), numbered[0])
    context.close()


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("count", [6, pytest.param(200, marks=pytest.mark.slow)])
def test_a_playlist_shows_the_picture_of_its_start(
    hls: StockHls, numbered: tuple[str, str, float], count: int
) -> None:
    edge, stream, begun_s = numbered
    chance = random.Random(count)
    wrong = []
    for _ in range(count):
        # Amid a frame: at its very beginning, a microsecond decides.
        frame = chance.randrange(FRAME_RATE * (SECONDS - 8))
        at_s = begun_s + (frame + 0.5) / FRAME_RATE
        hls.open(
            f"{edge}/media/{stream}/index.m3u8?start={at_s:.3f}&end={at_s + 5:.3f}", play=False
        )
        # Loaded from the segment's begin on, it may go to the moment just while it is looked at.
        until(lambda: hls.ask("stock.video.currentTime > 0"), "the moment")
        shown = hls.frame()
        if shown != frame:
            wrong.append((frame, shown, hls.ask("stock.video.currentTime")))
    print(f"{count} moments, {len(wrong)} wrong: {wrong[:5]}")
    assert wrong == []


@pytest.mark.slow
@pytest.mark.needs("chromium")
def test_a_closed_range_plays_to_its_end(hls: StockHls, numbered: tuple[str, str, float]) -> None:
    edge, stream, begun_s = numbered
    query = f"start={begun_s + 20.5:.3f}&end={begun_s + 30:.3f}"
    hls.open(f"{edge}/media/{stream}/index.m3u8?{query}", play=True)
    until(lambda: hls.ask("stock.ended"), "the end")
    assert hls.ask("stock.errors.filter(([, fatal]) => fatal)") == []
    assert hls.ask("stock.waits.filter((at) => at > 1)") == []
    shown = hls.frame()
    assert shown is not None
    assert FRAME_RATE * 30 - 1 <= shown < FRAME_RATE * 33  # to the end of a segment


@pytest.mark.slow
@pytest.mark.needs("chromium")
def test_start_over_and_a_window_play_over_a_restart(played: Stage, browser: Any) -> None:
    """From a minute ago, over the joint of two sessions, and on beside the live edge."""
    stream = "spans/live"
    played.published(stream, "seconds=60", "--at=-62s")
    camera = played.camera(stream)
    edge = played.edge()
    live = f"{edge}/media/{stream}/video.m3u8"
    until(lambda: "#EXT-X-DISCONTINUITY\n" in httpx.get(live, timeout=30).text, "the camera")
    context = browser.new_context(bypass_csp=True)
    hls = StockHls(context.new_page(), edge)
    hls.open(f"{edge}/media/{stream}/index.m3u8?start=-1s", play=True)
    until(lambda: hls.ask("stock.video.currentTime > 1"), "the first second from now")
    assert hls.ask("stock.errors") == []
    hls.open(f"{edge}/media/{stream}/index.m3u8?start={time.time() - 15:.3f}", play=True)
    until(lambda: hls.ask("stock.video.currentTime > 18"), "18 s of start-over")
    print("start-over:", hls.ask("[stock.waits, stock.errors]"))
    assert hls.ask("stock.errors.filter(([, fatal]) => fatal)") == []
    hls.open(f"{edge}/media/{stream}/index.m3u8?dvr=60s", play=True)
    until(lambda: hls.ask("stock.video.currentTime > 0 && stock.hls.latency > 0"), "live")
    begun = hls.ask("stock.video.currentTime")
    until(lambda: hls.ask("stock.video.currentTime") > begun + 5, "5 s with a window")
    print("window:", hls.ask("[stock.waits, stock.errors, stock.hls.latency]"))
    assert hls.ask("stock.hls.latency") < 6  # HOLD-BACK: it does not catch up by itself
    seekable = hls.ask("stock.video.seekable.end(0) - stock.video.seekable.start(0)")
    assert seekable > 50
    hls.ask("stock.video.currentTime = stock.video.seekable.start(0) + 5")
    begun = hls.ask("stock.video.currentTime")
    until(lambda: hls.ask("stock.video.currentTime") > begun + 3, "3 s of the window's past")
    assert hls.ask("stock.errors.filter(([, fatal]) => fatal)") == []
    context.close()
    stop(camera)


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_reads_every_picture_of_a_range(numbered: tuple[str, str, float]) -> None:
    edge, stream, begun_s = numbered
    query = f"start={begun_s:.3f}&end={begun_s + SECONDS:.3f}"
    counted = subprocess.run(
        [
            *("ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0"),
            *("-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"),
            f"{edge}/media/{stream}/index.m3u8?{query}",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert {line.strip(",") for line in counted.stdout.split()} == {str(FRAME_RATE * SECONDS)}
