"""Stills: the newest keyframe of a stream, or the frame of any moment, as JPEG or WebP.

Each is decoded once, however many ask.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, TypeVar
from urllib.parse import unquote

import av

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, MediaError, NotFound, Overloaded
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.frame import Frames
from kinolog.delivery.picture import WIDTHS, Format, encoded
from kinolog.delivery.span import moment_ms, value_of
from kinolog.timeline.segment import Segment

T = TypeVar("T")
MOST_BYTES: Final = 16 << 20
MOST_MAKING: Final = 64
NAMES: Final = re.compile(r"still\.(jpg|webp)")
_TYPES: Final[dict[Format, str]] = {"jpeg": "image/jpeg", "webp": "image/webp"}
_FRESH: Final = ("cache-control", "public, max-age=1")
_OLD: Final = ("cache-control", "public, max-age=60")


class _Found(NamedTuple):
    """A picture's name, and where its media come from."""

    key: Hashable
    media: Callable[[], Awaitable[bytes]]


class Stills:
    """Answers for the channels of this process."""

    def __init__(self, frames: Frames, clock: Clock, threads: int = 1) -> None:
        self._frames = frames
        self._clock = clock
        self._studio = Studio(threads)

    def close(self) -> None:
        """Stop decoding."""
        self._studio.close()

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """`still.jpg?at=&w=480`, `still.webp`: widths are rounded up to a few, the picture is never
        enlarged. Without `at`: the newest keyframe. False where `rest` is none of these."""
        named = NAMES.fullmatch(rest)
        if named is None:
            return False
        format: Format = "jpeg" if named[1] == "jpg" else "webp"
        width = width_of(scope.query_string, 480, WIDTHS)
        at_ms = moment_of(scope.query_string, self._clock.unix_ms())
        if at_ms is None:
            found = _newest(channel)
            if found is None:
                raise NotFound("no picture yet")
        else:
            frame = await self._frames.at(channel.name, channel, at_ms)
            key = (frame.epoch, frame.pts, frame.date_ms)
            found = _Found(key, lambda: self._frames.media(frame))
        try:
            body = await self._studio.make(
                (channel.name, found.key, width, format),
                found.media,
                lambda media: encoded(media, width, format),
            )
        except (av.FFmpegError, MediaError) as error:
            raise NotFound("the frame cannot be decoded") from error
        fixed = at_ms is not None and not _relative(scope.query_string)
        headers: Headers = [
            *answers.CORS,
            ("content-type", _TYPES[format]),
            _OLD if fixed else _FRESH,
        ]
        answers.send(scope, protocol, headers, body)
        return True


class Studio:
    """A small pool of threads that make pictures, and what they made last, up to a bound."""

    def __init__(self, threads: int = 1, most_bytes: int = MOST_BYTES) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="stills")
        self._most_bytes = most_bytes
        self._made: OrderedDict[Hashable, bytes] = OrderedDict()
        self._made_bytes = 0
        self._making: dict[Hashable, asyncio.Task[bytes]] = {}
        self._turn = asyncio.Semaphore(2 * threads)

    def close(self) -> None:
        """Stop."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    async def make(
        self, key: Hashable, media: Callable[[], Awaitable[T]], work: Callable[[T], bytes]
    ) -> bytes:
        """The picture of this name: kept, or being made, or `work` (in a thread) on what `media`
        gives. Overloaded where too many are waited for."""
        kept = self._made.get(key)
        if kept is not None:
            self._made.move_to_end(key)
            return kept
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= MOST_MAKING:
                raise Overloaded("too many pictures are being made", hint="try again")
            task = self._making[key] = asyncio.create_task(self._make(media, work))
            task.add_done_callback(lambda done: self._done(key, done))
        return await asyncio.shield(task)

    async def _make(self, media: Callable[[], Awaitable[T]], work: Callable[[T], bytes]) -> bytes:
        async with self._turn:
            found = await media()
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, found)

    def _done(self, key: Hashable, task: asyncio.Task[bytes]) -> None:
        del self._making[key]
        if task.cancelled() or task.exception() is not None:
            return
        self._made[key] = task.result()
        self._made_bytes += len(task.result())
        while self._made_bytes > self._most_bytes:
            self._made_bytes -= len(self._made.popitem(last=False)[1])


def width_of(query: str, default: int, widths: tuple[int, ...]) -> int:
    """The width that a query asks for (`w`), rounded up to one that is made. InputError where it is
    none."""
    found = value_of(query, "w")
    wanted = str(default) if found is None else unquote(found)
    known = wanted.isascii() and wanted.isdigit() and len(wanted) <= 4
    if not known or not 1 <= int(wanted) <= widths[-1]:
        raise InputError(f"w is a width in pixels, 1 to {widths[-1]}")
    return next(one for one in widths if one >= int(wanted))


def moment_of(query: str, now_ms: int) -> int | None:
    """The moment that a query asks for (`at`), Unix ms. InputError where it is none."""
    wanted = value_of(query, "at")
    return None if wanted is None else moment_ms("at", unquote(wanted), now_ms)


def _relative(query: str) -> bool:
    return (value_of(query, "at") or "-")[:1] in ("-", "n", "%")


def _newest(channel: Channel) -> _Found | None:
    """The newest segment that begins with a keyframe, and has its first part."""
    for track in channel.live.tracks.values():
        if track.info is not None and track.info.kind == "video":
            for segment in reversed(track.segments):
                if segment.independent and segment.parts and not segment.gap:
                    return _Found(
                        (segment.epoch, segment.msn), _first_part(channel, track.name, segment)
                    )
    return None


def _first_part(channel: Channel, track: str, segment: Segment) -> Callable[[], Awaitable[bytes]]:
    init = channel.live.init_segment(track, segment.epoch) or b""

    async def media() -> bytes:
        return init + segment.part_body(0)

    return media
