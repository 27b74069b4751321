"""What every protocol of delivery does alike, whatever it calls its playlists."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hls_stage import Stage, stage

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "alike/film"
BEGUN = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
CHANGING = {"date", "server"}


@dataclass(frozen=True)
class Protocol:
    """The name that a player opens, and its type. `short`: how long the live one may be kept."""

    name: str
    content_type: str
    short: str

    def url(self, query: str = "", stream: str = STREAM) -> str:
        return f"/media/{stream}/{self.name}{'?' if query else ''}{query}"


PROTOCOLS = [
    Protocol("index.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
    Protocol("video.m3u8", "application/vnd.apple.mpegurl", "no-cache"),
    Protocol("manifest.mpd", "application/dash+xml", "public, max-age=1"),
]


@pytest.fixture(params=PROTOCOLS, ids=lambda one: one.name)
def protocol(request: pytest.FixtureRequest) -> Protocol:
    found: Protocol = request.param
    return found


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("alike")) as found:
        found.published(STREAM, "seconds=20", f"--at={BEGUN.isoformat()}")
        yield found


@pytest.fixture(scope="module")
def client(played: Stage) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=played.edge(), timeout=30) as found:
        yield found


def absolute(start_s: float, end_s: float) -> str:
    begun_s = BEGUN.timestamp()
    return f"start={begun_s + start_s:.0f}&end={begun_s + end_s:.0f}"


@pytest.mark.parametrize("coding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("query", "cache"),
    [("", ""), (absolute(4, 12), "public, max-age=60"), ("start=-2h&end=-10m", "no-cache")],
    ids=["live", "closed", "relative"],  # no time in a name: each of pytest's workers begins later
)
def test_headers_and_head(
    client: httpx.Client, protocol: Protocol, coding: str, query: str, cache: str
) -> None:
    headers = {"accept-encoding": coding}
    with client.stream("GET", protocol.url(query), headers=headers) as got:
        body = b"".join(got.iter_raw())
    assert got.status_code == 200
    assert got.headers["content-type"] == protocol.content_type
    assert got.headers["cache-control"] == (cache or protocol.short)
    assert got.headers["access-control-allow-origin"] == "*"
    assert got.headers["vary"] == "accept-encoding"
    assert got.headers.get("content-encoding", "identity") == coding
    assert got.headers["content-length"] == str(len(body))
    head = client.head(protocol.url(query), headers=headers)
    assert (head.status_code, head.content) == (200, b"")
    # What counts from now is another text, perhaps a digit longer, at each request.
    changing = {*CHANGING, "content-length"} if "start=-" in query else set(CHANGING)
    expected = {name: value for name, value in got.headers.items() if name not in changing}
    assert {n: v for n, v in head.headers.items() if n not in changing} == expected


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("start=tomorrow", 400, "not a time"),
        ("start=4000000000", 400, "future"),
        ("start=-5m&end=-10m", 400, "end is not after start"),
        ("end=-5m", 400, "end needs a start"),
        ("dvr=-5m", 400, "not a duration"),
        ("dvr=2h&start=-5m", 400, "neither"),
        ("start=0&end=1000", 404, "nothing is kept"),
        ("start=-1s&start=-2s", 400, "twice"),
    ],
)
def test_what_cannot_be_is_said(
    client: httpx.Client, protocol: Protocol, query: str, status: int, why: str
) -> None:
    answer = client.get(protocol.url(query))
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "\n" not in answer.text.strip()


def test_what_is_not_there_is_said(client: httpx.Client, protocol: Protocol) -> None:
    for url in (protocol.url(stream="alike/none"), protocol.url(stream="none/none")):
        answer = client.get(url)
        assert (answer.status_code, "no stream" in answer.text) == (404, True)
    for url in (protocol.url() + "/x", protocol.url() + "x"):
        assert client.get(url).status_code == 404


def test_preflight_and_other_methods(client: httpx.Client, protocol: Protocol) -> None:
    answer = client.options(protocol.url(), headers={"access-control-request-method": "GET"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    refused = client.post(protocol.url(), content=b"x")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD, OPTIONS")


def test_other_parameters_are_passed_over(client: httpx.Client, protocol: Protocol) -> None:
    plain = client.get(protocol.url())
    for query in ("CMCD=bl%3D3200", "token=a.b.c", "x", "&&==&"):
        assert client.get(protocol.url(query)).content == plain.content


def test_the_time_of_day(client: httpx.Client) -> None:
    answer = client.get("/time")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    apart = datetime.fromisoformat(answer.text) - datetime.now(UTC)
    assert abs(apart.total_seconds()) < 5
