"""Pictures that stand still while sound goes on: a shared screen sends none then."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import av
import httpx
import pytest
from clip_stage import RATE, Recorded, coded_again, tiles
from hls_stage import Stage, stage

from failover_kit import numbers_of
from kinolog.media import blockcode
from kinolog.testing import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(300)]

STREAM = "pauses/screen"
SECONDS = 20
PAUSES = (range(140, 260), range(395, 430))
"""The pictures that were not sent: four seconds, and a little over one, amid GOPs."""
SENT = [number for number in range(SECONDS * RATE) if not any(number in one for one in PAUSES)]
GOP = 150
OUTLASTED = 170
"""Pictures, and then sound alone, up to the end."""
KEYFRAMES = SENT[::GOP]


@pytest.fixture(scope="module", params=["heard", "silent"])
def paused(
    request: pytest.FixtureRequest, one_broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Recorded]:
    """With sound that goes on, and without any."""
    sound = ("-c:a", "copy") if request.param == "heard" else ("-an",)
    folder = tmp_path_factory.mktemp("pauses")
    with stage(one_broker, folder) as found:
        left_out = "+".join(f"between(n,{one[0]},{one[-1]})" for one in PAUSES)
        yield published(found, folder, f"not({left_out})", *sound)


@pytest.fixture(scope="module")
def outlasted(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    """Sound that goes on behind the last picture."""
    folder = tmp_path_factory.mktemp("outlasted")
    with stage(one_broker, folder) as found:
        recorded = published(found, folder, f"lt(n,{OUTLASTED})", "-c:a", "copy")
        edge = recorded.base.partition("/media/")[0]
        found.rest(edge, "away")
        yield recorded


def published(played: Stage, folder: Path, select: str, *sound: str) -> Recorded:
    """The camera's pictures that are selected."""
    edge = played.edge()
    coded = ("libx264", "-x264-params", f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0")
    how = ("-vf", f"select='{select}'", "-fps_mode", "passthrough", "-c:v", *coded)
    begun_s = coded_again(played, edge, folder, STREAM, SECONDS, *how, *sound)
    base = f"{edge}/media/{STREAM}"
    # Sound begins a little before the pictures: with what its decoder needs first.
    listed = httpx.get(f"{base}/video.m3u8?start={begun_s}&end={begun_s + 2}", timeout=60).text
    date = re.search(r"#EXT-X-PROGRAM-DATE-TIME:(.*)", listed)
    assert date is not None
    first_s = datetime.fromisoformat(date[1]).timestamp()
    return Recorded(base, first_s, ((0, SECONDS * RATE, 0),))


@dataclass(frozen=True)
class Clip:
    numbers: list[int]
    times_s: list[float]
    lengths_s: list[float]
    """Of its tracks."""


def clip(paused: Recorded, first: int, count: int) -> Clip:
    """The clip from one number on."""
    url = paused.url((first - 0.5) / RATE, (first + count - 0.5) / RATE)
    content = httpx.get(url, timeout=60).raise_for_status().content
    seen = read_block_codes(io.BytesIO(content))
    with av.open(io.BytesIO(content)) as container:
        lengths_s = [
            float(stream.duration * stream.time_base)
            for stream in container.streams
            if stream.duration is not None and stream.time_base is not None
        ]
    return Clip(numbers_of(seen), [one.pts_seconds for one in seen], lengths_s)


@pytest.mark.parametrize(
    ("first", "count"),
    [(0, 600), (100, 400), (135, 200), (139, 130), (260, 20), (270, 10), (300, 110), (431, 8)],
)
def test_a_clip_has_all_that_was_sent_when_it_was(paused: Recorded, first: int, count: int) -> None:
    """With what is heard meanwhile: the picture before stays."""
    got = clip(paused, first, count)
    expected = [number for number in SENT if first <= number < first + count]
    assert got.numbers == expected
    begun = expected[0]
    assert got.times_s == pytest.approx([(n - begun) / RATE for n in expected], abs=0.002)
    # From the first picture on, to where the next would begin.
    after = next((number for number in SENT if number >= first + count), SECONDS * RATE)
    assert got.lengths_s
    for length_s in got.lengths_s:
        assert length_s == pytest.approx((after - begun) / RATE, abs=0.05)


@pytest.mark.parametrize("number", [100, 139, 150, 200, 258, 260, 394, 396, 429, 430, 599])
def test_a_still_of_a_pause_is_the_picture_before(paused: Recorded, number: int) -> None:
    at_s = paused.begun_s + (number + 0.5) / RATE
    answer = httpx.get(f"{paused.base}/still.jpg?at={at_s:.3f}&w=320", timeout=60)
    assert answer.status_code == 200, answer.text
    before = max(one for one in SENT if one <= number)
    assert numbers_of(read_block_codes(io.BytesIO(answer.content))) == [before]


@pytest.mark.parametrize(
    ("at_s", "number"),
    [(5.52, 165), (5.65, 169), (6.5, 169), (10, 169), (19.9, 169), (25, None)],
)
def test_the_last_picture_stands_while_sound_goes_on(
    outlasted: Recorded, at_s: float, number: int | None
) -> None:
    moment = f"{outlasted.begun_s + at_s:.3f}"
    answer = httpx.get(f"{outlasted.base}/still.jpg?at={moment}&w=320", timeout=60)
    if number is None:
        assert answer.status_code == 404
    else:
        assert answer.status_code == 200, answer.text
        assert numbers_of(read_block_codes(io.BytesIO(answer.content))) == [number]


def test_a_sheet_shows_the_last_picture_while_sound_goes_on(outlasted: Recorded) -> None:
    """And nothing a second behind that: as stills do."""
    query = f"{outlasted.span(0.5, 40)}&every=2s&w=320"
    sheet = httpx.get(f"{outlasted.base}/stills.jpg?{query}", timeout=60).raise_for_status()
    seen = [blockcode.read(tile) for tile in tiles(sheet.content, 320, 20)]
    assert seen == [*[0] * 3, *[150] * 8, *[None] * 9]  # up to 20.5 s
    cues = httpx.get(f"{outlasted.base}/stills.vtt?{query}", timeout=60).raise_for_status().text
    assert cues.count("-->") == 11


@pytest.mark.parametrize("start", [0, 200, 400])
def test_a_sheet_shows_in_a_pause_the_keyframe_before(paused: Recorded, start: int) -> None:
    """Also where the sheet begins amid a pause; and its cues name each of its pictures."""
    every = 2 * RATE
    count = -(-(SECONDS * RATE - start) // every)
    begins_s, ends_s = ((start + n + 0.5) / RATE for n in (0, (count - 1) * every + 1))
    url = paused.url(begins_s, ends_s, "stills.jpg") + "&every=2s&w=320"
    sheet = httpx.get(url, timeout=60).raise_for_status().content
    shown = [max(one for one in SENT if one <= start + n * every) for n in range(count)]
    expected = [max(one for one in KEYFRAMES if one <= number) for number in shown]
    assert [blockcode.read(tile) for tile in tiles(sheet, 320, count)] == expected
    cues = httpx.get(url.replace("stills.jpg", "stills.vtt"), timeout=60).raise_for_status().text
    assert cues.count("-->") == count
