"""A stream that is published at one frame rate after another keeps its part duration, and every
part keeps to it: durations are summed up from the samples, not read from the playlist."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hls_stage import PATIENCE_S, Listed, Playlist, Stage, fetch, stage, until

from kinolog.media.cmaf import parse_chunk

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

STREAM = "hls/rates"
SECONDS = 4
WITH_PARTS, WITHOUT = ["30", "29.97", "24"], ["8"]


@pytest.mark.slow
def test_no_part_breaks_the_rule_at_any_rate(one_broker: str, tmp_path: Path) -> None:
    targets: set[float] = set()
    known: set[str] = set()
    with stage(one_broker, tmp_path) as played, httpx.Client(timeout=30) as client:
        edge = ""
        for rate in [*WITH_PARTS, *WITHOUT]:
            publish(played, rate)
            edge = edge or played.edge()
            for track in ("video", "audio"):
                url = f"{edge}/media/{STREAM}/{track}.m3u8"
                playlist, listed = newest_session(client, url, known)
                parts = [segment for segment in listed if segment.parts]
                assert bool(parts) == (rate in WITH_PARTS)
                if not parts:
                    continue
                targets.add(playlist.part_target_s)
                least = least_fill(client, url, playlist, parts)
                print(f"{rate} fps, {track}: parts are at least {least:.3f} of PART-TARGET")
                assert least >= 0.85
    assert len(targets) == 1


def publish(played: Stage, rate: str) -> None:
    source = f"test:192x108@{rate}?seconds={SECONDS}"
    assert played.start("publish", source, STREAM, "--fast").wait(PATIENCE_S) == 0


def newest_session(
    client: httpx.Client, url: str, known: set[str]
) -> tuple[Playlist, list[Listed]]:
    """The playlist once it lists the whole of a session that is not `known`; now it is."""

    def whole() -> tuple[Playlist, list[Listed]] | None:
        playlist = fetch(client, url)
        begun = [i for i, segment in enumerate(playlist.segments) if "MAP" in str(segment.lead)]
        listed = playlist.segments[begun[-1] :]
        if listed[0].uri in known or sum(s.seconds for s in listed) < SECONDS - 0.1:
            return None
        known.add(listed[0].uri)
        return playlist, listed

    return until(whole, "a new session in the playlist")


def least_fill(client: httpx.Client, url: str, playlist: Playlist, listed: list[Listed]) -> float:
    """How full the least full part is, of those that must be full: not a segment's last."""
    base = url.rpartition("/")[0]
    fills = [1.0]
    for segment in listed:
        init = client.get(f"{base}/{segment.uri.rpartition('/')[0]}/init.mp4").content
        for uri, said, _ in segment.parts:
            seconds = duration_s(client.get(f"{base}/{uri}").content, timescale_of(init))
            assert abs(seconds - said) < 2e-6, uri
            assert seconds <= playlist.part_target_s
            if uri != segment.parts[-1][0]:
                fills.append(seconds / playlist.part_target_s)
    return min(fills)


def duration_s(body: bytes, timescale: int) -> float:
    """Of a part: the sum of its samples' durations."""
    return sum(sum(parse_chunk(chunk).durations) for chunk in chunks_of(body)) / timescale


def chunks_of(body: bytes) -> Iterator[bytes]:
    """The pairs of moof and mdat."""
    at = 0
    while at < len(body):
        (moof,) = struct.unpack_from(">I", body, at)
        (mdat,) = struct.unpack_from(">I", body, at + moof)
        yield body[at : at + moof + mdat]
        at += moof + mdat


def timescale_of(init: bytes) -> int:
    """From the mdhd of an init segment (ISO/IEC 14496-12, 8.4.2)."""
    at = init.index(b"mdhd") + 4
    (timescale,) = struct.unpack_from(">I", init, at + (20 if init[at] else 12))
    return int(timescale)
