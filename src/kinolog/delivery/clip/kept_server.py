"""`/media/{collection}/{stream}/clips…`: clips that are kept: made, listed, named, sent, deleted.

A write is taken from a page of the same host, and from what is no browser.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KinologError, NotFound, Overloaded
from kinolog.core.json import decoded
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.core.units import show_time
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.clip.files import TYPES
from kinolog.delivery.clip.keeper import Keeper
from kinolog.delivery.clip.server import ClipServer
from kinolog.delivery.clip.shelf import (
    PAGE,
    Card,
    Shelf,
    Wish,
    clip_name,
    is_clip_id,
    needs_place,
)
from kinolog.delivery.pour import SMALL_BYTES, pour
from kinolog.delivery.rate import client_of
from kinolog.delivery.span import moment_ms

BODY_BYTES: Final = 4096
MOST_SENDING: Final = 64
WAIT_S: Final = 2.0
"""A clip that is kept in less is told at once; of a longer one it is said where to ask."""
FRESH_S: Final = 1.0
"""So old a list may be; at once if something has changed here."""
_MOST_LISTS: Final = 64
"""Lists that are kept while they are fresh, or being made. More are refused."""
_CLEAR_S: Final = 60.0
_MOST_CLEARED: Final = 1024
_MOST_LISTING: Final = 4
_MOST_DIGITS: Final = 20
_JSON: Final = ("content-type", "application/json")
_FILE: Final = re.compile(r"clips/([0-9a-z]{1,60})\.(mp4|m4s|ts)")
_ONE: Final = re.compile(r"clips/([0-9a-z]{1,60})")
_log = get_logger("kinolog.clips")

T = TypeVar("T")
Follow = Callable[[StreamName], Awaitable[Channel | None]]
"""Gives the stream of a name; None where there is none."""


class _Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a POST."""

    start: str | int | float
    end: str | int | float = "now"
    name: str | msgspec.UnsetType = msgspec.UNSET
    format: str = "mp4"


class _Named(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a PATCH."""

    name: str


_ASKED: Final = msgspec.json.Decoder(_Asked).decode
_NAMED: Final = msgspec.json.Decoder(_Named).decode


class KeptServer:
    """Answers for kept clips; without a keeper, that no place is set for them."""

    def __init__(
        self, keeper: Keeper | None, clips: ClipServer, clock: Clock, *, takes: bool = True
    ) -> None:
        """`takes`: whether clips are kept, named and deleted; those that are there are sent."""
        self._keeper = keeper
        self._clips = clips
        self._clock = clock
        self._takes = takes
        self._sending = 0
        self._lists: dict[tuple[StreamName, str, int, int], tuple[float, asyncio.Task[bytes]]] = {}
        self._listing = asyncio.Semaphore(_MOST_LISTING)
        self._cleared: OrderedDict[StreamName, float] = OrderedDict()

    async def close(self) -> None:
        """Give up what is being kept."""
        for _, task in self._lists.values():
            task.cancel()
        if self._keeper is not None:
            await self._keeper.close()

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, name: StreamName, rest: str, follow: Follow
    ) -> bool:
        """Answer for `rest` of the path below a stream of this name, which may be gone; False, and
        nothing done, where it is another's."""
        if rest != "clips" and not rest.startswith("clips/"):
            return False
        stream = StreamName.parse(str(name))
        if self._keeper is None:
            raise needs_place()
        file, one = _FILE.fullmatch(rest), _ONE.fullmatch(rest)
        if rest == "clips":
            if not self._may(scope, protocol, "POST"):
                pass
            elif scope.method == "POST":
                await self._post(scope, protocol, stream, follow)
            else:
                await self._list(scope, protocol, stream)
        elif file is not None:
            if not answers.preflight(scope, protocol):
                await self._file(scope, protocol, stream, file[1], file[2])
        elif one is not None:
            if not self._may(scope, protocol, "PATCH", "PUT", "DELETE"):
                pass
            elif scope.method in ("GET", "HEAD"):
                await self._one(scope, protocol, stream, one[1])
            else:
                await self._change(scope, protocol, stream, one[1])
        else:
            raise NotFound(f"{stream} has no kept clip {rest[6:66]!r}")
        return True

    def _may(self, scope: Scope, protocol: HttpProtocol, *writes: str) -> bool:
        """Whether to go on: it reads, or is one of these writes and they are taken. Else it is
        answered."""
        if not answers.of_this_site(scope, protocol, *writes):
            return False
        if scope.method in writes and not self._takes:
            answers.refuse(
                protocol, 403, "this edge keeps no clips, nor changes any (--no-keep-clips)"
            )
            return False
        return True

    @property
    def _shelf(self) -> Shelf:
        assert self._keeper is not None
        return self._keeper.shelf

    async def _post(
        self, scope: Scope, protocol: HttpProtocol, stream: StreamName, follow: Follow
    ) -> None:
        """201 or 200 with the card, or 202 where it is still being made."""
        assert self._keeper is not None
        body = await _read(scope, protocol)
        if body is None:
            return
        asked = _body(body, _ASKED)
        now_ms = self._clock.unix_ms()
        wish = wish_of(stream, asked.start, asked.end, asked.format, now_ms)
        name = "" if asked.name is msgspec.UNSET else clip_name(asked.name)
        id = await self._shelf.id_of(wish)
        kept = await self._card(stream, id)
        if kept is not None:
            self._send_card(scope, protocol, 200, kept)
            return
        if self._keeper.failure(id) is None:
            told = await self._keeper.progress(stream, id)
            if told is not None and not self._keeper.makes(id):
                await self._accepted(protocol, stream, id)  # another edge makes it
                return
        channel = await follow(stream)
        if channel is None:
            raise NotFound(f"there is no stream {stream}")
        followed = channel

        async def make() -> Any:
            return await self._clips.clip(followed, wish.start_ms, wish.end_ms)

        by = f"http {client_of(scope).rpartition(':')[0]}"
        task = await self._keeper.keep(wish, id, name, by, make)
        await asyncio.wait([task], timeout=WAIT_S)
        if task.done():
            self._send_card(scope, protocol, 201, task.result())
        else:
            await self._accepted(protocol, stream, id)

    async def _card(self, stream: StreamName, id: str) -> Card | None:
        with contextlib.suppress(NotFound):
            return await self._shelf.card(stream, id)
        return None

    async def _accepted(self, protocol: HttpProtocol, stream: StreamName, id: str) -> None:
        body = await self._state(stream, id)
        headers = [_JSON, answers.NO_STORE, ("location", _url(stream, id))]
        protocol.response_bytes(202, headers, msgspec.json.encode(body))

    async def _state(self, stream: StreamName, id: str) -> dict[str, Any]:
        """What is known of a clip that is not there yet. NotFound where nothing is."""
        assert self._keeper is not None
        told = await self._keeper.progress(stream, id)
        found: dict[str, Any] = {"id": id, "stream": str(stream), "url": _url(stream, id)}
        if told is not None:
            return found | {"state": "making", "bytes": told.bytes, "of": told.of}
        error = self._keeper.failure(id)
        if error is None:
            raise NotFound(f"{stream} has no kept clip {id!r}")
        why = f"{error}{': ' + error.hint if error.hint else ''}"
        return found | {"state": "failed", "error": why}

    async def _one(self, scope: Scope, protocol: HttpProtocol, stream: StreamName, id: str) -> None:
        try:
            self._send_card(scope, protocol, 200, await self._shelf.card(stream, id), cors=True)
        except NotFound:
            body = msgspec.json.encode(await self._state(stream, id))
            answers.send(scope, protocol, [*answers.CORS, _JSON, answers.NO_STORE], body)

    async def _change(
        self, scope: Scope, protocol: HttpProtocol, stream: StreamName, id: str
    ) -> None:
        if scope.method == "DELETE":
            await self._shelf.delete(stream, id)
            protocol.response_empty(204, [answers.NO_STORE])
            return
        body = await _read(scope, protocol)
        if body is None:
            return
        named = _body(body, _NAMED)
        card = await self._shelf.rename(stream, id, clip_name(named.name))
        self._send_card(scope, protocol, 200, card)

    async def _list(self, scope: Scope, protocol: HttpProtocol, stream: StreamName) -> None:
        query = answers.query(scope)
        after = after_of(query["after"][0]) if "after" in query else ""
        limit = limit_of(query.get("limit", [str(PAGE)])[0])
        now_s = self._clock.monotonic()
        for old, (at_s, task) in list(self._lists.items()):
            if task.done() and now_s - at_s > FRESH_S:
                del self._lists[old]
        key = (stream, after, limit, self._shelf.changes)
        kept = self._lists.get(key)
        if kept is None:
            if len(self._lists) >= _MOST_LISTS:
                raise Overloaded("too many ask for kept clips", hint="try again in a second")
            task = asyncio.create_task(self._listed(stream, after, limit))
            self._lists[key] = kept = (now_s, task)
        body = await asyncio.shield(kept[1])
        answers.send(scope, protocol, [*answers.CORS, _JSON, answers.NO_CACHE], body)

    async def _listed(self, stream: StreamName, after: str, limit: int) -> bytes:
        async with self._listing:
            if self._is_to_clear(stream):
                await self._shelf.clear(stream, self._clock.unix_ms())
            cards, more = await self._shelf.listed(stream, after, limit)
        body: dict[str, Any] = {"takes": self._takes, "clips": [told(card) for card in cards]}
        if more:
            body["next"] = f"/media/{stream}/clips?after={more}&limit={limit}"
        return msgspec.json.encode(body)

    def _is_to_clear(self, stream: StreamName) -> bool:
        """Once a minute, of the streams that were asked for last."""
        now_s = self._clock.monotonic()
        if now_s - self._cleared.get(stream, float("-inf")) < _CLEAR_S:
            return False
        self._cleared[stream] = now_s
        self._cleared.move_to_end(stream)
        if len(self._cleared) > _MOST_CLEARED:
            self._cleared.popitem(last=False)
        return True

    async def _file(
        self, scope: Scope, protocol: HttpProtocol, stream: StreamName, id: str, ending: str
    ) -> None:
        card = await self._shelf.card(stream, id)
        if card.format != ending:
            raise NotFound(f"this clip was kept as {card.format}")
        tag = f'"{card.sha256[:32]}"'
        kept_as = "attachment" if "download=1" in scope.query_string.split("&") else "inline"
        headers: Headers = [
            *answers.CORS,
            ("content-type", TYPES[ending]),
            ("accept-ranges", "bytes"),
            ("etag", tag),
            ("content-disposition", disposition(kept_as, f"{card.name}.{ending}")),
            ("x-content-type-options", "nosniff"),
            answers.FOREVER,
        ]
        if answers.unchanged(scope, tag):
            protocol.response_empty(304, headers)
            return
        found = answers.begin_range(scope, protocol, headers, card.bytes, tag)
        if found is None:
            return
        status, headers, start, stop = found
        if self._sending >= MOST_SENDING:
            raise Overloaded(f"{MOST_SENDING} kept clips are being sent", hint="try again")
        self._sending += 1
        try:
            parts = self._shelf.read(card, start, stop)
            await pour(protocol, status, headers, stop - start, parts)
        except KinologError as error:
            if stop - start <= SMALL_BYTES:
                raise
            _log.warning("kept clip cut short", stream=str(stream), clip=id, error=str(error))
        finally:
            self._sending -= 1

    def _send_card(
        self, scope: Scope, protocol: HttpProtocol, status: int, card: Card, *, cors: bool = False
    ) -> None:
        body = msgspec.json.encode(told(card))
        headers: Headers = [*(answers.CORS if cors else []), _JSON, answers.NO_CACHE]
        if status == 201:
            headers.append(("location", _url(StreamName.parse(card.stream), card.id)))
        if scope.method == "HEAD":
            protocol.response_empty(status, [*headers, ("content-length", str(len(body)))])
        else:
            protocol.response_bytes(status, headers, body)


def wish_of(
    stream: StreamName, start: str | float, end: str | float, format: str, now_ms: int
) -> Wish:
    """The clip that is asked for. InputError where it cannot be meant."""
    if format not in TYPES:
        raise InputError(f"format is one of {', '.join(TYPES)}")
    start_ms, end_ms = (
        moment_ms(name, str(value)[:60], now_ms) for name, value in (("start", start), ("end", end))
    )
    if end_ms <= start_ms:
        raise InputError("end is not after start")
    return Wish(stream, start_ms, end_ms, format)


def limit_of(text: str) -> int:
    """How many clips are to be listed. InputError where that is none, or too many."""
    found = int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else 0
    if not 1 <= found <= PAGE:
        raise InputError(f"limit is a number from 1 to {PAGE}")
    return found


def after_of(text: str) -> str:
    """The id behind which a list goes on. InputError where no clip can have it."""
    if not is_clip_id(text):
        raise InputError(
            f"after: {text[:60]!r} is no clip's id", hint="a list that goes on says so in `next`"
        )
    return text


def told(card: Card) -> dict[str, Any]:
    """A card as it is told: with URLs and dates."""
    url = _url(StreamName.parse(card.stream), card.id)
    dates = {
        "start": show_time(card.start_ms),
        "end": show_time(card.end_ms),
        "begins": show_time(card.begins_ms),
        "made": show_time(card.made_ms),
    }
    return {
        "state": "kept",
        **{key: value for key, value in msgspec.to_builtins(card).items() if key != "media"},
        **dates,
        "url": f"{url}.{card.format}",
        "card": url,
    }


def disposition(kind: str, name: str) -> str:
    """Content-Disposition (RFC 6266) for any name."""
    plain = re.sub(r'[^ !#-\[\]-~]|[/\\:*?"<>|]', "_", name)
    return f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"


def _url(stream: StreamName, id: str) -> str:
    return f"/media/{stream}/clips/{id}"


async def _read(scope: Scope, protocol: HttpProtocol) -> bytes | None:
    """A body of JSON; None, and answered, as of answers.body. InputError where it is called
    something else."""
    kind = (scope.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InputError("the body is JSON", hint="send content-type: application/json")
    return await answers.body(protocol, BODY_BYTES)


def _body(data: bytes, decode: Callable[[bytes], T]) -> T:
    try:
        return decoded(decode, data, "the body cannot be used")
    except InputError as error:
        error.hint = 'for example {"start": "-30s", "end": "now", "name": "it"}'
        raise
