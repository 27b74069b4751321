"""`kinolog play` and the SDK read what Kafka has deleted from the archive, and go on in Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_stage import archived, collection, give_up
from clip_stage import RATE, Recorded, record
from hls_stage import PATIENCE_S, Stage, stage

import kinolog
from kinolog.log.random_reader import RandomReader
from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "tierplay"
STREAM = f"{NAME}/camera"


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("tierplay")) as found:
        collection(found, NAME, "--partition-strategy", "dedicated")
        yield found


@pytest.fixture(scope="module")
def place(played: Stage) -> Path:
    return played.logs / "archive"


@pytest.fixture(scope="module")
def recorded(played: Stage, place: Path) -> Recorded:
    """Two sessions, and a third of 10 s that was captured ten minutes before them and published
    last; all archived, and the middle of the first is where Kafka's log begins."""
    found = record(played, "", STREAM)
    query = "gop=2&seconds=10&start_number=9000"
    played.published(STREAM, query, f"--at={found.begun_s - 600}")
    archived(played, NAME, place, "--stretch", "5s")
    give_up(played, STREAM, media=0.3, index=0.3)
    return found


def numbers(played: Stage, path: Path, *words: str) -> list[int]:
    """The frames that `kinolog play` writes."""
    process = played.start("play", STREAM, "--no-follow", "-o", str(path), *words)
    assert process.wait(PATIENCE_S) == 0
    return [frame.number for frame in read_block_codes(path)]


def test_play_goes_over_the_border_without_a_gap(
    played: Stage, place: Path, recorded: Recorded, tmp_path: Path
) -> None:
    archive = ("--archive", str(place))
    # A file ends where the capture times go back.
    every = recorded.numbers(0, recorded.seconds)
    assert numbers(played, tmp_path / "all.mp4", "--from", "earliest", *archive) == every
    at = ("--from", str(recorded.begun_s + 7.7))
    # From the keyframe before.
    assert numbers(played, tmp_path / "from.mp4", *at, *archive) == every[6 * RATE :]
    plain = numbers(played, tmp_path / "plain.mp4", "--from", "earliest")
    assert plain == every[-len(plain) :]
    assert 0 < len(plain) < len(every) - 7 * RATE  # Kafka alone has less


def test_the_sdk_finds_a_moment_by_the_pages(
    played: Stage, place: Path, recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the archive, in Kafka, and where what was published last was captured first."""

    def scan(*_: Any) -> int:
        raise AssertionError("asked for an offset by time")

    monkeypatch.setattr(RandomReader, "offset_for_time", scan)
    with kinolog.connect(
        played.bootstrap, topic_prefix=played.prefix, archive=str(place)
    ) as cluster:
        for at_s, begins_s in ((3.3, 2), (19.9, 18), (65.1, 64), (-595.5, -596)):
            start = recorded.begun_s + at_s
            found = cluster.chunks(STREAM, start, start + 1, follow=False, tracks=["video"])
            first = next(iter(found))
            assert round(first.time.timestamp() - recorded.begun_s, 1) == begins_s
            found.close()
        frames = cluster.frames(STREAM, recorded.begun_s + 4, recorded.begun_s + 70, follow=False)
        assert sum(1 for _ in frames) == len(recorded.numbers(4, 70))
