"""Any bytes at all: the sender hears MediaError, or packets come; never a crash or a hang."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kinolog.core.errors import MediaError
from kinolog.ingest.demux import PushedBytes, demux
from kinolog.ingest.source import Format
from kinolog.media.cmaf import Sample, chunk
from kinolog.media.init import init_segment
from kinolog.media.normaliser import normaliser
from kinolog.media.types import Packet, TrackFormat

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "media"))
from media_clips import FRAGMENTED, clip, remux

DEADLINE_S = 20
PIECE_BYTES = 50_000
BOUNDED = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
SOURCES = {
    "ts": ("h264", "aac", "mpegts", {}),
    "hevc-ts": ("hevc", "aac", "mpegts", {}),
    "mp4": ("h264", "aac", "mp4", FRAGMENTED),
    "mkv": ("av1", "opus", "matroska", {}),
    "webm": ("vp9", "opus", "webm", {}),
    "flv": ("h264", "aac", "flv", {}),
}


async def _swallow(data: bytes) -> int:
    """Push `data`; the count of packets, each of which must fit a chunk of its format."""
    pushed = PushedBytes()

    async def send() -> None:
        for at in range(0, len(data), PIECE_BYTES):
            await pushed.feed(data[at : at + PIECE_BYTES])
        pushed.finish()

    sender = asyncio.create_task(send())
    packets = 0
    try:
        async with asyncio.timeout(DEADLINE_S), aclosing(demux(pushed)) as batches:
            async for events in batches:
                for event in events:
                    if isinstance(event, Format):
                        init_segment(event.format)
                    elif isinstance(event, Packet):
                        packets += 1
                        chunk(1, 0, [Sample(event.data, 1, 0, event.keyframe)])
    finally:
        sender.cancel()
        await asyncio.gather(sender, return_exceptions=True)
    return packets


def swallow(data: bytes) -> int:
    """As _swallow; 0 for MediaError. Anything else fails the test."""
    try:
        return asyncio.run(_swallow(data))
    except MediaError:
        return 0


@functools.cache
def made(name: str) -> bytes:
    video, audio, container, options = SOURCES[name]
    return remux(clip(video, audio), container, options)


@pytest.fixture(params=SOURCES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_whole_clip_is_read(name: str) -> None:
    assert asyncio.run(_swallow(made(name))) > 80


# Headers are where a bit does most; else a place in the file, in 1/2**16 of its bits.
flips = st.lists(st.tuples(st.booleans(), st.integers(0, 2**16 - 1)), min_size=1, max_size=30)


@BOUNDED
@given(flips)
def test_flipped_bits(name: str, places: list[tuple[bool, int]]) -> None:
    source = made(name)
    broken = bytearray(source)
    for near, place in places:
        bit = place % (4_000 * 8) if near else place * len(source) * 8 >> 16
        broken[bit // 8] ^= 1 << bit % 8
    swallow(bytes(broken))


@BOUNDED
@given(st.integers(0, 2**16), st.integers(0, 2**16))
def test_cut_short_and_holes(name: str, one: int, other: int) -> None:
    source = made(name)
    start, end = sorted((one * len(source) >> 16, other * len(source) >> 16))
    swallow(source[:start])
    swallow(source[:start] + source[end:])


@BOUNDED
@given(st.binary(max_size=3_000))
def test_random_bytes(data: bytes) -> None:
    assert swallow(data) == 0


@dataclass
class Growth:
    """By how much a process's memory grew at its peak."""

    kib: int = 0


def memory_kib(name: str) -> int:
    """A line of this process's status: VmRSS now, VmHWM the most since it was last set back."""
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith(name)).split()[1])


@contextmanager
def peak_growth() -> Iterator[Growth]:
    """Measures the peak from here on: what earlier tests needed does not hide it."""
    reset = Path("/proc/self/clear_refs")
    if not os.access(reset, os.W_OK):
        pytest.skip("this system cannot set back a process's peak")
    reset.write_text("5")
    before, found = memory_kib("VmRSS"), Growth()
    yield found
    found.kib = memory_kib("VmHWM") - before


def test_megabytes_of_noise_take_little_memory() -> None:
    noise = b"".join(i.to_bytes(4, "big") for i in range(0, 40_000_000, 10))  # 16 MB
    with peak_growth() as grown:
        swallow(noise)
    assert grown.kib < 64 * 1024
    with peak_growth() as grown:
        np.ones(128 << 20, np.uint8)
    assert grown.kib > 64 * 1024  # it does measure


extradata = st.binary(max_size=120) | st.binary(max_size=120).map(lambda tail: b"\x01d\x00" + tail)


@settings(max_examples=300)
@given(
    st.sampled_from(["h264", "hevc", "av1", "vp9", "aac", "opus"]),
    extradata,
    st.lists(st.binary(max_size=80) | st.binary(max_size=80).map(lambda d: b"\0\0\1" + d)),
)
def test_pure_parsers_raise_media_errors_only(codec, config: bytes, units: list[bytes]) -> None:
    try:
        convert = normaliser(TrackFormat(codec, 90_000, config))
        for unit in units:
            convert(unit)
            if convert.format is not None:
                init_segment(convert.format)
    except MediaError:
        pass
