"""Events: what a stream's valid records mean, in log order, whoever reads them."""

from __future__ import annotations

import msgspec

from kinolog.record.control import Gap, Open
from kinolog.record.header import Header


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A session became the stream's. It ends whatever the session before had begun.

    `disc` is the discontinuity number where it is known (a start from the index); from the log
    alone it is None, and each chunk's header tells it. `offset` is the open record's.
    """

    epoch: int
    disc: int | None
    open: Open
    offset: int


class ChunkEvent(msgspec.Struct, frozen=True, gc=False):
    """A complete, valid CMAF chunk: its pieces joined, repeats dropped.

    `header` has its piece fields reset. `offsets` and `sizes` are the log offset and the payload
    bytes of each of its records, in order.
    """

    header: Header
    payload: bytes
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def first_offset(self) -> int:
        """Log offset of the chunk's first piece."""
        return self.offsets[0]

    @property
    def last_offset(self) -> int:
        """Log offset of the chunk's last piece."""
        return self.offsets[-1]


class Hole(msgspec.Struct, frozen=True, gc=False):
    """A chunk of this media segment is missing from the log: the segment is a gap.

    Comes once a segment, before the first chunk after the hole.
    """

    track: str
    epoch: int
    msn: int


class Closed(msgspec.Struct, frozen=True, gc=False):
    """The session closed. What it had begun is short, never reopened."""

    epoch: int
    reason: str
    offset: int


class GapEvent(msgspec.Struct, frozen=True, gc=False):
    """The publisher's side dropped frames before they reached the log."""

    epoch: int
    gap: Gap
    offset: int


class Ended(msgspec.Struct, frozen=True, gc=False):
    """Nobody came back: the stream is over until a new session opens."""

    epoch: int
    offset: int


Event = Opened | ChunkEvent | Hole | Closed | GapEvent | Ended
