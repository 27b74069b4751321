"""Kept clips over HTTP and from the shell: they outlive what they were cut from."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from clip_stage import Recorded, record
from hls_stage import KINOLOG, PATIENCE_S, Stage, stage, until

from kinolog.cluster.ports import free_port
from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("kept")) as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("place") / "clips"


@pytest.fixture(scope="module")
def edge(played: Stage, place: Path) -> str:
    return played.edge("--clips", str(place))


@pytest.fixture(scope="module")
def other(played: Stage, place: Path) -> str:
    """Another edge over the same place."""
    return played.edge("--clips", str(place))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def recorded(played: Stage, edge: str) -> Recorded:
    made = played.start("collections", "create", "kept", "--partition-strategy", "dedicated")
    assert made.wait(PATIENCE_S) == 0
    return record(played, edge, "kept/gate")


def shell(played: Stage, place: Path, *words: str) -> Any:
    """`kinolog …` to its end; what it printed as JSON."""
    done = subprocess.run(
        [str(KINOLOG), *words, "--clips", str(place)], capture_output=True, timeout=60,
        env={k: v for k, v in os.environ.items() if not k.startswith("KINOLOG_")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "--json" in words else done


def wish(recorded: Recorded, start_s: float, end_s: float, **more: str) -> dict[str, Any]:
    return {"start": recorded.begun_s + start_s, "end": recorded.begun_s + end_s, **more}


def kept(client: httpx.Client, base: str, body: dict[str, Any]) -> dict[str, Any]:
    """Keep a clip; its card, when it is there."""

    def done() -> dict[str, Any] | None:
        answer = client.post(f"{base}/clips", json=body)
        assert answer.status_code in (200, 201, 202), answer.text
        card: dict[str, Any] = answer.json()
        url = httpx.URL(base).join(f"/media/kept/gate/clips/{card['id']}")
        if answer.status_code != 200:
            assert answer.headers["location"] == url.path
        found = client.get(url)
        if found.status_code == 404:
            return None  # who made it was killed: it is asked for again
        assert found.json()["state"] in ("making", "kept"), found.text
        return found.json() if found.json()["state"] == "kept" else None

    return until(done, "a kept clip")


def frames(data: bytes) -> list[int | None]:
    return [frame.number for frame in read_block_codes(io.BytesIO(data))]


def test_a_clip_is_kept_listed_named_and_deleted_by_any_edge(
    recorded: Recorded, other: str, client: httpx.Client
) -> None:
    base, elsewhere = recorded.base, f"{other}/media/kept/gate"
    card = kept(client, base, wish(recorded, 3.31, 7.77, name="the red car"))
    assert (card["name"], card["format"], card["stream"]) == ("the red car", "mp4", "kept/gate")
    served = client.get(recorded.url(3.31, 7.77)).content
    url = f"{other}{card['url']}"
    whole = client.get(url)
    assert whole.content == served
    assert whole.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert 'filename="the red car.mp4"' in whole.headers["content-disposition"]
    assert client.get(url + "?download=1").headers["content-disposition"].startswith("attachment")
    part = client.get(url, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, served[100:200])
    assert client.head(url).headers["content-length"] == str(card["bytes"])
    same = client.get(url, headers={"if-none-match": whole.headers["etag"]})
    assert same.status_code == 304
    # The same again is the same clip, whichever edge is asked.
    again = client.post(f"{elsewhere}/clips", json=wish(recorded, 3.31, 7.77, name="else"))
    assert (again.status_code, again.json()) == (200, card)
    newer = kept(client, elsewhere, wish(recorded, 8.0, 9.0, format="ts"))
    ids = [newer["id"], card["id"]]

    def listed_by_both() -> bool:
        found = [client.get(f"{one}/clips").json()["clips"] for one in (base, elsewhere)]
        return all([one["id"] for one in clips] == ids for clips in found)

    until(listed_by_both, "both clips at any edge", 5)
    first = client.get(f"{base}/clips?limit=1").json()
    assert [found["id"] for found in first["clips"]] == [newer["id"]]
    rest = client.get(httpx.URL(base).join(first["next"])).json()
    assert [found["id"] for found in rest["clips"]] == [card["id"]]
    assert "next" not in rest
    renamed = client.patch(f"{other}{card['card']}", json={"name": "a <b>blue</b> car"})
    assert (renamed.status_code, renamed.json()["name"]) == (200, "a <b>blue</b> car")
    assert client.get(f"{base}/clips/{card['id']}").json()["name"] == "a <b>blue</b> car"
    for id in (newer["id"], card["id"]):
        assert client.delete(f"{elsewhere}/clips/{id}").status_code == 204
    until(lambda: not client.get(f"{base}/clips").json()["clips"], "none any more", 5)
    assert client.get(url).status_code == 404
    assert client.delete(f"{base}/clips/{card['id']}").status_code == 404


def test_what_cannot_be_is_said(recorded: Recorded, client: httpx.Client) -> None:
    url = f"{recorded.base}/clips"
    for body, why in (
        ({}, "start"),
        ({"start": "tomorrow"}, "not a time"),
        ({"start": [1]}, "start"),
        ({"start": "-5m", "end": "-10m"}, "end is not after start"),
        ({"start": 4e9}, "future"),
        ({"start": "-5m", "format": "mkv"}, "format is one of"),
        ({"start": "-5m", "name": "x" * 101}, "name has 1 to 100"),
        ({"start": "-5m", "name": ""}, "name has 1 to 100"),
        ({"start": "-5m", "name": None}, "name"),
        ({"start": "-5m", "more": 1}, "more"),
    ):
        answer = client.post(url, json=body)
        assert (answer.status_code, why in answer.text) == (400, True), answer.text
    assert client.post(url, content=b"{" * 5000, headers=JSON).status_code == 413
    for bad in (b"\xff", b'{"start":"\xff"}', b'{"start":1e306}', b"[" * 4000):
        assert client.post(url, content=bad, headers=JSON).status_code == 400
    assert client.get(f"{url}?limit=0000000019999999").status_code == 400
    assert client.get(f"{url}?{'&'.join(['a=1'] * 60)}").status_code == 400
    plain = client.post(url, content=b'{"start":"-5m"}', headers={"content-type": "text/plain"})
    assert (plain.status_code, "application/json" in plain.text) == (400, True)
    nothing = client.post(url, json={"start": 0, "end": 1000})
    assert (nothing.status_code, "nothing is kept" in nothing.text) == (404, True)
    assert client.post(f"{url[:-10]}nobody/clips", json={"start": "-5m"}).status_code == 404
    for path in ("/xx", "/xx.mp4", "/%2e%2e/secret", "/a/b", "/"):
        assert client.get(url + path).status_code == 404
    assert client.get(f"{url}?limit=1000").status_code == 400
    wrong = client.put(url)
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")
    # No page of another host may write, nor is any browser told that one may.
    evil = {"origin": "https://evil.example"}
    asked = client.options(url, headers=evil | {"access-control-request-method": "POST"})
    assert not [name for name in asked.headers if name.startswith("access-control")]
    refused = client.post(url, json={"start": "-5m"}, headers=evil)
    assert (refused.status_code, "same host" in refused.text) == (403, True)


JSON = {"content-type": "application/json"}


def test_without_a_place_the_setting_is_named(
    played: Stage, recorded: Recorded, client: httpx.Client
) -> None:
    url = f"{played.edge()}/media/kept/gate/clips"
    for answer in (client.post(url, json={"start": "-5m"}), client.get(url)):
        assert (answer.status_code, "KINOLOG_CLIPS" in answer.text) == (400, True)


def test_an_edge_in_public_sends_what_is_kept_and_keeps_nothing(
    played: Stage, place: Path, recorded: Recorded, client: httpx.Client
) -> None:
    card = kept(client, recorded.base, wish(recorded, 5.0, 6.0))
    url = f"{played.edge('--clips', str(place), '--no-keep-clips')}/media/kept/gate/clips"
    for answer in (client.post(url, json={"start": "-5m"}), client.delete(f"{url}/{card['id']}")):
        assert (answer.status_code, "--no-keep-clips" in answer.text) == (403, True)
    assert client.get(f"{url}/{card['id']}.mp4").status_code == 200
    assert client.delete(f"{recorded.base}/clips/{card['id']}").status_code == 204


@pytest.mark.slow
def test_the_shell_keeps_lists_and_fetches(
    played: Stage, place: Path, recorded: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    span = [f"--start={recorded.begun_s + 2.01:.2f}", f"--end={recorded.begun_s + 4.01:.2f}"]
    kafka = ["--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix]
    words = ["clip", "kept/gate", *span, "--keep", "--name", "short", *kafka, "--json"]
    (made,) = shell(played, place, *words)
    assert made["name"] == "short"
    assert shell(played, place, *words) == [made]
    served = client.get(recorded.url(2.01, 4.01)).content
    path = tmp_path / "it.mp4"
    told = shell(played, place, "clips", "get", "kept/gate", made["id"], "-o", str(path), "--json")
    assert (told["file"], path.read_bytes()) == (str(path), served)
    (renamed,) = shell(played, place, "clips", "rename", "kept/gate", made["id"], "long", "--json")
    assert renamed["name"] == "long"
    listed = shell(played, place, "clips", "list", "kept/gate", "--json")
    assert [one["name"] for one in listed] == ["long"]
    shell(played, place, "clips", "delete", "kept/gate", made["id"])
    assert shell(played, place, "clips", "list", "kept/gate", "--json") == []


def kill_when(seen: Path, before: set[Path], pid: int) -> None:
    """Kill a process once there is something new in a folder."""
    deadline = time.monotonic() + 20
    while not set(seen.glob("*")) - before and time.monotonic() < deadline:
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.slow
def test_an_edge_that_is_killed_leaves_no_half_clip(
    played: Stage, recorded: Recorded, client: httpx.Client, tmp_path: Path
) -> None:
    folder = tmp_path / "slow"
    port = free_port()
    process = played.start("edge", "--http-port", str(port), "--clips", str(folder))
    base = f"http://127.0.0.1:{port}/media/kept/gate"

    def ready() -> bool:
        try:
            return client.get(f"http://127.0.0.1:{port}/ready").status_code == 200
        except httpx.TransportError:
            return False

    until(ready, "an edge")
    halves = 0
    for n in range(6):
        body = wish(recorded, 1.01 + n / 10, 78.01)
        # As soon as it is being made; and as soon as something of its file is there.
        seen = folder / ("progress" if n % 2 else "media") / "kept" / "gate"
        before = set(seen.glob("*"))
        killer = Thread(target=kill_when, args=(seen, before, process.pid))
        killer.start()
        with contextlib.suppress(httpx.TransportError), httpx.Client(timeout=30) as asking:
            asking.post(f"{base}/clips", json=body)
        killer.join()
        assert process.wait(10) == -signal.SIGKILL
        cards = list((folder / "cards" / "kept" / "gate").glob("*.json"))
        halves += len(cards) == n
        process = played.start("edge", "--http-port", str(port), "--clips", str(folder))
        until(ready, "the edge again")
        for card in client.get(f"{base}/clips").json()["clips"]:
            data = client.get(f"http://127.0.0.1:{port}{card['url']}").content
            assert len(data) == card["bytes"]
            start_s = card["start_ms"] / 1000 - recorded.begun_s
            assert frames(data) == recorded.numbers(start_s, 78.01)
        # It can be kept after all.
        card = kept(client, base, body)
        data = client.get(f"http://127.0.0.1:{port}{card['url']}").content
        assert frames(data) == recorded.numbers(1.01 + n / 10, 78.01)
    assert halves > 0


def test_a_kept_clip_outlives_its_records(
    played: Stage, edge: str, other: str, recorded: Recorded, client: httpx.Client
) -> None:
    """The last of these tests: it deletes what the others are cut from."""
    card = kept(client, recorded.base, wish(recorded, 3.31, 7.77))
    trimmed = played.start("streams", "trim", "kept/gate", f"--before={recorded.begun_s + 70}")
    assert trimmed.wait(PATIENCE_S) == 0
    until(
        lambda: client.get(f"{other}/media/kept/gate/clip.mp4?{recorded.span(3.31, 7.77)}")
        .status_code == 404,
        "records that are gone",
    )  # fmt: skip
    for one in (edge, other):
        data = client.get(f"{one}{card['url']}").content
        assert frames(data) == recorded.numbers(3.31, 7.77)
    begun_s = time.monotonic()
    assert client.get(f"{other}/media/kept/gate/clips").json()["clips"] == [card]
    assert time.monotonic() - begun_s < 5
