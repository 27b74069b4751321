"""Publishing a source from this process: file, URL, device or the synthetic camera."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.demux import demux
from kinolog.ingest.desk import LocalDesk
from kinolog.ingest.encode import Encoder
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.pace import Looper, Pacer
from kinolog.ingest.session import Session
from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.types import Packet, TrackFormat


@dataclass(frozen=True, slots=True)
class Source:
    """What to publish. `paced`: at its own speed; live sources pace themselves."""

    url: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    paced: bool = True
    loop: bool = False
    encode: VideoTarget | None = None

    @property
    def synthetic(self) -> bool:
        """Whether it is the synthetic camera."""
        return self.url.startswith("test:")

    @property
    def live(self) -> bool:
        """Whether it goes on by a clock of its own: it is never read ahead of, nor looped."""
        return self.format is not None or self.url.startswith(
            ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "udp://", "srt://", "rtp://")
        )


class Watcher(Protocol):
    """Told of the progress, between batches."""

    def __call__(self, session: Session) -> None: ...


async def publish(
    desk: LocalDesk,
    name: StreamName,
    source: Source,
    clock: Clock,
    *,
    at_ms: int | None = None,
    owner: str = "",
    watch: Watcher | None = None,
) -> Session:
    """Publish a source to its end; the closed session. Raises what the source or Kafka raises."""
    ticket = await desk.publish(
        name,
        publisher=f"publish {source.url.split('?')[0][:80]}",
        at_ms=at_ms,
        live=source.live or (source.synthetic and source.paced),
        owner=owner,
    )
    reason = "interrupted"
    try:
        async with aclosing(_events(source, clock)) as batches:
            async for events in batches:
                await ticket.feed(events)
                if watch is not None:
                    watch(ticket.session)
        reason = "the source has ended"
    except Exception as error:
        reason = str(error)
        raise
    finally:
        await ticket.close(reason)
    return ticket.session


async def _events(source: Source, clock: Clock) -> AsyncGenerator[Sequence[SourceEvent], None]:
    encoder = Encoder(source.encode) if source.encode is not None else None
    async with aclosing(_paced(source, clock)) as batches:
        async for events in batches:
            yield encoder.feed(events) if encoder is not None else events
    if encoder is not None:
        yield encoder.flush()


async def _paced(source: Source, clock: Clock) -> AsyncGenerator[Sequence[SourceEvent], None]:
    if source.synthetic:
        camera = SyntheticCamera(source.url)
        async with aclosing(camera.run(clock, fast=not source.paced)) as frames:
            async for batch in frames:
                yield batch
        return
    looper = Looper() if source.loop else None
    pace = _Pace(clock) if source.paced and not source.live else None
    while True:
        opened = demux(source.url, format=source.format, options=source.options)
        async with aclosing(opened) as batches:
            async for found in batches:
                events = looper.feed(found) if looper is not None else found
                if pace is None:
                    yield events
                else:
                    async for some in pace.spread(events):
                        yield some
        if looper is None:
            return
        looper.end_pass()


class _Pace:
    """Lets events through when their time has come, all that are due at once."""

    def __init__(self, clock: Clock) -> None:
        self._pacer = Pacer(clock)
        self._formats: dict[int, TrackFormat] = {}

    async def spread(
        self, events: Sequence[SourceEvent]
    ) -> AsyncGenerator[Sequence[SourceEvent], None]:
        """The events one by one, each when it is due."""
        for event in events:
            if isinstance(event, Format):
                self._formats[event.track] = event.format
            elif isinstance(event, Packet) and event.track in self._formats:
                await self._pacer.due(event.dts, self._formats[event.track].timescale)
            yield (event,)
