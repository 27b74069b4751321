"""Nothing is lost in the pipe: what ffmpeg publishes is what the log holds, packet by packet.

A minute of H.264 with B-frames and AAC, un-paced, by each transport; read back by StreamReader
and compared with the file: bytes, counts, times within a tick of the transport, pictures.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from kit.media import FilePacket, file_packets, largest_drift, make, picture_hashes
from kit.publish import by_file, by_http, by_rtmp
from kit.readback import KeptEpoch, read_stream
from kit.server import Server, serving

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]

MILLISECOND, EXACT, TS_TICK = Fraction(1, 1000), Fraction(0), Fraction(1, 90_000)
SECONDS = 60


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("whole")) as running:
        yield running


@pytest.fixture(scope="module")
def minute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Closed GOPs of 2 s with three B-frames; AAC with its priming packet before zero."""
    path = tmp_path_factory.mktemp("media") / "minute.mp4"
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-g", "60", "-b:v", "1M"]
    make(path, *x264, "-pix_fmt", "yuv420p", "-c:a", "aac", "-ac", "2", seconds=SECONDS)
    assert any(p.pts != p.dts for p in file_packets(path, "video")), "no B-frames"
    assert file_packets(path, "audio")[0].pts < 0, "no priming"
    return path


@functools.cache
def pictures_of(path: Path) -> list[str]:
    return picture_hashes(path)


@functools.cache
def packets_of(path: Path, kind: str) -> list[FilePacket]:
    return file_packets(path, kind)


def assert_track(epoch: KeptEpoch, name: str, path: Path, tick: Fraction) -> None:
    """Every packet of the file, once, in order, unchanged, at its time."""
    kept = epoch.tracks[name]
    sent = packets_of(path, name)
    assert len(kept.samples) == len(sent)
    assert [s.data for s in kept.samples] == [p.data for p in sent]
    assert [s.sync for s in kept.samples] == [p.keyframe for p in sent]
    drift = largest_drift(
        [(s.pts, s.dts) for s in kept.samples], kept.info.timescale, [(p.pts, p.dts) for p in sent]
    )
    print(f"{name}: {len(sent)} packets, times within {float(drift) * 1e6:.0f} us")
    assert drift <= tick


def assert_in_step(epoch: KeptEpoch, path: Path, tick: Fraction) -> None:
    """Sound and picture begin as far apart as in the file."""
    begins = {
        name: Fraction(epoch.tracks[name].samples[0].pts, epoch.tracks[name].info.timescale)
        for name in ("video", "audio")
    }
    apart = begins["audio"] - begins["video"]
    was = packets_of(path, "audio")[0].pts - packets_of(path, "video")[0].pts
    # Media time begins at a whole millisecond, in each track at its nearest tick.
    rounded = sum(Fraction(1, 2 * track.info.timescale) for track in epoch.tracks.values())
    assert abs(apart - was) <= tick + rounded


WAYS = {
    "rtmp": (by_rtmp, MILLISECOND),
    "http-ts": (by_http("ts"), TS_TICK),
    "http-fmp4": (by_http("fmp4"), EXACT),
    "http-mkv": (by_http("mkv"), MILLISECOND),
    "publish-mp4": (by_file, EXACT),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_minute_arrives_whole(way: str, server: Server, minute: Path) -> None:
    publish, tick = WAYS[way]
    stream = f"pipe/minute-{way}"
    publish(server, minute, stream)
    server.wait_idle()
    epoch = read_stream(server.bootstrap, stream).only()
    assert epoch.closed is not None
    assert_track(epoch, "video", minute, tick)
    assert_track(epoch, "audio", minute, tick)
    assert_in_step(epoch, minute, tick)
    assert picture_hashes(epoch.tracks["video"].file()) == pictures_of(minute)
