"""Shelf: which blocks there are, listed folder by folder as they are asked for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from kinolog.archive.names import FOLDER, Book, Name, folder_of, parse
from kinolog.core.clock import Clock
from kinolog.objects.store import Objects

MOST_NAMES: Final = 50_000
"""Of listings kept: some 300 bytes each."""
AGE_S: Final = 60.0
NEW_AGE_S: Final = 1.0
"""What lies behind the newest block that is known is asked for again so soon."""
EMPTY_AGE_S: Final = 5.0
"""As often it is asked whether there is a first one: what Kafka deletes has been there for long."""


class _Listed(NamedTuple):
    names: list[Name]
    at_s: float


class Shelf:
    """Listings of a store. A block comes behind all others, and nothing is written before it."""

    def __init__(self, objects: Objects, clock: Clock) -> None:
        self._objects = objects
        self._clock = clock
        self._folders: OrderedDict[Book, tuple[list[int], float]] = OrderedDict()
        self._names: OrderedDict[tuple[Book, int], _Listed] = OrderedDict()
        self._kept = 0

    async def first(self, book: Book, *, anew: bool = False) -> Name | None:
        """A book's first block. `anew`: where none was known, it is looked for now."""
        known = self._folders.get(book)
        empty_age_s = 0 if anew else EMPTY_AGE_S
        for folder in await self._all(book, AGE_S if known and known[0] else empty_age_s):
            names = await self._of(book, folder, AGE_S)
            if names:
                return names[0]
        return None

    async def last(self, book: Book) -> Name | None:
        """A book's newest block, asked for now."""
        for folder in reversed(await self._all(book, 0)):
            names = await self._of(book, folder, 0)
            if names:
                return names[-1]
        return None

    async def holding(self, book: Book, start: int, end: int) -> list[Name]:
        """The blocks that may have records of the index of [start, end)."""
        folders = await self._folders_until(book, lambda name: name.start < end)
        at = bisect_right(folders, start // FOLDER) - 1
        return await self._between(
            book, max(at, 0), lambda name: name.start <= start, lambda name: name.start < end
        )

    async def near(self, book: Book, first: int, last: int) -> list[Name]:
        """The blocks that may have media records of [first, last]: with those before and behind
        them, for segments of several tracks overlap."""
        folders = await self._folders_until(book, lambda name: name.near <= last)
        low, high = 0, len(folders)
        while high - low > 1:
            middle = (low + high) // 2
            names = await self._of(book, folders[middle], AGE_S)
            if names and names[0].near <= first:
                low = middle
            else:
                high = middle
        found = await self._between(
            book, low, lambda name: name.near <= first, lambda name: name.near <= last, around=1
        )
        return _without_repeats(await self._with_one_before(book, low, found))

    def forget(self, book: Book) -> None:
        """Something of it is gone: it is listed anew."""
        self._folders.pop(book, None)
        for key in [key for key in self._names if key[0] == book]:
            self._kept -= len(self._names.pop(key).names)

    async def _folders_until(self, book: Book, wanted: Callable[[Name], bool]) -> list[int]:
        """A book's folders, listed anew where the newest block that is known is wanted: behind it
        there may be more."""
        folders = await self._all(book, AGE_S)
        if folders:
            names = await self._of(book, folders[-1], AGE_S)
            if names and not wanted(names[-1]):
                return folders
        found = await self._all(book, NEW_AGE_S)
        for folder in found[bisect_left(found, folders[-1] if folders else 0) :]:
            await self._of(book, folder, NEW_AGE_S)
        return found

    async def _between(
        self,
        book: Book,
        at: int,
        is_before: Callable[[Name], bool],
        is_in: Callable[[Name], bool],
        around: int = 0,
    ) -> list[Name]:
        """From the last block that is before something, looked for from the folder with the index
        `at` backwards, on to the last that is in it; and `around` more on both sides."""
        folders = await self._all(book, AGE_S)
        names: list[Name] = []
        begin = 0
        for folder in reversed(folders[: at + 1]):
            names = [*await self._of(book, folder, AGE_S), *names]
            begin = bisect_left(names, True, key=lambda name: not is_before(name))
            if begin > around:
                break
        begin = max(begin - 1, 0)
        for folder in folders[at + 1 :]:
            if len(names) > around and not is_in(names[-1 - around]):
                break
            names += await self._of(book, folder, AGE_S)
        end = bisect_left(names, True, lo=begin, key=lambda name: not is_in(name))
        return names[max(begin - around, 0) : end + around]

    async def _with_one_before(self, book: Book, low: int, found: list[Name]) -> list[Name]:
        """Blocks without media of their own (repeats, after the index was made again) are all as
        near as the end of the last one that has some: that one, too."""
        if len(found) < 2 or found[0].near < found[1].near:
            return found
        near = found[0].near
        folders = await self._all(book, AGE_S)
        for folder in reversed(folders[: low + 1]):
            names = await self._of(book, folder, AGE_S)
            at = bisect_left(names, near, key=lambda name: name.near)
            if at > 0:
                return [names[at - 1], *found] if names[at - 1] < found[0] else found
        return found

    async def _all(self, book: Book, age_s: float) -> list[int]:
        """A book's folders, as of not so long ago."""
        now_s = self._clock.monotonic()
        known = self._folders.get(book)
        if known is not None and now_s - known[1] < age_s:
            self._folders.move_to_end(book)
            return known[0]
        paths = await self._objects.folders(book.path)
        numbers = sorted(int(last) for path in paths if (last := path.rpartition("/")[2]).isdigit())
        self._folders[book] = (numbers, now_s)
        while len(self._folders) > MOST_NAMES // 100:
            self._folders.popitem(last=False)
        return numbers

    async def _of(self, book: Book, folder: int, age_s: float) -> list[Name]:
        """A folder's blocks in their order, as of not so long ago."""
        key = (book, folder)
        now_s = self._clock.monotonic()
        known = self._names.get(key)
        if known is not None and now_s - known.at_s < age_s:
            self._names.move_to_end(key)
            return known.names
        found = [parse(one.path) async for one in self._objects.listed(folder_of(book, folder))]
        names = sorted(name for name in found if name is not None)
        replaced = self._names.pop(key, None)
        self._kept += len(names) - (len(replaced.names) if replaced is not None else 0)
        self._names[key] = _Listed(names, now_s)
        while self._kept > MOST_NAMES and len(self._names) > 1:
            self._kept -= len(self._names.popitem(last=False)[1].names)
        return names


def _without_repeats(names: list[Name]) -> list[Name]:
    """Of blocks that are equally near the first and the last: one that has media makes the next one
    nearer to the end."""
    return [
        name
        for at, name in enumerate(names)
        if not 0 < at < len(names) - 1 or not names[at - 1].near == name.near == names[at + 1].near
    ]
