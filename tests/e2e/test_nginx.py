"""nginx as a cache in front, by deploy/nginx/kinolog.conf: the same bytes, and none held up."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hls_stage import Stage, fetch, stage, stop, until

from kinolog.cluster.ports import free_port
from kinolog.testing.websocket import WebSocket

pytestmark = [pytest.mark.cluster, pytest.mark.needs("nginx"), pytest.mark.timeout(120)]

CONF = Path(__file__).parents[2] / "deploy" / "nginx" / "kinolog.conf"
STREAM = "nginx/cam"


@pytest.fixture(scope="module")
def live(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("nginx")) as found:
        yield found


@pytest.fixture(scope="module")
def edge(live: Stage, tmp_path_factory: pytest.TempPathFactory) -> str:
    found = live.edge("--clips", str(tmp_path_factory.mktemp("clips")))
    camera = live.camera(STREAM)
    until(lambda: httpx.get(f"{found}/media/{STREAM}/video.m3u8").status_code == 200, "a stream")
    assert camera.poll() is None
    return found


@pytest.fixture(scope="module")
def cache(edge: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an nginx in front of the edge."""
    folder, port = tmp_path_factory.mktemp("cache"), free_port()
    text = CONF.read_text()
    for line, ours in (
        ("server 127.0.0.1:8080;", f"server {urlsplit(edge).netloc};"),
        ("/var/cache/nginx/kinolog", f"{folder}/bodies"),
        ("listen 127.0.0.1:8088;", f"listen 127.0.0.1:{port};"),
    ):
        assert text.count(line) == 1
        text = text.replace(line, ours)
    places = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{one}_temp_path {folder}/{one};" for one in places)
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; worker_processes 1;"
        f"events {{}} http {{ {temporary} {text} }}"
    )
    with (folder / "output").open("wb") as output:
        words = ["nginx", "-e", f"{folder}/error.log", "-p", str(folder), "-c", "nginx.conf"]
        process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
        address = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert process.poll() is None, (folder / "error.log").read_text()
            try:
                return httpx.get(f"{address}/ready").status_code == 200
            except httpx.TransportError:
                return False

        until(answers, "nginx")
        try:
            yield address
        finally:
            stop(process)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=30) as found:
        yield found


def test_parts_come_as_they_are_made_and_are_kept(
    cache: str, edge: str, client: httpx.Client
) -> None:
    """A blocking viewer through the cache: playlists and parts are those of the edge, the second
    to ask gets them of the cache."""
    base = f"{cache}/media/{STREAM}"
    playlist = fetch(client, f"{base}/video.m3u8")
    playlist = fetch(client, f"{base}/video.m3u8?_HLS_msn={playlist.next[0]}&_HLS_part=0")
    for _ in range(15):
        msn, part = playlist.next
        url = f"/media/{STREAM}/video.m3u8?_HLS_msn={msn}&_HLS_part={part}"
        through, again = client.get(f"{cache}{url}"), client.get(f"{cache}{url}")
        direct = client.get(f"{edge}{url}")
        assert (through.status_code, again.headers["x-cache"]) == (200, "HIT")
        assert through.content == again.content
        last = _last_parts(through.text)
        assert last
        assert last <= _last_parts(direct.text), "the edge's list has all of them, and maybe more"
        for uri in list(last)[-2:]:
            body = client.get(f"{base}/{uri}")
            assert body.content == client.get(f"{edge}/media/{STREAM}/{uri}").content
            assert client.get(f"{base}/{uri}").headers["x-cache"] == "HIT"
        playlist = fetch(client, f"{cache}{url}")


def _last_parts(text: str) -> set[str]:
    uris = [
        line.split('URI="')[1].split('"')[0] for line in text.splitlines() if "EXT-X-PART:" in line
    ]
    return set(uris[-4:])


def test_a_plain_playlist_is_a_second_old_at_most(
    cache: str, edge: str, client: httpx.Client
) -> None:
    url = f"/media/{STREAM}/video.m3u8"
    seen = [client.get(f"{cache}{url}") for _ in range(20)]
    kept = [one for one in seen if one.headers["x-cache"] == "HIT"]
    assert kept, "twenty in a row, and none of the cache"
    assert all("x-accel-expires" not in one.headers for one in seen)
    before = fetch(client, f"{edge}{url}")
    until(lambda: fetch(client, f"{edge}{url}").last[0] >= before.last[0] + 2, "two segments more")
    old = fetch(client, f"{cache}{url}")
    assert old.last[0] >= before.last[0] + 1


def test_a_growing_segment_streams_through(cache: str, edge: str, client: httpx.Client) -> None:
    """LL-DASH asks for the segment in progress; its first bytes come before its last are made."""
    playlist = fetch(client, f"{edge}/media/{STREAM}/video.m3u8?_HLS_msn=0")
    later = fetch(client, f"{edge}/media/{STREAM}/video.m3u8?_HLS_msn={playlist.next[0]}")
    uri = later.segments[-1].uri
    folder, _, name = uri.rpartition("/")
    number = int(name.split(".")[0]) + 1
    came: list[float] = []
    body = b""
    with client.stream("GET", f"{cache}/media/{STREAM}/{folder}/{number}.m4s") as answer:
        assert answer.status_code == 200
        for piece in answer.iter_bytes():
            came.append(time.monotonic())
            body += piece
    assert came[-1] - came[0] > 0.5, "it came all at once"
    assert body == client.get(f"{edge}/media/{STREAM}/{folder}/{number}.m4s").content


def test_publishing_is_not_let_through(cache: str, client: httpx.Client) -> None:
    assert client.put(f"{cache}/ingest/{STREAM}", content=b"x").status_code == 404


def test_a_websocket_goes_through(cache: str) -> None:
    with WebSocket(f"{cache}/media/{STREAM}/ws") as socket:
        first = next(iter(socket))
    assert isinstance(first, str)
    assert json.loads(first)["type"] == "hello"


def test_a_clip_goes_through_whole(cache: str, edge: str, client: httpx.Client) -> None:
    first = fetch(client, f"{edge}/media/{STREAM}/video.m3u8").segments[0]
    begin = datetime.fromisoformat(first.date)
    query = {"start": begin.isoformat(), "end": (begin + timedelta(seconds=2)).isoformat()}
    url = f"/media/{STREAM}/clip.mp4"
    direct, through = (client.get(f"{at}{url}", params=query) for at in (edge, cache))
    assert (direct.status_code, through.status_code) == (200, 200)
    assert through.content == direct.content
    part = client.get(f"{cache}{url}", params=query, headers={"range": "bytes=100-299"})
    assert (part.status_code, part.content) == (206, direct.content[100:300])


def test_a_seek_in_a_kept_clip_reaches_the_edge(
    cache: str, edge: str, client: httpx.Client
) -> None:
    """A cache would bring all that is before it first."""
    first = fetch(client, f"{edge}/media/{STREAM}/video.m3u8").segments[0]
    begin_s = datetime.fromisoformat(first.date).timestamp()
    wish = {"start": begin_s, "end": begin_s + 2}
    clips = f"{cache}/media/{STREAM}/clips"
    id = client.post(clips, json=wish).raise_for_status().json()["id"]
    until(lambda: client.get(f"{clips}/{id}").json().get("state") == "kept", "the clip")
    whole = client.get(f"{edge}/media/{STREAM}/clips/{id}.mp4").content
    part = client.get(f"{clips}/{id}.mp4", headers={"range": "bytes=-300"})
    assert (part.status_code, part.content) == (206, whole[-300:])
    assert "x-cache" not in part.headers
    assert client.delete(f"{clips}/{id}").is_success
