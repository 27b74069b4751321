"""A track that is announced and never sends: the page begins, and edges agree."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import httpx
import pytest
from hls_stage import fetch, stage, until
from kit.media import make

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]


def with_empty_sound(film: Path, path: Path) -> Path:
    """The film's video, and an AAC track without a packet."""
    with av.open(film) as source, av.open(path, "w") as made:
        picture = source.streams.video[0]
        video = made.add_stream_from_template(picture)
        sound = made.add_stream("aac", rate=48_000, layout="stereo")
        sound.time_base = Fraction(1, 48_000)
        for packet in source.demux(picture):
            if packet.size:
                packet.stream = video
                made.mux(packet)
    return path


def timed(client: httpx.Client, url: str) -> tuple[float, bytes]:
    """How long an answer, which must be there, took in seconds, and its body."""
    before_s = time.monotonic()
    answer = client.get(url)
    assert answer.status_code == 200, f"{url}: {answer.status_code} {answer.text}"
    return time.monotonic() - before_s, answer.content


@pytest.mark.slow
def test_a_track_that_never_sends_is_left_out_in_time(one_broker: str, tmp_path: Path) -> None:
    encoding = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-pix_fmt", "yuv420p"]
    film = make(tmp_path / "film.mp4", *encoding, seconds=15, size="192x108", audio=False)
    source = with_empty_sound(film, tmp_path / "film.mkv")
    with stage(one_broker, tmp_path) as played, httpx.Client(timeout=30) as client:
        edges = [played.edge(), played.edge()]
        old, late = (f"{edge}/media/demo/quiet" for edge in edges)
        played.start("publish", str(source), "demo/quiet")

        def tracks() -> list[str]:
            listed = client.get(f"{edges[0]}/api/streams").json()["streams"]
            return [track["name"] for stream in listed for track in stream["tracks"]]

        until(lambda: tracks() == ["video", "audio"], "a stream with both tracks")
        first_s, first = timed(client, f"{old}/index.m3u8")
        again_s, again = timed(client, f"{old}/index.m3u8")
        late_s, told_late = timed(client, f"{late}/index.m3u8")
        print(f"index.m3u8: {first_s:.2f} s, again {again_s:.2f} s, another edge {late_s:.2f} s")
        assert first_s < 6
        assert max(again_s, late_s) < 1.5
        for body in (first, again, told_late):
            assert b"video.m3u8" in body
            assert b"audio" not in body
        msn = fetch(client, f"{old}/video.m3u8").last[0] + 1
        asked = f"video.m3u8?_HLS_msn={msn}&_HLS_part=3"
        assert timed(client, f"{old}/{asked}")[1] == timed(client, f"{late}/{asked}")[1]
