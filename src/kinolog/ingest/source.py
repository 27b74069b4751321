"""What every ingest protocol yields, and what it may expect of the session that takes it.

A protocol's shell asks the Desk for a Publication, feeds it events, and closes it. Everything
after that (gate, clock, cutting, log) is one code for all protocols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from kinolog.core.errors import KinologError
from kinolog.core.names import StreamName
from kinolog.media.types import Packet, TrackFormat


class Format(NamedTuple):
    """A track appears, or its format changes. `track` is the source's own number for it."""

    track: int
    format: TrackFormat


class Expect(NamedTuple):
    """How many tracks the source says it will have, where it says so: the session need not wait
    for more. Sent before, among or after the first Formats."""

    tracks: int


class Skipped(NamedTuple):
    """A track that kinolog does not carry, named for the sender and the log."""

    track: int
    codec: str


SourceEvent = Format | Expect | Skipped | Packet


class Publication(Protocol):
    """An accepted publisher's way into the log."""

    async def feed(self, events: Sequence[SourceEvent]) -> None:
        """Take events in order. Returns when there is room for more (back-pressure).

        Raises Replaced (a newer publisher has the name), MediaError or UnsupportedCodec (what was
        sent cannot be used; its text is for the sender), Unavailable.
        """
        ...

    async def close(self, reason: str) -> None:
        """The publisher is gone: write what is held, and the close record. Idempotent."""
        ...


class Desk(Protocol):
    """Where publishers are let in."""

    async def publish(
        self,
        name: StreamName,
        *,
        publisher: str,
        sender: str = "",
        at_ms: int | None = None,
        live: bool = True,
        owner: str = "",
        cut_off: Callable[[KinologError], None] | None = None,
    ) -> Publication:
        """Open a publication. Raises NameError_, Refused (with the seconds to wait), Unavailable,
        InputError for a time in the future.

        `publisher`: who, for people, e.g. `rtmp 127.0.0.1:50312 OBS`. `sender`: what of that stays
        over reconnects, e.g. `rtmp 127.0.0.1`; "" for all of it. `at_ms`: capture time of
        the first picture (Unix ms), None for now. `live` False: never drop, wait instead.
        `owner`: whose it is, for collections that place streams by owner. `cut_off`: called, in the
        event loop, once the publication is ended from outside: `feed` would raise this, and who
        waits for the publisher, who may be silent, need wait no longer.
        """
        ...
