"""Players of other people play what the edge serves: FFmpeg, GStreamer, hls.js in Chromium."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from hls_stage import Stage, stage, stop, until
from kit.page_player import PagePlayer, stats, summary
from test_hls_reconnect import parse_all, run

from kinolog.ingest.camera import SyntheticCamera
from kinolog.testing import record

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("players")) as found:
        yield found


@pytest.fixture(scope="module")
def ended(played: Stage) -> str:
    """The address of a stream of 9 s, 270 pictures, that has ended."""
    stream = "hls/film"
    played.published(stream, "seconds=9")
    return f"{played.edge()}/media/{stream}/"


@pytest.mark.needs("ffprobe")
def test_ffprobe_counts_every_picture(ended: str) -> None:
    entries = "stream=codec_type,codec_name,nb_read_packets"
    # The stream is not over for good, so the live playlist has no end: read what there is.
    words = ["ffprobe", "-v", "error", "-live_start_index", "0", "-read_intervals", "%+8.9"]
    done = subprocess.run(
        [*words, "-count_packets", "-show_entries", entries, "-of", "json", f"{ended}index.m3u8"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = {one["codec_type"]: one for one in json.loads(done.stdout)["streams"]}
    print(found)
    assert found["video"]["codec_name"] == "h264"
    assert found["audio"]["codec_name"] == "aac"
    assert int(found["video"]["nb_read_packets"]) >= 260


@pytest.mark.needs("ffmpeg")
def test_ffmpeg_decodes_without_a_complaint(ended: str) -> None:
    words = ["ffmpeg", "-v", "warning", "-nostdin", "-live_start_index", "0", "-t", "8"]
    done = subprocess.run(
        [*words, "-i", f"{ended}index.m3u8", "-f", "null", "-"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.strip() == ""


@pytest.mark.needs("gst-launch-1.0")
def test_gstreamer_plays_live(played: Stage, tmp_path: Path) -> None:
    stream = "hls/gst"
    played.camera(stream)
    base = f"{played.edge()}/media/{stream}/"
    with httpx.Client(timeout=30) as client:
        url = f"{base}video.m3u8"
        until(lambda: client.get(url).text.count("#EXTINF") > 3, "some segments")
    log = tmp_path / "gst.log"
    sinks = ("video-sink=fakesink silent=false", "audio-sink=fakesink")
    with log.open("wb") as output:
        player = subprocess.Popen(
            ["gst-launch-1.0", "-v", "playbin3", f"uri={base}index.m3u8", *sinks],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        until(
            lambda: log.read_bytes().count(b"fakesink0: last-message = chain") > 200,
            "pictures",
            120,
        )
    finally:
        stop(player)
    assert b"ERROR" not in log.read_bytes()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("chromium")
def test_hls_js_plays_over_a_reconnect(played: Stage, page_player: PagePlayer) -> None:
    """The page's player: no stall but for the publisher's absence, no reload, latency printed."""
    stream = "hls/watched"
    camera = played.camera(stream)
    page_player.open(played.edge(), stream)
    page_player.played(15, "15 s played")
    page_player.leaving()
    stop(camera)
    until(lambda: page_player.stats()["phase"] == "away", "the page to see that it is away")
    camera = played.camera(stream)
    page_player.played(20, "20 s played after the reconnect")
    page_player.leaving()
    stop(camera)
    page_player.assert_it_went_on()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("kind", ["audio", "video"])
def test_a_track_that_pauses_is_no_stop(
    played: Stage, page_player: PagePlayer, tmp_path: Path, kind: str
) -> None:
    """One kind of track is away for 15 s: after a moment the other plays on alone, and when it is
    back both play."""
    stream, other = f"hls/no-{kind}", "audio" if kind == "video" else "video"
    film = tmp_path / "film.mkv"
    url = "test:320x180@30?seconds=60&gop=1"
    film.write_bytes(record([one for batch in SyntheticCamera(url).events(0) for one in batch]))
    film = without(film, kind, 14, 29)
    publisher = played.start("publish", str(film), stream)
    page_player.open(played.edge(), stream)
    page_player.played(4, "both kinds")
    assert page_player.stats()["alone"] is None
    until(lambda: page_player.stats()["alone"] == other, "the other alone")
    until(lambda: page_player.stats()["phase"] == "playing", "the other to play")
    page_player.played(4, "4 s of the other alone")
    until(lambda: page_player.stats()["alone"] is None, "both kinds again")
    until(lambda: page_player.stats()["phase"] == "playing", "both to play")
    before = page_player.stats()
    page_player.played(6, "6 s of both")
    after = page_player.stats()
    page_player.leaving()
    assert after["alone"] is None
    assert after["decoded"] > before["decoded"] + 120
    assert after["latency_s"] < 3
    assert after["stalled_s"] < 6
    assert page_player.page.evaluate("window.samePage") is True
    stop(publisher)


def without(film: Path, kind: str, begin_s: int, end_s: int) -> Path:
    """The film without what one kind of track has in [begin_s, end_s)."""
    cut = film.with_name("cut.mkv")
    with av.open(film) as source, av.open(cut, "w") as target:
        tracks = {one.index: target.add_stream_from_template(one) for one in source.streams}
        for packet in source.demux():
            if packet.dts is None:
                continue
            away = begin_s <= packet.dts * packet.time_base < end_s
            if not (away and packet.stream.type == kind):
                packet.stream = tracks[packet.stream.index]
                target.mux(packet)
    return cut


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("chromium")
@pytest.mark.timeout(900)
def test_five_minutes_with_a_reconnect(played: Stage, page_player: PagePlayer) -> None:
    """The page's player beside four followers, and hls-parser over every playlist that they got."""
    found = run(played, "hls/long", 150, 150, page_player)
    moments = found.of(0).moments
    waits = sorted((b - a for a, b in pairwise(moments)), reverse=True)
    print(f"longest times between playlists at a follower: {[round(one, 2) for one in waits[:5]]}")
    parse_all(found)
    page_player.assert_it_went_on()


BUSY = """
() => {
  let seed = 1;
  const chance = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const busy = () => {
    const until = performance.now() + 250 * chance();
    while (performance.now() < until);
    setTimeout(busy, 300 + 1500 * chance());
  };
  busy();
}
"""
"""A page whose main thread is away for up to a quarter of a second, now and then."""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("chromium")
@pytest.mark.timeout(600)
def test_a_busy_page_after_many_reconnects(played: Stage, page_player: PagePlayer) -> None:
    """Each return costs the absence, and leaves nothing behind: no latency, no stalls to come."""
    stream = "hls/again"
    camera = played.camera(stream)
    page_player.open(played.edge(), stream)
    page_player.page.evaluate(BUSY)
    page_player.played(10, "10 s played")
    before = page_player.stats()
    for number in range(8):
        stop(camera)
        camera = played.camera(stream)
        page_player.played(16, "16 s played after a reconnect")
        after = page_player.stats()
        print(f"return {number + 1}: {summary(after)}")
        assert after["stalls"] - before["stalls"] <= 1, page_player.page.evaluate("window.waits")
        assert after["recoveries"] == 0
        assert after["latency_s"] < 2
        before = after
    stop(camera)


STOCK = """
async (url) => {
  const { default: Hls } = await import(await (async () => {
    const found = performance.getEntriesByType("resource").map((one) => one.name);
    return found.find((name) => /assets\\/hls[^/]*\\.js/.test(name));
  })());
  document.body.innerHTML = "<video id=stock muted></video>";
  const video = document.getElementById("stock");
  const hls = new Hls({ lowLatencyMode: true });
  window.stock = { fatal: [], errors: [], video };
  hls.on(Hls.Events.ERROR, (_, data) => {
    window.stock[data.fatal ? "fatal" : "errors"].push(data.details);
  });
  hls.loadSource(url);
  hls.attachMedia(video);
  await video.play();
}
"""


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.needs("chromium")
def test_hls_js_as_it_comes_survives_an_absence_of_a_minute(played: Stage, browser: Any) -> None:
    """hls.js with its own settings, without the page's recovery: no fatal error, plays on."""
    stream = "hls/stock"
    camera = played.camera(stream)
    edge = played.edge()
    with httpx.Client(timeout=30) as client:
        url = f"{edge}/media/{stream}/video.m3u8"
        until(lambda: client.get(url).text.count("#EXTINF") > 3, "some segments")
    page = browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{edge}/watch/{stream}")
    until(lambda: stats(page).get("currentTime", 0) > 0, "the page's player")
    page.evaluate(STOCK, f"{edge}/media/{stream}/index.m3u8")
    until(lambda: page.evaluate("stock.video.currentTime") > 5, "five seconds")
    stop(camera)
    page.wait_for_timeout(50_000)  # what is tested is the length of the absence
    before = page.evaluate("stock.video.currentTime")
    camera = played.camera(stream)
    until(lambda: page.evaluate("stock.video.currentTime") > before + 5, "playing again")
    found = page.evaluate("({fatal: stock.fatal, errors: stock.errors})")
    print(found)
    assert found["fatal"] == []
    stop(camera)
