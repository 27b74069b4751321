"""A stream as the log holds it: its epochs, tracks and samples, by the rule of StreamReader."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import NamedTuple

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.media.cmaf import parse_chunk
from kinolog.record.control import Gap, Open, OpenTrack
from kinolog.record.header import Header
from kinolog.record.registry import StreamEntry
from kinolog.record.topics import topic
from kinolog.timeline.events import ChunkEvent, Closed, Ended, GapEvent, Hole, Opened
from kinolog.timeline.reader import Ignored, StreamReader


class KeptSample(NamedTuple):
    """A sample; `dts`, `pts` and `duration` in ticks of its track."""

    dts: int
    pts: int
    duration: int
    sync: bool
    data: bytes


@dataclass(slots=True)
class KeptTrack:
    """A track of one epoch."""

    info: OpenTrack
    samples: list[KeptSample] = field(default_factory=list)
    headers: list[Header] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)

    def file(self) -> bytes:
        """Init segment and chunks: a fragmented MP4."""
        return self.info.init + b"".join(self.chunks)


@dataclass(slots=True)
class KeptEpoch:
    """An epoch: what it opened with, its tracks by name, how it closed."""

    number: int
    open: Open
    tracks: dict[str, KeptTrack]
    closed: str | None = None
    gaps: list[Gap] = field(default_factory=list)


@dataclass(slots=True)
class KeptStream:
    """All epochs of a stream."""

    entry: StreamEntry
    epochs: list[KeptEpoch] = field(default_factory=list)
    holes: int = 0
    ended: bool = False
    ignored: Ignored = field(default_factory=Ignored)

    def only(self) -> KeptEpoch:
        """The one epoch; fails the test where there are others, or something is missing."""
        (epoch,) = self.epochs
        assert self.holes == 0
        assert not epoch.gaps
        assert self.ignored == Ignored()
        return epoch

    def track_file(self, name: str) -> list[bytes]:
        """A track's file of each epoch."""
        return [epoch.tracks[name].file() for epoch in self.epochs if name in epoch.tracks]


def read_stream(bootstrap: str, stream: str) -> KeptStream:
    """What the media topic holds of a stream now."""
    return asyncio.run(_read(bootstrap, StreamName.parse(stream)))


async def _read(bootstrap: str, name: StreamName) -> KeptStream:
    settings = KafkaSettings(bootstrap)
    catalog = await Catalog.open(settings, SystemClock())
    reader = RandomReader(settings, 1)
    try:
        return await read_kept(catalog, reader, name)
    finally:
        await reader.close()
        await catalog.close()


async def read_kept(catalog: Catalog, reader: RandomReader, name: StreamName) -> KeptStream:
    """As read_stream, with a catalog and a reader that are there already."""
    entry = catalog.registry.streams[name]
    kept = KeptStream(entry)
    for placement in entry.placements:
        media = topic(placement.base, "media")
        _, end = await reader.bounds(media, placement.partition)
        rule = StreamReader()
        for record in await reader.read(media, placement.partition, 0, end, name.name):
            if record.header.epoch < placement.from_epoch:
                continue  # of a stream of this name that was deleted
            for event in rule.feed(record):
                _take(kept, event)
        kept.ignored = rule.ignored
    return kept


def _take(kept: KeptStream, event: object) -> None:
    match event:
        case Opened():
            tracks = {track.name: KeptTrack(track) for track in event.open.tracks}
            kept.epochs.append(KeptEpoch(event.epoch, event.open, tracks))
            kept.ended = False
        case ChunkEvent():
            _add_chunk(kept.epochs[-1].tracks[event.header.track], event)
        case Closed():
            kept.epochs[-1].closed = event.reason
        case GapEvent():
            kept.epochs[-1].gaps.append(event.gap)
        case Hole():
            kept.holes += 1
        case Ended():
            kept.ended = True


def _add_chunk(track: KeptTrack, event: ChunkEvent) -> None:
    parsed = parse_chunk(event.payload)
    dts, at = parsed.base_decode_time, parsed.data_offset
    assert dts == event.header.dts
    for size, duration, cts, sync in zip(
        parsed.sizes, parsed.durations, parsed.cts, parsed.sync, strict=True
    ):
        data = event.payload[at : at + size]
        track.samples.append(KeptSample(dts, dts + cts, duration, sync, data))
        dts, at = dts + duration, at + size
    track.headers.append(event.header)
    track.chunks.append(event.payload)
