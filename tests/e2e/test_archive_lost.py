"""What Kafka deleted before it was archived is listed by the index, and a gap: nobody has it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from archive_stage import archived, collection, give_up, segments_of, stored
from clip_stage import RATE, Recorded
from hls_stage import Stage, stage

from kinolog.testing.frames import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "untiered"
STREAM = f"{NAME}/camera"
SESSIONS = tuple((1000 * n, 10 * RATE, 20 * n) for n in range(4))


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("lost")) as found:
        collection(found, NAME, "--partition-strategy", "dedicated")
        yield found


def gaps_of(playlist: str) -> set[tuple[int, int]]:
    """Epoch and number of the segments that a playlist says are missing."""
    found = re.findall(r"#EXT-X-GAP\n#EXTINF:[^\n]*\n\w+/(\d+)/(\d+)\.m4s", playlist)
    return {(int(epoch), int(msn)) for epoch, msn in found}


def test_what_nobody_has_is_a_gap(played: Stage, client: httpx.Client) -> None:
    """Of four sessions of 10 s the first and the third are archived, and of the second what Kafka
    still had; the fourth is deleted before any worker comes."""
    place = played.logs / "archive"
    begun_s = int(time.time()) - 3600
    recorded = Recorded(f"{played.edge('--archive', str(place))}/media/{STREAM}", begun_s, SESSIONS)

    def publish(first: int, frames: int, offset_s: int) -> None:
        query = f"gop=2&seconds={frames // RATE}&start_number={first}"
        played.published(STREAM, query, f"--at={begun_s + offset_s}")

    publish(*SESSIONS[0])
    archived(played, NAME, place, "--stretch", "5s")
    publish(*SESSIONS[1])
    give_up(played, STREAM, media=0.75)
    publish(*SESSIONS[2])
    archived(played, NAME, place, "--stretch", "5s")
    publish(*SESSIONS[3])
    give_up(played, STREAM, media=1)

    kept = stored(place)[STREAM]
    assert len({one.epoch for one in kept}) == 3
    span = recorded.span(0, recorded.seconds)
    playlists = {
        track: client.get(f"{recorded.base}/{track}.m3u8?{span}").text
        for track in ("video", "audio")
    }
    for track, playlist in playlists.items():
        listed = {(one.epoch, one.msn) for one in segments_of(playlist)}
        there = {(one.epoch, one.msn) for one in kept if one.track == track}
        assert gaps_of(playlist) == listed - there
        assert listed > there, playlist
        epochs = sorted({epoch for epoch, _ in listed})
        assert len(epochs) == 4
        assert {epoch for epoch, _ in gaps_of(playlist)} == {epochs[1], epochs[3]}
    # Of the fourth session an edge that comes later knows nothing, and waits as for the next one.
    for track, epoch, msn in segments_of(playlists["video"])[:15]:
        status = client.get(f"{recorded.base}/{track}/{epoch}/{msn}.m4s").status_code
        assert status == (404 if (epoch, msn) in gaps_of(playlists["video"]) else 200)

    # What is left of the second session, by the date of its first segment that is there.
    video = [one for one in kept if one.track == "video"]
    second = sorted({one.epoch for one in video})[1]
    count = sum(one.epoch == second for one in video)
    assert 0 < count < 5
    begins_s = 30 - 2 * count
    timeline = client.get(f"{recorded.base}/timeline?{span}").json()
    assert [
        tuple(round(stamp(one[end]) - begun_s) for end in ("start", "end"))
        for one in timeline["ranges"]
    ] == [(0, 10), (begins_s, 30), (40, 50)]
    assert len(timeline["gaps"]) == 2

    manifest = client.get(f"{recorded.base}/manifest.mpd?{span}").text
    counted = sum(
        1 + int(again or 0)
        for part in re.findall(
            r'<AdaptationSet[^>]*contentType="video".*?</AdaptationSet>', manifest, re.S
        )
        for again in re.findall(r"<S [^>]*?(?:r=\"(\d+)\")?\s*/>", part)
    )
    assert counted == len(video), manifest

    path = played.logs / "clip.mp4"
    path.write_bytes(client.get(recorded.url(0, recorded.seconds)).raise_for_status().content)
    frames = [*recorded.numbers(0, 10), *recorded.numbers(begins_s, 30), *recorded.numbers(40, 50)]
    assert [frame.number for frame in read_block_codes(path)] == frames
    still = client.get(f"{recorded.base}/still.jpg?at={begun_s + 60.3}&w=320")
    assert still.status_code == 404
    picture = client.get(f"{recorded.base}/still.jpg?at={begun_s + 50.5}&w=320").raise_for_status()
    (played.logs / "still.jpg").write_bytes(picture.content)
    (seen,) = read_block_codes(played.logs / "still.jpg")
    assert seen.number == recorded.numbers(40, 50)[-1]
    # Where no archive is known nothing of it is listed.
    plain = played.edge()
    answer = client.get(f"{plain}/media/{STREAM}/video.m3u8?{span}")
    assert answer.status_code == 404, answer.text


def stamp(text: str) -> float:
    """Unix seconds of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
