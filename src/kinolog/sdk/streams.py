"""`kinolog.streams`: what there is to read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from kinolog.core.names import StreamName
from kinolog.log.registry import Registry
from kinolog.sdk.connection import Connection, connect
from kinolog.sdk.loop import background
from kinolog.sdk.moment import as_datetime


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """A track; sizes in pixels, rates in Hz and frames a second, 0 where they do not apply."""

    name: str
    kind: Literal["video", "audio"]
    codec: str
    width: int
    height: int
    frame_rate: float
    sample_rate: int
    channels: int
    language: str
    silence: bool = False
    """Whether ingest made it, since the publisher sent no sound."""


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """A stream as the registry has it. `state` is what its ingest last said: `live`, `away` (the
    publisher left), `ended`, or `new`. `since`: when its newest session began."""

    name: str
    state: Literal["live", "away", "ended", "new"]
    since: datetime | None
    epoch: int
    tracks: tuple[TrackInfo, ...]


def streams(*, connection: Connection | None = None) -> list[StreamInfo]:
    """All streams, by name. Raises KafkaUnavailable, KafkaRefused, ConfigError.

    for stream in kinolog.streams():
        print(stream.name, stream.state)
    """
    return background().call(_ask(connection or connect()))


async def astreams(*, connection: Connection | None = None) -> list[StreamInfo]:
    """`streams`, for async code."""
    return await background().wait(_ask(connection or connect()))


async def _ask(connection: Connection) -> list[StreamInfo]:
    async with connection.lease() as base:
        await base.catalog.registry.catch_up()
        registry = base.catalog.registry
        return [_info(registry, name) for name in sorted(registry.streams)]


def _info(registry: Registry, name: StreamName) -> StreamInfo:
    newest = registry.newest_epoch(name)
    if newest is None:
        return StreamInfo(str(name), "new", None, 0, ())
    tracks = tuple(
        TrackInfo(
            t.name, t.kind, t.codec, t.width, t.height, t.frame_rate, t.sample_rate, t.channels,
            t.language, t.silence,
        )
        for t in newest.open.tracks
    )  # fmt: skip
    return StreamInfo(str(name), newest.state, as_datetime(newest.wall), newest.epoch, tracks)
