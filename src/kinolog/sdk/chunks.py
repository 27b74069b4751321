"""`kinolog.chunks`: a stream's CMAF chunks, as they are in the log."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import aclosing

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.sdk.chunk import Chunk
from kinolog.sdk.connection import Connection, connect
from kinolog.sdk.flow import Item, Wish, flow
from kinolog.sdk.items import Items, Pull
from kinolog.sdk.moment import When, moment_of, time_ms


class Chunks(Items[Chunk]):
    """What `kinolog.chunks` returns."""

    def __init__(self, pull: Pull[Item]) -> None:
        self._pull = pull

    def __next__(self) -> Chunk:
        while (item := self._pull.next()) is not None:
            if isinstance(item, Chunk):
                return item
        raise StopIteration

    async def __anext__(self) -> Chunk:
        while (item := await self._pull.anext()) is not None:
            if isinstance(item, Chunk):
                return item
        raise StopAsyncIteration

    def close(self) -> None:
        """Let go of everything. Idempotent."""
        self._pull.close()

    async def aclose(self) -> None:
        """`close`, for async code."""
        await self._pull.aclose()

    def __del__(self) -> None:
        self._pull.begin_close()


def chunks(
    stream: str,
    start: When = "live",
    end: When | None = None,
    *,
    follow: bool = True,
    tracks: Collection[str] | None = None,
    connection: Connection | None = None,
) -> Chunks:
    """A stream's chunks in log order, by `for` or `async for`.

    `start`: "live", "earliest", "-10m", RFC 3339, Unix seconds, or an aware datetime. Begins with
    the newest keyframe at or before it, so that what comes can be decoded. `end`: likewise, a
    time; chunks that begin at or after it are left out. `follow`: go on with what is published
    from now on, over sessions and for ever; False ends at what is the present at the call.
    `tracks`: only those of these names (`video`, `audio`, `audio-2` …).

    Raises, when iterated: NotFound (no such stream or track, nothing kept at that time),
    KafkaUnavailable, KafkaRefused. A name or time that cannot be read raises InputError at once.

        for chunk in kinolog.chunks("cams/gate", start="-10m", follow=False, tracks=["video"]):
            print(chunk.time, chunk.msn, chunk.part, len(chunk.data))
    """
    wish = wish_of(stream, start, end, follow=follow, tracks=tracks)
    return Chunks(Pull(source(connection or connect(), wish)))


def wish_of(
    stream: str,
    start: When,
    end: When | None,
    *,
    follow: bool,
    tracks: Collection[str] | None = None,
) -> Wish:
    """A wish from what a person gave. InputError says what is wrong with it."""
    name = StreamName.parse(stream)
    now_ms = SystemClock().unix_ms()
    moment = moment_of(start, now_ms)
    until_ms = time_ms(end, now_ms) if end is not None else None
    if isinstance(moment, int) and until_ms is not None and until_ms <= moment:
        raise InputError(f"{stream}: the end is not after the start")
    if isinstance(tracks, str):
        raise InputError("tracks is a collection of names", hint=f"write tracks=[{tracks!r}]")
    return Wish(name, moment, until_ms, follow, tracks)


def source(connection: Connection, wish: Wish) -> Callable[[], AsyncGenerator[list[Item], None]]:
    """What makes the flow of a wish, on the background loop."""

    async def items() -> AsyncGenerator[list[Item], None]:
        async with connection.lease() as base, aclosing(flow(base.archive, wish)) as batches:
            async for batch in batches:
                yield batch

    return items
