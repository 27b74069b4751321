"""kill -9 of the ingest process under an encoder that reconnects; and a stopped one, replaced."""

from __future__ import annotations

import signal
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from failover_kit import (
    Player,
    Roles,
    assert_nothing_lost,
    assert_player_has_all,
    decode,
    longest_gap,
    make_collection,
    media_numbers,
    new_name,
    numbers_of,
    same_over,
    stream_entry,
    stream_of,
    wait_for,
    wait_for_session,
)
from kinolog.cluster import Cluster
from kinolog.cluster.ports import free_port
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import read_ack_log
from kinolog.ingest.camera import SyntheticCamera
from kinolog.testing import record

pytestmark = [pytest.mark.cluster, pytest.mark.alone]

RATE = 30
ENCODER = Path(__file__).with_name("live_encoder.py")
GOES_ON_WITHIN_S = 2.0


def make_film(path: Path, seconds: int, start_number: int = 0) -> Path:
    """A file of numbered pictures with a keyframe each second, and sound."""
    url = f"test:192x108@{RATE}?seconds={seconds}&gop=1&start_number={start_number}"
    events = [event for batch in SyntheticCamera(url).events(0) for event in batch]
    path.write_bytes(record(events))
    return path


def encoder(roles: Roles, film: Path, port: int, name: StreamName):
    url = f"rtmp://127.0.0.1:{port}/{name.collection}/{name.name}"
    return roles.run("encoder", sys.executable, str(ENCODER), str(film), url)


def test_ingests_death_is_a_discontinuity(
    healthy_cluster3: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = 20
    cluster = healthy_cluster3
    film = make_film(tmp_path / "film.mkv", seconds)
    name = StreamName(new_name("ingest"), "cam")
    acks, port = tmp_path / "acks.jsonl", free_port()
    with Roles(cluster.bootstrap_servers, tmp_path) as roles:
        ingest, _ = roles.ingest(port, acks)
        _, url = roles.edge()
        sender = encoder(roles, film, port, name)
        wait_for("acknowledgements", lambda: acks.exists() and len(read_ack_log(acks)) > 40)
        player = Player([url], name)
        wait_for("parts at the player", lambda: len(player.parts) > 15)

        ingest.kill()
        killed_at = time.monotonic()
        first_epoch = read_ack_log(acks)[-1].epoch
        roles.ingest(port, acks)
        sender.ended_well(60)

        found = stream_of(cluster.bootstrap_servers, name)
        assert_player_has_all(player, found)
        verdict = assert_nothing_lost(acks, found)
        assert found.opens[0].epoch == first_epoch
        assert len(found.opens) == 2, "the epoch did not change: this shows nothing"

        shown = numbers_of(found.codes())
        missing = sorted(set(range(RATE * seconds)) - set(shown))
        after = next(later for earlier, later in pairwise(shown) if later != earlier + 1)
        wall = found.opens[1].epoch / 1000
        begun = next(part for part in player.parts if part.discontinuity)
        first_at = begun.at - time.monotonic() + time.time()
        with capsys.disabled():
            print(
                f"\ningest killed: {verdict}; of {RATE * seconds} frames {len(missing)} were never "
                f"acknowledged ({missing[0]} to {missing[-1]}); the player went on "
                f"{first_at - wall:.2f} s after the new session began, "
                f"{begun.at - killed_at:.2f} s after the kill; its longest gap "
                f"{longest_gap(player.moments()):.2f} s"
            )
        assert len(shown) == len(set(shown))
        assert shown == sorted(shown)
        assert missing == list(range(missing[0], missing[-1] + 1)), "one hole: while it was dead"
        assert after % RATE == 0, "the new session begins with a keyframe"
        numbers = media_numbers(found)
        assert numbers == list(range(numbers[-1] + 1)), "no MSN is skipped or used twice"
        discs = [chunk.header.disc for chunk in found.of("video")]
        assert sorted(set(discs)) == [0, 1]
        new_msn = next(c.header.msn for c in found.of("video") if c.header.disc == 1)
        assert player.discontinuities() == [new_msn]
        assert numbers_of(decode(player.media())) == [n for n in shown if n >= _first(player)]
        text = httpx.get(f"{url}/media/{name.collection}/{name.name}/video.m3u8").text
        assert "#EXT-X-DISCONTINUITY\n" in text
        assert first_at - wall < GOES_ON_WITHIN_S


def _first(player: Player) -> int:
    return numbers_of(decode(player.media()))[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "moved",
    [
        pytest.param(False, id="same-place"),
        pytest.param(True, id="moved-away", marks=pytest.mark.slow),
    ],
)
def test_a_stopped_ingest_that_wakes_up_is_a_zombie(
    healthy_cluster3: Cluster, tmp_path: Path, moved: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A second ingest takes the stream over while the first is stopped; the first goes on with
    what it holds: every reader ignores that, and its publisher is cut off. So it is where the
    stream was moved meanwhile, and the first writes to the partition that it was in."""
    cluster = healthy_cluster3
    name = StreamName(new_name("zombie"), "cam")
    make_collection(cluster.bootstrap_servers, name.collection, partitions=2, replication_factor=3)
    old_film = make_film(tmp_path / "old.mkv", 30)
    new_film = make_film(tmp_path / "new.mkv", 10, start_number=10_000)
    acks, port = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"], [free_port(), free_port()]
    with Roles(cluster.bootstrap_servers, tmp_path) as roles:
        zombie, _ = roles.ingest(port[0], acks[0])
        _, url = roles.edge()
        sender = encoder(roles, old_film, port[0], name)
        wait_for("acknowledgements", lambda: acks[0].exists() and len(read_ack_log(acks[0])) > 40)
        player = Player([url], name)
        wait_for("parts at the player", lambda: len(player.parts) > 5)
        zombie.signal(signal.SIGSTOP)
        before = len(read_ack_log(acks[0]))

        if moved:
            home = stream_entry(cluster.bootstrap_servers, name).placements[0].partition
            move = roles.command("streams", "move", name, 1 - home)
            roles.run("move", *move).ended_well(30)
        roles.ingest(port[1], acks[1])
        newer = encoder(roles, new_film, port[1], name)
        wait_for("the takeover", lambda: acks[1].exists() and len(read_ack_log(acks[1])) > 20)
        zombie.signal(signal.SIGCONT)
        wait_for("the older to be cut off", lambda: "replaced by a newer" in zombie.output())
        sender.kill()  # or it would reconnect, and the newest publisher wins
        newer.ended_well(60)

        found = stream_of(cluster.bootstrap_servers, name)
        assert_player_has_all(player, found)
        _, fresh = roles.edge()
        wait_for_session([fresh], name, found)
        for track in ("video", "audio"):
            same_over([url, fresh], name, f"{track}.m3u8")
        late = len(read_ack_log(acks[0])) - before
        with capsys.disabled():
            print(f"\nzombie: {found.ignored.zombies} of its records ignored ({late} chunks)")
        assert found.ignored.zombies > 0, "the stopped ingest wrote nothing: this shows nothing"
        shown = numbers_of(found.codes())
        assert shown == sorted(shown)
        switch = shown.index(10_000)
        assert shown[:switch] == list(range(switch))
        assert shown[switch:] == list(range(10_000, 10_000 + RATE * 10))
        newest = found.opens[-1].epoch
        assert all(c.header.epoch == newest for c in found.of("video") if c.header.disc == 1)
        assert_nothing_lost(acks[1], found)
        assert numbers_of(decode(player.media())) == [n for n in shown if n >= _first(player)]
