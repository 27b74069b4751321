"""`/media/{collection}/{stream}/clip.mp4` (.m4s, .ts): clips over HTTP, streamed, by Range."""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple
from urllib.parse import parse_qs
from weakref import WeakValueDictionary

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KinologError, Overloaded
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.body import Lost, Turns
from kinolog.delivery.clip.changes import moments
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.files import TYPES, TsClip, as_file, file_name
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.pour import SMALL_BYTES, pour
from kinolog.delivery.span import Span, is_relative, parse_span
from kinolog.log.random_reader import RandomReader

KEPT_BYTES: Final = 12 << 20
"""Of clips that may be asked for again: a player asks for one in several ranges."""
KEPT_STORED: Final = 1 << 30
"""On disk."""
MOST_MAKING: Final = 2
SHORT_MS: Final = 600_000
"""One of the turns is for clips that are shorter: none waits for those of days."""
MOST_WAITED_FOR: Final = 16
"""Clips that are being made, or wait for it: more are refused."""
MOST_SENDING: Final = 32
"""Clips that are sent at a time: each holds some megabytes of media."""
MOST_READS: Final = 2
"""Of the log at a time, whoever is sent clips: less than its reader has hands."""
_ENDLESS: Final = 1 << 62
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
        self._long_turn = asyncio.Semaphore(MOST_MAKING - 1)
        self._sending = 0

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """`clip.mp4?start=&end=&download=1`, or clip.m4s, or clip.ts; without an end, up to now.
        False for another name."""
        stem, _, ending = rest.partition(".")
        if stem != "clip" or ending not in TYPES:
            return False
        await self._answer(scope, protocol, channel, ending)
        return True

    async def _answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, ending: str
    ) -> None:
        now_ms = self._clock.unix_ms()
        start_ms, end_ms = clip_span(scope.query_string, now_ms)
        if _is_relative(scope) and scope.headers.get("range") is not None:
            # What is asked for in ranges must be the same at each.
            download = "&download=1" if _download(scope.query_string) else ""
            where = f"clip.{ending}?{Span(start_ms, end_ms).query}{download}"
            protocol.response_empty(307, [*answers.CORS, ("location", where), answers.NO_STORE])
            return
        key = _Key(channel.name, start_ms, end_ms)
        try:
            await self._respond(scope, protocol, channel, ending, key)
        except Lost:
            if key in self._used or _begins_amid(scope):
                raise  # another one would be no other; of another one, no part follows what it has
            # Nothing has been sent, and the clip is forgotten: another one is made of what is left.
            await self._respond(scope, protocol, channel, ending, key)

    async def _respond(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, ending: str, key: _Key
    ) -> None:
        # Who plays a file on has no use for another one: what is left of it is sent.
        goes_on = ending != "ts" and _begins_amid(scope)
        clip = await self.clip(channel, key.start_ms, key.end_ms, goes_on=goes_on)
        file = as_file(clip, ending)
        name = file_name(channel.name, clip, ending)
        kind = "attachment" if _download(scope.query_string) else "inline"
        headers: Headers = [
            *answers.CORS,
            ("content-type", TYPES[ending]),
            ("etag", file.tag),
            ("content-disposition", f'{kind}; filename="{name}"'),
            answers.NO_CACHE if _is_relative(scope) else ("cache-control", "public, max-age=60"),
        ]
        if clip.changes:
            headers.append(("kinolog-changes", ", ".join(moments(clip.changes))))
        if answers.unchanged(scope, file.tag):
            protocol.response_empty(304, headers)
        elif isinstance(file, TsClip):
            headers.append(("kinolog-preroll", f"{float(file.preroll_s):.3f}"))
            if scope.method == "HEAD":
                protocol.response_empty(200, headers)
            else:
                parts = file.read(self._reader)
                await self._send(protocol, key, clip, 200, headers, None, parts)
        else:
            headers.append(("accept-ranges", "bytes"))
            found = answers.begin_range(scope, protocol, headers, file.size, file.tag)
            if found is not None:
                status, headers, start, stop = found
                parts = file.read(self._reader, start, stop)
                await self._send(protocol, key, clip, status, headers, stop - start, parts)

    async def _send(
        self,
        protocol: HttpProtocol,
        key: _Key,
        clip: Clip,
        status: int,
        headers: Headers,
        size: int | None,
        parts: AsyncGenerator[bytes, None],
    ) -> None:
        """A body; `size`: in bytes, None where that is not known."""
        if self._sending >= MOST_SENDING:
            raise Overloaded(f"{MOST_SENDING} clips are being sent", hint="try again")
        self._sending += 1
        try:
            await pour(protocol, status, headers, _ENDLESS if size is None else size, parts)
        except KinologError as error:
            if isinstance(error, Lost):
                await self._forget_deleted(key, clip)
            if size is not None and size <= SMALL_BYTES:
                raise
            # The headers have gone: what is short of its length tells the client.
            _log.warning("clip cut short", stream=str(key.stream), error=str(error))
        finally:
            self._sending -= 1

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()

    async def clip(
        self, channel: Channel, start_ms: int, end_ms: int, *, goes_on: bool = False
    ) -> Clip:
        """The clip of a range (Unix ms); one of which media were deleted since it was made is made
        anew, unless the same file `goes_on`. Overloaded where too many are being made."""
        key = _Key(channel.name, start_ms, end_ms)
        kept = self._used.get(key)
        if kept is not None and not goes_on and not await self._maker.is_kept(key.stream, kept):
            self._forget(key, kept)
        kept = self._used.get(key)  # another may have been made meanwhile
        if kept is not None:
            self._keep(key, kept)
            return kept
        task = self._making.get(key)
        if task is None:
            if len(self._making) >= MOST_WAITED_FOR:
                raise Overloaded("too many clips are being made", hint="try again")
            task = self._making[key] = asyncio.create_task(self._make(channel, key))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        clip = await asyncio.shield(task)
        self._keep(key, clip)
        return clip

    async def _make(self, channel: Channel, key: _Key) -> Clip:
        async with contextlib.AsyncExitStack() as turns:
            if key.end_ms - key.start_ms >= SHORT_MS:
                await turns.enter_async_context(self._long_turn)
            await turns.enter_async_context(self._turn)
            self._let_go()
            return await self._maker.make(key.stream, channel, key.start_ms, key.end_ms)

    def _keep(self, key: _Key, clip: Clip) -> None:
        self._used[key] = clip
        self._kept[key] = clip
        self._kept.move_to_end(key)
        self._let_go()

    async def _forget_deleted(self, key: _Key, clip: Clip) -> None:
        """Media of it could not be had: where they were deleted, it is not to be used again."""
        self._maker.look_again(key.stream)
        if not await self._maker.is_kept(key.stream, clip):
            self._forget(key, clip)

    def _forget(self, key: _Key, clip: Clip) -> None:
        """Not to be used again: media of it are deleted."""
        if self._used.get(key) is clip:
            del self._used[key]
            self._kept.pop(key, None)

    def _let_go(self) -> None:
        kept = self._kept
        held = sum(one.held_bytes for one in kept.values())
        stored = sum(one.stored_bytes for one in kept.values())
        while len(kept) > 1 and (held > KEPT_BYTES or stored > KEPT_STORED):
            _, old = kept.popitem(last=False)
            held -= old.held_bytes
            stored -= old.stored_bytes


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


def _is_relative(scope: Scope) -> bool:
    query = scope.query_string
    return is_relative(query) or "end=" not in query


def _begins_amid(scope: Scope) -> bool:
    """Whether a range that does not begin with the file is asked for."""
    wanted = scope.headers.get("range") or ""
    return wanted.startswith("bytes=") and not wanted.startswith("bytes=0-")


def _download(query: str) -> bool:
    return parse_qs(query).get("download", ["0"])[0] not in ("0", "")
