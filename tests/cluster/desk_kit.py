"""A desk over a real broker, and made-up publishers: what tests of sessions share."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.ingest.desk import LocalDesk, Ticket
from kinolog.ingest.services import BUFFER_BYTES, Services
from kinolog.ingest.source import SourceEvent
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter
from kinolog.media.types import Packet, TrackFormat

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from kit.readback import KeptSample, KeptStream, read_kept

__all__ = ["KeptSample"]

FRAME = 3_000  # ticks of 90 kHz: 30 fps
AAC_FRAME = 1_024
AAC = TrackFormat("aac", 48_000, bytes.fromhex("1190"), sample_rate=48_000, channels=2)


class TurnedClock:
    """The system's time of day, unless `now_ms` says another; both clocks turn by hand."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self.monotonic_s = 1000.0
        self.now_ms: int | None = None

    def unix_ms(self) -> int:
        return self._system.unix_ms() if self.now_ms is None else self.now_ms

    def monotonic(self) -> float:
        return self.monotonic_s


@dataclass(slots=True)
class Desk:
    """A desk over a broker, and a way to read back."""

    desk: LocalDesk
    clock: TurnedClock
    catalog: Catalog
    reader: RandomReader
    writer: LogWriter

    async def publish(self, name: str, publisher: str = "test 10.0.0.1:1", **flags: Any) -> Ticket:
        return await self.desk.publish(StreamName.parse(name), publisher=publisher, **flags)

    async def read(self, name: str) -> KeptStream:
        return await read_kept(self.catalog, self.reader, StreamName.parse(name))


@asynccontextmanager
async def opened(
    bootstrap: str,
    end_grace_ms: int = 60_000,
    buffer_bytes: int = BUFFER_BYTES,
    writing: type[LogWriter] = LogWriter,
    reading: type[RandomReader] = RandomReader,
    **more: Any,
) -> AsyncIterator[Desk]:
    settings, clock = KafkaSettings(bootstrap), TurnedClock()
    catalog = await Catalog.open(settings, clock)
    reader, writer = reading(settings, 1), writing(settings)
    desk = LocalDesk(
        Services(
            catalog=catalog,
            writer=writer,
            reader=reader,
            clock=clock,
            end_grace_ms=end_grace_ms,
            buffer_bytes=buffer_bytes,
            **more,
        )
    )
    try:
        yield Desk(desk, clock, catalog, reader, writer)
    finally:
        await desk.close()
        await writer.close()
        await reader.close()
        await catalog.close()


def encoded(size: tuple[int, int] = (64, 64)) -> tuple[TrackFormat, list[tuple[bool, bytes]]]:
    """H.264: the format, and two GOPs of 15 pictures (keyframe, sample)."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height = size
    context.pix_fmt, context.time_base = "yuv420p", Fraction(1, 30)
    context.gop_size = 15
    context.options = {"tune": "zerolatency", "x264-params": "annexb=0:scenecut=0"}
    context.flags |= av.codec.context.Flags.global_header
    context.open()
    pictures = []
    for number in range(30):
        picture = np.full((size[1] * 3 // 2, size[0]), number * 8, np.uint8)
        frame = av.VideoFrame.from_ndarray(picture, "yuv420p")
        frame.pts = number
        pictures += [(p.is_keyframe, bytes(p)) for p in context.encode(frame)]
    return TrackFormat("h264", 90_000, bytes(context.extradata), *size), pictures


VIDEO, PICTURES = encoded()
WIDE, WIDE_PICTURES = encoded((128, 64))


def video(start: int, count: int, pictures: list[tuple[bool, bytes]] = PICTURES,
          first: int = 0, track: int = 0) -> list[SourceEvent]:  # fmt: skip
    """`count` pictures from the `first`th of the GOPs on; the first at `start` ticks."""
    return [
        Packet(track, at := start + i * FRAME, at, None, *pictures[(first + i) % len(pictures)])
        for i in range(count)
    ]


def sound(start: int, count: int, track: int = 1) -> list[SourceEvent]:
    """`count` frames of AAC; the first at `start` samples."""
    return [
        Packet(track, at := start + i * AAC_FRAME, at, AAC_FRAME, True, b"sound %d" % (start + i))
        for i in range(count)
    ]


def both(count: int) -> list[SourceEvent]:
    """Picture and sound from 0, as a multiplexer has them."""
    packets = [*video(0, count), *sound(0, count * FRAME * 48 // 90 // AAC_FRAME)]
    rate = {0: 90_000, 1: 48_000}
    return sorted(packets, key=lambda p: p.dts / rate[p.track])  # type: ignore[union-attr]
