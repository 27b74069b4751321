"""A clip of days: its memory is that of one of minutes, whatever is in it."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.delivery.clip import maker as maker_module
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.record.control import Open, OpenTrack, SegmentEntry, encode_value
from kinolog.record.page import INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.extent import Extent
from kinolog.timeline.window import Run

STREAM = StreamName("cams", "gate")
BEGUN_MS = 1_767_225_600_000
SECOND_MS = 1000
VIDEO, AUDIO = 90_000, 48_000
FRAMES = 60
"""Of a segment, which lasts two seconds."""


class Archive:
    """Two tracks, of whose segments each has its entry where it is asked for."""

    def __init__(self, seconds: int, video_init: bytes, audio_init: bytes) -> None:
        self.segments = seconds // 2
        tracks = [
            OpenTrack("video", "video", "avc1", VIDEO, video_init),
            OpenTrack("audio", "audio", "mp4a", AUDIO, audio_init),
        ]
        opened = Open("s", "p", "k", 2000, 200, tracks)
        entry = SimpleNamespace(open=opened, base="cams", partition=0, state="closed", epoch=1)
        self.registry: Any = SimpleNamespace(epochs={STREAM: {1: entry}})

    def row(self, track: str, msn: int) -> Row:
        scale = VIDEO if track == "video" else AUDIO
        place = 2 * msn + (track == "audio")
        return Row(1, 1, msn, 2 * scale * msn, 2 * scale, BEGUN_MS + 2000 * msn, place, place,
                   FRAMES * 100, place, INDEPENDENT)  # fmt: skip

    async def between(self, name: Any, start_ms: float, end_ms: float, _: Any) -> list[Run]:
        first = max(0, int(start_ms - BEGUN_MS) // 2000)
        stop = min(self.segments, -(-int(end_ms - BEGUN_MS) // 2000))
        if stop <= first:
            return []
        table = Table(self.row(name.track, msn) for msn in range(first, stop))
        return [Run(table, 0, len(table), 1, 1, VIDEO if name.track == "video" else AUDIO)]

    async def extents(self, name: Any, start_ms: float, end_ms: float, _: Any) -> list[Extent]:
        end = BEGUN_MS + 2000 * self.segments
        if start_ms >= end or end_ms <= BEGUN_MS:
            return []
        return [Extent(int(max(BEGUN_MS, start_ms)), int(min(end, end_ms)), 1)]

    async def read_raw(self, topic: str, partition: int, start: int, end: int, key: str) -> Any:
        assert (topic, partition, key) == ("cams.index", 0, STREAM.name)
        assert end - start < 40_000
        return [_Message(n, self.entry(*divmod(n, 2))) for n in range(start, end)]

    def entry(self, msn: int, sound: int) -> bytes:
        count = 94 if sound else FRAMES
        duration = 1024 if sound else 3000
        row = self.row("audio" if sound else "video", msn)
        return encode_value(
            SegmentEntry(
                "audio" if sound else "video",
                1,
                1,
                msn,
                row.dts,
                row.dur,
                row.wall,
                True,
                1,
                [row.first],
                [100 + 100 * count],
                [count],
                [100],
                [100 + (msn + n) % 7 for n in range(count)],
                [duration] * count,
                [0] * count if sound else [0, 6000, 0, -3000] * (count // 4),
                list(range(count)) if sound else [0],
            )
        )


class _Message:
    def __init__(self, offset: int, value: bytes) -> None:
        self._offset, self._value = offset, value

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes:
        return self._value


def make(archive: Archive, start_ms: int, end_ms: int) -> Clip:
    source = cast(Any, archive)
    maker = ClipMaker(source, source, archive.registry, SystemClock())
    try:
        return asyncio.run(maker.make(STREAM, None, start_ms, end_ms))
    finally:
        maker.close()


def peak_of(archive: Archive, hours: float) -> tuple[int, Clip]:
    tracemalloc.start()
    try:
        end_ms = BEGUN_MS + int(hours * 3_600_000)
        clip = make(archive, BEGUN_MS + 11_000, end_ms)
        return tracemalloc.get_traced_memory()[1], clip
    finally:
        tracemalloc.stop()


def resident() -> int:
    """The most bytes of memory that this process has had since its peak was reset."""
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in one)
    return int(line.split()[1]) << 10


@pytest.fixture(scope="module")
def inits() -> tuple[bytes, bytes]:
    from fractions import Fraction

    from kinolog.ingest.encode_audio import AudioEncoder
    from kinolog.ingest.encode_video import VideoEncoder, VideoTarget
    from kinolog.media.init import init_segment

    video = VideoEncoder(VideoTarget("h264"), track=0, width=320, height=180,
                         frame_rate=Fraction(30), timescale=VIDEO)  # fmt: skip
    sound = AudioEncoder("aac", track=1)
    return init_segment(video.format).data, init_segment(sound.format).data


def test_three_times_the_length_takes_no_more_memory(inits: tuple[bytes, bytes]) -> None:
    archive = Archive(5400, *inits)
    one, _ = peak_of(archive, 0.5)
    three, clip = peak_of(archive, 1.5)
    assert clip.seconds == pytest.approx(5400 - 11, abs=0.05)
    assert three < 1.2 * one
    assert three < 32 << 20
    assert clip.held_bytes < 2 << 20
    assert clip.stored_bytes > 1 << 20


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_week_is_a_clip_too(inits: tuple[bytes, bytes]) -> None:
    archive = Archive(7 * 86_400, *inits)
    make(archive, BEGUN_MS, BEGUN_MS + 3_600_000)  # what any clip needs is there now
    Path("/proc/self/clear_refs").write_text("5")
    before, begun_s = resident(), time.monotonic()
    clip = make(archive, BEGUN_MS + 11_000, BEGUN_MS + 7 * 86_400_000)
    grown = resident() - before
    print(
        f"a week, in {time.monotonic() - begun_s:.0f} s: {grown >> 20} MB of memory, "
        f"{clip.stored_bytes >> 20} MB of disk"
    )
    assert clip.seconds == pytest.approx(7 * 86_400 - 11, abs=0.05)
    assert grown < 64 << 20
    assert clip.head.size > 100 << 20


def test_what_lies_far_apart_is_found(inits: tuple[bytes, bytes]) -> None:
    """From 1970 on, without looking at every half hour."""
    archive = Archive(60, *inits)
    clip = make(archive, 0, BEGUN_MS + 10**9)
    assert (clip.begins_ms, clip.seconds) == (BEGUN_MS, pytest.approx(60, abs=0.05))


def test_tables_have_a_bound(inits: tuple[bytes, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maker_module, "MOST_CLIP_BYTES", 1 << 20)
    with pytest.raises(InputError, match="over 1 GB"):
        make(Archive(3600, *inits), BEGUN_MS, BEGUN_MS + 3_600_000)
