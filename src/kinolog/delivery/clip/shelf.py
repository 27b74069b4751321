"""Shelf: kept clips in a place for objects, where they outlive what they were cut from.

    media/{collection}/{stream}/{id}.mp4      the file
    cards/{collection}/{stream}/{id}.json     what it is; written when the file is whole
    progress/{collection}/{stream}/{id}.json  while it is being made
    secret                                    of which the ids are made

A clip is there when its card is. An id says what it is of (stream, range, format): the same clip is
not kept twice. It cannot be guessed without the secret; ids sort by time, the newest first.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import heapq
import hmac
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

import msgspec

from kinolog.core.errors import ConfigError, InputError, NotFound
from kinolog.core.names import StreamName
from kinolog.objects.store import Objects

PAGE: Final = 100
"""Clips that are listed at a time."""
FRESH_MS: Final = 10_000
"""Progress that was told longer ago is of a process that is gone."""
STALE_MS: Final = 3_600_000
"""What was begun and left so long ago is cleared away."""
NAME_CHARACTERS: Final = 100
READ_BYTES: Final = 2 << 20
_READS: Final = 8
_CLOCK: Final = 1 << 44
_ID: Final = re.compile(r"[0-9a-f]{11}[a-z2-7]{26}")
_SHARED: Final = "secret"


class Wish(msgspec.Struct, frozen=True):
    """Which clip is to be kept: [start, end) in Unix ms."""

    stream: StreamName
    start_ms: int
    end_ms: int
    format: str = "mp4"


class Card(msgspec.Struct, omit_defaults=True):
    """What a kept clip is. `start_ms`, `end_ms`: what was asked for; `begins_ms`: the date of the
    first frame; `made_ms`: when it was kept, and `by`: by whom. Times are Unix ms."""

    id: str
    stream: str
    format: str
    name: str
    start_ms: int
    end_ms: int
    begins_ms: int
    seconds: float
    bytes: int
    sha256: str
    made_ms: int
    by: str = ""


class Progress(msgspec.Struct):
    """How far a clip is: so many bytes of about so many; `at_ms`: when this was so."""

    bytes: int
    of: int
    at_ms: int


class Shelf:
    """The kept clips of one place."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._secret: bytes | None = None

    async def id_of(self, wish: Wish) -> str:
        """The name of a clip."""
        if self._secret is None:
            self._secret = await self._shared_secret()
        text = f"{wish.stream} {wish.start_ms} {wish.end_ms} {wish.format}".encode()
        digest = hmac.new(self._secret, text, hashlib.sha256).digest()[:16]
        told = base64.b32encode(digest).decode().rstrip("=").lower()
        return f"{_CLOCK - wish.start_ms:011x}{told}"

    async def _shared_secret(self) -> bytes:
        try:
            return await self._objects.read(_SHARED)
        except NotFound:
            # Of several who find none, all take that of the first.
            await self._objects.create(_SHARED, secrets.token_bytes(32))
            return await self._objects.read(_SHARED)

    async def card(self, stream: StreamName, id: str) -> Card:
        """What a clip is. NotFound where there is none such."""
        if _ID.fullmatch(id):
            try:
                return _card(await self._objects.read(_path("cards", stream, id, "json")))
            except NotFound:
                pass
        raise NotFound(f"{stream} has no kept clip {id[:60]!r}")

    async def listed(
        self, stream: StreamName, after: str = "", most: int = PAGE
    ) -> tuple[list[Card], str]:
        """The newest clips of a stream (by the time that they are of), and the id after which there
        are more; "" where there are none. `after`: those behind this id."""
        found = [one async for one in self._ids("cards", stream) if one > after]
        ids = heapq.nsmallest(most, found)
        turn = asyncio.Semaphore(_READS)

        async def read(id: str) -> Card | None:
            async with turn:
                try:
                    return await self.card(stream, id)
                except NotFound:
                    return None  # deleted just now

        cards = [card for card in await asyncio.gather(*map(read, ids)) if card is not None]
        return cards, ids[-1] if len(found) > len(ids) else ""

    async def _ids(self, kind: str, stream: StreamName) -> AsyncIterator[str]:
        async for one in self._objects.listed(f"{kind}/{stream}"):
            id = one.path.rpartition("/")[2].removesuffix(".json")
            if _ID.fullmatch(id):
                yield id

    async def upload(self, wish: Wish, id: str, parts: AsyncGenerator[bytes, None]) -> None:
        """Put a clip's file there: it is not listed before its card is."""
        await self._objects.upload(_path("media", wish.stream, id, wish.format), parts)

    async def put(self, card: Card) -> None:
        """The clip is whole; or what its card says has changed."""
        stream = StreamName.parse(card.stream)
        path = _path("cards", stream, card.id, "json")
        await self._objects.replace(path, msgspec.json.encode(card))

    async def rename(self, stream: StreamName, id: str, name: str) -> Card:
        """Give a clip another name. NotFound where there is none such."""
        card = await self.card(stream, id)
        card.name = name
        await self.put(card)
        try:
            await self._objects.size(_path("media", stream, id, card.format))
        except NotFound:
            # Somebody has deleted it meanwhile.
            await self._objects.delete(_path("cards", stream, id, "json"))
            raise
        return card

    async def delete(self, stream: StreamName, id: str) -> None:
        """Remove a clip. NotFound where there is none such."""
        card = await self.card(stream, id)
        await self._objects.delete(_path("cards", stream, id, "json"))
        await self._objects.delete(_path("media", stream, id, card.format))

    async def read(self, card: Card, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of a clip's file."""
        path = _path("media", StreamName.parse(card.stream), card.id, card.format)
        for at in range(start, stop, READ_BYTES):
            yield await self._objects.read(path, at, min(READ_BYTES, stop - at))

    async def tell(self, wish: Wish, id: str, progress: Progress) -> None:
        """Say how far a clip is, for whoever asks another edge."""
        path = _path("progress", wish.stream, id, "json")
        await self._objects.replace(path, msgspec.json.encode(progress))

    async def told(self, stream: StreamName, id: str, now_ms: int) -> Progress | None:
        """How far a clip is that somebody is making; None where nobody is."""
        if not _ID.fullmatch(id):
            return None
        try:
            data = await self._objects.read(_path("progress", stream, id, "json"))
            found = msgspec.json.decode(data, type=Progress)
        except (NotFound, msgspec.MsgspecError):
            return None
        return found if now_ms - found.at_ms < FRESH_MS else None

    async def forget(self, stream: StreamName, id: str) -> None:
        """Nobody is making it any more."""
        await self._objects.delete(_path("progress", stream, id, "json"))

    async def clear(self, stream: StreamName, now_ms: int) -> None:
        """Remove what was begun, and left by who has been gone for long."""
        left = [
            one.path.rpartition("/")[2].removesuffix(".json")
            async for one in self._objects.listed(f"progress/{stream}")
            if now_ms - one.modified_ms > STALE_MS
        ]
        for id in left:
            try:
                await self.card(stream, id)
            except NotFound:
                async for one in self._objects.listed(f"media/{stream}"):
                    if one.path.rpartition("/")[2].startswith(id):
                        await self._objects.delete(one.path)
            await self.forget(stream, id)


def _path(kind: str, stream: StreamName, id: str, ending: str) -> str:
    return f"{kind}/{stream}/{id}.{ending}"


def _card(data: bytes) -> Card:
    try:
        return msgspec.json.decode(data, type=Card)
    except msgspec.MsgspecError as error:
        raise NotFound(f"the clip's card is not readable: {error}") from error


def clip_name(text: str) -> str:
    """A clip's name as a person gave it. InputError where it cannot be one."""
    name = " ".join(text.split())
    if not 0 < len(name) <= NAME_CHARACTERS or not name.isprintable():
        raise InputError(f"a clip's name has 1 to {NAME_CHARACTERS} characters that can be printed")
    return name


def needs_place() -> ConfigError:
    """The error where no place for clips is set."""
    return ConfigError(
        "nothing says where kept clips are stored",
        hint="set KINOLOG_CLIPS (or clips in kinolog.toml, or --clips) to a directory or s3://…",
    )
