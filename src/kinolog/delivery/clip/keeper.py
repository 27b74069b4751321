"""Keeper: makes the clips that are to be kept, and says how far they are."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Final

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KinologError, Overloaded, Unavailable
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.delivery.clip.body import Reader
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.files import TsClip, as_file, file_name
from kinolog.delivery.clip.shelf import Card, Progress, Shelf, Wish, media_name

MOST_KEEPING: Final = 4
"""Clips that one process keeps at a time."""
MOST_BYTES: Final = 80_000_000_000
"""Of one clip: what a multipart upload takes."""
TELL_S: Final = 2.0
_MOST_FAILED: Final = 256
_log = get_logger("kinolog.clips")

Make = Callable[[], Awaitable[Clip]]
"""Makes the clip that is wished for."""


class Keeper:
    """Keeps each clip once, however many ask."""

    def __init__(self, shelf: Shelf, reader: Reader, clock: Clock) -> None:
        self.shelf = shelf
        self._reader = reader
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[Card]] = {}
        self._progress: dict[str, Progress] = {}
        self._failed: OrderedDict[str, KinologError] = OrderedDict()

    async def close(self) -> None:
        """Give up what is being made."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def keep(self, wish: Wish, id: str, name: str, by: str, make: Make) -> asyncio.Task[Card]:
        """Begin to keep a clip, or the task that does. Overloaded where too many are being kept."""
        task = self._tasks.get(id)
        if task is None:
            if len(self._tasks) >= MOST_KEEPING:
                raise Overloaded(f"{MOST_KEEPING} clips are being kept", hint="try again")
            self._failed.pop(id, None)
            self._progress[id] = Progress(0, 0, self._clock.unix_ms())
            task = self._tasks[id] = asyncio.create_task(self._keep(wish, id, name, by, make))
            task.add_done_callback(lambda done: self._done(id, done))
        return task

    async def progress(self, stream: StreamName, id: str) -> Progress | None:
        """How far a clip is, whoever makes it; None where nobody does."""
        own = self._progress.get(id)
        return own or await self.shelf.told(stream, id, self._clock.unix_ms())

    def makes(self, id: str) -> bool:
        """Whether it is made here."""
        return id in self._tasks

    def failure(self, id: str) -> KinologError | None:
        """Why a clip could not be kept."""
        return self._failed.get(id)

    def _done(self, id: str, task: asyncio.Task[Card]) -> None:
        del self._tasks[id]
        self._progress.pop(id, None)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        if not isinstance(error, KinologError):
            _log.error("a clip could not be kept", clip=id, error=repr(error))
            error = Unavailable("the clip could not be kept: the edge's log says why")
        self._failed[id] = error
        while len(self._failed) > _MOST_FAILED:
            self._failed.popitem(last=False)

    async def _keep(self, wish: Wish, id: str, name: str, by: str, make: Make) -> Card:
        telling = asyncio.create_task(self._tell(wish, id, self._progress[id]))
        media = media_name(id, wish.format)
        whole = False
        try:
            card = await self._made(wish, id, media, name, by, await make())
            whole = True
            return card
        finally:
            telling.cancel()
            await asyncio.wait([telling])
            await asyncio.shield(self._ended(wish.stream, id, media, whole))

    async def _ended(self, stream: StreamName, id: str, media: str, whole: bool) -> None:
        """Clear up. What cannot be deleted now is found later, as files that no card names are."""
        try:
            if not whole:
                await self.shelf.give_up(stream, id, media)
            await self.shelf.forget(stream, id)
        except KinologError as error:
            _log.warning("something of a clip is left over", clip=id, error=str(error))

    async def _tell(self, wish: Wish, id: str, progress: Progress) -> None:
        """Say again and again how far it is, and so that somebody still makes it."""
        while True:
            progress.at_ms = self._clock.unix_ms()
            with contextlib.suppress(Unavailable):
                await self.shelf.tell(wish, id, progress)
            await asyncio.sleep(TELL_S)

    async def _made(self, wish: Wish, id: str, media: str, name: str, by: str, clip: Clip) -> Card:
        file = as_file(clip, wish.format)
        progress = self._progress[id]
        progress.of = clip.size
        if clip.size > MOST_BYTES:
            raise InputError("a kept clip has 80 GB at most", hint="keep a shorter range")
        if isinstance(file, TsClip):
            parts = file.read(self._reader)
        else:
            parts = file.read(self._reader, 0, file.size)
        digest = hashlib.sha256()
        await self.shelf.upload(wish.stream, media, _counted(parts, progress, digest))
        if not isinstance(file, TsClip) and progress.bytes != file.size:
            raise Unavailable("the clip was not read whole", hint="try again")
        title = name or file_name(wish.stream, clip, wish.format).rpartition(".")[0]
        card = Card(
            id, str(wish.stream), wish.format, title, wish.start_ms, wish.end_ms,
            clip.begins_ms, round(clip.seconds, 3), progress.bytes, digest.hexdigest(),
            self._clock.unix_ms(), by, media,
        )  # fmt: skip
        putting = asyncio.create_task(self.shelf.put(card))
        try:
            return await asyncio.shield(putting)
        except asyncio.CancelledError:
            await asyncio.wait([putting])  # so that it is known whether the card is there
            raise


async def _counted(
    parts: AsyncGenerator[bytes, None], progress: Progress, digest: hashlib._Hash
) -> AsyncGenerator[bytes, None]:
    async with aclosing(parts):
        async for part in parts:
            await asyncio.to_thread(digest.update, part)
            progress.bytes += len(part)
            yield part
