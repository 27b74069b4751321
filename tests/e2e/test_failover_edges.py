"""kill -9 of one of two edges: the other answers the same URLs with the same bytes."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from failover_kit import (
    Player,
    Roles,
    assert_nothing_lost,
    assert_player_has_all,
    longest_gap,
    new_name,
    parse_playlist,
    stream_of,
    wait_for,
)
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import read_ack_log

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

SECONDS = 18
COMPARED = 20
STALL_S = 6.0


def test_the_other_edge_has_the_same_bytes(
    one_broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = StreamName(new_name("edges"), "cam")
    acks = tmp_path / "acks.jsonl"
    with Roles(one_broker, tmp_path) as roles:
        first, first_url = roles.edge()
        camera = f"test:192x108@30?seconds={SECONDS}"
        publisher = roles.kinolog("publish", camera, name, "--ack-log", acks)
        wait_for("acknowledgements", lambda: acks.exists() and len(read_ack_log(acks)) > 20)
        player = Player([first_url], name)
        wait_for("parts at the player", lambda: len(player.parts) > 5)
        _, second_url = roles.edge()  # in the middle of the stream
        urls = [first_url, second_url]
        player.bases_of(urls)

        same = {track: compare_reloads(urls, name, track) for track in ("video", "audio")}
        media = {
            path: fetch(first_url, name, path)
            for track in ("video", "audio")
            for path in everything_listed(fetch(first_url, name, f"{track}.m3u8").decode())
        }
        first.signal(signal.SIGKILL)
        first.process.wait(10)
        for path, body in media.items():
            assert fetch(second_url, name, path) == body, path
        publisher.ended_well(60)

        found = stream_of(one_broker, name)
        assert_player_has_all(player, found)
        verdict = assert_nothing_lost(acks, found)
        gap = longest_gap(player.moments())
        with capsys.disabled():
            print(
                f"\nedge killed: {same} playlists and {len(media)} media bodies "
                f"({sum(map(len, media.values()))} bytes) the same; {verdict}; the player's "
                f"longest gap {gap:.2f} s, problems: {len(player.problems)}"
            )
        assert player.problems, "the player never met the dead edge: this shows nothing"
        assert gap < STALL_S


def fetch(url: str, name: StreamName, path: str) -> bytes:
    answer = httpx.get(f"{url}/media/{name.collection}/{name.name}/{path}", timeout=15)
    assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:200]}"
    return answer.content


def everything_listed(playlist: str) -> list[str]:
    """URIs of init segments, parts and whole media segments."""
    found: list[str] = []
    for item in parse_playlist(playlist):
        found += [item.map_uri, *item.parts, *([item.uri] if item.uri else [])]
    return list(dict.fromkeys(found))


def position(playlist: str) -> tuple[int, int]:
    """(MSN, parts) of the newest segment."""
    newest = parse_playlist(playlist)[-1]
    return newest.msn, len(newest.parts) if newest.uri is None else -1


def compare_reloads(urls: list[str], name: StreamName, track: str) -> int:
    """Follow a track by blocking reloads on all edges at once; playlists at the same (MSN, part)
    must be the same bytes. How many were."""
    same = 0
    query = ""
    with ThreadPoolExecutor(len(urls)) as threads:
        while same < COMPARED:
            path = f"{track}.m3u8{query}"
            texts = list(threads.map(lambda url, path=path: fetch(url, name, path).decode(), urls))
            places = [position(text) for text in texts]
            if len(set(places)) == 1:
                assert len(set(texts)) == 1, f"{path} differs at {places[0]}"
                same += 1
            msn, parts = max(places)
            query = f"?_HLS_msn={msn}&_HLS_part={parts}" if parts >= 0 else ""
            query = query or f"?_HLS_msn={msn + 1}&_HLS_part=0"
    return same
