"""Publishing a source from this process: file, URL, device or the synthetic camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Protocol

from kinolog.core.clock import Clock
from kinolog.core.errors import KinologError, MediaError, Unavailable, UnsupportedCodec
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.camera_options import parse_camera
from kinolog.ingest.demux import demux
from kinolog.ingest.demux_errors import redacted, say_published
from kinolog.ingest.desk import LocalDesk, Ticket
from kinolog.ingest.encode import Encoder, encoded
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.pace import Looper, Pacer
from kinolog.ingest.probe import duration_ms_of
from kinolog.ingest.session import Session
from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.types import Packet, TrackFormat

_DEVICES = frozenset(
    {
        "v4l2", "video4linux2", "alsa", "oss", "pulse", "jack", "sndio", "openal",
        "x11grab", "xcbgrab", "fbdev", "kmsgrab", "gdigrab", "avfoundation", "dshow", "vfwcap",
        "android_camera", "decklink", "iec61883", "libdc1394", "libcdio",
    }
)  # fmt: skip
"""FFmpeg's input formats that capture. `lavfi` is none: it makes pictures as fast as it can."""
_SENDERS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "udp", "srt", "rtp", "rist", "tcp")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_log = get_logger("kinolog.ingest")


@dataclass(frozen=True, slots=True)
class Source:
    """What to publish. `paced`: at its own speed. `reconnect`: a live one that drops is opened
    again. `transcode_audio`: as demux has it. `endless`: of an HTTP address, that it has no length
    (see `measured`)."""

    url: str
    format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    paced: bool = True
    loop: bool = False
    encode: VideoTarget | None = None
    reconnect: bool = True
    transcode_audio: bool = True
    endless: bool = False

    @property
    def synthetic(self) -> bool:
        """Whether it is the synthetic camera."""
        return self.url.startswith("test:")

    @property
    def device(self) -> bool:
        """Whether it is captured on this machine."""
        return self.format in _DEVICES

    @property
    def pushes(self) -> bool:
        """Whether it sends by a clock of its own. What is fetched (a file, a playlist) does not,
        and comes in bursts where nobody paces it."""
        return self.device or self._scheme in _SENDERS

    @property
    def live(self) -> bool:
        """Whether it goes on whether or not somebody takes it: it can be neither held up nor
        looped."""
        return self.pushes or self.endless

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0].lower() if "://" in self.url else ""

    async def measured(self) -> tuple[Source, int | None]:
        """The source with `endless` decided, and its length in ms, None where it has none."""
        if self.synthetic:
            seconds = parse_camera(self.url).seconds
            return self, None if seconds is None else round(1000 * seconds)
        if self.live or self.url.startswith("pipe:"):
            return self, None
        length_ms = await duration_ms_of(self.url, self.format, self.options)
        endless = length_ms is None and self._scheme in ("http", "https")
        return replace(self, endless=endless), length_ms


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
) -> None:
    """Publish a source to its end. Raises what the source or Kafka raises.

    A live source that worked once and then drops is opened again, at longer and longer intervals:
    each connection is a session of its own, so the stream says meanwhile that it is away, and goes
    on in a new epoch.
    """
    begun = False
    wait_s = _FIRST_WAIT_S
    while True:
        connection = _Connection(source, clock, at_ms)
        if await _publish_one(desk, name, connection, at_ms, owner, watch):
            begun, wait_s = True, _FIRST_WAIT_S
        if not (begun and connection.comes_back):
            if connection.lost is not None:
                raise connection.lost
            return
        why = str(connection.lost or f"{redacted(source.url)} has ended")
        _log.warning("connecting again", stream=str(name), reason=why, wait_s=wait_s)
        await asyncio.sleep(wait_s)
        wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        at_ms = None


async def _publish_one(
    desk: LocalDesk,
    name: StreamName,
    connection: _Connection,
    at_ms: int | None,
    owner: str,
    watch: Watcher | None,
) -> bool:
    """One session, from its source's first events on; whether it had any packets.

    Not before: somebody else may publish while the source is away, and the stream may end.
    """
    source = connection.source
    ticket: Ticket | None = None
    reason = "interrupted"
    try:
        async with aclosing(connection.events()) as batches:
            async for events in batches:
                if ticket is None:
                    ticket = await desk.publish(
                        name,
                        publisher=f"publish {redacted(source.url)[:80]}",
                        at_ms=at_ms,
                        live=source.live or (source.synthetic and source.paced),
                        owner=owner,
                    )
                await ticket.feed(events)
                if watch is not None:
                    watch(ticket.session)
        reason = str(connection.lost or "the source has ended")
    except Exception as error:
        reason = str(error)
        raise
    finally:
        if ticket is not None:
            await ticket.close(reason)
            if isinstance(connection.lost, MediaError):
                say_published(connection.lost, ticket.session.packets)
    return ticket is not None and ticket.session.packets + ticket.session.left_out > 0


class _Connection:
    """A source, opened once. `lost`: the error that ended it, None for its own end. `at_ms`: when
    it was captured, Unix; None: now."""

    def __init__(self, source: Source, clock: Clock, at_ms: int | None) -> None:
        self.source = source
        self.lost: KinologError | None = None
        self._clock = clock
        self._at_ms = at_ms

    @property
    def comes_back(self) -> bool:
        """Whether another one is worth a try: a playlist's end is its end, a camera's is not."""
        source = self.source
        if not source.reconnect or not source.live or source.device:
            return False
        return source.pushes if self.lost is None else not isinstance(self.lost, UnsupportedCodec)

    async def events(self) -> AsyncGenerator[Sequence[SourceEvent], None]:
        """The source's events, at its pace. Its errors end them and are kept in `lost`."""
        opened = self._camera() if self.source.synthetic else self._paced()
        try:
            async with aclosing(opened) as batches:
                async for events in batches:
                    yield events
        except (MediaError, Unavailable) as error:
            self.lost = error

    async def _camera(self) -> AsyncGenerator[Sequence[SourceEvent], None]:
        camera = SyntheticCamera(self.source.url)
        fast = not self.source.paced
        async with aclosing(camera.run(self._clock, fast=fast, at_ms=self._at_ms)) as frames:
            if self.source.encode is None:
                async for batch in frames:
                    yield batch
                return
            async with aclosing(encoded(frames, Encoder(self.source.encode))) as again:
                async for some in again:
                    yield some

    async def _paced(self) -> AsyncGenerator[Sequence[SourceEvent], None]:
        source = self.source
        looper = Looper() if source.loop else None
        pace = _Pace(self._clock) if source.paced and not source.pushes else None
        while True:
            opened = demux(
                source.url,
                format=source.format,
                options=source.options,
                encode=source.encode,
                transcode_audio=source.transcode_audio,
            )
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
