"""Marks in the log: written by HTTP and the shell, found by their time, however late they were."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hls_stage import Stage, stage, until

from kinolog.log.admin import Admin
from kinolog.log.client import KafkaSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(200)]

STREAM = "marks/gate"
EVENTS = f"/media/{STREAM}/events"


@pytest.fixture(scope="module")
def marked(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("marks")) as found:
        for stream in (STREAM, "marks/other"):
            found.published(stream, "seconds=6", "--at=-3h")
        yield found


@pytest.fixture(scope="module")
def edge(marked: Stage) -> str:
    return marked.edge()


@pytest.fixture(scope="module")
def client(edge: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=edge, timeout=30) as found:
        yield found


def listed(client: httpx.Client, path: str, query: str) -> list[dict[str, Any]]:
    answer = client.get(f"{path}?{query}")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["complete"] is True
    return list(body["marks"])


def test_a_mark_is_found_by_its_time_whenever_it_was_written(
    marked: Stage, edge: str, client: httpx.Client
) -> None:
    """One of now, then of 10 s, 10 minutes, 2 hours and 20 hours ago, in that order: each lies in
    the log behind all that are younger than it."""
    now_s = time.time()
    ages_s = (1, 10, 600, 7_200, 72_000)
    for age_s in ages_s:
        sent = {
            "at": now_s - age_s,
            "kind": "detection",
            "text": f"{age_s} s",
            "data": {"n": age_s},
        }
        answer = client.post(EVENTS, json=sent)
        assert answer.status_code == 201, answer.text
        assert answer.json()["marks"][0]["data"] == {"n": age_s}
        # Of a neighbour in the partition, and not this stream's.
        assert client.post("/media/marks/other/events", json=sent).status_code == 201
    other = marked.edge()
    with httpx.Client(base_url=other, timeout=30) as there:
        for asked in (client, there):
            for age_s in ages_s:
                start, end = now_s - age_s - 1, now_s - age_s + 1
                found = listed(asked, EVENTS, f"start={start}&end={end}")
                assert [mark["text"] for mark in found] == [f"{age_s} s"]
                assert listed(asked, EVENTS, f"start={start - 5}&end={start}") == []
            assert len(listed(asked, EVENTS, "start=-22h")) == len(ages_s)


@pytest.mark.slow
def test_the_shell_adds_and_lists(marked: Stage, client: httpx.Client) -> None:
    words = ("add", STREAM, "the door opens", "--at=-90m", "--id=door", '--data={"n":[1,2]}')
    assert marked.start("events", *words).wait(60) == 0
    (found,) = listed(client, EVENTS, "start=-91m&end=-89m")
    assert (found["id"], found["text"], found["kind"]) == ("door", "the door opens", "marker")
    assert found["data"] == {"n": [1, 2]}
    # Again, under its ID: it is replaced.
    again = ("add", STREAM, "the door closes", "--at=-90m", "--id=door", "--kind=note")
    assert marked.start("events", *again).wait(60) == 0
    (found,) = listed(client, EVENTS, "start=-91m&end=-89m")
    assert (found["text"], found["kind"]) == ("the door closes", "note")
    process = marked.start("events", "list", STREAM, "--start=-91m", "--end=-89m", "--json")
    assert process.wait(60) == 0
    text = (marked.logs / f"{marked.prefix}-{marked._started}-events.log").read_text()
    assert json.loads(text)[0]["id"] == "door"


def test_what_is_dense_is_asked_for_with_a_resolution(client: httpx.Client) -> None:
    at_s = time.time() - 1800
    for part in range(3):
        sent = [{"at": at_s + (part * 100 + n) / 100} for n in range(100)]
        assert client.post(EVENTS, json=sent).status_code == 201
    query = f"start={at_s}&end={at_s + 3}"
    assert len(listed(client, EVENTS, query)) == 300
    joined = listed(client, EVENTS, f"{query}&resolution=1s")
    assert 3 <= len(joined) <= 4
    assert sum(mark.get("count", 1) for mark in joined) == 300


def test_bad_marks_are_refused_with_a_sentence(client: httpx.Client) -> None:
    good = json.dumps({"at": "now"})
    typed = {"content-type": "application/json"}
    for body, headers, status in (
        ("{", typed, 400),
        ('{"at":"tomorrow"}', typed, 400),
        ('{"at":"-1000d"}', typed, 400),
        ('{"at":0}', typed, 400),
        ('{"at":1e306}', typed, 400),
        ('{"at":"now","kind":"two words"}', typed, 400),
        ('{"at":"now","id":""}', typed, 400),
        (good, {"content-type": "text/plain"}, 415),
        (good, {}, 415),
        (json.dumps({"at": "now", "text": "x" * 300_000}), typed, 413),
    ):
        answer = client.post(EVENTS, content=body, headers=headers)
        assert (answer.status_code, body[:40]) == (status, body[:40])
        assert answer.text.strip()
    for query in ("start=2&end=1", "end=1", "start=2199-01-01T00:00:00Z", "start=0&resolution=x"):
        assert client.get(f"{EVENTS}?{query}").status_code == 400
    assert client.post("/media/marks/nobody/events", json={"at": "now"}).status_code == 404
    assert client.post("/media/marks/gate/timeline", json={"at": "now"}).status_code == 405
    assert client.put(EVENTS, json={"at": "now"}).status_code == 405
    evil = {"origin": "https://evil.example"}
    assert client.post(EVENTS, json={"at": "now"}, headers=evil).status_code == 403
    own = {"origin": str(client.base_url).rstrip("/")}
    assert client.post(EVENTS, json={"at": "now"}, headers=own).status_code == 201
    asked = client.options(EVENTS, headers=evil | {"access-control-request-method": "POST"})
    assert not [name for name in asked.headers if name.startswith("access-control")]


def test_too_many_are_refused_for_a_while(marked: Stage) -> None:
    with httpx.Client(base_url=marked.edge(), timeout=30) as client:
        several = [{"at": "now"}] * 100
        answers = [client.post(EVENTS, json=several).status_code for _ in range(14)]
    assert answers[:10] == [201] * 10
    assert 429 in answers[10:]
    assert set(answers) == {201, 429}


def test_an_edge_that_takes_none(marked: Stage) -> None:
    with httpx.Client(base_url=marked.edge("--no-take-marks"), timeout=30) as client:
        assert client.post(EVENTS, json={"at": "now"}).status_code == 403
        assert client.get(EVENTS).status_code == 200


@pytest.mark.slow
def test_a_collection_without_the_topic_gets_it_at_the_first_mark(marked: Stage) -> None:
    marked.published("old/gate", "seconds=2", "--at=-10m")
    name = f"{marked.prefix}.old.events"
    admin = Admin(KafkaSettings(marked.bootstrap))

    asyncio.run(admin.delete([name]))
    until(lambda: name not in asyncio.run(admin.describe()).topics, "the topic's end")
    with httpx.Client(base_url=marked.edge(), timeout=30) as client:
        assert listed(client, "/media/old/gate/events", "start=-1h") == []
        assert client.post("/media/old/gate/events", json={"at": "-5m"}).status_code == 201
        with httpx.Client(base_url=marked.edge(), timeout=30) as other:
            assert len(listed(other, "/media/old/gate/events", "start=-1h")) == 1
    topics = asyncio.run(admin.describe()).topics
    assert len(topics[name]) == len(topics[f"{marked.prefix}.old.media"])
