"""Stills: the frame that was shown at a moment, sheets of many, and what says where each is."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from clip_stage import RATE, RESTART_S, Recorded, moments, picture, record, tiles
from hls_stage import Stage, stage

from kinolog.media import blockcode

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

GOP = 2 * RATE


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("stills")) as found:
        yield found


@pytest.fixture(scope="module")
def plain(played: Stage) -> Recorded:
    return record(played, played.edge(), "stills/plain")


@pytest.fixture(scope="module")
def reordered(played: Stage, plain: Recorded) -> Recorded:
    edge = plain.base.partition("/media/")[0]
    return record(played, edge, "stills/reordered", "&bframes=2")


@pytest.fixture(scope="module")
def forced(played: Stage, plain: Recorded) -> Recorded:
    """Segments that begin amid a GOP: frames of them are shown before the last one before."""
    edge = plain.base.partition("/media/")[0]
    return record(played, edge, "stills/forced", "&bframes=3&gop=5")


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


def check_stills(client: httpx.Client, recorded: Recorded, count: int) -> None:
    for turn, (at_s, number) in enumerate(moments(recorded, count, seed=8)):
        kind, ending = (("jpeg", "jpg"), ("webp", "webp"))[turn % 2]
        url = f"{recorded.base}/still.{ending}?at={recorded.begun_s + at_s:.3f}&w=320"
        answer = client.get(url)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == f"image/{kind}"
        assert blockcode.read(picture(answer.content)) == number, at_s


@pytest.mark.parametrize("name", ["plain", "reordered", "forced"])
def test_a_still_shows_the_frame_of_its_moment(
    request: pytest.FixtureRequest, client: httpx.Client, name: str
) -> None:
    check_stills(client, request.getfixturevalue(name), 15)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["plain", "reordered", "forced"])
def test_two_hundred_stills_show_the_frames_of_their_moments(
    request: pytest.FixtureRequest, client: httpx.Client, name: str
) -> None:
    check_stills(client, request.getfixturevalue(name), 200)


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("at=tomorrow", 400, "not a time"),
        ("at=4000000000", 400, "future"),
        ("at=-1h&w=0", 400, "w is a width"),
        ("at=-1h&w=many", 400, "w is a width"),
        ("at=-1h&w=80&w=160", 400, "w stands twice"),
        ("at=-1h&at=-2h", 400, "at stands twice"),
        ("at=1000", 404, "no picture is kept"),
        ("at=-50m", 404, "no picture is kept"),  # an absence
    ],
)
def test_a_still_that_cannot_be_is_said(
    plain: Recorded, client: httpx.Client, query: str, status: int, why: str
) -> None:
    answer = client.get(f"{plain.base}/still.jpg?{query}")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text


CUE = re.compile(r"(\d+):(\d+):([\d.]+) --> \S+\n(stills\.jpg\?\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n")


@pytest.mark.parametrize(("every", "exact"), [("5s", False), ("0.5s", True)])
def test_cues_point_at_the_pictures_of_their_times(
    reordered: Recorded, client: httpx.Client, every: str, exact: bool
) -> None:
    """Where there is something to show; else the sheet is black there, and there is no cue."""
    start_s, end_s = (10.02, RESTART_S + 10) if not exact else (12.02, 30)
    url = reordered.url(start_s, end_s, "stills.vtt") + f"&every={every}&w=320"
    text = client.get(url)
    assert text.headers["content-type"].startswith("text/vtt")
    assert text.text.startswith("WEBVTT\n")
    cues = CUE.findall(text.text)
    addresses = {cue[3] for cue in cues}
    assert len(addresses) == 1
    answer = client.get(httpx.URL(url).join(addresses.pop()))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    whole = picture(answer.content)
    times = []
    for hours, minutes, seconds, _, *where in cues:
        at_s = start_s + 3600 * int(hours) + 60 * int(minutes) + float(seconds)
        x, y, width, height = map(int, where)
        shown = reordered.numbers(0, at_s)
        expected = shown[-1]
        if not exact:
            begins = 5000 if expected >= 5000 else 0
            expected -= (expected - begins) % GOP
        assert blockcode.read(whole[y : y + height, x : x + width]) == expected, at_s
        times.append(at_s)
    step_s = float(every[:-1])
    moments_s = [start_s + n * step_s for n in range(int((end_s - start_s) // step_s) + 1)]
    # A picture stays for a second at most when nothing comes after it.
    expected_s = [s for s in moments_s if s < 21 or RESTART_S <= s < RESTART_S + 11]
    assert times == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("every_s", "start_s", "count"), [(3, 1.5, 9), (7, 1.5, 3), (3, 8.5, 4), (61, 8.5, 2)]
)
def test_a_sheet_amid_long_gops_has_the_keyframes_before_its_moments(
    forced: Recorded, client: httpx.Client, every_s: int, start_s: float, count: int
) -> None:
    url = forced.url(start_s, start_s + every_s * (count - 0.5), "stills.jpg")
    sheet = client.get(f"{url}&every={every_s}s&w=320").raise_for_status().content
    for number, tile in enumerate(tiles(sheet, 320, count)):
        at_s = start_s + number * every_s
        newest = forced.numbers(0, at_s)[-1]
        if at_s < 21 or at_s >= RESTART_S:
            assert blockcode.read(tile) == newest - newest % 5000 % (5 * RATE)
        else:
            assert tile.max() < 40  # black: nothing is shown then


@pytest.mark.parametrize(
    ("query", "status", "why"),
    [
        ("", 400, "a start is needed"),
        ("start=-1h&every=1s", 400, "at most 60"),
        ("start=-1h&every=2s", 400, "at most 400"),
        ("start=-1h&every=x", 400, "not a duration"),
        ("start=-1h&every=0s", 400, "every is a length"),
        ("start=-1h&every=9s&every=8s", 400, "every stands twice"),
        ("start=-1h&every=forever", 400, "every is a length"),
        ("start=-1h&every=9s&w=320", 400, "too large"),
        ("start=1&end=100", 404, "no picture is kept"),
    ],
)
@pytest.mark.parametrize("name", ["stills.jpg", "stills.vtt", "stills"])
def test_a_sheet_that_cannot_be_is_said(
    plain: Recorded, client: httpx.Client, name: str, query: str, status: int, why: str
) -> None:
    answer = client.get(f"{plain.base}/{name}?{query}")
    assert (answer.status_code, why in answer.text) == (status, True), answer.text
