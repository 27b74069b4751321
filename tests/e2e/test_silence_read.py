"""A session without sound between two that have some: what programs and players are told."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hls_stage import Playlist
from kit.media import ffmpeg, make
from kit.play import playlist
from kit.publish import by_file, by_http, by_rtmp
from kit.server import Server, kinolog, run_well, serving

from kinolog import Chunk, Connection, connect
from kinolog import publish as sdk_publish
from kinolog.core.timebase import rescale
from kinolog.media.cmaf import parse_chunk

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]

SECONDS = 4
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "30")
AAC_44K = ("-c:a", "aac", "-ar", "44100", "-ac", "1")


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("quiet")) as running:
        yield running


@pytest.fixture(scope="module")
def sdk(one_broker: str) -> Iterator[Connection]:
    with connect(one_broker) as connection:
        yield connection


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A film, and its pictures alone."""
    folder = tmp_path_factory.mktemp("media")
    film = make(folder / "film.mp4", *X264, *AAC_44K, seconds=SECONDS, size="320x180")
    mute = folder / "mute.mp4"
    ffmpeg("-i", film, "-an", "-c", "copy", mute)
    return film, mute


def by_program(server: Server, _: Path, stream: str) -> None:
    with connect(server.bootstrap) as connection, sdk_publish(stream, connection=connection) as out:
        for number in range(SECONDS * 30):
            out.write(np.full((180, 320, 3), number, np.uint8))


WAYS: dict[str, Callable[[Server, Path, str], None]] = {
    "rtmp": by_rtmp,
    "http": by_http("ts"),
    "publish": by_file,
    "sdk": by_program,
}


def sessions(chunks: list[Chunk]) -> list[dict[str, list[Chunk]]]:
    """Each session's chunks by track."""
    found: dict[int, dict[str, list[Chunk]]] = {}
    for chunk in chunks:
        found.setdefault(chunk.epoch, {}).setdefault(chunk.track, []).append(chunk)
    return [found[epoch] for epoch in sorted(found)]


def samples(chunks: list[Chunk]) -> int:
    return sum(len(parse_chunk(chunk.data).sizes) for chunk in chunks)


@pytest.mark.parametrize(
    "way",
    [
        "rtmp",
        "sdk",
        pytest.param("http", marks=pytest.mark.slow),
        pytest.param("publish", marks=pytest.mark.slow),
    ],
)
def test_a_session_without_sound_gets_silence(
    way: str, server: Server, sdk: Connection, films: tuple[Path, Path]
) -> None:
    film, mute = films
    stream = f"quiet/{way}"
    by_rtmp(server, film, stream)
    server.wait_idle()
    WAYS[way](server, mute, stream)
    server.wait_idle()
    (told,) = [one for one in sdk.streams() if one.name == stream]
    assert [(t.name, t.silence) for t in told.tracks] == [("video", False), ("audio", True)]
    by_rtmp(server, film, stream)
    server.wait_idle()

    found = sessions(list(sdk.chunks(stream, "earliest", follow=False)))
    assert [samples(session["video"]) for session in found] == 3 * [SECONDS * 30]
    flags = [{c.silence for c in session["audio"]} for session in found]
    assert flags == [{False}, {True}, {False}]
    assert not any(c.silence for session in found for c in session["video"])
    quiet = found[1]["audio"]
    assert (quiet[0].codec, quiet[0].timescale) == ("mp4a.40.2", 48_000)
    seen_s = sum(c.duration for c in found[1]["video"]) / found[1]["video"][0].timescale
    assert 0 <= samples(quiet) * 1024 / 48_000 - seen_s < 2 * 1024 / 48_000
    first = found[1]["video"][0]
    assert quiet[0].dts == rescale(first.dts, first.timescale, 48_000)

    index = playlist(server, stream)
    assert "TYPE=AUDIO" in index
    assert set(re.findall(r'CODECS="[^"]*(mp4a[^",]*)', index)) == {"mp4a.40.2"}
    pictures, sound = (Playlist(playlist(server, stream, name)) for name in ("video", "audio"))
    for listed in (pictures, sound):
        assert not any(segment.gap for segment in listed.segments)
        assert sum("#EXT-X-DISCONTINUITY" in segment.lead for segment in listed.segments) == 2
    assert len(sound.segments) == len(pictures.segments)
    for heard, shown in zip(sound.segments, pictures.segments, strict=True):
        assert abs(heard.seconds - shown.seconds) < 0.1


def test_the_command_line_switches_it_off(server: Server, films: tuple[Path, Path]) -> None:
    film, mute = films
    by_file(server, film, "quiet/off")
    flags = ["--fast", "--no-fill-silence", "--bootstrap-servers", server.bootstrap]
    run_well(kinolog("publish", mute, "quiet/off", *flags))
    with connect(server.bootstrap) as connection:
        found = sessions(list(connection.chunks("quiet/off", "earliest", follow=False)))
    assert [sorted(session) for session in found] == [["audio", "video"], ["video"]]
