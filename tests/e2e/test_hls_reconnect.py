"""A publisher that leaves and comes back: playlists stay valid, edges agree, players go on."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import httpx
import pytest
from hls_stage import Playlist, Stage, fetch, stage, stop, until
from hls_watch import Watcher, check_parser

pytestmark = [pytest.mark.cluster, pytest.mark.alone]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("reconnect")) as found:
        yield found


class Player(Protocol):
    """A player that watches a run."""

    def open(self, edge: str, stream: str) -> None:
        """Begin to play."""

    def leaving(self) -> None:
        """The publisher is about to leave."""


class Run(NamedTuple):
    """What was seen of a run in which the publisher was replaced `reconnects` times."""

    watchers: dict[tuple[int, str, bool], Watcher]
    reconnects: int

    def of(self, edge: int, track: str = "video", skip: bool = False) -> Watcher:
        return self.watchers[edge, track, skip]


def run(
    played: Stage, stream: str, first_s: float, second_s: float, player: Player | None = None
) -> Run:
    """Publish, leave for some seconds, publish again; watched at two edges, one started late."""
    camera = played.camera(stream)
    edges = [played.edge()]
    base = f"{edges[0]}/media/{stream}/"
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(f"{base}video.m3u8").status_code == 200, "a playlist")
    watchers = {
        (0, track, skip): Watcher(f"{base}{track}.m3u8", skip=skip)
        for track in ("video", "audio")
        for skip in (False, True)
    }
    for watcher in watchers.values():
        watcher.start()
    if player is not None:
        player.open(edges[0], stream)
    until(lambda: length_s(watchers[0, "video", False]) > first_s / 2, "half a stream", 400)
    edges.append(played.edge())
    for track in ("video", "audio"):
        late = Watcher(f"{edges[1]}/media/{stream}/{track}.m3u8")
        watchers[1, track, False] = late
        late.start()
    until(lambda: length_s(watchers[0, "video", False]) > first_s, "a stream", 400)
    if player is not None:
        player.leaving()
    stop(camera)
    camera = played.camera(stream)
    before_s = length_s(watchers[0, "video", False])
    until(lambda: length_s(watchers[0, "video", False]) > before_s + second_s, "its rest", 400)
    for watcher in watchers.values():
        watcher.over.set()
    for watcher in watchers.values():
        watcher.join(40)
    if player is not None:
        player.leaving()
    stop(camera)
    return Run(watchers, 1)


def length_s(watcher: Watcher) -> float:
    """Seconds of media since the stream's first segment, by the newest segments' number."""
    if not watcher.bodies:
        return 0.0
    newest = Playlist(watcher.bodies[-1].decode())
    return newest.last[0] * newest.target_s


@pytest.fixture(scope="module")
def short(played: Stage) -> Run:
    return run(played, "hls/short", 16, 12)


def parse_all(seen: Run) -> None:
    playlists = [
        (f"edge {edge} {track} skip={skip} {index}", body.decode())
        for (edge, track, skip), watcher in seen.watchers.items()
        for index, body in enumerate(watcher.bodies)
    ]
    parsed, failures = check_parser(playlists)
    deltas = sum("EXT-X-SKIP" in text for _, text in playlists)
    across = sum("EXT-X-DISCONTINUITY\n" in text for _, text in playlists)
    print(f"hls-parser: {parsed} playlists, {deltas} of them deltas, {across} over a reconnect")
    texts = dict(playlists)
    assert not failures, f"{len(failures)}, first {failures[0]}\n{texts[failures[0]['name']]}"
    assert parsed == len(playlists) > 200
    assert across > 20


@pytest.mark.timeout(240)
def test_hls_parser_refuses_what_is_wrong(short: Run) -> None:
    """The control: strict mode is on, and sees what it should."""
    text = short.of(0).bodies[-1].decode()
    wrong = [
        ("a long segment", re.sub(r"#EXTINF:[\d.]+", "#EXTINF:9.000000", text, count=1)),
        ("no target", re.sub(r"#EXT-X-TARGETDURATION:\d+\n", "", text)),
        ("a hold-back too short", re.sub(r"PART-HOLD-BACK=[\d.]+", "PART-HOLD-BACK=0.1", text)),
    ]
    _, failures = check_parser(wrong)
    assert [failure["name"] for failure in failures] == [name for name, _ in wrong]


@pytest.mark.timeout(240)
def test_hls_parser_accepts_every_playlist(short: Run) -> None:
    parse_all(short)


@pytest.mark.timeout(240)
def test_edges_agree_over_a_reconnect(short: Run) -> None:
    for track in ("video", "audio"):
        early, late = (
            {Playlist(body.decode()).last: body for body in short.of(edge, track).bodies}
            for edge in (0, 1)
        )
        both = [p for p in early.keys() & late.keys() if "DISCONTINUITY\n" in early[p].decode()]
        print(f"{track}: {len(both)} positions at both edges after the reconnect")
        assert len(both) > 10
        assert [position for position in both if early[position] != late[position]] == []


@pytest.mark.timeout(240)
def test_discontinuity_and_map_come_before_the_first_part(short: Run) -> None:
    for track in ("video", "audio"):
        joins = 0
        for playlist in short.of(0, track).playlists():
            segments = [*playlist.segments, *([playlist.growing] if playlist.growing else [])]
            epochs = [(s.uri or s.parts[0][0]).split("/")[1] for s in segments]
            for index, segment in enumerate(segments):
                tags = [line.partition(":")[0] for line in segment.lead]
                if index and epochs[index] != epochs[index - 1]:
                    # (Playlist asserts that a segment's tags come before its parts.)
                    assert tags == ["#EXT-X-DISCONTINUITY", "#EXT-X-MAP"]
                    assert f"{epochs[index]}/init.mp4" in segment.lead[1]
                    joins += 1
                else:
                    assert tags == ([] if index else ["#EXT-X-MAP"])
        assert joins > 10


@pytest.mark.timeout(240)
def test_a_player_that_follows_gets_no_error(short: Run) -> None:
    """Blocking reloads during the absence end in playlists, not in errors."""
    for watcher in short.watchers.values():
        assert set(watcher.statuses) == {200}
        numbers = [playlist.last for playlist in watcher.playlists()]
        assert numbers == sorted(numbers)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_blocked_request_is_given_up_after_three_targets(played: Stage) -> None:
    """The publisher is killed, so nothing says that it has left: 503, and soon no longer live."""
    stream = "hls/killed"
    camera = played.camera(stream)
    edges = [played.edge(), played.edge()]
    base = f"{edges[0]}/media/{stream}/"
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(f"{base}video.m3u8").status_code == 200, "a playlist")

        def state(edge: str) -> str:
            found = client.get(f"{edge}/api/streams").json()["streams"]
            return next(str(one["state"]) for one in found if one["name"] == "killed")

        # The second edge does not follow the stream.
        assert [state(edge) for edge in edges] == ["live", "live"]
        camera.send_signal(signal.SIGKILL)
        camera.wait(10)
        playlist = settled(client, f"{base}video.m3u8")
        msn, part = playlist.next
        began = time.monotonic()
        answer = client.get(f"{base}video.m3u8?_HLS_msn={msn}&_HLS_part={part}")
        waited_s = time.monotonic() - began
        print(f"503 after {waited_s:.1f} s of a target duration of {playlist.target_s} s")
        assert answer.status_code == 503
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["cache-control"] == "no-store"
        assert waited_s >= 3 * playlist.target_s
        hint = client.get(base + playlist.hints[0])
        assert hint.status_code == 503
        for edge in edges:
            until(lambda edge=edge: state(edge) == "away", "a stream that is not live")


def settled(client: httpx.Client, url: str) -> Playlist:
    """The playlist once what was on its way has come."""
    last = fetch(client, url)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        time.sleep(1)
        now = fetch(client, url)
        if now.text == last.text:
            return now
        last = now
    raise AssertionError("the playlist still grows")


@pytest.mark.timeout(240)
def test_a_blocked_request_of_a_stream_that_is_away(played: Stage) -> None:
    """Its publisher said good-bye: the playlist as it is, not to be kept, after three targets."""
    stream = "hls/away"
    played.published(stream, "seconds=7")
    base = f"{played.edge()}/media/{stream}/"
    with httpx.Client(timeout=30) as client:
        playlist = fetch(client, f"{base}video.m3u8")
        msn, part = playlist.next
        answer = client.get(f"{base}video.m3u8?_HLS_msn={msn}&_HLS_part={part}")
        assert answer.status_code == 200
        assert answer.text == playlist.text
        assert answer.headers["cache-control"] == "no-store"
        assert "EXT-X-ENDLIST" not in answer.text
