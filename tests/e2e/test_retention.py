"""What goes away: a stream's past before a moment, and who is watching it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from hls_stage import KINOLOG, Stage, fetch, stage, until
from kit.media import ffmpeg
from ws_watch import Watch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

MIB = 1 << 20


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("retention")) as found:
        yield found


def run(played: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    kafka = ("--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix)
    return subprocess.run(
        [str(KINOLOG), *words, *kafka], capture_output=True, text=True, timeout=60, check=False
    )


def create(played: Stage, collection: str, *words: str) -> None:
    made = run(played, "collections", "create", collection, *words)
    assert made.returncode == 0, made.stderr


def alter(played: Stage, collection: str, *words: str) -> None:
    done = run(played, "collections", "alter", collection, *words)
    assert done.returncode == 0, done.stderr


def kept(client: httpx.Client, url: str) -> tuple[str, int]:
    """The first media segment of a list, and the bytes of all that are there."""
    sizes = {}
    for segment in fetch(client, url).segments:
        answer = client.head(str(httpx.URL(url).join(segment.uri)))
        if answer.status_code == 200:
            sizes[segment.uri] = int(answer.headers["content-length"])
    return next(iter(sizes), ""), sum(sizes.values())


@pytest.mark.slow
@pytest.mark.needs("ffmpeg")
def test_kafka_keeps_what_the_size_allows_and_it_is_changed_meanwhile(
    played: Stage, tmp_path: Path
) -> None:
    create(played, "sized", "--retention-size", "80MiB")
    film = tmp_path / "noise.mp4"
    noise = "testsrc2=s=640x360:r=30:d=60,noise=alls=90:allf=t"
    rate = ("-b:v", "20M", "-maxrate", "20M", "-bufsize", "20M")
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-g", "60",
           *rate, film)  # fmt: skip
    assert film.stat().st_size > 120 * MIB
    begun_s = int(time.time()) - 300
    played.film(film, "sized/noise", begun_s)
    base = f"{played.edge()}/media/sized/noise"
    url = f"{base}/video.m3u8?start={begun_s}&end={begun_s + 60}"
    with httpx.Client(timeout=30) as client:
        for limit in (80, 40):
            if limit != 80:
                alter(played, "sized", "--retention-size", f"{limit}MiB")
            # Kafka deletes whole log segments, here of 8 MiB, and keeps no less than the limit.
            until(lambda most=limit + 10: kept(client, url)[1] < most * MIB, "Kafka to delete")
            first, left = kept(client, url)
            # A media segment of 5 MB that began before what is kept is lost whole.
            assert left > (limit - 6) * MIB
            # A list that is made now begins with what is there.
            late = f"{played.edge()}/media/sized/noise/{url.rpartition('/')[2]}"
            listed = fetch(client, late)
            assert listed.segments[0].uri == first
            assert listed.ended
        gone = client.get(f"{base}/still.jpg?at={begun_s + 1}")
        assert (gone.status_code, "no picture is kept" in gone.text) == (404, True)


@pytest.mark.slow
def test_kafka_keeps_what_the_time_allows_and_it_is_changed_meanwhile(played: Stage) -> None:
    """Of a live camera."""
    create(played, "timed", "--retention", "2h")
    played.camera("timed/camera")
    base = f"{played.edge()}/media/timed/camera"
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        until(lambda: client.get(f"{base}/index.m3u8").status_code == 200, "the camera")
        begun = until(lambda: client.get(f"{base}/timeline").json()["ranges"], "a segment")
        url = f"{base}/video.m3u8?start={datetime.fromisoformat(begun[0]['start']).timestamp()}"

        def first_and_last() -> tuple[int, int]:
            listed = fetch(client, url)
            return listed.first_msn, listed.last[0]

        assert first_and_last()[0] == 0
        alter(played, "timed", "--retention", "1m")
        until(lambda: first_and_last()[0] > 0, "Kafka to delete", 150)
        first, last = first_and_last()
        # Log segments of ten seconds, looked at every five.
        assert 28 <= last - first <= 45
        gone = client.get(f"{base}/still.jpg?at={begun[0]['start']}")
        assert (gone.status_code, "no picture is kept" in gone.text) == (404, True)
        alter(played, "timed", "--retention", "forever")
        # Once the brokers know, all stays.
        until(lambda: first_and_last()[1] > last + 3, "some seconds of the camera")
        stays = first_and_last()[0]
        until(lambda: first_and_last()[1] > last + 18, "half a minute of the camera")
        assert first_and_last()[0] == stays
        assert kept(client, url)[0] == fetch(client, url).segments[0].uri


@pytest.mark.slow
def test_the_past_before_a_moment_is_deleted_where_it_is_the_streams_own(played: Stage) -> None:
    stream = "own/camera"
    create(played, "own", "--partition-strategy", "dedicated")
    begun_s = float(int(time.time()) - 300)
    for at_s in (0, 100):
        played.published(stream, "seconds=60", f"--at={begun_s + at_s:.0f}")
    base = f"{played.edge()}/media/{stream}"
    with httpx.Client(timeout=30) as client:
        whole = fetch(client, f"{base}/video.m3u8?start={begun_s}&end={begun_s + 200}")
        growing = fetch(client, f"{base}/video.m3u8?start={begun_s}")
        assert len(whole.segments) == 60
        assert growing.first_msn == 0
        manifest = f"{base}/manifest.mpd?start={begun_s}"
        assert f'start="PT{begun_s:.0f}' in client.get(manifest, follow_redirects=True).text
        done = run(played, "streams", "trim", stream, "--before", str(begun_s + 121), "--json")
        assert done.returncode == 0, done.stderr

        def left() -> bool:
            return client.get(f"{base}/{whole.segments[0].uri}").status_code == 404

        until(left, "the edge to see it")
        after = fetch(client, f"{base}/video.m3u8?start={begun_s}&end={begun_s + 201}")
        # The segment with the moment stays, and what is behind it.
        assert [s.uri for s in after.segments] == [s.uri for s in whole.segments[40:]]
        told = client.get(f"{base}/timeline").json()
        assert len(told["ranges"]) == 1
        gone = client.get(f"{base}/video.m3u8?start={begun_s}&end={begun_s + 60}")
        assert (gone.status_code, "nothing is kept" in gone.text) == (404, True)
        # What was asked of this edge before, too; and another's is the same.
        late = f"{played.edge()}/media/{stream}"
        for where in (base, late):
            moved = fetch(client, f"{where}/video.m3u8?start={begun_s}")
            assert moved.first_msn == 40
            assert client.get(f"{where}/{moved.segments[0].uri}").status_code == 200
            mpd = client.get(f"{where}/manifest.mpd?start={begun_s}", follow_redirects=True).text
            assert f'start="PT{begun_s + 120:.0f}' in mpd
            assert f'start="PT{begun_s:.0f}' not in mpd


@pytest.mark.slow
def test_what_is_deleted_is_gone_from_the_memory_of_edges(played: Stage) -> None:
    """One that had it, and had made a clip of it, says what another says that begins then."""
    stream = "own/held"
    run(played, "collections", "create", "own", "--partition-strategy", "dedicated")
    begun_s = int(time.time()) - 100
    played.published(stream, "seconds=60", f"--at={begun_s}")
    span = f"start={begun_s}&end={begun_s + 60}"
    clips = [f"clip.mp4?start={begun_s + 1}&end={begun_s + end}" for end in (46, 60)]
    first = f"{played.edge()}/media/{stream}"
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        listed = fetch(client, f"{first}/video.m3u8")
        trimmed_s = begun_s + 45
        assert datetime.fromisoformat(listed.segments[1].date).timestamp() < trimmed_s - 2
        before = [client.get(f"{first}/{clip}").raise_for_status().content for clip in clips]
        assert len(fetch(client, f"{first}/video.m3u8?{span}").segments) == 30
        done = run(played, "streams", "trim", stream, "--before", str(trimmed_s))
        assert done.returncode == 0, done.stderr
        other = f"{played.edge()}/media/{stream}"
        after = [client.get(f"{first}/{clip}") for clip in clips]
        assert [one.status_code for one in after] == [200, 200]
        assert [len(one.content) for one in after] < [len(one) for one in before]
        names = ("video.m3u8", "audio.m3u8", "manifest.mpd")
        # Of a closed range, a moment later: what was asked for before is kept for a minute.
        closed = f"start={begun_s}&end={begun_s + 61}"
        asked = [
            *clips,
            *(f"{name}?{query}" for name in names for query in (closed, f"start={begun_s}")),
            f"index.m3u8?{closed}",
            "video.m3u8?dvr=5m",
        ]
        for what in asked:
            said, told = (client.get(f"{edge}/{what}") for edge in (first, other))
            assert said.status_code == 200, (what, said.text[:200])
            assert said.content == told.content, what
        ranges = [client.get(f"{at}/timeline?{closed}").json()["ranges"] for at in (first, other)]
        assert ranges[0] == ranges[1]
        begins = []
        for at in (first, other):
            with Watch(at.partition("/media/")[0], stream, f"start={begun_s + 40}") as watch:
                seen = watch.until(lambda seen: seen.of("video"))
                begins.append(seen.told("position")[0]["at_ms"])
        assert begins[0] == begins[1] > 1000 * (begun_s + 43)
        left = fetch(client, f"{first}/video.m3u8?{closed}").segments
        assert len(left) == 8
        grown = fetch(client, f"{first}/video.m3u8?start={begun_s}").segments
        assert [one.uri for one in grown] == [one.uri for one in left]


@pytest.mark.slow
def test_what_is_left_of_a_short_session_is_live(played: Stage) -> None:
    """Of the session before, which would be in the live window, only the index tells."""
    stream = "own/short"
    run(played, "collections", "create", "own", "--partition-strategy", "dedicated")
    begun_s = int(time.time()) - 300
    for at_s, seconds in ((0, 60), (100, 30)):
        played.published(stream, f"seconds={seconds}", f"--at={begun_s + at_s}")
    done = run(played, "streams", "trim", stream, "--before", str(begun_s + 121))
    assert done.returncode == 0, done.stderr
    base = f"{played.edge()}/media/{stream}"
    with httpx.Client(timeout=30, follow_redirects=True) as client:
        for query in ("", f"?start={begun_s}", "?dvr=5m"):
            listed = fetch(client, f"{base}/video.m3u8{query}")
            numbers = [int(s.uri.split("/")[-1].split(".")[0]) for s in listed.segments]
            assert numbers == list(range(40, 45)), query
            for segment in listed.segments:
                assert client.get(f"{base}/{segment.uri}").status_code == 200
            assert client.get(f"{base}/index.m3u8{query}").status_code == 200
            assert client.get(f"{base}/manifest.mpd{query}").status_code == 200


def test_only_a_list_of_which_nothing_can_go_away_says_so(played: Stage) -> None:
    """EXT-X-PLAYLIST-TYPE:EVENT: until the collection's retention ends that, and not of a stream
    that can be trimmed."""
    for collection, *flags in (("kept",), ("trimmable", "--partition-strategy", "dedicated")):
        create(played, collection, "--retention", "forever", *flags)
        played.published(f"{collection}/camera", "seconds=6")
    edge = played.edge()

    def kind(collection: str) -> str | None:
        url = f"{edge}/media/{collection}/camera/video.m3u8?start={time.time() - 600}"
        return fetch(client, url).head.get("#EXT-X-PLAYLIST-TYPE")

    with httpx.Client(timeout=30) as client:
        assert kind("kept") == "EVENT"
        assert kind("trimmable") is None
        alter(played, "kept", "--retention", "7d")
        until(lambda: kind("kept") is None, "the edge to hear of it")


@pytest.mark.slow
def test_a_shared_partition_is_not_trimmed(played: Stage) -> None:
    played.published("shared/camera", "seconds=6")
    done = run(played, "streams", "trim", "shared/camera", "--before", "-1s")
    assert done.returncode == 2
    assert "shares" in done.stderr
    assert "dedicated" in done.stderr
    nobody = run(played, "streams", "trim", "shared/nobody", "--before", "-1s")
    assert (nobody.returncode, "no stream" in nobody.stderr) == (2, True)
