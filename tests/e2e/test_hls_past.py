"""Media that left the playlist and memory: its URLs give the same bytes (RFC 8216, 6.2.2)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from hls_stage import Stage, fetch, stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "hls/past"


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("past")) as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def aged(played: Stage, client: httpx.Client) -> tuple[str, dict[str, bytes]]:
    """The address of the stream at an edge, and what its URLs gave while they were listed; since
    then two more sessions have pushed them out."""
    played.published(STREAM, "seconds=12", "--at=-10m")
    base = f"{played.edge()}/media/{STREAM}/"
    bodies: dict[str, bytes] = {}
    for track in ("video", "audio"):
        playlist = fetch(client, f"{base}{track}.m3u8")
        inits = {line.split('"')[1] for s in playlist.segments for line in s.lead if "MAP" in line}
        parts = [part[0] for segment in playlist.segments for part in segment.parts]
        for uri in (*inits, *(segment.uri for segment in playlist.segments), *parts):
            answer = client.get(base + uri)
            assert answer.status_code == 200
            bodies[uri] = answer.content
    for at in ("-8m", "-4m"):
        played.published(STREAM, "seconds=70", f"--at={at}")
    for track in ("video", "audio"):
        text = fetch(client, f"{base}{track}.m3u8").text
        assert not [uri for uri in bodies if uri in text]
    return base, bodies


def test_the_same_bytes_from_the_edge_that_had_them(
    aged: tuple[str, dict[str, bytes]], client: httpx.Client
) -> None:
    base, bodies = aged
    print(f"{len(bodies)} URLs, {sum(map(len, bodies.values()))} bytes")
    assert sum("." in uri.rpartition("/")[2].removesuffix(".m4s") for uri in bodies) > 20  # parts
    for uri, body in bodies.items():
        answer = client.get(base + uri)
        assert (uri, answer.status_code) == (uri, 200)
        assert answer.content == body
        assert "immutable" in answer.headers["cache-control"]


def test_the_same_bytes_from_an_edge_that_never_had_them(
    aged: tuple[str, dict[str, bytes]], played: Stage, client: httpx.Client
) -> None:
    _, bodies = aged
    base = f"{played.edge()}/media/{STREAM}/"
    for uri, body in bodies.items():
        answer = client.get(base + uri)
        assert (uri, answer.status_code) == (uri, 200)
        assert answer.content == body


def test_ranges_and_heads_of_the_past(
    aged: tuple[str, dict[str, bytes]], client: httpx.Client
) -> None:
    base, bodies = aged
    for uri in list(bodies)[:4]:
        body = bodies[uri]
        part = client.get(base + uri, headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, body[10:20])
        assert client.head(base + uri).headers["content-length"] == str(len(body))


def test_what_never_was_is_not_found(
    aged: tuple[str, dict[str, bytes]], client: httpx.Client
) -> None:
    base, bodies = aged
    uri = next(uri for uri in bodies if uri.endswith("/1.m4s"))
    track, epoch, _ = uri.split("/")
    wrong = [
        f"{track}/{epoch}/999.m4s",
        f"{track}/{epoch}/1.999.m4s",
        f"{track}/{int(epoch) + 1}/1.m4s",
        f"{track}/{int(epoch) + 1}/init.mp4",
        f"other/{epoch}/1.m4s",
    ]
    for one in wrong:
        answer = client.get(base + one)
        assert (one, answer.status_code) == (one, 404)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "public, max-age=1"


def test_sequence_numbers_and_discontinuities_go_on(
    aged: tuple[str, dict[str, bytes]], client: httpx.Client
) -> None:
    """The first sessions are gone from the window: they are counted, not listed."""
    base, _ = aged
    for track in ("video", "audio"):
        playlist = fetch(client, f"{base}{track}.m3u8")
        assert playlist.head["#EXT-X-DISCONTINUITY-SEQUENCE"] == "2"
        assert "#EXT-X-DISCONTINUITY" not in playlist.text.splitlines()
        assert playlist.first_msn > 30
