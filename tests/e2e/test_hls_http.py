"""HTTP around the media: caching, CORS, gzip, HEAD, Range, errors, HTTP/2 over TLS."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hls_stage import Playlist, Stage, fetch, stage
from kit.tls import certificate

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "hls/http"
ORIGIN = {"origin": "https://player.example"}
IMMUTABLE = "public, max-age=31536000, immutable"


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stream of some seconds whose publisher has left."""
    with stage(one_broker, tmp_path_factory.mktemp("http")) as found:
        found.published(STREAM, "seconds=9")
        yield found


@pytest.fixture(scope="module")
def client(played: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=played.edge(), timeout=30, headers=ORIGIN) as found:
        yield found


@pytest.fixture(scope="module")
def playlist(client: httpx.Client) -> Playlist:
    return fetch(client, media("video.m3u8"))


def media(rest: str) -> str:
    return f"/media/{STREAM}/{rest}"


def urls(playlist: Playlist) -> dict[str, str]:
    """One URL of each kind."""
    first = playlist.segments[0]
    newest = playlist.segments[-1]
    init = first.lead[0].split('"')[1]
    return {
        "multivariant": media("index.m3u8"),
        "playlist": media("video.m3u8"),
        "init": media(init),
        "segment": media(first.uri),
        "part": media(newest.parts[0][0]),
        "still": media("still.jpg"),
        "list": "/api/streams",
    }


@pytest.mark.parametrize(
    ("kind", "content_type", "cache"),
    [
        ("multivariant", "application/vnd.apple.mpegurl", "no-cache"),
        ("playlist", "application/vnd.apple.mpegurl", "no-cache"),
        ("init", "video/mp4", IMMUTABLE),
        ("segment", "video/iso.segment", IMMUTABLE),
        ("part", "video/iso.segment", IMMUTABLE),
        ("still", "image/jpeg", "public, max-age=1"),
        ("list", "application/json", "no-cache"),
    ],
)
@pytest.mark.parametrize("coding", ["identity", "gzip"])
def test_headers_and_head(
    client: httpx.Client, playlist: Playlist, kind: str, content_type: str, cache: str, coding: str
) -> None:
    url = urls(playlist)[kind]
    headers = {"accept-encoding": coding}
    with client.stream("GET", url, headers=headers) as got:
        body = b"".join(got.iter_raw())
    assert got.status_code == 200
    assert got.headers["content-type"] == content_type
    assert got.headers["cache-control"] == cache
    assert got.headers["access-control-allow-origin"] == "*"
    zipped = coding == "gzip" and content_type == "application/vnd.apple.mpegurl"
    assert got.headers.get("content-encoding", "identity") == ("gzip" if zipped else "identity")
    assert got.headers["content-length"] == str(len(body))
    head = client.head(url, headers=headers)
    assert head.status_code == 200
    assert head.content == b""
    changing = {"date", "server"}
    expected = {name: value for name, value in got.headers.items() if name not in changing}
    assert {n: v for n, v in head.headers.items() if n not in changing} == expected


def test_playlists_vary_by_coding(client: httpx.Client) -> None:
    for name in ("index.m3u8", "video.m3u8"):
        assert client.get(media(name)).headers["vary"] == "accept-encoding"
        refused = client.get(media(name), headers={"accept-encoding": "gzip;q=0, identity"})
        assert "content-encoding" not in refused.headers


def test_a_blocking_answer_may_be_kept_for_six_targets(
    client: httpx.Client, playlist: Playlist
) -> None:
    answer = client.get(media(f"video.m3u8?_HLS_msn={playlist.first_msn}"))
    assert answer.headers["cache-control"] == f"public, max-age={6 * playlist.target_s}"


def test_ranges(client: httpx.Client, playlist: Playlist) -> None:
    for kind in ("init", "segment", "part"):
        url = urls(playlist)[kind]
        body = client.get(url).content
        size = len(body)
        for asked, start, end in (
            ("bytes=0-0", 0, 1),
            ("bytes=10-99", 10, 100),
            ("bytes=100-", 100, size),
            ("bytes=-50", size - 50, size),
            (f"bytes={size - 1}-{size + 1000}", size - 1, size),
            ("bytes=-99999999", 0, size),
        ):
            answer = client.get(url, headers={"range": asked})
            assert answer.status_code == 206
            assert answer.content == body[start:end]
            assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{size}"
            assert answer.headers["cache-control"] == IMMUTABLE
            head = client.head(url, headers={"range": asked})
            assert head.headers["content-length"] == str(end - start)
        for asked in (f"bytes={size}-", "bytes=-0", "bytes=9-2"):
            answer = client.get(url, headers={"range": asked})
            # A range whose end is before its start is none (RFC 9110, 14.1.1).
            assert answer.status_code in ((416,) if asked != "bytes=9-2" else (416, 200))
            if answer.status_code == 416:
                assert answer.headers["content-range"] == f"bytes */{size}"
                assert "immutable" not in answer.headers["cache-control"]
        for asked in ("bytes=0-1,5-6", "lines=1-2", "bytes=x-y"):
            assert client.get(url, headers={"range": asked}).content == body
            head = client.head(url, headers={"range": asked})
            assert head.headers["content-length"] == str(size)


def test_preflight(client: httpx.Client) -> None:
    asked = {"access-control-request-method": "GET", "access-control-request-headers": "range"}
    for url in (media("video.m3u8"), media("video/1/1.m4s"), "/api/streams"):
        answer = client.options(url, headers=asked)
        assert answer.status_code == 204
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "GET" in answer.headers["access-control-allow-methods"]
        assert answer.headers["access-control-allow-headers"] == "*"
        refused = client.post(url, content=b"x")
        assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
        assert refused.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "path",
    [
        "/media/hls/none/index.m3u8",
        "/media/none/none/video.m3u8",
        media("other.m3u8"),
        media("other/1/init.mp4"),
        media("video/1/init.mp4"),
        media("video/1/1.m4s"),
        media("video/{epoch}/99999.m4s"),
        media("video/{epoch}/99999.0.m4s"),
        media("video/{epoch}/0.999999.m4s"),
        media("video/{epoch}/0.m4s/"),
        media("video/999999999999999999999999/0.m4s"),
        media("a/b/c/d.m3u8"),
        media("index.m3u8/"),
        media("video.m3u8/x"),
        media("../../../etc/passwd"),
        media("%2e%2e/index.m3u8"),
        media("video%00.m3u8"),
        media("\u00fcber.m3u8"),
        "/media/a/b/c/index.m3u8",
        "/media/hls",
        "/media/hls/",
        "/media/hls/http",
        "/media//http/index.m3u8",
        "/media/hls//index.m3u8",
        "/media/HLS/Http/index.m3u8",
        "/media/hls.x/http/index.m3u8",
        "/media/" + "x" * 3000 + "/y/index.m3u8",
        "/media/hls/\u00fcber/index.m3u8",
    ],
)
def test_what_is_not_there(client: httpx.Client, playlist: Playlist, path: str) -> None:
    epoch = playlist.segments[0].uri.split("/")[1]
    for method in ("GET", "HEAD"):
        answer = client.request(method, path.replace("{epoch}", epoch))
        assert answer.status_code in (400, 404)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] in ("public, max-age=1", "no-store")
    assert "\n" not in client.get(path.replace("{epoch}", epoch)).text.strip()


@pytest.mark.parametrize(
    "query",
    ["CMCD=bl%3D3200%2Ccid%3D%22x%22", "token=a.b.c", "x", "&&==&", "_hls_msn=x", "_HLS_=1"],
)
def test_parameters_of_strangers(client: httpx.Client, playlist: Playlist, query: str) -> None:
    for kind, url in urls(playlist).items():
        plain, asked = client.get(url), client.get(f"{url}?{query}")
        assert asked.status_code == 200
        if kind != "list":
            assert asked.content == plain.content


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("w=160", 200),
        ("w=480&t=123", 200),
        ("t=1700000000000", 200),
        ("w=1920", 200),
        ("w=0", 400),
        ("w=1921", 400),
        ("w=001920999", 400),
        ("w=-1", 400),
        ("w=x", 400),
        ("w=%C2%B2", 400),
        ("w=" + "9" * 3000, 400),
        ("w=" + "9" * 5000, 414),
    ],
)
def test_stills(client: httpx.Client, query: str, status: int) -> None:
    answer = client.get(media(f"still.jpg?{query}"))
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"
    assert status != 200 or answer.content.startswith(b"\xff\xd8")


def test_entity_tags(client: httpx.Client) -> None:
    for url in ("/", "/api/streams"):
        first = client.get(url)
        tag = first.headers["etag"]
        for sent in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = client.get(url, headers={"if-none-match": sent})
            assert (sent, again.status_code) == (sent, 304)
            assert again.headers["etag"] == tag
            assert again.content == b""
        assert client.get(url, headers={"if-none-match": '"x"'}).status_code == 200


def test_health(client: httpx.Client) -> None:
    assert client.get("/health").json() == {"ok": True}
    ready = client.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["ok"] is True
    assert ready.json()["kafka_answered_s_ago"] < 5


@pytest.mark.needs("openssl")
def test_http2_over_tls(played: Stage, playlist: Playlist, tmp_path: Path) -> None:
    base = played.edge(*certificate(tmp_path), tls=True)
    bodies: dict[str, list[bytes]] = {}
    for http2 in (True, False):
        with httpx.Client(base_url=base, http2=http2, verify=False, timeout=30) as client:
            for kind, url in urls(playlist).items():
                answer = client.get(url)
                assert answer.status_code == 200
                assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
                if kind != "list":
                    bodies.setdefault(kind, []).append(answer.content)
            missing = client.get(media("none.m3u8"))
            assert missing.status_code == 404
            part = client.get(urls(playlist)["segment"], headers={"range": "bytes=0-9"})
            assert (part.status_code, len(part.content)) == (206, 10)
    assert all(first == second for first, second in bodies.values())


def test_the_list(client: httpx.Client) -> None:
    found = json.loads(client.get("/api/streams").content)["streams"]
    (entry,) = [one for one in found if one["name"] == "http"]
    assert entry["state"] == "away"
    assert [track["name"] for track in entry["tracks"]] == ["video", "audio"]
