"""The whole cluster is away for 10 s: nothing is lost, the publisher stays connected."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from test_failover_ingest import RATE, encoder, make_film

from failover_kit import (
    AckWatch,
    Player,
    Roles,
    assert_nothing_lost,
    assert_player_has_all,
    longest_gap,
    media_numbers,
    new_name,
    numbers_of,
    pause_all,
    resume_all,
    stream_of,
    wait_for,
)
from kinolog.cluster import Cluster
from kinolog.cluster.ports import free_port
from kinolog.core.names import StreamName

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.alone]

AWAY_S = 10.0
GOES_ON_WITHIN_S = {"paused": 10.0, "killed": 45.0}


@pytest.mark.parametrize("how", ["paused", pytest.param("killed", marks=pytest.mark.slow)])
def test_a_cluster_that_is_away_for_ten_seconds_costs_nothing(
    healthy_cluster3: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    seconds = 25 if how == "paused" else 40
    cluster = healthy_cluster3
    film = make_film(tmp_path / "film.mkv", seconds)
    name = StreamName(new_name("away"), "cam")
    acks, port = tmp_path / "acks.jsonl", free_port()
    with Roles(cluster.bootstrap_servers, tmp_path) as roles:
        ingest, _ = roles.ingest(port, acks)
        _, url = roles.edge()
        sender = encoder(roles, film, port, name)
        watch = AckWatch(acks)
        wait_for("acknowledgements", lambda: len(watch.at) > 20)
        player = Player([url], name)
        wait_for("parts at the player", lambda: len(player.parts) > 5)

        away_from = time.monotonic()
        if how == "paused":
            pause_all(cluster)
        else:
            for broker in cluster.broker_ids:
                cluster.kill(broker)
        wait_for("the ten seconds", lambda: time.monotonic() - away_from >= AWAY_S)
        acked_meanwhile = sum(away_from + 1 < at for at in watch.seconds_of())
        back_at = time.monotonic()
        if how == "paused":
            resume_all(cluster)
        else:
            Cluster.start(cluster.data_dir)
        sender.ended_well(90)
        assert ingest.running
        watch.close()

        found = stream_of(cluster.bootstrap_servers, name)
        assert_player_has_all(player, found)
        verdict = assert_nothing_lost(acks, found)
        again_s = next(at - back_at for at in watch.seconds_of() if at > back_at)
        with capsys.disabled():
            print(
                f"\ncluster {how} for {AWAY_S:g} s: {verdict}; writing again {again_s:.2f} s after "
                f"its return; longest gap between acknowledgements "
                f"{longest_gap(watch.seconds_of()):.2f} s, between parts at the player "
                f"{longest_gap(player.moments()):.2f} s; {len(found.opens)} epoch"
            )
        assert acked_meanwhile == 0, "Kafka acknowledged meanwhile: this shows nothing"
        connections = sender.output().split()
        assert len(connections) == 1, f"the encoder connected at {connections} s"
        assert numbers_of(found.codes()) == list(range(RATE * seconds))
        numbers = media_numbers(found)
        assert numbers == list(range(numbers[-1] + 1))
        assert again_s < GOES_ON_WITHIN_S[how]
