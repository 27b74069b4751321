"""Names of the archive's objects: a stream's blocks in the order of its index.

    {collection}/{stream}/{made}/{topics}.{partition}/{folder}/{start}-{near}-{time}-{epoch}.kino

`made`: when the stream was made (Unix ms), so that one that was deleted and made again is another.
`start`: the index log offset of the block's first record, which alone makes the name: two workers
that go on from the same block make the same name, and a store lets one of them in. The rest of it
follows from that record: `near`, a media log offset that it names, or a greater one where it goes
back behind what is archived; `time` and `epoch`, for people.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final, NamedTuple

from kinolog.core.names import StreamName
from kinolog.record.control import IndexRecord, SegmentEntry, SessionEntry

FOLDER: Final = 1 << 18
"""Index offsets of one folder: three days of a stream that is alone in its partition, and some
900 blocks; three hours and 40 blocks of one beside 20 others."""

_NAME: Final = re.compile(r"(\d{16})-(\d{16})-(\d{8}T\d{6}\.\d{3}Z)-(\d+)\.kino")


class Book(NamedTuple):
    """The blocks of a stream in one place: a partition of topics of this base name."""

    stream: StreamName
    made_ms: int
    base: str
    partition: int

    @property
    def path(self) -> str:
        """Of the folder of its folders."""
        collection, name = self.stream
        return f"{collection}/{name}/{self.made_ms}/{self.base}.{self.partition}"


class Name(NamedTuple):
    """A block, as its name tells of it. `near`: a media log offset that its first record names, and
    no less than that of a block before it; `wall`: a time (Unix ms) that it names."""

    start: int
    near: int
    wall: int
    epoch: int
    path: str


def folder_of(book: Book, number: int) -> str:
    """The path of one of a book's folders."""
    return f"{book.path}/{number:08d}"


def name_of(book: Book, offset: int, entry: IndexRecord, least: int = 0) -> Name:
    """The block of a book that begins with this record of the index. `least`: `near` of the index
    of the block before it; an index that was made again names what is long archived."""
    near, wall = max(_near(entry), least), entry.wall
    time = datetime.fromtimestamp(wall / 1000, UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    folder = folder_of(book, offset // FOLDER)
    path = f"{folder}/{offset:016d}-{near:016d}-{time}-{entry.epoch}.kino"
    return Name(offset, near, wall, entry.epoch, path)


def parse(path: str) -> Name | None:
    """What a path names; None where it is no block's."""
    found = _NAME.fullmatch(path.rpartition("/")[2])
    if found is None:
        return None
    start, near, time, epoch = found.groups()
    when = datetime.strptime(time, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    return Name(int(start), int(near), round(when.timestamp() * 1000), int(epoch), path)


def book_of(path: str) -> Book | None:
    """The book in whose folder a block of this path is; None where it is no block's."""
    parts = path.split("/")
    if len(parts) != 6:
        return None
    collection, name, made, place, _, _ = parts
    base, _, partition = place.rpartition(".")
    if not (made.isdigit() and partition.isdigit()):
        return None
    return Book(StreamName(collection, name), int(made), base, int(partition))


def _near(entry: IndexRecord) -> int:
    if isinstance(entry, SessionEntry):
        return entry.open_offset
    return entry.offsets[0] if isinstance(entry, SegmentEntry) else entry.last
