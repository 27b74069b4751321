"""What goes away: a stream's past before a moment, and who is watching it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from hls_stage import KINOLOG, Stage, fetch, stage, until
from ws_watch import Watch

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("retention")) as found:
        yield found


def run(played: Stage, *words: str) -> subprocess.CompletedProcess[str]:
    kafka = ("--bootstrap-servers", played.bootstrap, "--topic-prefix", played.prefix)
    return subprocess.run(
        [str(KINOLOG), *words, *kafka], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.slow
def test_the_past_before_a_moment_is_deleted_where_it_is_the_streams_own(played: Stage) -> None:
    stream = "own/camera"
    made = run(played, "collections", "create", "own", "--partition-strategy", "dedicated")
    assert made.returncode == 0, made.stderr
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
        made = run(played, "collections", "create", collection, "--retention", "forever", *flags)
        assert made.returncode == 0, made.stderr
        played.published(f"{collection}/camera", "seconds=6")
    edge = played.edge()

    def kind(collection: str) -> str | None:
        url = f"{edge}/media/{collection}/camera/video.m3u8?start={time.time() - 600}"
        return fetch(client, url).head.get("#EXT-X-PLAYLIST-TYPE")

    with httpx.Client(timeout=30) as client:
        assert kind("kept") == "EVENT"
        assert kind("trimmable") is None
        assert run(played, "collections", "alter", "kept", "--retention", "7d").returncode == 0
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
