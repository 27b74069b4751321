"""The archive: the same playlists, segments, clips and stills after Kafka has deleted its records;
a worker that is killed leaves nothing out and stores nothing twice."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import pytest
from archive_stage import (
    Answers,
    archived,
    collection,
    give_up,
    listed,
    segments_of,
    stored,
    worker,
)
from clip_stage import Recorded, record
from hls_stage import KINOLOG, PATIENCE_S, Stage, stage, stop, until
from kit.media import ffmpeg

from kinolog.archive.shelf import EMPTY_AGE_S
from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

NAME = "tier"


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("archive")) as found:
        collection(found, NAME, "--partition-strategy", "dedicated")
        yield found


@dataclass(frozen=True)
class Tiered:
    """Two sessions of a stream, archived; an edge that has been asked for all of it, and what it
    said while Kafka still had everything."""

    stage: Stage
    recorded: Recorded
    place: Path
    edge: str
    urls: list[str]
    before: Answers
    archived_s: float
    """When the worker had stored it (monotonic)."""

    def check(self, client: httpx.Client, edge: str) -> None:
        """An edge says what was said before."""
        assert Answers.of(client, edge, self.urls).told() == self.before.told()


@pytest.fixture(scope="module")
def tiered(played: Stage, client: httpx.Client) -> Tiered:
    place = played.logs / "archive"
    edge = played.edge("--archive", str(place))
    recorded = record(played, edge, f"{NAME}/camera")
    path = recorded.base.removeprefix(edge)
    span = recorded.span(0, recorded.seconds)
    urls = [f"{path}/{name}?{span}" for name in ("index.m3u8", "video.m3u8", "audio.m3u8")]
    urls += [f"{path}/timeline?{span}", f"{path}/manifest.mpd?{span}"]
    for url in urls[1:3]:
        playlist = client.get(f"{edge}{url}").text
        found = segments_of(playlist)
        assert len(found) >= 15, playlist
        urls += [f"{path}/{one.track}/{one.epoch}/{one.msn}.m4s" for one in found]
    for start_s, end_s in ((3.3, 18.7), (0, recorded.seconds), (9.5, 9.9), (58, 66)):
        urls.append(f"{path}/clip.mp4?{recorded.span(start_s, end_s)}")
    for at_s in (0.5, 7.7, 19.5, 61.2):
        urls.append(f"{path}/still.jpg?at={recorded.begun_s + at_s:.3f}&w=320")
    before = Answers.of(client, edge, urls)
    assert {status for status, _ in before.bodies.values()} == {200}, before.told()
    archived(played, NAME, place, "--stretch", "5s")
    return Tiered(played, recorded, place, edge, urls, before, time.monotonic())


def pictures(edge: str, url: str, path: Path) -> list[int]:
    """The numbers of the frames that ffmpeg reads of a playlist that has ended."""
    ffmpeg("-i", f"{edge}{url}", "-map", "0:v", "-c", "copy", path)
    return [frame.number for frame in read_block_codes(path)]


def test_every_segment_is_stored_once_as_players_get_it(tiered: Tiered) -> None:
    found = stored(tiered.place)[f"{NAME}/camera"]
    path = tiered.recorded.base.removeprefix(tiered.edge)
    media = {url for url in tiered.urls if url.endswith(".m4s")}
    assert {f"{path}/{one.track}/{one.epoch}/{one.msn}.m4s" for one in found} == media
    for one, body in found.items():
        url = f"{path}/{one.track}/{one.epoch}/{one.msn}.m4s"
        assert tiered.before.bodies[url] == (200, body), url
    (row,) = listed(tiered.place, f"{NAME}/camera")
    assert row["objects"] == len(list(tiered.place.rglob("*.kino"))) >= 5


def test_a_second_run_finds_nothing_to_do(tiered: Tiered) -> None:
    before = sorted(tiered.place.rglob("*.kino"))
    for words in ((), ("--group", "another")):
        archived(tiered.stage, NAME, tiered.place, "--stretch", "15s", *words)
        assert sorted(tiered.place.rglob("*.kino")) == before


def test_what_is_old_is_deleted_when_told(tiered: Tiered, tmp_path: Path) -> None:
    """In a copy: the second session stays, and what is deleted is no more in the list."""
    place = tmp_path / "copy"
    shutil.copytree(tiered.place, place)
    words = [str(KINOLOG), "archive", "delete", NAME, "--at", str(place), "--before"]
    at_s = tiered.recorded.begun_s + tiered.recorded.seconds - 10
    subprocess.run([*words, str(at_s), "--dry-run"], check=True, timeout=60)
    (before,) = listed(place)
    subprocess.run([*words, str(at_s)], check=True, timeout=60)
    (after,) = listed(place, f"{NAME}/camera")
    assert after["end"] == before["end"]
    assert count(place) == after["objects"]
    left = {one.epoch for one in stored(place)[f"{NAME}/camera"]}
    assert left == {max(one.epoch for one in stored(tiered.place)[f"{NAME}/camera"])}


def test_what_kafka_deletes_is_served_as_before(tiered: Tiered, client: httpx.Client) -> None:
    """The media first, then the index, each in part, then all; by an edge that knows the stream,
    and by one that does not."""
    stream = f"{NAME}/camera"
    # An edge that saw an empty archive looks again after so long; no retention is so short.
    until(lambda: time.monotonic() > tiered.archived_s + EMPTY_AGE_S, "the edge to look again")
    for parts in ({"media": 0.4}, {"media": 0.5, "index": 0.5}, {"media": 1, "index": 1}):
        give_up(tiered.stage, stream, **parts)
        tiered.check(client, tiered.edge)
        cold = tiered.stage.edge("--archive", str(tiered.place))
        tiered.check(client, cold)
    # From the beginning on, as a stream that may go on: the live window comes from there, too.
    closed, open_ended = (
        client.get(f"{cold}/media/{stream}/video.m3u8?start={tiered.recorded.begun_s}{end}").text
        for end in (f"&end={tiered.recorded.begun_s + tiered.recorded.seconds}", "")
    )
    assert segments_of(open_ended) == segments_of(closed)
    frames = tiered.recorded.numbers(0, tiered.recorded.seconds)
    assert pictures(cold, tiered.urls[0], tiered.stage.logs / "all.mkv") == frames
    plain = tiered.stage.edge()
    url = next(url for url in tiered.urls if "video.m3u8" in url)
    assert client.get(f"{plain}{url}").status_code == 404


@pytest.mark.slow
def test_a_stream_goes_on_after_all_was_deleted(tiered: Tiered, client: httpx.Client) -> None:
    """A session that begins when Kafka has nothing of the stream any more hangs its index on to
    what the archive has; and that is archived, too."""
    stream, played = f"{NAME}/camera", tiered.stage
    give_up(played, stream, media=1, index=1)
    config = played.logs / "archive.toml"
    config.write_text(f'archive = "{tiered.place}"\n')
    at_s = tiered.recorded.begun_s + 100
    query = "gop=2&seconds=10&start_number=9000"
    played.published(stream, query, f"--at={at_s}", "--config", str(config))
    url = f"/media/{stream}/video.m3u8?{tiered.recorded.span(0, 110)}"
    frames = [*tiered.recorded.numbers(0, tiered.recorded.seconds), *range(9000, 9300)]
    listed = []
    for _ in range(2):
        edge = played.edge("--archive", str(tiered.place))
        listed.append(client.get(f"{edge}{url}").text)
        assert pictures(edge, url, played.logs / "more.mkv") == frames
        tiered.check(client, edge)
        archived(played, NAME, tiered.place, "--stretch", "10s")
        give_up(played, stream, media=1, index=1)
    assert listed[0] == listed[1]
    assert len(stored(tiered.place)[stream]) == len(segments_of(listed[0])) * 2


@pytest.mark.slow
def test_an_index_that_is_made_again_leads_to_the_archive(
    tiered: Tiered, client: httpx.Client
) -> None:
    """Of what Kafka still has the index is made anew, and knows of nothing before; what the archive
    has before it is found nevertheless, and no media are archived twice."""
    stream, played = f"{NAME}/camera", tiered.stage
    give_up(played, stream, media=1, index=1)
    at_s = tiered.recorded.begun_s + 200
    query = "gop=2&seconds=10&start_number=20000"
    # This ingest does not know of the archive: it forgets no session, and its index begins anew.
    played.published(stream, query, f"--at={at_s}")
    path = f"/media/{stream}"
    urls = [f"{path}/{name}?{tiered.recorded.span(0, 210)}" for name in ("video.m3u8", "timeline")]
    edge = played.edge("--archive", str(tiered.place))
    begun_anew = Answers.of(client, edge, urls).told()
    tiered.check(client, edge)
    archived(played, NAME, tiered.place, "--stretch", "10s")
    assert played.start("index", "rebuild", NAME).wait(PATIENCE_S) == 0
    for _ in range(2):
        edge = played.edge("--archive", str(tiered.place))
        frames = pictures(edge, urls[0], played.logs / "again.mkv")
        assert frames[-300:] == list(range(20000, 20300))
        assert frames[: 30 * 30] == tiered.recorded.numbers(0, tiered.recorded.seconds)
        assert Answers.of(client, edge, urls).told() == begun_anew
        tiered.check(client, edge)
        archived(played, NAME, tiered.place, "--stretch", "10s")
        stored(tiered.place)
        give_up(played, stream, media=1, index=1)


@pytest.mark.parametrize(
    "kills", [2, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
def test_a_worker_that_is_killed_leaves_out_nothing(
    played: Stage, client: httpx.Client, kills: int
) -> None:
    """Two streams that were published before, and one that is: killed now and then, mostly while it
    stores. What is stored in the end is what Kafka has, each segment once."""
    name, place = f"killed-{kills}", played.logs / f"killed-{kills}"
    collection(played, name)
    words = ("--stretch", "2s", "--group", name)
    chance = random.Random(20)
    live = played.camera(f"{name}/live", f"gop=2&seconds={20 * kills + 60}")
    for stream in ("one", "two"):
        at = f"--at={int(time.time()) - 7200}"
        played.published(f"{name}/{stream}", f"gop=2&seconds={30 * kills}", at)
    worked = 0
    for turn in range(kills):
        before = count(place)
        process = worker(played, name, place, *words)
        if turn % 4:
            until(partial(more, place, before), "an object")
        time.sleep(chance.uniform(0, 1.5 if turn % 4 else 8))
        process.kill()
        process.wait()
        worked += count(place) > before
    assert worked >= kills // 2
    live.send_signal(signal.SIGINT)
    live.wait(30)
    archived(played, name, place, *words)
    check_all(played, client, name, place, ("one", "two", "live"))
    assert not list(place.rglob("*#*"))  # what they had been writing


@pytest.mark.slow
def test_a_worker_that_was_thought_dead_stores_nothing_twice(
    played: Stage, client: httpx.Client
) -> None:
    """One of two is stopped while it stores, the group gives its partitions to the other, and then
    it goes on where it was; again and again."""
    name, place = "zombie", played.logs / "zombie"
    collection(played, name)
    for stream in ("one", "two"):
        at = f"--at={int(time.time()) - 7200}"
        played.published(f"{name}/{stream}", "gop=2&seconds=600", at)
    words = ("--stretch", "2s", "--group", name)
    workers = [worker(played, name, place, *words)]
    until(partial(more, place, 0), "an object")
    workers.append(worker(played, name, place, *words))
    for turn in range(4):
        zombie = workers[turn % 2]
        zombie.send_signal(signal.SIGSTOP)
        before = count(place)
        # The other gets the partition when the group has missed the stopped one.
        deadline = time.monotonic() + 30
        while count(place) == before and time.monotonic() < deadline:
            time.sleep(0.2)
        zombie.send_signal(signal.SIGCONT)
        until(lambda: all(one.poll() is None for one in workers), "workers")
    for one in workers:
        stop(one)
        assert one.returncode == 0
    archived(played, name, place, *words)
    check_all(played, client, name, place, ("one", "two"))


def check_all(
    played: Stage, client: httpx.Client, name: str, place: Path, streams: tuple[str, ...]
) -> None:
    """What is stored is what Kafka has, to the byte, each segment once."""
    edge = played.edge()
    found = stored(place)
    for stream in streams:
        path = f"/media/{name}/{stream}"
        listed = [
            segment
            for track in ("video", "audio")
            for segment in segments_of(
                client.get(f"{edge}{path}/{track}.m3u8?start=-1d&end=now").text
            )
        ]
        assert listed
        assert sorted(found[f"{name}/{stream}"]) == sorted(listed)
        for one, body in found[f"{name}/{stream}"].items():
            answer = client.get(f"{edge}{path}/{one.track}/{one.epoch}/{one.msn}.m4s")
            assert (answer.status_code, answer.content) == (200, body), one


def more(place: Path, than: int) -> bool:
    """Whether an archive has more objects than that."""
    return count(place) > than


def count(place: Path) -> int:
    """Objects of an archive."""
    return sum(1 for _ in place.rglob("*.kino"))
