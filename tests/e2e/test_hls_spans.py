"""The past of a stream by time: closed ranges, start-over, a DVR window, the timeline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hls_stage import Playlist, Stage, fetch, stage, stop, until
from hls_watch import check_parser

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

STREAM = "replay/camera"
LONG = "replay/long"
SEGMENTS = 10_000
"""Of the long stream: more than a page of the third level holds."""


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("replay")) as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@dataclass(frozen=True)
class Recorded:
    """Two edges, one older than what was recorded, and when the recording began: two minutes, a
    minute without anything, another two minutes."""

    edges: tuple[str, str]
    begun: datetime

    def url(self, name: str, start_s: float, end_s: float | None = None, edge: int = 0) -> str:
        """A playlist of a range, in seconds of the recording."""
        end = f"&end={self.seconds(end_s)}" if end_s is not None else ""
        return f"{self.edges[edge]}/media/{STREAM}/{name}?start={self.seconds(start_s)}{end}"

    def seconds(self, of_recording_s: float) -> float:
        return (self.begun + timedelta(seconds=of_recording_s)).timestamp()


@pytest.fixture(scope="module")
def recorded(played: Stage) -> Recorded:
    early = played.edge()
    begun = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for offset_s in (0, 180):
        at = (begun + timedelta(seconds=offset_s)).isoformat()
        played.published(STREAM, "seconds=120", f"--at={at}")
    return Recorded((early, played.edge()), begun)


def since(recorded: Recorded, date: str) -> float:
    return (datetime.fromisoformat(date) - recorded.begun).total_seconds()


def check_strict(playlist: Playlist) -> None:
    read, refused = check_parser([("video.m3u8", playlist.text)])
    assert (read, refused) == (1, [])


def check_bodies(client: httpx.Client, url: str, playlist: Playlist) -> None:
    """The first and the last segment are there, and their init segments."""
    maps = [line.split('"')[1] for s in playlist.segments for line in s.lead if "MAP" in line]
    for uri in (*maps, playlist.segments[0].uri, playlist.segments[-1].uri):
        answer = client.get(httpx.URL(url).join(uri))
        assert (answer.status_code, uri) == (200, uri)
        assert answer.content[4:8] in (b"ftyp", b"prft", b"moof")


@pytest.mark.parametrize("track", ["video", "audio"])
def test_a_closed_range_is_a_film(recorded: Recorded, client: httpx.Client, track: str) -> None:
    url = recorded.url(f"{track}.m3u8", 30.5, 90.5)
    playlist = fetch(client, url)
    assert playlist.ended
    assert playlist.head["#EXT-X-PLAYLIST-TYPE"] == "VOD"
    first_s = since(recorded, playlist.segments[0].date)
    assert 28 < first_s <= 30.5
    length_s = sum(segment.seconds for segment in playlist.segments)
    assert first_s + length_s - 2.1 < 90.5 <= first_s + length_s
    offset = playlist.head["#EXT-X-START"]
    assert f"TIME-OFFSET={30.5 - first_s:.3f}" in offset
    assert len([s for s in playlist.segments if s.lead]) == 1  # one session, nothing missing
    check_bodies(client, url, playlist)
    check_strict(playlist)


def test_a_range_over_an_absence_has_one_discontinuity(
    recorded: Recorded, client: httpx.Client
) -> None:
    url = recorded.url("video.m3u8", 100, 200)
    playlist = fetch(client, url)
    breaks = [s for s in playlist.segments if "#EXT-X-DISCONTINUITY" in s.lead]
    assert [since(recorded, s.date) for s in breaks] == [pytest.approx(180, abs=0.1)]
    assert sum(s.seconds for s in playlist.segments) == pytest.approx(40, abs=4)
    check_bodies(client, url, playlist)
    check_strict(playlist)


def test_sound_of_a_growing_list_begins_where_pictures_do(
    recorded: Recorded, client: httpx.Client
) -> None:
    """Once it has ended, players take what stands first in each list for simultaneous. Sound's
    segments end up to a frame behind those of video."""
    for moment_s in (0, 9.96, 9.99, 10, 10.01, 11, 118, 119, 150, 200, 200.005):
        firsts = [
            fetch(client, recorded.url(f"{track}.m3u8", moment_s)).segments[0]
            for track in ("video", "audio")
        ]
        video_s, audio_s = (since(recorded, one.date) for one in firsts)
        assert audio_s == pytest.approx(video_s, abs=0.03)
        assert video_s <= moment_s or moment_s == 150


def test_a_list_from_amid_a_gop_begins_with_its_keyframe(
    played: Stage, recorded: Recorded, client: httpx.Client
) -> None:
    stream = "replay/long"
    begun_s = int(recorded.seconds(0))
    played.published(stream, "seconds=60&gop=10", f"--at={begun_s}")
    base = f"{recorded.edges[0]}/media/{stream}"
    for start_s in (15, 10, 23.5):
        for query in (
            f"start={begun_s + start_s}",
            f"start={begun_s + start_s}&end={begun_s + 25}",
        ):
            for track in ("video", "audio"):
                playlist = fetch(client, f"{base}/{track}.m3u8?{query}")
                first_s = since(recorded, playlist.segments[0].date)
                assert first_s == pytest.approx(start_s // 10 * 10, abs=0.03)
                # Players begin to load where they begin to play.
                offset = playlist.head.get("#EXT-X-START", "TIME-OFFSET=0.000000,")
                assert offset.startswith("TIME-OFFSET=0.0")


@pytest.mark.parametrize("end_s", [180, 179.999, 150, 120.5])
def test_sound_of_another_session_is_not_in_a_range_without_its_pictures(
    recorded: Recorded, client: httpx.Client, end_s: float
) -> None:
    for track in ("video", "audio"):
        playlist = fetch(client, recorded.url(f"{track}.m3u8", 110, end_s))
        assert "DISCONTINUITY\n" not in playlist.text
    manifest = client.get(recorded.url("manifest.mpd", 110, end_s)).text
    assert manifest.count("<Period ") == 1


def test_every_edge_says_the_same(recorded: Recorded, client: httpx.Client) -> None:
    for name in ("index.m3u8", "video.m3u8", "audio.m3u8"):
        one, other = (client.get(recorded.url(name, 10, 200, edge)).content for edge in (0, 1))
        assert one == other


def test_the_multivariant_playlist_hands_the_range_on(
    recorded: Recorded, client: httpx.Client
) -> None:
    text = client.get(recorded.url("index.m3u8", 10, 20)).text
    query = f"start={recorded.seconds(10):.0f}&end={recorded.seconds(20):.0f}"
    assert f"\nvideo.m3u8?{query}\n" in text
    assert f'URI="audio.m3u8?{query}"' in text
    assert 'CODECS="avc1.' in text
    relative = client.get(f"{recorded.edges[0]}/media/{STREAM}/index.m3u8?start=-2h&end=-30m")
    assert "start=-" not in relative.text
    assert relative.headers["cache-control"] == "no-cache"
    assert relative.text.count("start=1") == 2


def test_the_timeline_tells_ranges_and_gaps(recorded: Recorded, client: httpx.Client) -> None:
    answer = client.get(f"{recorded.edges[1]}/media/{STREAM}/timeline?resolution=0.1s")
    told = answer.json()
    ranges = [(since(recorded, r["start"]), since(recorded, r["end"])) for r in told["ranges"]]
    assert ranges == [pytest.approx((0, 120), abs=0.1), pytest.approx((180, 300), abs=0.1)]
    (gap,) = told["gaps"]
    assert since(recorded, gap["start"]) == pytest.approx(120, abs=0.1)
    assert since(recorded, gap["end"]) == pytest.approx(180, abs=0.1)
    assert [one["tracks"][0]["codec"][:5] for one in told["epochs"]] == ["avc1."] * 2
    part = client.get(recorded.url("timeline", 50, 190)).json()
    ranges = [(since(recorded, r["start"]), since(recorded, r["end"])) for r in part["ranges"]]
    assert ranges == [pytest.approx((50, 120), abs=2.1), pytest.approx((180, 190), abs=2.1)]


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("start=tomorrow", 400, "not a time"),
        ("start=4000000000", 400, "future"),
        ("start=-5m&end=-10m", 400, "end is not after start"),
        ("start=-5m&end=-5m", 400, "end is not after start"),
        ("end=-5m", 400, "end needs a start"),
        ("dvr=-5m", 400, "not a duration"),
        ("dvr=2h&start=-5m", 400, "neither"),
        ("start=0&end=1000", 404, "nothing is kept"),
        ("start=-1s&start=-2s", 400, "twice"),
        ("start=1e309", 400, "not a time"),
        ("start=%00", 400, "not a time"),
    ],
)
@pytest.mark.parametrize("name", ["index.m3u8", "video.m3u8", "manifest.mpd"])
def test_what_cannot_be_is_said(
    recorded: Recorded, client: httpx.Client, name: str, query: str, status: int, why: str
) -> None:
    answer = client.get(f"{recorded.edges[0]}/media/{STREAM}/{name}?{query}")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


@dataclass
class Seen:
    """What two edges say of a growing playlist, while one after the other is asked."""

    client: httpx.Client
    base: str
    late: str
    url: str
    texts: dict[tuple[int, int], dict[str, str]] = field(default_factory=dict)
    firsts: set[int] = field(default_factory=set)

    def ask(self, edge: str) -> Playlist:
        """The next version, whole; its delta is checked, too."""
        live = fetch(self.client, f"{self.base}/video.m3u8")
        position = "_HLS_msn={}&_HLS_part={}".format(*live.next)
        found = fetch(self.client, f"{edge}{self.url}&{position}")
        assert found.last >= live.next
        assert found.first_msn <= live.first_msn
        assert not found.ended
        delta = fetch(self.client, f"{edge}{self.url}&{position}&_HLS_skip=YES")
        assert delta.skipped > len(live.segments) / 2
        assert delta.last >= found.last
        return found

    def the_same(self) -> bool:
        """Ask both; whether three positions were seen at both. Those must be the same."""
        with ThreadPoolExecutor(2) as pool:
            for edge, found in zip(
                (self.base, self.late), pool.map(self.ask, (self.base, self.late)), strict=True
            ):
                self.texts.setdefault(found.last, {})[edge] = found.text
                self.firsts.add(found.first_msn)
        both = [texts for texts in self.texts.values() if len(texts) == 2]
        assert all(len(set(texts.values())) == 1 for texts in both)
        return len(both) >= 3


def test_a_live_stream_from_its_start_and_with_a_window(
    played: Stage, client: httpx.Client
) -> None:
    """Both grow as the live playlist does, and say the same at an edge that began late."""
    stream = "replay/live"
    played.published(stream, "seconds=100", "--at=-110s")
    camera = played.camera(stream)
    base = f"{played.edge()}/media/{stream}"
    until(lambda: client.get(f"{base}/video.m3u8").status_code == 200, "a playlist")
    start_s = time.time() - 70
    late = f"{played.edge()}/media/{stream}"
    fetch(client, f"{late}/video.m3u8?start={start_s:.3f}")
    for query in (f"start={start_s:.3f}", "dvr=90s"):
        seen = Seen(client, base, late, f"/video.m3u8?{query}")
        until(seen.the_same, "the same positions at both edges")
        playlist = seen.ask(base)
        assert "#EXT-X-DISCONTINUITY" in playlist.text
        check_strict(playlist)
        check_bodies(client, seen.base + seen.url, playlist)
        if query.startswith("start"):
            assert len(seen.firsts) == 1
            assert "TIME-OFFSET" in playlist.head["#EXT-X-START"]
    assert (
        f"audio.m3u8?start={start_s:.3f}".rstrip("0")
        in client.get(f"{base}/index.m3u8?start={start_s:.3f}").text
    )
    moved = client.get(f"{base}/video.m3u8?start=-1m")
    assert moved.status_code == 307
    assert moved.headers["location"].startswith("video.m3u8?start=1")
    end_s = time.time()
    film = fetch(client, f"{base}/video.m3u8?start={end_s - 20:.3f}&end={end_s:.3f}")
    assert film.ended
    dated = [n for n, segment in enumerate(film.segments) if segment.date][-1]
    begun_s = datetime.fromisoformat(film.segments[dated].date).timestamp()
    filmed_s = begun_s + sum(segment.seconds for segment in film.segments[dated:])
    assert filmed_s >= end_s - 0.01  # the segment in progress was waited for
    stop(camera)


@pytest.fixture(scope="module")
def long(played: Stage) -> tuple[str, float]:
    """A stream of 1 picture a second, and when it began."""
    begun_s = int(time.time()) - 2 * SEGMENTS - 100.0
    source = f"test:160x90@1?gop=2&audio=0&seconds={2 * SEGMENTS}"
    words = ("--fast", f"--at={begun_s}", "--profile", "standard")
    assert played.start("publish", source, LONG, *words).wait(240) == 0
    return f"{played.edge()}/media/{LONG}", begun_s


@pytest.mark.slow
def test_a_long_past_is_there_to_the_segment(long: tuple[str, float], client: httpx.Client) -> None:
    base, begun_s = long
    whole = fetch(client, f"{base}/video.m3u8?start={begun_s}&end={begun_s + 2 * SEGMENTS}")
    assert len(whole.segments) == SEGMENTS
    assert len({s.uri for s in whole.segments}) == SEGMENTS
    assert sum(s.seconds for s in whole.segments) == 2 * SEGMENTS
    for at in (0, 31, 32, 511, 512, 5000, 8191, 8192, SEGMENTS - 33, SEGMENTS - 1):
        begin_s = begun_s + 2 * at
        part = fetch(client, f"{base}/video.m3u8?start={begin_s}&end={begin_s + 2}")
        assert [s.uri for s in part.segments] == [whole.segments[at].uri]
        assert datetime.fromisoformat(part.segments[0].date).timestamp() == begin_s
        assert client.get(f"{base}/{part.segments[0].uri}").status_code == 200
    told = client.get(f"{base}/timeline").json()
    assert len(told["ranges"]) == 1
    assert told["gaps"] == []
