"""Sealed pages of the index: what is known of many finished media segments, in one record.

A track's pages are a tree over its media sequence numbers. A page of level 1 holds the rows of 32
numbers, one of level 2 those of 512, one of level 3 those of 8192, each packed again from the
pages below; one of level 4 or 5 holds references to 256 pages of the level below. Whatever the age
of a stream, a handful of reads leads from its newest page to any moment (docs/wire-format.md).
"""

from __future__ import annotations

from typing import Final

import msgspec

SPANS: Final = (1, 32, 512, 8192, 8192 * 256, 8192 * 256 * 256)
"""How many media sequence numbers a page of each level is for; level 0 is a media segment."""
TOP: Final = len(SPANS) - 1
PACKED: Final = 3
"""The highest level whose pages hold rows."""

INDEPENDENT: Final = 1
"""Flag of a row: the segment begins with a sync sample."""
GAP: Final = 2
"""Flag of a row: the segment has a hole."""


class Ref(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A page as others refer to it: its `number` (first MSN / span of its level), its log offset in
    the index topic, the capture times (Unix ms) between which all of it lies, the media log
    offsets of its first and its last record, the epoch of its last row. `solid`: one run, of one
    epoch, in which nothing is missing."""

    number: int
    offset: int
    wall: int
    until: int
    first: int
    last: int
    epoch: int
    solid: bool


class Where(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where in the index a track is: from the offset `root` on its newest page is found, and what
    is in no page yet; `last` is the offset of the newest that is known of it."""

    root: int
    last: int


class Rows(msgspec.Struct, omit_defaults=True):
    """Finished media segments of one track in the order of their numbers, by column.

    Of `msn`, `wall`, `first` and `entry` the first is absolute, the others are differences to the
    row before. `dts` is the difference to where the row before ended, `last` that to `first`.
    `first` and `last` are media log offsets of the segment's first and last record, `size` the
    payload bytes of all its records, `entry` the index log offset of its entry. `epochs` says from
    which row on which epoch holds: (row, epoch, discontinuity number). `late`: by how many ticks
    what a segment shows first has a later PTS than its first DTS; left out where none has.
    """

    epochs: list[tuple[int, int, int]]
    msn: list[int]
    dts: list[int]
    dur: list[int]
    wall: list[int]
    first: list[int]
    last: list[int]
    size: list[int]
    entry: list[int]
    flags: list[int]
    late: list[int] = []


class PageEntry(msgspec.Struct, omit_defaults=True, tag="page", tag_field="entry"):
    """Index: a sealed page. What Ref says of it, and: `siblings`, the earlier pages under the same
    parent; `up`, the index offset of the page of a higher level that reaches furthest of those
    before it, the highest of several (-1: none); and its `rows`, or its `children`."""

    track: str
    level: int
    number: int
    wall: int
    until: int
    first: int
    last: int
    epoch: int
    solid: bool = False
    siblings: list[Ref] = []
    up: int = -1
    rows: Rows | None = None
    children: list[Ref] = []

    @property
    def below_msn(self) -> int:
        """All its media sequence numbers are below this."""
        return (self.number + 1) * SPANS[self.level]

    def ref(self, offset: int) -> Ref:
        """This page, written at `offset`."""
        return Ref(
            self.number,
            offset,
            self.wall,
            self.until,
            self.first,
            self.last,
            self.epoch,
            self.solid,
        )
