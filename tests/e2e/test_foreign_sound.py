"""Sound that kinolog does not carry: made AAC, or left out where that is switched off."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from kit.media import FFMPEG, ffmpeg, file_packets, make
from kit.publish import by_rtmp
from kit.readback import KeptEpoch, read_stream
from kit.server import Server, kinolog, run, run_well, serving

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]

SECONDS = 4
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "25")
SOUNDS = {
    "mp3": ("-c:a", "libmp3lame", "-ar", "44100"),
    "ac3": ("-c:a", "ac3"),
    "alaw": ("-c:a", "pcm_alaw", "-ar", "8000", "-ac", "1"),
}


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("media")
    return {
        name: make(folder / f"{name}.mkv", *X264, *sound, seconds=SECONDS, size="320x180")
        for name, sound in SOUNDS.items()
    }


@pytest.fixture(scope="module")
def willing(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("willing")) as running:
        yield running


@pytest.fixture(scope="module")
def unwilling(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("unwilling")
    with serving(one_broker, folder, "--no-transcode-audio") as running:
        yield running


def put(server: Server, path: Path, stream: str) -> httpx.Response:
    return httpx.put(server.ingest_url(stream), content=path.read_bytes(), timeout=60)


def only_epoch(server: Server, stream: str, path: Path) -> KeptEpoch:
    """The stream's epoch; every picture of the file is in it."""
    server.wait_idle()
    epoch = read_stream(server.bootstrap, stream).only()
    sent = [p.data for p in file_packets(path, "video")]
    assert [s.data for s in epoch.tracks["video"].samples] == sent
    return epoch


def assert_aac(epoch: KeptEpoch) -> None:
    audio = epoch.tracks["audio"]
    assert audio.info.codec == "mp4a.40.2"
    assert sum(s.duration for s in audio.samples) == pytest.approx(SECONDS * 48_000, abs=4 * 1024)


@pytest.mark.parametrize("sound", SOUNDS)
def test_http_makes_aac_of_it(sound: str, willing: Server, films: dict[str, Path]) -> None:
    answer = put(willing, films[sound], f"sound/http-{sound}")
    assert answer.status_code == 201
    assert_aac(only_epoch(willing, f"sound/http-{sound}", films[sound]))


@pytest.mark.parametrize("sound", ["mp3", "alaw"])
def test_rtmp_makes_aac_of_it(sound: str, willing: Server, films: dict[str, Path]) -> None:
    by_rtmp(willing, films[sound], f"sound/rtmp-{sound}")
    assert_aac(only_epoch(willing, f"sound/rtmp-{sound}", films[sound]))


@pytest.mark.parametrize("sound", SOUNDS)
def test_http_names_and_skips_it(sound: str, unwilling: Server, films: dict[str, Path]) -> None:
    answer = put(unwilling, films[sound], f"skipped/http-{sound}")
    assert answer.status_code == 201
    assert answer.json()["skipped"].endswith(sound)
    assert list(only_epoch(unwilling, f"skipped/http-{sound}", films[sound]).tracks) == ["video"]


def test_rtmp_names_and_skips_it(unwilling: Server, films: dict[str, Path]) -> None:
    by_rtmp(unwilling, films["mp3"], "skipped/rtmp-mp3")
    assert list(only_epoch(unwilling, "skipped/rtmp-mp3", films["mp3"]).tracks) == ["video"]
    assert "codec=MP3" in unwilling.log_text()


def test_sound_alone_is_refused(unwilling: Server, films: dict[str, Path], tmp_path: Path) -> None:
    alone = tmp_path / "alone.mkv"
    ffmpeg("-i", films["mp3"], "-map", "0:a", "-c", "copy", alone)
    answer = put(unwilling, alone, "refused/http")
    assert answer.status_code == 415
    assert "mp3 cannot be carried" in answer.text
    output = ["-f", "flv", unwilling.rtmp_url("refused/rtmp")]
    sent = run([*FFMPEG, "-re", "-stream_loop", "9", "-i", str(alone), "-c", "copy", *output])
    assert sent.returncode != 0
    assert "none of the tracks can be carried: MP3" in sent.stderr
    flags = ["--no-transcode-audio", "--bootstrap-servers", unwilling.bootstrap]
    published = run(kinolog("publish", alone, "refused/publish", *flags))
    assert published.returncode == 2
    assert "mp3 cannot be carried" in published.stderr


@pytest.mark.slow
def test_publish_skips_it_and_says_so(unwilling: Server, films: dict[str, Path]) -> None:
    flags = ["--fast", "--no-transcode-audio", "--bootstrap-servers", unwilling.bootstrap]
    said = run(kinolog("publish", films["ac3"], "skipped/publish", *flags))
    assert said.returncode == 0
    assert "ac3 cannot be carried" in said.stderr
    assert list(only_epoch(unwilling, "skipped/publish", films["ac3"]).tracks) == ["video"]
    run_well(kinolog("publish", films["ac3"], "sound/publish", flags[0], *flags[2:]))
    assert_aac(only_epoch(unwilling, "sound/publish", films["ac3"]))
