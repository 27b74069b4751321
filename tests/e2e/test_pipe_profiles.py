"""Every latency profile carries the same video: only the chunks differ, and players see parts."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from hls_stage import Playlist, until
from hls_watch import Watcher, check_parser
from kit.media import FFMPEG, make, picture_hashes
from kit.readback import KeptTrack, read_stream
from kit.server import Server, serving
from test_pipe_whole import MILLISECOND, assert_in_step, assert_track

from kinolog.record.control import Profile

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg"), pytest.mark.timeout(240)]

PART_S = Fraction(200, 1000)
LOW_S = Fraction(100, 1000)
SECONDS = 6


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GOPs of 2 s with two B-frames, and AAC."""
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "60", "-pix_fmt", "yuv420p"]
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    return make(path, *x264, "-c:a", "aac", seconds=SECONDS, size="320x180")


def watched(server: Server, stream: str, path: Path) -> list[tuple[str, str]]:
    """Publish a film at its own pace by RTMP; every playlist that a player saw of it meanwhile."""
    rtmp = ["-f", "flv", server.rtmp_url(stream)]
    sender = subprocess.Popen([*FFMPEG, "-re", "-i", str(path), "-c", "copy", *rtmp])
    base = f"{server.http}/media/{stream}/"
    try:
        with httpx.Client(timeout=30) as client:
            until(lambda: client.get(f"{base}video.m3u8").status_code == 200, "a playlist")
        watchers = {name: Watcher(f"{base}{name}.m3u8") for name in ("video", "audio")}
        for watcher in watchers.values():
            watcher.start()
        assert sender.wait(SECONDS + 30) == 0
    finally:
        sender.kill()
        sender.wait()
    for watcher in watchers.values():
        watcher.over.set()
    for watcher in watchers.values():
        watcher.join(40)
    return [
        (f"{name} {index}", body.decode())
        for name, watcher in watchers.items()
        for index, body in enumerate(watcher.bodies)
    ]


def frame_s(track: KeptTrack) -> Fraction:
    return Fraction(1, 30) if track.info.kind == "video" else Fraction(1024, 48_000)


def assert_chunks(profile: Profile, track: KeptTrack) -> None:
    """The chunks hold what DESIGN.md says of the profile, and whole parts."""
    timescale = track.info.timescale
    lengths = [Fraction(header.dur, timescale) for header in track.headers]
    parts: dict[tuple[int, int], int] = {}
    for header in track.headers:
        parts[header.msn, header.part] = parts.get((header.msn, header.part), 0) + 1
    if profile == "frame":
        assert len(track.headers) == len(track.samples)
    elif profile == "standard":
        assert set(parts.values()) == {1}
        assert max(lengths) <= PART_S + MILLISECOND
        whole = [s for s, h in zip(lengths, track.headers, strict=True) if h.ends != "segment"]
        assert all(s > PART_S - frame_s(track) - MILLISECOND for s in whole)
    else:
        assert max(lengths) <= LOW_S + frame_s(track) + MILLISECOND
        assert sum(lengths) / len(lengths) > LOW_S - frame_s(track)
        assert max(parts.values()) == 2
    print(f"{track.info.name}: {len(track.headers)} chunks, {len(parts)} parts, mean "
          f"{float(sum(lengths) / len(lengths)) * 1000:.0f} ms")  # fmt: skip


def assert_parts(playlist: Playlist) -> None:
    """No part is longer than told, and none but a segment's last shorter than 85 % of that (RFC
    8216bis, 4.4.3.7)."""
    assert playlist.part_target_s == pytest.approx(float(PART_S), abs=0.02)
    for segment in playlist.segments:
        seconds = [part_s for _, part_s, _ in segment.parts]
        assert all(part_s <= playlist.part_target_s for part_s in seconds)
        assert all(part_s >= 0.85 * playlist.part_target_s for part_s in seconds[:-1]), seconds


@pytest.mark.parametrize(
    "profile",
    [
        "frame",
        pytest.param("low", marks=pytest.mark.slow),
        pytest.param("standard", marks=pytest.mark.slow),
    ],
)
def test_a_profile_loses_nothing_and_plays(
    profile: Profile, one_broker: str, film: Path, tmp_path: Path
) -> None:
    stream = f"profiles/{profile}"
    with serving(one_broker, tmp_path, "--profile", profile) as server:
        playlists = watched(server, stream, film)
        server.wait_idle()
    epoch = read_stream(one_broker, stream).only()
    assert epoch.open.profile == profile
    for name in ("video", "audio"):
        assert_track(epoch, name, film, MILLISECOND)
        assert_chunks(profile, epoch.tracks[name])
    assert_in_step(epoch, film, MILLISECOND)
    assert picture_hashes(epoch.tracks["video"].file()) == picture_hashes(film)
    parsed, failures = check_parser(playlists)
    assert not failures, failures[0]
    assert parsed == len(playlists) > 20
    for _, text in playlists:
        assert_parts(Playlist(text))
    print(f"hls-parser: {parsed} playlists of profile {profile}")
