"""Manifests over real media: what they list, for how long it stays the same, who can read them."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest
from hls_stage import Stage, fetch, stage, stop, until
from kit.dash_page import read_by_mpd_parser

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "dash/past"
SECONDS = 150
"""Longer than what a page of the index seals: 32 segments."""
NS = {"m": "urn:mpeg:dash:schema:mpd:2011"}


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("dash")) as found:
        yield found


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=60) as found:
        yield found


@pytest.fixture(scope="module")
def begun(played: Stage) -> datetime:
    """When the stream began: longer ago than a live window is."""
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    played.published(STREAM, f"seconds={SECONDS}", f"--at={at.isoformat()}")
    return at


@pytest.fixture(scope="module")
def base(played: Stage, begun: datetime) -> str:
    return f"{played.edge()}/media/{STREAM}"


def manifest(client: httpx.Client, url: str) -> ET.Element:
    answer = client.get(url)
    assert answer.status_code == 200, answer.text
    return ET.fromstring(answer.content)


def frames(url: str, kind: str) -> int:
    """Packets of a kind, as ffprobe counts them. Of one at a time: its reader of DASH ends with
    the shorter track."""
    words = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", kind]
    entries = ["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    done = subprocess.run([*words, *entries, url], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[0].strip(","))


@pytest.mark.needs("ffprobe")
def test_ffmpeg_reads_as_many_frames_as_of_hls(base: str, begun: datetime) -> None:
    start_s = begun.timestamp()
    query = f"start={start_s + 11}&end={start_s + 29}"
    names = ("manifest.mpd", "index.m3u8")
    dash, hls = ([frames(f"{base}/{name}?{query}", kind) for kind in "va"] for name in names)
    print(f"pictures and frames of sound of DASH {dash}, of HLS {hls}")
    assert dash == hls
    assert dash[0] == 20 * 30


def test_a_range_lists_the_segments_of_hls(
    base: str, begun: datetime, client: httpx.Client
) -> None:
    start_s = begun.timestamp()
    query = f"start={start_s + 11}&end={start_s + 29}"
    text = client.get(f"{base}/manifest.mpd?{query}").text
    (found,) = read_by_mpd_parser([("range", text)])
    assert (found["problems"], found["live"]) == ([], False)
    for kind, name in (("video", "video.m3u8"), ("audio", "audio.m3u8")):
        (listed,) = found[kind]
        playlist = fetch(client, f"{base}/{name}?{query}")
        uris = [one["uri"].removeprefix("http://edge/media/c/s/") for one in listed]
        assert uris == [one.uri for one in playlist.segments]
        seconds = [one["seconds"] for one in listed]
        assert seconds == pytest.approx([one.seconds for one in playlist.segments], abs=1e-4)


def test_a_period_begins_where_the_session_did_whoever_made_the_manifest(
    played: Stage, base: str, begun: datetime, client: httpx.Client
) -> None:
    """The window is of the last 30 s, and the begin is told by the index."""
    late = f"{played.edge()}/media/{STREAM}"
    texts = [client.get(f"{one}/manifest.mpd").content for one in (base, late)]
    depth = re.compile(rb'timeShiftBufferDepth="PT(\d+)S"')  # counted from now
    assert depth.sub(b"", texts[0]) == depth.sub(b"", texts[1])
    root = ET.fromstring(texts[0])
    (period,) = root.findall("m:Period", NS)
    assert period.get("start") == f"PT{begun.timestamp():.0f}S"
    video = period.find(".//m:SegmentTemplate", NS)
    assert video is not None
    assert video.get("startNumber") == "0"
    ago_s = time.time() - begun.timestamp() - SECONDS
    # All that is listed, in whole steps.
    assert 30 <= float(root.get("timeShiftBufferDepth", "")[2:-1]) - ago_s <= 2 * 30 + 5
    wide = manifest(client, f"{base}/manifest.mpd?dvr=2h")
    assert wide.get("timeShiftBufferDepth") == f"PT{2 * 7200}S"
    assert [p.get("id") for p in wide.findall("m:Period", NS)] == [period.get("id")]
    number = 7
    url = f"{base}/{video.get('media', '').replace('$Number$', str(number))}"
    assert client.get(url).status_code == 200


def test_a_relative_start_is_moved_to_the_absolute_one(base: str, client: httpx.Client) -> None:
    moved = client.get(f"{base}/manifest.mpd?start=-2h")
    assert moved.status_code == 307
    where = moved.headers["location"]
    assert re.fullmatch(r"manifest\.mpd\?start=1[\d.]+&behind=7200", where)
    assert moved.headers["access-control-allow-origin"] == "*"
    root = manifest(client, f"{base}/{where}")
    assert root.get("type") == "dynamic"
    assert root.get("suggestedPresentationDelay") == "PT7200S"
    assert root.find("m:ServiceDescription/m:Latency", NS) is None
    live = manifest(client, f"{base}/{where.replace('7200', '0')}")
    assert live.find("m:ServiceDescription/m:Latency", NS) is not None
    refused = client.get(f"{base}/manifest.mpd?start=-2h&behind=-1")
    assert (refused.status_code, "behind" in refused.text) == (400, True)
    assert float(root.get("timeShiftBufferDepth", "")[2:-1]) > 3600


def test_a_manifest_that_is_known_is_not_sent_again(base: str, client: httpx.Client) -> None:
    first = client.get(f"{base}/manifest.mpd")
    again = client.get(f"{base}/manifest.mpd", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_number_that_a_session_never_used_is_empty(
    base: str, client: httpx.Client, begun: datetime
) -> None:
    """A player asks for it by the clock before a manifest tells it that the publisher has gone."""
    video = manifest(client, f"{base}/manifest.mpd").find(".//m:SegmentTemplate", NS)
    assert video is not None
    media = f"{base}/{video.get('media')}"
    for number in (SECONDS // 2, SECONDS // 2 + 7):
        answer = client.get(media.replace("$Number$", str(number)))
        assert (answer.status_code, answer.content) == (200, b"")
    last = client.get(media.replace("$Number$", str(SECONDS // 2 - 1)))
    assert len(last.content) > 1000
    assert client.get(media.replace("$Number$", f"{SECONDS // 2}.0")).status_code == 404


def test_a_segment_comes_as_it_grows(played: Stage, client: httpx.Client) -> None:
    stream = "dash/growing"
    camera = played.camera(stream)
    base = f"{played.edge()}/media/{stream}"
    until(lambda: client.get(f"{base}/manifest.mpd").status_code == 200, "a manifest")
    video = manifest(client, f"{base}/manifest.mpd").find(".//m:SegmentTemplate", NS)
    assert video is not None
    assert video.get("availabilityTimeComplete") == "false"
    newest = fetch(client, f"{base}/video.m3u8").last[0]
    url = f"{base}/{video.get('media', '').replace('$Number$', str(newest + 1))}"
    arrived: list[float] = []
    body = b""
    with client.stream("GET", url) as answer:
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=1"
        for piece in answer.iter_raw():
            arrived.append(time.monotonic())
            body += piece
    print(f"{len(arrived)} pieces within {arrived[-1] - arrived[0]:.2f} s")
    assert arrived[-1] - arrived[0] > 1.5
    assert len(arrived) >= 10
    whole = client.get(url)
    assert whole.content == body
    assert "immutable" in whole.headers["cache-control"]
    stop(camera)


def test_a_session_is_listed_once_a_player_that_waited_has_its_place_in_it(
    played: Stage, client: httpx.Client
) -> None:
    """It goes to where it should be by the clock: before the new Period, dash.js stands still."""
    stream = "dash/returns"
    url = f"{played.edge()}/media/{stream}/manifest.mpd"
    camera = played.camera(stream)
    until(lambda: client.get(url).status_code == 200, "a manifest")
    stop(camera)
    camera = played.camera(stream)
    deadline = time.monotonic() + 60
    while len(periods := (root := manifest(client, url)).findall("m:Period", NS)) == 1:
        assert time.monotonic() < deadline
    listed = time.time()
    behind_s, start_s = (
        float(text.removeprefix("PT").removesuffix("S"))
        for text in (root.get("suggestedPresentationDelay", ""), periods[1].get("start", ""))
    )
    print(f"listed {listed - start_s:.2f} s after its begin, players are {behind_s:.2f} s behind")
    assert behind_s < listed - start_s < behind_s + 2
    stop(camera)


@pytest.mark.parametrize(
    ("codec", "begins"), [("vp9", "vp09."), ("av1", "av01."), ("hevc", "hvc1.")]
)
def test_other_codecs_have_their_names(
    played: Stage, base: str, client: httpx.Client, codec: str, begins: str
) -> None:
    stream = f"dash/{codec}"
    played.published(stream, f"codec={codec}&seconds=4&audio=0")
    text = client.get(f"{base.rpartition('/media/')[0]}/media/{stream}/manifest.mpd").text
    found = ET.fromstring(text).find(".//m:Representation", NS)
    assert found is not None
    assert found.get("codecs", "").startswith(begins)
