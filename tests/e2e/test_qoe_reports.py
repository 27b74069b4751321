"""Reports of players over HTTP: into Kafka, out of it at every edge, within bounds."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from confluent_kafka import Consumer, TopicPartition
from hls_stage import Stage, stage, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "qoe/camera"
MARKED = "qoe/marked"
"""Of a viewer who sends no reports; those of the other one come and go by the time."""
BEGUN_S = int(time.time()) - 60
CMCD = {"content-type": "application/cmcd"}


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("qoe")) as found:
        for stream in (STREAM, MARKED):
            found.published(stream, "seconds=4", f"--at={BEGUN_S}")
        yield found


@pytest.fixture(scope="module")
def edges(played: Stage) -> tuple[str, str]:
    return played.edge(), played.edge()


def report(sid: str, event: str, ts: int, cid: str = STREAM, **keys: object) -> str:
    extra = "".join(f",{key.replace('_', '-')}={value}" for key, value in keys.items())
    return f'cid="{cid}",e={event},sid="{sid}",ts={ts},v=2{extra}'


def post(edge: str, *lines: str, query: str = "") -> httpx.Response:
    return httpx.post(f"{edge}/cmcd{query}", content="\n".join(lines) + "\n", headers=CMCD)


def viewers(edge: str, stream: str = STREAM) -> dict[str, Any]:
    return dict(httpx.get(f"{edge}/media/{stream}/viewers").json())


def metrics(edge: str) -> dict[tuple[str, str], float]:
    """(name, labels) to value, as Prometheus's own parser reads them."""
    found = {}
    for family in text_string_to_metric_families(httpx.get(f"{edge}/metrics").text):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[sample.name, labels] = sample.value
    return found


def test_what_one_edge_hears_every_edge_tells(played: Stage, edges: tuple[str, str]) -> None:
    one, other = edges
    begin = int(time.time() * 1000) - 20_000
    sid = str(uuid.uuid4())
    answer = post(
        one,
        report(sid, "ps", begin, sta="s", sf="h"),
        report(sid, "ps", begin + 400, sta="p", sf="h", br="(1200;v 96;a)"),
        report(sid, "ps", begin + 8_400, sta="r", sf="h"),
        report(sid, "ps", begin + 10_400, sta="p", sf="h"),
        report(sid, "t", begin + 20_000, sta="p", sf="h", ltc=2100, dfa=3, com_example_x='"kept"'),
    )
    assert answer.status_code == 204, answer.text
    assert answer.headers["access-control-allow-origin"] == "*"
    for edge in (one, other):
        found = until(lambda edge=edge: viewers(edge)["viewers"] and viewers(edge), edge, 40)
        assert found["viewers"] == 1
        assert found["startup_ms"]["p50"] == 400
        assert (found["played_s"], found["stalled_s"]) == (17.6, 2.0)
        assert found["rebuffer_ratio"] == pytest.approx(2 / 19.6, abs=1e-4)
        assert found["stalls"] == 1
        assert found["latency_ms"]["p99"] == 2100
        assert found["bitrate_kbps"]["p50"] == 1200
        assert found["players"] == {"hls": 1}
        every = httpx.get(f"{edge}/viewers").json()
        assert every["viewers"] == 1
        assert [told["stream"] for told in every["streams"]] == [STREAM]
        told = metrics(edge)
        assert told["kinolog_stream_viewers", f"stream={STREAM}"] == 1
        assert told["kinolog_stream_startup_seconds", f"quantile=0.95,stream={STREAM}"] == 0.4
        assert told["kinolog_cmcd_read_total", ""] == 5
        assert told["kinolog_http_requests_total", "route=/media/"] > 0
    assert metrics(one)["kinolog_cmcd_written_total", ""] == 5
    assert metrics(other)["kinolog_cmcd_written_total", ""] == 0
    (*_, newest) = kept(played, 5)
    assert newest["cmcd"]["com-example-x"] == "kept"
    assert newest["stream"] == STREAM


def kept(played: Stage, count: int) -> list[dict[str, Any]]:
    """The first records of the collection's topic of reports."""
    consumer = Consumer({"bootstrap.servers": played.bootstrap, "group.id": "none"})
    consumer.assign([TopicPartition(f"{played.prefix}.qoe.qoe", 0, 0)])
    try:
        records = consumer.consume(count, 20)
        assert {record.key() for record in records} == {b"camera"}
        return [json.loads(record.value()) for record in records]
    finally:
        consumer.close()


def test_what_is_wrong_is_told_and_the_rest_is_kept(edges: tuple[str, str]) -> None:
    edge = edges[0]
    now = int(time.time() * 1000)
    before = metrics(edge)
    good = report(str(uuid.uuid4()), "t", now, cid="qoe/camera", sta="p")
    answer = post(
        edge, "br=(", good, report("x", "t", now, cid="qoe/nobody"), f'e=t,ts={now},sid=""'
    )
    assert answer.status_code == 400
    assert answer.text.startswith("1 taken, 3 refused: report 1: ")
    assert "there is no stream qoe/nobody" in answer.text
    after = metrics(edge)
    outcome = "kinolog_cmcd_reports_total"
    assert after[outcome, "outcome=taken"] == before[outcome, "outcome=taken"] + 1
    assert after[outcome, "outcome=refused"] == before[outcome, "outcome=refused"] + 3


@pytest.mark.parametrize(
    ("body", "kind", "query", "status", "says"),
    [
        (b"", "application/cmcd", "", 400, "without a report"),
        (b"x" * 70_000, "application/cmcd", "", 413, "64 KiB"),
        (b"e=t\n" * 101, "application/cmcd", "", 400, "at most 100"),
        (b"\xff\xfe", "application/cmcd", "", 400, "ASCII"),
        (b"<xml/>", "application/xml", "", 400, "content type"),
        (b"{", "application/json", "", 400, "JSON"),
        (b'{"sid":"\xff"}', "application/json", "", 400, "JSON"),
        (b"[" * 5000, "application/json", "", 400, "JSON"),
        (b"[1]", "application/json", "", 400, "no JSON object"),
        (b'e=t,ts=1,sid="a"', "application/cmcd", "", 400, "which stream"),
        (b'e=t,ts=1,sid="a"', "application/cmcd", "?stream=a/b/c", 400, "slash too many"),
        (b'e=t,ts=1,sid="a"', "application/cmcd", "?" + "&".join("a" * 99), 400, "query"),
    ],
)
def test_a_body_that_cannot_be_used(
    edges: tuple[str, str], body: bytes, kind: str, query: str, status: int, says: str
) -> None:
    headers = {"content-type": kind}
    answer = httpx.post(f"{edges[0]}/cmcd{query}", content=body, headers=headers)
    assert (answer.status_code, says in answer.text) == (status, True), answer.text


def test_json_and_a_stream_told_by_the_address(edges: tuple[str, str]) -> None:
    one = {"e": "t", "ts": int(time.time() * 1000), "sid": "json", "cid": "film", "br": [800]}
    answer = httpx.post(f"{edges[0]}/cmcd?stream={STREAM}", json=[one])
    assert answer.status_code == 204, answer.text


def test_other_methods_and_other_origins(edges: tuple[str, str]) -> None:
    ask = {"origin": "https://elsewhere.example", "access-control-request-method": "POST"}
    answer = httpx.options(f"{edges[0]}/cmcd", headers=ask)
    assert answer.status_code == 204
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert answer.headers["access-control-allow-headers"] == "*"
    assert httpx.get(f"{edges[0]}/cmcd").status_code == 405
    assert httpx.post(f"{edges[0]}/viewers").status_code == 405


@given(
    body=st.one_of(st.binary(max_size=600), st.text('sid="a",ts=1;()\n{}[]:e', max_size=600)),
    kind=st.sampled_from(["application/cmcd", "application/json", "text/plain", "video/mp4"]),
    query=st.text("stream=/%&?aA0", max_size=40),
)
@settings(
    max_examples=60,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_any_bytes_get_an_answer_that_says_why(
    edges: tuple[str, str], body: bytes | str, kind: str, query: str
) -> None:
    url = f"{edges[0]}/cmcd?{query.replace('?', '%3F')}"
    answer = httpx.post(url, content=body, headers={"content-type": kind})
    assert answer.status_code in (204, 400, 429), answer.text
    assert answer.status_code == 204 or len(answer.text.strip().splitlines()) == 1


def test_one_client_can_send_only_so_much(edges: tuple[str, str]) -> None:
    """One session, and then one address with sessions new for each report."""
    edge = edges[1]
    now = int(time.time() * 1000)
    with httpx.Client(headers=CMCD) as client:

        def send(sids: list[str]) -> int:
            lines = [report(sid, "t", now + n) for n, sid in enumerate(sids)]
            return client.post(f"{edge}/cmcd", content="\n".join(lines)).status_code

        assert [send(["flood"] * 100) for _ in range(3)] == [204, 204, 429]
        answers: list[int] = []
        begun = time.monotonic()
        while 429 not in answers and len(answers) < 200:
            answers.append(send([str(uuid.uuid4()) for _ in range(100)]))
        took_s = time.monotonic() - begun
    assert answers[-1] == 429
    assert 15 <= answers.count(204) <= (2_000 + 200 * took_s) / 100
    limited = metrics(edge)["kinolog_cmcd_reports_total", "outcome=limited"]
    assert limited == 100 * (1 + answers.count(429))


def test_media_with_cmcd_in_its_address_are_the_same_bytes(edges: tuple[str, str]) -> None:
    """Players in request mode put CMCD into each URL."""
    base = f"{edges[0]}/media/{STREAM}/"
    query = "CMCD=br%3D3200%2Cbs%2Cot%3Dv%2Csid%3D%22x%22%2Cnor%3D%22start%3D%22"
    for name in ("index.m3u8", "video.m3u8", "manifest.mpd"):
        plain, marked = (httpx.get(f"{base}{name}{q}") for q in ("", f"?{query}"))
        assert (plain.status_code, marked.status_code) == (200, 200)
        assert plain.content == marked.content
        span = f"?start={BEGUN_S}&end={BEGUN_S + 2}"
        ranged, marked = (httpx.get(f"{base}{name}{span}{q}") for q in ("", f"&{query}"))
        assert (ranged.status_code, ranged.content) == (200, marked.content)
    before = metrics(edges[0])["kinolog_cmcd_reports_total", "outcome=taken"]
    uri = next(line for line in httpx.get(f"{base}video.m3u8").text.splitlines() if ".m4s" in line)
    assert httpx.get(f"{base}{uri}").content == httpx.get(f"{base}{uri}?{query}").content
    # One in five seconds of a session's requests counts.
    assert metrics(edges[0])["kinolog_cmcd_reports_total", "outcome=taken"] == before


def test_players_that_only_mark_their_requests_are_viewers_too(edges: tuple[str, str]) -> None:
    edge = edges[0]
    assert viewers(edge, MARKED)["viewers"] == 0
    query = "CMCD=bl%3D2100%2Cbr%3D640%2Cltc%3D2222%2Cot%3Dv%2Csf%3Dh%2Csid%3D%22marked%22%2Cv%3D2"
    for _ in range(5):
        assert httpx.get(f"{edge}/media/{MARKED}/video.m3u8?{query}").status_code == 200
    until(lambda: viewers(edge, MARKED)["viewers"] == 1, "its viewer", 20)
    for odd in (
        "CMCD=",
        "CMCD=%00",
        "CMCD=sid%3D%22odd%22%2C%28",
        "CMCD=sid%3D%22x%22&" + "a&" * 60,
    ):
        assert httpx.get(f"{edge}/media/{STREAM}/video.m3u8?{odd}").status_code == 200
