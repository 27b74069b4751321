"""`kinolog.frames`: a stream's decoded pictures as arrays, each with its capture time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from kinolog.core.errors import InputError
from kinolog.log.history import Moment
from kinolog.sdk.chunk import Chunk
from kinolog.sdk.chunks import source, wish_of
from kinolog.sdk.connection import Connection, connect
from kinolog.sdk.decoder import Decoder, Picture
from kinolog.sdk.flow import Begun, Item, Mark, Wish
from kinolog.sdk.items import Items, Pull
from kinolog.sdk.moment import When, as_datetime

PixelFormat = Literal["rgb24", "bgr24", "gray"]
_MOST_SIDE = 16_384


@dataclass(frozen=True, slots=True)
class Frame:
    """A picture. `numpy.asarray(frame)` is its `image`."""

    image: npt.NDArray[np.uint8] = field(repr=False)
    """uint8, (height, width, 3); (height, width) for `gray`. Yours to change."""
    time: datetime
    """When it was captured (aware, UTC)."""
    pts_seconds: float
    """Its presentation time on the source's own clock, in seconds since 1970."""
    epoch: int
    """The publisher's session."""
    number: int
    """Counts the frames of this iteration from 0."""

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        return np.array(self.image, dtype=dtype, copy=copy)


class Picker:
    """Which pictures are wanted: from the start on, before the end, at most `fps` a second."""

    def __init__(self, moment: Moment, until_ms: int | None, fps: float | None) -> None:
        self._from_us = moment * 1000 if isinstance(moment, int) else None
        self._until_us = until_ms * 1000 if until_ms is not None else None
        self._fps = Fraction(fps).limit_denominator(100_000) if fps is not None else None
        self._first_us: int | None = None
        self._slot = -1

    def wants(self, picture: Picture) -> bool:
        """Whether this one is to be given; asked once for each, in order."""
        time_us = picture.time_us
        if self._from_us is not None and time_us < self._from_us:
            return False
        if self._until_us is not None and time_us >= self._until_us:
            return False
        if self._fps is None:
            return True
        if self._first_us is None or time_us < self._first_us:
            self._first_us, self._slot = time_us, -1  # the first, or a clock that went back
        # Half a frame early is in time: capture times are rounded, and jitter.
        since_us = time_us - self._first_us + picture.duration_us // 2
        slot = int(since_us * self._fps // 1_000_000)
        if slot <= self._slot:
            return False
        self._slot = slot
        return True


class Unrolled:
    """From items to frames. Pure but for the decoders."""

    def __init__(
        self, wish: Wish, fps: float | None, size: tuple[int, int] | None, format: PixelFormat
    ) -> None:
        self._follow = wish.follow
        self._picker = Picker(wish.moment, wish.until_ms, fps)
        self._size = size
        self._format = format
        self._decoder: Decoder | None = None
        self._init = b""
        self._track = ""
        self._latest: Picture | None = None
        self._awaits_present = wish.moment == "live"
        self._number = 0

    def feed(self, item: Item) -> Iterator[Frame]:
        """The frames that an item leads to."""
        if isinstance(item, Chunk):
            if item.track == self._track and self._decoder is not None:
                yield from self._frames(self._decoder.feed(item))
        elif isinstance(item, Begun):
            yield from self._begin(item)
        elif item is Mark.PRESENT:
            if not self._follow:
                yield from self.flush()
            yield from self._arrive()
        else:
            yield from self.flush()

    def flush(self) -> Iterator[Frame]:
        """The pictures that the decoder holds back; what comes next begins anew."""
        if self._decoder is not None:
            yield from self._frames(self._decoder.flush())

    def end(self) -> Iterator[Frame]:
        """The last frames of all."""
        yield from self.flush()
        yield from self._arrive()

    def _begin(self, begun: Begun) -> Iterator[Frame]:
        """Another init segment needs another decoder. With the same, the first chunk tells whether
        it follows."""
        video = [track for track in begun.tracks if track.kind == "video"]
        self._track = video[0].name if video else ""
        init = video[0].init if video else b""
        if init != self._init:
            yield from self.flush()
            self._decoder = Decoder(init, low_delay=self._follow) if video else None
            self._init = init

    def _arrive(self) -> Iterator[Frame]:
        """Live begins with the latest picture at the call."""
        latest, self._latest = self._latest, None
        self._awaits_present = False
        if latest is not None:
            yield from self._frames(iter([latest]))

    def _frames(self, pictures: Iterator[Picture]) -> Iterator[Frame]:
        for picture in pictures:
            if self._awaits_present:
                self._latest = picture
            elif self._picker.wants(picture):
                yield self._frame(picture)

    def _frame(self, picture: Picture) -> Frame:
        width, height = self._size or (None, None)
        made = picture.frame.to_ndarray(format=self._format, width=width, height=height)
        image: npt.NDArray[np.uint8] = made.astype(np.uint8, copy=False)
        number, self._number = self._number, self._number + 1
        return Frame(
            image, as_datetime(picture.time_us / 1000), picture.pts / picture.timescale,
            picture.epoch, number,
        )  # fmt: skip


class Frames(Items[Frame]):
    """What `kinolog.frames` returns. Pictures are decoded when they are asked for: in the caller's
    thread, or, for async code, in a worker thread."""

    def __init__(self, pull: Pull[Item], unrolled: Unrolled) -> None:
        self._pull = pull
        self._unrolled = unrolled
        self._pending: Iterator[Frame] = iter(())
        self._step: asyncio.Future[Frame | None] | None = None
        self._over = False

    def __next__(self) -> Frame:
        try:
            while (frame := next(self._pending, None)) is None:
                if self._over:
                    raise StopIteration
                self._go_on(self._pull.next())
        except StopIteration:
            raise
        except BaseException:
            self.close()
            raise
        return frame

    async def __anext__(self) -> Frame:
        while (frame := await self._next_pending()) is None:
            if self._over:
                raise StopAsyncIteration
            self._go_on(await self._pull.anext())
        return frame

    async def _next_pending(self) -> Frame | None:
        """The next decoded frame. A cancelled wait loses nothing."""
        if self._step is None:
            work = asyncio.to_thread(next, self._pending, None)
            self._step = asyncio.ensure_future(work)
        frame = await asyncio.shield(self._step)
        self._step = None
        return frame

    def _go_on(self, item: Item | None) -> None:
        self._over = item is None
        self._pending = self._unrolled.end() if item is None else self._unrolled.feed(item)

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        self._over = True
        self._pending = iter(())
        self._pull.close()

    async def aclose(self) -> None:
        """`close`, for async code."""
        self._over = True
        if self._step is not None:
            await asyncio.wait([self._step])
            self._step = None
        self._pending = iter(())
        await self._pull.aclose()

    def __del__(self) -> None:
        self._pull.begin_close()


def frames(
    stream: str,
    start: When = "live",
    end: When | None = None,
    *,
    fps: float | None = None,
    size: tuple[int, int] | None = None,
    follow: bool = True,
    format: PixelFormat = "rgb24",
    connection: Connection | None = None,
) -> Frames:
    """A stream's pictures from exactly `start` on, by `for` or `async for`.

    `start`, `end`, `follow`: as for `kinolog.chunks`; "live" begins with the latest picture, a
    time with the first picture captured then or later. `fps`: at most so many a second of capture
    time (the ones nearest to an even spacing). `size`: (width, height) to scale to. `format`:
    "rgb24", "bgr24" (as OpenCV has it) or "gray".

    New sessions of the publisher go on in the same iteration, of another size if need be: see
    `Frame.epoch`. What is missing in the log is left out up to the next keyframe. Raises, when
    iterated: NotFound, KafkaUnavailable, KafkaRefused, UnsupportedCodec; InputError at once.

        for frame in kinolog.frames("cams/gate", start="-10m", fps=5):
            detect(frame.image, frame.time)
    """
    if fps is not None and not 0 < fps < 100_000:
        raise InputError(f"fps={fps} is no rate", hint="for example fps=5, or fps=0.1")
    if size is not None and not (len(size) == 2 and all(0 < side <= _MOST_SIDE for side in size)):
        raise InputError(f"size={size} is not (width, height)")
    if format not in get_args(PixelFormat):
        raise InputError(f"format={format!r} is none of {', '.join(get_args(PixelFormat))}")
    wish = wish_of(stream, start, end, follow=follow)
    pull = Pull(source(connection or connect(), wish))
    return Frames(pull, Unrolled(wish, fps, size, format))
