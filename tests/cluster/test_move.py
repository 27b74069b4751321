"""A stream moves between sessions, ingest begins with nothing: readers notice nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from failover_kit import (
    Player,
    Roles,
    assert_nothing_lost,
    assert_player_has_all,
    decode,
    make_collection,
    media_numbers,
    new_name,
    numbers_of,
    parse_playlist,
    same_over,
    stream_entry,
    stream_of,
    wait_for,
    wait_for_session,
)
from kinolog.core.names import StreamName

pytestmark = pytest.mark.cluster

SECONDS, RATE = 5, 30


@pytest.mark.slow
def test_a_stream_that_moves_is_the_same_stream(
    one_broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three sessions, each of a new process: in one partition, in another, in the first again.
    Two edges run all the time, one starts after each move."""
    collection = new_name("move")
    make_collection(one_broker, collection, partitions=2, replication_factor=1)
    name, acks = StreamName(collection, "cam"), tmp_path / "acks.jsonl"
    with Roles(one_broker, tmp_path) as roles:
        urls = roles.edges(2)
        _publish(roles, name, acks, 0)
        home = stream_entry(one_broker, name).placements[0].partition
        player = Player(urls[:1], name)
        wait_for("the first session at the player", lambda: len(player.parts) > 0)

        for session, partition in ((1, 1 - home), (2, home)):
            moving = roles.run("move", *roles.command("streams", "move", name, partition))
            moving.ended_well(30)
            _publish(roles, name, acks, session)
            found = stream_of(one_broker, name)
            assert len(found.opens) == session + 1
            urls.append(roles.edge()[1])
            wait_for_session(urls, name, found)
            for path in ("video.m3u8", "audio.m3u8", "index.m3u8"):
                same_over(urls, name, path)

        assert [p.partition for p in stream_entry(one_broker, name).placements] == [
            home,
            1 - home,
            home,
        ]
        assert_player_has_all(player, found)
        verdict = assert_nothing_lost(acks, found)
        listed = parse_playlist(same_over(urls, name, "video.m3u8").decode())
        for item in listed:
            assert item.uri is not None
            same_over(urls, name, item.uri)
            same_over(urls, name, item.map_uri)
        with capsys.disabled():
            print(f"\nmoved twice: {verdict}; {len(listed)} segments the same on {len(urls)} edges")
        assert numbers_of(found.codes()) == list(range(3 * SECONDS * RATE))
        numbers = media_numbers(found)
        assert numbers == list(range(numbers[-1] + 1))
        assert [item.msn for item in listed] == numbers
        assert sum(item.discontinuity for item in listed) == 2
        shown = numbers_of(decode(player.media()))
        assert shown == list(range(shown[0], 3 * SECONDS * RATE))
        # Between two sessions nothing grows: a request that waits is told so in the end.
        assert all("503 the playlist did not grow in time" in text for text in player.problems)


def _publish(roles: Roles, name: StreamName, acks: Path, session: int) -> None:
    """A session in a process of its own, which keeps nothing."""
    camera = f"test:192x108@{RATE}?seconds={SECONDS}&start_number={session * SECONDS * RATE}"
    roles.kinolog("publish", camera, name, "--ack-log", acks).ended_well(60)
