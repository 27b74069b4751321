"""Clips and stills of open GOPs: pictures are decoded behind a keyframe and shown before it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import httpx
import pytest
from clip_stage import RATE, Recorded, record
from hls_stage import PATIENCE_S, stage
from kit.media import ffmpeg

from failover_kit import numbers_of
from kinolog.testing import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]

STREAM = "opens/gops"
GOP, SECONDS = 60, 20
BORDERS = range(GOP, SECONDS * RATE - GOP, GOP)
CODECS = {
    "h264": ("libx264", "-x264-params", f"open-gop=1:keyint={GOP}:min-keyint={GOP}:bframes=3"),
    "hevc": ("libx265", "-x265-params", f"keyint={GOP}:min-keyint={GOP}:bframes=4:log-level=1"),
}


@pytest.fixture(scope="module", params=list(CODECS))
def recorded(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    folder = tmp_path_factory.mktemp("open-gops")
    with stage(one_broker, folder) as found:
        edge = found.edge()
        camera = record(found, edge, "opens/camera")
        plain, film = folder / "plain.mp4", folder / "film.mp4"
        answer = httpx.get(camera.url(0, SECONDS), timeout=60).raise_for_status()
        plain.write_bytes(answer.content)
        codec = CODECS[str(request.param)]
        ffmpeg("-i", plain, "-an", "-c:v", codec[0], "-sc_threshold", "0", *codec[1:], film)
        begun_s = int(time.time()) - 1800
        words = ("publish", str(film), STREAM, "--fast", f"--at={begun_s}")
        assert found.start(*words).wait(2 * PATIENCE_S) == 0
        yield Recorded(f"{edge}/media/{STREAM}", begun_s, ((0, SECONDS * RATE, 0),))


def test_a_still_before_a_keyframe(recorded: Recorded) -> None:
    numbers = [border + by for border in BORDERS for by in range(-6, 3)]
    with httpx.Client(timeout=60) as client:
        for number in numbers:
            at_s = recorded.begun_s + (number + 0.5) / RATE
            answer = client.get(f"{recorded.base}/still.jpg?at={at_s:.3f}&w=320")
            assert answer.status_code == 200, (number, answer.text)
            assert numbers_of(read_block_codes(io.BytesIO(answer.content))) == [number]


def test_a_clip_that_begins_or_ends_before_a_keyframe(recorded: Recorded) -> None:
    spans = [(border + by, 8) for border in list(BORDERS)[:4] for by in range(-12, 3)]
    with httpx.Client(timeout=60) as client:
        for first, count in spans:
            url = recorded.url((first - 0.5) / RATE, (first + count - 0.5) / RATE)
            answer = client.get(url).raise_for_status()
            found = numbers_of(read_block_codes(io.BytesIO(answer.content)))
            assert found == list(range(first, first + count))
