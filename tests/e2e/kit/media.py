"""Media files, made once a run by PyAV or by the system's ffmpeg, and what is in them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from kit.server import run_well

FFMPEG = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-nostdin", "-y"]
# delay_moov: with empty_moov alone ffmpeg 5 stretches a track's first packet back to zero.
FRAGMENTED = ["-movflags", "frag_keyframe+delay_moov+default_base_moof"]


class FilePacket(NamedTuple):
    """A packet of a file, times in seconds."""

    pts: Fraction
    dts: Fraction
    keyframe: bool
    data: bytes


def ffmpeg(*arguments: str | Path) -> None:
    """Run the system's ffmpeg."""
    run_well([*FFMPEG, *map(str, arguments)])


def make(path: Path, *encoding: str, seconds: float = 10, size: str = "640x360", rate: str = "30",
         video: bool = True, audio: bool = True) -> Path:  # fmt: skip
    """A moving picture and a tone, encoded as told."""
    inputs: list[str] = []
    if video:
        inputs += ["-f", "lavfi", "-i", f"testsrc2=size={size}:rate={rate}"]
    if audio:
        inputs += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000"]
    ffmpeg(*inputs, "-t", str(seconds), *encoding, path)
    return path


def file_packets(source: Path | bytes, kind: str, number: int = 0) -> list[FilePacket]:
    """The packets of the `number`th stream of a kind, in the file's order."""
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
        stream = container.streams.get(**{kind: number})[0]
        return [
            FilePacket(
                p.pts * p.time_base, (p.dts if p.dts is not None else p.pts) * p.time_base,
                p.is_keyframe, bytes(p),
            )
            for p in container.demux(stream)
            if p.size
        ]  # fmt: skip


def picture_hashes(source: Path | bytes) -> list[str]:
    """A hash of each decoded picture of the first video stream, in order of presentation."""
    with av.open(io.BytesIO(source) if isinstance(source, bytes) else source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return [hash_of(frame) for frame in container.decode(stream)]


def hash_of(frame: av.VideoFrame) -> str:
    """A hash of a picture's visible samples, as framemd5 makes it."""
    digest = hashlib.md5(usedforsecurity=False)
    for plane in frame.planes:
        width = plane.width * (1 if frame.format.components[0].bits <= 8 else 2)
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
        digest.update(np.ascontiguousarray(rows[: plane.height, :width]))
    return digest.hexdigest()


def largest_drift(
    got: Sequence[tuple[int, int]], timescale: int, was: Sequence[tuple[Fraction, Fraction]]
) -> Fraction:
    """How far (pts, dts) in ticks and those in seconds part, in seconds: the PTS counted from the
    first PTS, the DTS from the first DTS, which is moved to the first PTS (ingest/gate.py)."""
    assert len(got) == len(was)
    assert got[0][0] == got[0][1]
    return max(
        abs(Fraction(mine[which] - got[0][which], timescale) - (theirs[which] - was[0][which]))
        for mine, theirs in zip(got, was, strict=True)
        for which in (0, 1)
    )
