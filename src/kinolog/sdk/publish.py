"""`kinolog.publish`: pictures from a program into a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from fractions import Fraction
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
import numpy.typing as npt

from kinolog import __version__
from kinolog.core.clock import Clock, SystemClock
from kinolog.core.errors import InputError, KinologError
from kinolog.core.names import StreamName
from kinolog.ingest.desk import LocalDesk, Ticket
from kinolog.ingest.encode_video import VideoEncoder, VideoTarget, parse_bitrate
from kinolog.ingest.services import Services
from kinolog.ingest.source import Expect, Format, SourceEvent
from kinolog.log.writer import LogWriter
from kinolog.media.types import Codec
from kinolog.record.control import Profile
from kinolog.sdk.connection import Connection, connect
from kinolog.sdk.loop import background
from kinolog.sdk.moment import When, time_ms

_TIMESCALE = 90_000
_LATE_MS = 500
_PAUSE_MS = 1_000


class Timeline:
    """Capture times of written pictures: given, else `1/fps` after the one before.

    A writer that is slower than it said is moved on to the present when it is half a second
    behind. Pure: time is passed in.
    """

    def __init__(self, fps: Fraction) -> None:
        self._step_ms = Fraction(1000) / fps
        self._last_ms: Fraction | None = None

    @property
    def pause_ms(self) -> Fraction:
        """A longer step than this is a pause: a new session."""
        return max(Fraction(_PAUSE_MS), self._step_ms * 5 / 2)

    def next(self, given_ms: int | None, now_ms: int) -> tuple[Fraction, bool]:
        """The next picture's time (Unix ms), and whether a pause is before it.

        InputError where a given time is not after the one before.
        """
        last = self._last_ms
        if given_ms is not None:
            time = Fraction(given_ms)
        elif last is None:
            time = Fraction(now_ms)
        else:
            time = last + self._step_ms
            if now_ms - time > max(Fraction(_LATE_MS), self._step_ms):
                time = Fraction(now_ms)
        if last is not None and time <= last:
            raise InputError("a picture's time is not after that of the one before")
        self._last_ms = time
        return time, last is not None and time - last > self.pause_ms


class _Session:
    """A session's encoder: its pictures as events for the desk."""

    def __init__(
        self, target: VideoTarget, fps: Fraction, size: tuple[int, int], start_ms: Fraction
    ) -> None:
        self.at_ms = round(start_ms)
        self._fps = fps
        self._size = size
        self._encoder = VideoEncoder(
            target, track=0, width=size[0], height=size[1], frame_rate=fps, timescale=_TIMESCALE
        )
        self._head: list[SourceEvent] = [Expect(1), Format(0, self._encoder.format)]

    def encode(self, image: npt.NDArray[np.uint8], time_ms: Fraction) -> list[SourceEvent]:
        """The events of a picture."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        plain = picture.reformat(
            *self._size, "yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        pts = round((time_ms - self.at_ms) * _TIMESCALE / 1000)
        head, self._head = self._head, []
        return [*head, *self._encoder.encode(plain, pts, round(_TIMESCALE / self._fps))]

    def flush(self) -> list[SourceEvent]:
        """The last packets."""
        return [*self._head, *self._encoder.flush()]


class Publisher:
    """What `kinolog.publish` returns: a context manager, for `with` and for `async with`."""

    def __init__(
        self,
        name: StreamName,
        target: VideoTarget,
        fps: Fraction,
        size: tuple[int, int] | None,
        profile: Profile | None,
        connection: Connection,
    ) -> None:
        self._name = name
        self._target = target
        self._fps = fps
        self._size = size
        self._outlet = _Outlet(name, connection, profile)
        self._timeline = Timeline(fps)
        self._clock: Clock = SystemClock()
        self._session: _Session | None = None
        self._waited_ms = 0.0
        self.frames = 0
        """Pictures written so far."""

    def write(self, frame: npt.ArrayLike, time: When | None = None) -> None:
        """Publish a picture: uint8, (height, width, 3), RGB. Waits while Kafka is behind.

        `time`: when it was captured; later than the one before. Default: `1/fps` after the one
        before, the first one now; moved on when the caller is half a second slower than that
        (what waiting for Kafka took is not counted). Raises InputError (shape, time), Replaced (a
        newer publisher has the name), Refused, Unavailable.
        """
        for begin, events in self._encode(frame, time):
            with self._waiting():
                background().call(self._outlet.feed(begin, events))

    async def awrite(self, frame: npt.ArrayLike, time: When | None = None) -> None:
        """`write`, for async code; encodes in a worker thread."""
        for begin, events in await asyncio.to_thread(self._encode, frame, time):
            with self._waiting():
                await background().wait(self._outlet.feed(begin, events))

    def close(self, reason: str = "closed") -> None:
        """Write what is held, and wait until Kafka has acknowledged everything. Idempotent."""
        background().call(self._outlet.close(self._last(), reason))

    async def aclose(self, reason: str = "closed") -> None:
        """`close`, for async code."""
        await background().wait(self._outlet.close(self._last(), reason))

    def __enter__(self) -> Self:
        background().call(self._outlet.open())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(_reason(error))

    async def __aenter__(self) -> Self:
        await background().wait(self._outlet.open())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose(_reason(error))

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Opening a session takes a second at times: taken for a pause of the caller's, it would
        lead to the next one."""
        begun = self._clock.monotonic()
        try:
            yield
        finally:
            self._waited_ms += 1000 * (self._clock.monotonic() - begun)

    def _encode(
        self, frame: npt.ArrayLike, time: When | None
    ) -> list[tuple[int | None, list[SourceEvent]]]:
        """(capture time that a new session begins at, else None; events) in order."""
        image = _checked(frame)
        now_ms = self._clock.unix_ms()
        given_ms = time_ms(time, now_ms) if time is not None else None
        at_ms, paused = self._timeline.next(given_ms, now_ms - round(self._waited_ms))
        out: list[tuple[int | None, list[SourceEvent]]] = []
        if paused:
            out.append((None, self._last()))
        begin = None
        if self._session is None:
            size = self._size or (image.shape[1] & ~1, image.shape[0] & ~1)
            self._session = _Session(self._target, self._fps, size, at_ms)
            begin = self._session.at_ms
        out.append((begin, self._session.encode(image, at_ms)))
        self.frames += 1
        return out

    def _last(self) -> list[SourceEvent]:
        session, self._session = self._session, None
        return session.flush() if session is not None else []


class _Outlet:
    """The way to the log; lives on the background loop."""

    def __init__(self, name: StreamName, connection: Connection, profile: Profile | None) -> None:
        self._name = name
        self._connection = connection
        self._profile = profile
        self._stack: AsyncExitStack | None = None
        self._desk: LocalDesk | None = None
        self._ticket: Ticket | None = None

    async def open(self) -> LocalDesk:
        """Connect. Idempotent."""
        if self._desk is not None:
            return self._desk
        async with AsyncExitStack() as stack:
            base = await stack.enter_async_context(self._connection.lease())
            writer = LogWriter(base.kafka)
            stack.push_async_callback(writer.close)
            services = Services(
                catalog=base.catalog,
                writer=writer,
                reader=base.reader,
                clock=base.clock,
                profile=self._profile,
                software=f"kinolog {__version__}",
            )
            self._desk = LocalDesk(services)
            stack.push_async_callback(self._desk.close)
            self._stack = stack.pop_all()
        return self._desk

    async def feed(self, begin_ms: int | None, events: list[SourceEvent]) -> None:
        """Publish events; in a new session where its beginning is given."""
        if begin_ms is not None:
            desk = await self.open()
            await self._end("paused")
            self._ticket = await desk.publish(
                self._name, publisher="kinolog.publish", at_ms=begin_ms, live=False
            )
        assert self._ticket is not None
        await self._ticket.feed(events)

    async def close(self, last: list[SourceEvent], reason: str) -> None:
        """The end of the session, then of the connection."""
        try:
            if self._ticket is not None and last:
                await self._ticket.feed(last)
        finally:
            try:
                await self._end(reason)
            finally:
                stack, self._stack, self._desk = self._stack, None, None
                if stack is not None:
                    await stack.aclose()

    async def _end(self, reason: str) -> None:
        ticket, self._ticket = self._ticket, None
        if ticket is not None:
            await ticket.close(reason)


def publish(
    stream: str,
    *,
    fps: float = 30,
    codec: Codec = "h264",
    bitrate: int | str | None = None,
    size: tuple[int, int] | None = None,
    profile: Profile | None = None,
    connection: Connection | None = None,
) -> Publisher:
    """Publish pictures as a stream; its collection is made where it is unknown.

    `fps`: how many a second there will be. `codec`: h264, hevc, vp9 or av1. `bitrate`: bits a
    second, or "2500k", "3M"; default: what suits size and rate. `size`: (width, height), even;
    default: the first picture's. `profile`: latency, "frame", "low" (default) or "standard".

    Leaving the block waits until Kafka has acknowledged every picture. A pause of over a second
    (two and a half frames, where that is longer) begins a new session of the same stream.
    Raises InputError (and ConfigError, UnsupportedCodec) at once; KafkaUnavailable, KafkaRefused
    on entering; see `Publisher.write` for the rest.

        with kinolog.publish("lab/sim", fps=25) as out:
            for picture in simulation:          # uint8, (height, width, 3)
                out.write(picture)
    """
    if not 0 < fps <= 1000:
        raise InputError(f"fps={fps} is no rate", hint="for example fps=30, or fps=0.5")
    if size is not None and not all(0 < side < 1 << 14 and side % 2 == 0 for side in size):
        raise InputError(f"size={size} is not (width, height) in even pixels")
    bits = parse_bitrate(bitrate) if isinstance(bitrate, str) else bitrate
    target = VideoTarget(codec, bits)
    rate = Fraction(fps).limit_denominator(1001)
    name = StreamName.parse(stream)
    return Publisher(name, target, rate, size, profile, connection or connect())


def _checked(frame: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    image: npt.NDArray[Any] = np.asarray(frame)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or min(image.shape) < 2:
        raise InputError(
            f"a picture is uint8 of (height, width, 3), not {image.dtype} of {image.shape}",
            hint="gray: np.stack([g] * 3, axis=-1); floats: (255 * x).astype(np.uint8)",
        )
    return image


def _reason(error: BaseException | None) -> str:
    if error is None:
        return "closed"
    return str(error) if isinstance(error, KinologError) else type(error).__name__
