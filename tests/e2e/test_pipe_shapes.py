"""Videos of every shape go through whole and play: GOPs, frame rates, one kind of track only.

Each is published un-paced by RTMP and by HTTP, counted in the log, and counted again by ffprobe
in the edge's plain HLS playlist once the stream has ended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import av
import httpx
import pytest
from hls_stage import Playlist
from kit.media import ffmpeg, file_packets, make, picture_hashes
from kit.play import played_packets, playlist, wait_ended
from kit.publish import by_http, by_rtmp
from kit.readback import KeptEpoch, read_stream
from kit.server import Server, kinolog, run, serving

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg", "ffprobe")]

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
AAC = ("-c:a", "aac", "-ac", "2")
SMALL = "320x180"


def long_gop(path: Path) -> Path:
    """A keyframe each ten seconds."""
    return make(path, *X264, *AAC, "-g", "300", "-sc_threshold", "0", "-bf", "2",
                seconds=25, size=SMALL)  # fmt: skip


def variable_gop(path: Path) -> Path:
    """Keyframes at 0, 0.5, 3, 3.2, 9.9 and 10.3 s."""
    keys = ["-force_key_frames", "0.5,3,3.2,9.9,10.3", "-g", "600", "-sc_threshold", "0"]
    return make(path, *X264, *AAC, *keys, seconds=14, size=SMALL)


def variable_rate(path: Path) -> Path:
    """Frames left out by an uneven pattern: gaps of 33 to 400 ms."""
    choice = "select='not(mod(n,2))*lt(mod(n,90),45)+eq(mod(n,12),1)*gte(mod(n,90),45)'"
    return make(path, *X264, *AAC, "-vf", choice, "-vsync", "vfr", "-g", "30",
                seconds=12, size=SMALL)  # fmt: skip


def one_a_second(path: Path) -> Path:
    """1 fps."""
    return make(path, *X264, *AAC, "-g", "4", seconds=20, size=SMALL, rate="1")


def audio_only(path: Path) -> Path:
    """Sound without pictures."""
    return make(path, *AAC, seconds=12, video=False)


def video_only(path: Path) -> Path:
    """Pictures without sound."""
    return make(path, *X264, "-g", "60", "-bf", "3", seconds=12, size=SMALL, audio=False)


SHAPES: dict[str, Callable[[Path], Path]] = {
    "long-gop": long_gop,
    "variable-gop": variable_gop,
    "variable-rate": variable_rate,
    "one-fps": one_a_second,
    "audio-only": audio_only,
    "video-only": video_only,
}
WAYS = {"rtmp": by_rtmp, "ts": by_http("ts")}


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shapes")
    with serving(one_broker, folder, "--end-grace-s", "0.5") as running:
        yield running


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    folder = tmp_path_factory.mktemp("media")
    return functools.cache(lambda shape: SHAPES[shape](folder / f"{shape}.mp4"))


def kinds(path: Path) -> list[str]:
    with av.open(path) as container:
        return [stream.type for stream in container.streams]


def assert_plays(server: Server, stream: str, epoch: KeptEpoch) -> None:
    """ffprobe finds as many packets in the playlists as the log holds."""
    wait_ended(server, stream)
    for name, track in epoch.tracks.items():
        found = played_packets(f"{server.http}/media/{stream}/{name}.m3u8", track.info.kind)
        assert found == len(track.samples), name


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_arrives_and_plays(
    shape: str, way: str, server: Server, made: Callable[[str], Path]
) -> None:
    path = made(shape)
    stream = f"pipe/{shape}-{way}"
    WAYS[way](server, path, stream)
    server.wait_idle()
    epoch = read_stream(server.bootstrap, stream).only()
    assert list(epoch.tracks) == kinds(path)
    for name, kept in epoch.tracks.items():
        assert [s.data for s in kept.samples] == [p.data for p in file_packets(path, name)], name
    if "video" in epoch.tracks:
        assert picture_hashes(epoch.tracks["video"].file()) == picture_hashes(path)
        keys = [p.pts for p in file_packets(path, "video") if p.keyframe]
        got = epoch.tracks["video"]
        at = [s.pts / got.info.timescale for s in got.samples if s.sync]
        assert [t - at[0] for t in at] == pytest.approx(
            [float(k - keys[0]) for k in keys], abs=0.002
        )
    assert_plays(server, stream, epoch)


def test_two_languages_are_two_audio_tracks(
    server: Server, tmp_path: Path, made: Callable[[str], Path]
) -> None:
    path = tmp_path / "languages.mkv"
    tone = ["-f", "lavfi", "-i", "sine=frequency=880:sample_rate=48000"]
    tags = ["-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu"]
    ffmpeg("-i", made("video-only"), *tone, *tone, "-map", "0:v", "-map", "1:a", "-map", "2:a",
           "-c:v", "copy", *AAC, *tags, "-t", "6", path)  # fmt: skip
    stream = "pipe/languages"
    by_http("mkv")(server, path, stream)
    server.wait_idle()
    epoch = read_stream(server.bootstrap, stream).only()
    languages = {name: track.info.language for name, track in epoch.tracks.items()}
    assert languages == {"video": "und", "audio": "eng", "audio-2": "deu"}
    for number, name in enumerate(("audio", "audio-2")):
        sent = file_packets(path, "audio", number)
        assert [s.data for s in epoch.tracks[name].samples] == [p.data for p in sent]
    wait_ended(server, stream)
    audio = [line for line in playlist(server, stream).splitlines() if "TYPE=AUDIO" in line]
    assert len(audio) == 2
    assert 'LANGUAGE="en' in audio[0]
    assert 'LANGUAGE="de' in audio[1]


def with_pause(path: Path, source: Path, kind: str, away_s: float) -> Path:
    """Of a kind nothing for so long after 3.5 s, amid a GOP of ten: the other goes on meanwhile.
    Sound is left out; pictures come so much later."""
    with av.open(source) as old, av.open(path, "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            at_s = float(packet.dts * packet.time_base)
            if packet.stream.type == kind == "audio" and 3.5 <= at_s < 3.5 + away_s:
                continue
            if packet.stream.type == kind == "video" and at_s >= 3.5:
                packet.dts += round(away_s / packet.time_base)
                packet.pts += round(away_s / packet.time_base)
            packet.stream = streams[packet.stream_index]
            new.mux(packet)
    return path


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("kind", "away_s", "left_out"),
    [("audio", 1.5, 0), ("audio", 6, 3), ("video", 2, 0), ("video", 6, 3)],
)
def test_a_pause_amid_a_gop_costs_nothing_and_is_listed_as_gaps(
    kind: str,
    away_s: float,
    left_out: int,
    way: str,
    server: Server,
    made: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    path = with_pause(tmp_path / "paused.mp4", made("long-gop"), kind, away_s)
    stream = f"pipe/pause-{kind}-{away_s}-{way}".replace(".", "-")
    WAYS[way](server, path, stream)
    server.wait_idle()
    epoch = read_stream(server.bootstrap, stream).only()
    for name, kept in epoch.tracks.items():
        assert [s.data for s in kept.samples] == [p.data for p in file_packets(path, name)], name
        used = sorted({header.msn for header in kept.headers})
        skipped = [b - a - 1 for a, b in pairwise(used) if b > a + 1]
        assert skipped == ([left_out] if name == kind and left_out else []), name
    wait_ended(server, stream)
    for name in epoch.tracks:
        listed = Playlist(playlist(server, stream, name))
        segments = listed.segments
        assert all(round(segment.seconds) <= listed.target_s for segment in segments), name
        assert sum(segment.gap for segment in segments) == (left_out if name == kind else 0), name
        assert all("#EXT-X-DISCONTINUITY" not in segment.lead for segment in segments), name
        for before, after in pairwise(segments):
            step = datetime.fromisoformat(after.date) - datetime.fromisoformat(before.date)
            assert step.total_seconds() == pytest.approx(before.seconds, abs=0.05), name


def test_publishers_are_told_how_much_is_in_the_log_and_how_much_is_not(
    server: Server, made: Callable[[str], Path], tmp_path: Path
) -> None:
    """Matroska that begins amid a GOP."""
    path = tmp_path / "joined.mkv"
    with av.open(made("long-gop")) as old, av.open(path, "w") as new:
        streams = {s.index: new.add_stream_from_template(s) for s in old.streams}
        for packet in old.demux():
            if packet.dts is not None and packet.dts * packet.time_base >= 3:
                packet.stream = streams[packet.stream_index]
                new.mux(packet)
    answer = httpx.put(server.ingest_url("pipe/joined"), content=path.read_bytes(), timeout=60)
    assert answer.status_code == 201, answer.text
    told = answer.json()
    tracks = read_stream(server.bootstrap, "pipe/joined").only().tracks
    assert told["packets"] == sum(len(track.samples) for track in tracks.values())
    sent = sum(len(file_packets(path, kind)) for kind in tracks)
    assert told["left_out"] == sent - told["packets"] > 7 * 30
    command = kinolog(
        "publish", path, "pipe/joined-file", "--fast", "--bootstrap-servers", server.bootstrap
    )
    said = run(command).stderr
    assert f"pipe/joined-file: {told['packets']} packets published" in said
    assert f"pipe/joined-file: {told['left_out']} packets were left out" in said
