"""Contents: what is in an archive, stream by stream, and giving up what is old."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from kinolog.archive.blocks import Blocks
from kinolog.archive.names import Book, Name, book_of, parse
from kinolog.core.errors import NotFound
from kinolog.objects.store import Found, Objects


@dataclass
class Contents:
    """Of a stream in one place: its blocks' number and bytes, when the first begins and when the
    newest ends (Unix ms). `gone`: the stream was made anew since, these are of the one before."""

    book: Book
    objects: int = 0
    size: int = 0
    first_ms: int = 0
    last_ms: int = 0
    gone: bool = False


async def blocks(objects: Objects, prefix: str = "") -> AsyncIterator[tuple[Book, Name, Found]]:
    """The blocks below a path, a stream's in the order of their index where the store sorts."""
    async for found in objects.listed(prefix):
        book, name = book_of(found.path), parse(found.path)
        if book is not None and name is not None:
            yield book, name, found


async def contents(objects: Objects, prefix: str = "") -> list[Contents]:
    """What is in an archive below a path: of whole collections, or of one stream."""
    found: dict[Book, Contents] = {}
    first: dict[Book, Name] = {}
    last: dict[Book, Name] = {}
    async for book, name, block in blocks(objects, prefix):
        one = found.setdefault(book, Contents(book))
        one.objects += 1
        one.size += block.size
        first[book] = min(first.get(book, name), name)
        last[book] = max(last.get(book, name), name)
    made: dict[tuple[str, str], int] = {}
    for book in found:
        made[book.stream] = max(made.get(book.stream, 0), book.made_ms)
    reader = Blocks(objects)
    for book, one in found.items():
        one.gone = book.made_ms < made[book.stream]
        try:
            one.first_ms = (await reader.entries(first[book].path)).head.wall
            one.last_ms = (await reader.entries(last[book].path)).head.until
        except NotFound:
            continue  # deleted meanwhile
    return sorted(found.values(), key=lambda one: one.book)


async def old_blocks(objects: Objects, prefix: str, before_ms: int) -> list[Found]:
    """The blocks below a path of which all media end before a moment (Unix ms). The newest of a
    stream is never among them: it says where the archive goes on."""
    names: dict[Book, list[tuple[Name, Found]]] = {}
    async for book, name, block in blocks(objects, prefix):
        names.setdefault(book, []).append((name, block))
    reader = Blocks(objects)
    old = []
    for found in names.values():
        found.sort()
        for number, (name, block) in enumerate(found[:-1]):
            # The first begins with a session, whose time may be that of the publishing.
            if number and name.wall >= before_ms:
                break
            try:
                head = (await reader.entries(name.path)).head
            except NotFound:
                continue
            if head.until > before_ms:
                break  # no holes: what came later is of a time before it at most by a backfill
            old.append(block)
    return old
