"""`/media/{collection}/{stream}/clip.mp4`: clips over HTTP, by Range too, streamed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Final, NamedTuple
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KinologError
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.core.units import show_duration
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.body import Turns
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.pour import SMALL_BYTES, pour
from kinolog.delivery.span import Span, is_relative, parse_span
from kinolog.log.random_reader import RandomReader

KEPT_BYTES: Final = 12 << 20
"""Of clips that may be asked for again: a player asks for one in several ranges."""
MOST_MAKING: Final = 2
MOST_READS: Final = 2
"""Of the log at a time, whoever is sent clips: less than its reader has hands."""
_log = get_logger("kinolog.clip")


class _Key(NamedTuple):
    stream: StreamName
    start_ms: int
    end_ms: int


class ClipServer:
    """Makes each clip once, however many ask for it, and keeps the last ones, up to a bound."""

    def __init__(self, maker: ClipMaker, reader: RandomReader, clock: Clock) -> None:
        self._maker = maker
        self._reader = Turns(reader, MOST_READS)
        self._clock = clock
        self._kept: OrderedDict[_Key, Clip] = OrderedDict()
        self._used: WeakValueDictionary[_Key, Clip] = WeakValueDictionary()
        self._making: dict[_Key, asyncio.Task[Clip]] = {}
        self._turn = asyncio.Semaphore(MOST_MAKING)

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """`clip.mp4?start=&end=&download=1`; without an end, up to now. False for another name."""
        if rest != "clip.mp4":
            return False
        await self._answer(scope, protocol, channel)
        return True

    async def _answer(self, scope: Scope, protocol: HttpProtocol, channel: Channel) -> None:
        now_ms = self._clock.unix_ms()
        start_ms, end_ms = clip_span(scope.query_string, now_ms)
        relative = is_relative(scope.query_string) or "end=" not in scope.query_string
        if relative and scope.headers.get("range") is not None:
            # What is asked for in ranges must be the same at each.
            download = "&download=1" if _download(scope.query_string) else ""
            where = f"clip.mp4?{Span(start_ms, end_ms).query}{download}"
            protocol.response_empty(307, [*answers.CORS, ("location", where), answers.NO_STORE])
            return
        clip = await self._clip(channel, _Key(channel.name, start_ms, end_ms))
        name = file_name(channel.name, clip, "mp4")
        kind = "attachment" if _download(scope.query_string) else "inline"
        headers: Headers = [
            *answers.CORS,
            ("content-type", "video/mp4"),
            ("accept-ranges", "bytes"),
            ("etag", clip.tag),
            ("content-disposition", f'{kind}; filename="{name}"'),
            answers.NO_CACHE if relative else ("cache-control", "public, max-age=60"),
        ]
        if answers.unchanged(scope, clip.tag):
            protocol.response_empty(304, headers)
            return
        found = answers.begin_range(scope, protocol, headers, clip.size, clip.tag)
        if found is None:
            return
        status, headers, start, stop = found
        try:
            parts = clip.read(self._reader, start, stop)
            await pour(protocol, status, headers, stop - start, parts)
        except KinologError as error:
            if stop - start <= SMALL_BYTES:
                raise
            # The headers have gone: what is short of its length tells the client.
            _log.warning("clip cut short", stream=str(channel.name), error=str(error))

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()

    async def _clip(self, channel: Channel, key: _Key) -> Clip:
        kept = self._used.get(key)
        if kept is not None:
            self._keep(key, kept)
            return kept
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(channel, key))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        clip = await asyncio.shield(task)
        self._keep(key, clip)
        return clip

    async def _make(self, channel: Channel, key: _Key) -> Clip:
        async with self._turn:
            return await self._maker.make(key.stream, channel, key.start_ms, key.end_ms)

    def _keep(self, key: _Key, clip: Clip) -> None:
        self._used[key] = clip
        self._kept[key] = clip
        self._kept.move_to_end(key)
        held = sum(one.held_bytes for one in self._kept.values())
        while held > KEPT_BYTES and len(self._kept) > 1:
            held -= self._kept.popitem(last=False)[1].held_bytes


def clip_span(query: str, now_ms: int) -> tuple[int, int]:
    """The range that a clip's query asks for, Unix ms: `start`, and `end` or now. InputError where
    it cannot be meant."""
    span = parse_span(query, now_ms)
    if span is None or span.start_ms is None:
        raise InputError(
            "a start is needed, an end may be left out", hint="for example ?start=-10m&end=-5m"
        )
    end_ms = span.end_ms if span.end_ms is not None else now_ms
    if end_ms <= span.start_ms:
        raise InputError("that begins now or later", hint="for example ?start=-30s")
    return span.start_ms, end_ms


def file_name(stream: StreamName, clip: Clip, ending: str) -> str:
    """A clip's name for people: what it is of, when it begins, how long it is."""
    begins = datetime.fromtimestamp(clip.begins_ms / 1000, UTC)
    length = show_duration(max(1, round(clip.seconds)) * 1000)
    return f"{stream.name}-{begins:%Y%m%dT%H%M%SZ}-{length}.{ending}"


def _download(query: str) -> bool:
    return parse_qs(query).get("download", ["0"])[0] not in ("0", "")
