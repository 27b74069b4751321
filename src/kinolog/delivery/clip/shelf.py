"""Shelf: kept clips in a place for objects, where they outlive what they were cut from.

    media/{collection}/{stream}/{id}-{maker}.mp4  the file
    cards/{collection}/{stream}/{id}.json         what it is; written when the file is whole
    progress/{collection}/{stream}/{id}.json      while it is being made
    secret                                        of which the ids are made

A clip is there when its card is. An id says what it is of (stream, range, format): the same clip is
not kept twice. It cannot be guessed without the secret; ids sort by time, the newest first.

Where two make one clip, each has a file of its own; the first card counts, and what it names never
changes. A file that no card names, and nobody is making, is cleared away after a while.
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
from kinolog.core.json import decoded
from kinolog.core.names import StreamName
from kinolog.objects.store import Found, Objects

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
_ID_CHARACTERS: Final = 37
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
    first frame; `made_ms`: when it was kept, and `by`: by whom. Times are Unix ms. `media`: the
    file's name."""

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
    media: str = ""


class Progress(msgspec.Struct):
    """How far a clip is: so many bytes of about so many; `at_ms`: when this was so."""

    bytes: int
    of: int
    at_ms: int


def is_clip_id(text: str) -> bool:
    """Whether a clip can have this id."""
    return _ID.fullmatch(text) is not None


class Shelf:
    """The kept clips of one place."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects
        self._secret: bytes | None = None
        self._turn = asyncio.Semaphore(_READS)
        self.changes = 0
        """How often a card was written or deleted here."""

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
        if is_clip_id(id):
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

        async def read(id: str) -> Card | None:
            async with self._turn:
                try:
                    return await self.card(stream, id)
                except NotFound:
                    return None  # deleted just now

        cards = [card for card in await asyncio.gather(*map(read, ids)) if card is not None]
        return cards, ids[-1] if len(found) > len(ids) else ""

    async def _ids(self, kind: str, stream: StreamName) -> AsyncIterator[str]:
        async for one in self._objects.listed(f"{kind}/{stream}"):
            id = one.path.rpartition("/")[2].removesuffix(".json")
            if is_clip_id(id):
                yield id

    async def upload(
        self, stream: StreamName, media: str, parts: AsyncGenerator[bytes, None]
    ) -> None:
        """Put a clip's file there, under a name of `media_name`: it is not listed before its card
        is."""
        await self._objects.upload(f"media/{stream}/{media}", parts)

    async def put(self, card: Card) -> Card:
        """The clip is whole. The card that counts: `card`, or that of who was before; the file that
        `card` names is deleted then."""
        stream = StreamName.parse(card.stream)
        path = _path("cards", stream, card.id, "json")
        created = await self._objects.create(path, msgspec.json.encode(card))
        self.changes += 1
        if created:
            return card
        kept = await self.card(stream, card.id)
        # It is ours where the store was asked twice, as the first answer was lost.
        if kept.media != card.media:
            await self._delete_media(stream, card.media)
        return kept

    async def give_up(self, stream: StreamName, id: str, media: str) -> None:
        """A clip could not be kept: delete the file, unless a card names it after all."""
        try:
            if (await self.card(stream, id)).media == media:
                return
        except NotFound:
            pass
        await self._delete_media(stream, media)

    async def _delete_media(self, stream: StreamName, media: str) -> None:
        await self._objects.delete(f"media/{stream}/{media}")

    async def rename(self, stream: StreamName, id: str, name: str) -> Card:
        """Give a clip another name. NotFound where there is none such."""
        card = await self.card(stream, id)
        card.name = name
        path = _path("cards", stream, id, "json")
        await self._objects.replace(path, msgspec.json.encode(card))
        self.changes += 1
        try:
            await self._objects.size(_media_path(card))
        except NotFound:
            # Somebody has deleted it meanwhile.
            await self._objects.delete(path)
            self.changes += 1
            raise
        return card

    async def delete(self, stream: StreamName, id: str) -> None:
        """Remove a clip. NotFound where there is none such."""
        card = await self.card(stream, id)
        await self._objects.delete(_path("cards", stream, id, "json"))
        self.changes += 1
        await self._objects.delete(_media_path(card))

    async def read(self, card: Card, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of a clip's file."""
        path = _media_path(card)
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
            found = decoded(_progress, data, "progress")
        except InputError:  # there is none, or it is not readable
            return None
        return found if now_ms - found.at_ms < FRESH_MS else None

    async def forget(self, stream: StreamName, id: str) -> None:
        """Nobody is making it any more."""
        await self._objects.delete(_path("progress", stream, id, "json"))

    async def clear(self, stream: StreamName, now_ms: int) -> None:
        """Remove what was begun, and left by who has been gone for long: files that no card names.

        A maker tells its progress, puts the file, then the card, and forgets its progress last: so
        what is listed in this order shows a file either with its maker, or with its card.
        """
        making: set[str] = set()
        async for one in self._objects.listed(f"progress/{stream}"):
            id = one.path.rpartition("/")[2].removesuffix(".json")
            if now_ms - one.modified_ms > STALE_MS:
                await self.forget(stream, id)
            else:
                making.add(id)
        files: dict[str, list[Found]] = {}
        async for one in self._objects.listed(f"media/{stream}"):
            id = one.path.rpartition("/")[2][:_ID_CHARACTERS]
            if id not in making:
                files.setdefault(id, []).append(one)
        kept = {id async for id in self._ids("cards", stream)}
        for id, several in files.items():
            named = ""
            if id in kept:
                if len(several) == 1:
                    continue
                try:
                    named = _media_path(await self.card(stream, id))
                except NotFound:
                    continue  # deleted just now, or not readable: for the next time
            for one in several:
                if one.path != named and now_ms - one.modified_ms > STALE_MS:
                    await self._objects.delete(one.path)


def _path(kind: str, stream: StreamName, id: str, ending: str) -> str:
    return f"{kind}/{stream}/{id}.{ending}"


def _media_path(card: Card) -> str:
    return f"media/{card.stream}/{card.media or f'{card.id}.{card.format}'}"


def media_name(id: str, format: str) -> str:
    """A name for a clip's file that nobody else takes."""
    return f"{id}-{secrets.token_hex(8)}.{format}"


_progress = msgspec.json.Decoder(Progress).decode
_decode_card = msgspec.json.Decoder(Card).decode


def _card(data: bytes) -> Card:
    return decoded(_decode_card, data, "the clip's card is not readable", NotFound)


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
