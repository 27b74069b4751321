"""kill -9 of the leader of a stream while it is published and played (RF 3, min ISR 2)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from failover_kit import (
    PARTITIONS,
    AckWatch,
    Player,
    Roles,
    active_controller,
    assert_nothing_lost,
    assert_player_has_all,
    decode,
    leader_of,
    longest_gap,
    make_collection,
    name_led_by,
    new_name,
    numbers_of,
    stream_of,
    wait_for,
)
from kinolog.cluster import Cluster
from kinolog.log.partitioner import murmur2_partition
from kinolog.record.topics import topic

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

RATE, SECONDS = 30, 16
AGAIN_WITHIN_S = 5.0
PLAYERS_BUFFER_S = 6.0


@pytest.mark.parametrize(
    "victim",
    ["leader", pytest.param("leader-and-controller", marks=pytest.mark.slow)],
)
def test_a_leaders_death_costs_no_frame(
    healthy_cluster3: Cluster,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    victim: str,
) -> None:
    cluster = healthy_cluster3
    collection = new_name("kill")
    make_collection(cluster.bootstrap_servers, collection)
    controller = active_controller(cluster)
    wanted: Callable[[int], bool] = controller.__ne__ if victim == "leader" else controller.__eq__
    name = name_led_by(cluster, collection, wanted)
    place = topic(f"kinolog.{collection}", "media"), murmur2_partition(name.name, PARTITIONS)
    acks = tmp_path / "acks.jsonl"

    with Roles(cluster.bootstrap_servers, tmp_path) as roles:
        _, url = roles.edge()
        camera = f"test:192x108@{RATE}?seconds={SECONDS}"
        publisher = roles.kinolog("publish", camera, name, "--ack-log", acks)
        watch = AckWatch(acks)
        wait_for("acknowledgements", lambda: len(watch.at) > 20)
        player = Player([url], name)
        wait_for("parts at the player", lambda: len(player.parts) > 10)

        before = leader_of(cluster, *place)
        assert wanted(before)
        killed_at = time.monotonic()
        cluster.kill(before)
        publisher.ended_well(60)
        watch.close()
        after = leader_of(cluster, *place)
        assert after not in (before, -1), "the leader did not change: this shows nothing"

        found = stream_of(cluster.bootstrap_servers, name)
        assert_player_has_all(player, found)
        verdict = assert_nothing_lost(acks, found)

        written, seen = longest_gap(watch.seconds_of()), longest_gap(player.moments())
        first = next(at - killed_at for at in watch.seconds_of() if at > killed_at + 0.2)
        with capsys.disabled():
            print(
                f"\n{victim} (broker {before} -> {after}): {verdict}; longest gap between "
                f"acknowledgements {written:.2f} s (first {first:.2f} s after the kill), "
                f"between parts at the player {seen:.2f} s"
            )
        assert numbers_of(found.codes()) == list(range(RATE * SECONDS))
        shown = numbers_of(decode(player.media()))
        assert shown == list(range(shown[0], RATE * SECONDS))
        assert len(found.opens) == 1, "a new epoch was opened, though no delivery failed"
        assert written < AGAIN_WITHIN_S
        assert seen < PLAYERS_BUFFER_S, "a player with so much in its buffer would have stalled"
