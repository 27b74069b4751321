"""A WebSocket viewer for tests: what an edge sent, taken apart, and the same from the log."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple

from hls_stage import Stage

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.ws.message import CHUNK, DISCONTINUITY, HEAD, INDEPENDENT, INIT, VERSION
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.record.topics import topic
from kinolog.testing.websocket import WebSocket
from kinolog.timeline.events import ChunkEvent
from kinolog.timeline.places import PlacesReader


class Got(NamedTuple):
    """A chunk, or an init segment, as it came."""

    track: str
    epoch: int
    msn: int
    part: int
    chunk: int
    dts: int
    dur: int
    wall: int
    independent: bool
    discontinuous: bool
    body: bytes

    @property
    def place(self) -> tuple[int, int]:
        return self.msn, self.chunk


@dataclass
class Seen:
    """What came so far, in order."""

    texts: list[dict[str, Any]] = field(default_factory=list)
    chunks: list[Got] = field(default_factory=list)
    inits: dict[tuple[int, str], bytes] = field(default_factory=dict)
    size: int = 0
    _names: dict[int, str] = field(default_factory=dict)

    def take(self, message: str | bytes) -> None:
        if isinstance(message, str):
            told = json.loads(message)
            self.texts.append(told)
            if told["type"] == "epoch":
                self._names = {track["number"]: track["name"] for track in told["tracks"]}
            return
        self.size += len(message)
        version, kind, number, flags, part, chunk, dur, epoch, msn, dts, wall = HEAD.unpack_from(
            message
        )
        assert version == VERSION
        name, body = self._names[number], message[HEAD.size :]
        if kind == INIT:
            assert body[4:8] == b"ftyp"
            self.inits[epoch, name] = body
            return
        assert kind == CHUNK
        assert (epoch, name) in self.inits, "a chunk before its init segment"
        cut, whole = bool(flags & DISCONTINUITY), bool(flags & INDEPENDENT)
        self.chunks.append(Got(name, epoch, msn, part, chunk, dts, dur, wall, whole, cut, body))

    def of(self, track: str) -> list[Got]:
        return [one for one in self.chunks if one.track == track]

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [one for one in self.texts if one["type"] == kind]


class Watch:
    """A viewer of `edge`, from the first message on."""

    def __init__(self, edge: str, stream: str, query: str = "", **options: Any) -> None:
        url = f"{edge}/media/{stream}/ws{'?' if query else ''}{query}"
        self.socket = WebSocket(url.replace("http", "ws", 1), **options)
        self.seen = Seen()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.socket.__exit__(kind, error, trace)

    def until(self, enough: Callable[[Seen], Any]) -> Seen:
        """Take what comes until it is enough; AssertionError where the server closes before."""
        while not enough(self.seen):
            message = self.socket.receive()
            assert message is not None, f"closed: {self.seen.texts[-1:]}"
            self.seen.take(message)
        return self.seen

    def to_the_end(self) -> Seen:
        """Take what comes until the server closes."""
        for message in self.socket:
            self.seen.take(message)
        return self.seen

    def say(self, kind: str, **fields: Any) -> None:
        self.socket.send(json.dumps({"type": kind, **fields}))


def in_the_log(stage: Stage, stream: str) -> dict[str, list[ChunkEvent]]:
    """Every chunk of a stream that counts, by track, in the order of the log."""
    with ThreadPoolExecutor(1) as thread:  # Playwright's loop runs in the tests' own
        return thread.submit(asyncio.run, _read(stage, StreamName.parse(stream))).result()


async def _read(stage: Stage, name: StreamName) -> dict[str, list[ChunkEvent]]:
    settings = KafkaSettings(stage.bootstrap, prefix=stage.prefix)
    catalog = await Catalog.open(settings, SystemClock())
    reader = RandomReader(settings)
    try:
        found: dict[str, list[ChunkEvent]] = {}
        for event in [e async for e in _events(catalog, reader, name)]:
            found.setdefault(event.header.track, []).append(event)
        return found
    finally:
        await reader.close()
        await catalog.close()


async def _events(catalog: Catalog, reader: RandomReader, name: StreamName) -> Any:
    (placement,) = catalog.registry.streams[name].placements
    place = (topic(placement.base, "media"), placement.partition)
    _, end = await reader.bounds(*place)
    events: PlacesReader[tuple[str, int]] = PlacesReader()
    for record in await reader.read(*place, 0, end, name.name):
        for event in events.feed(place, record, 0.0):
            if isinstance(event, ChunkEvent):
                yield event


def check_against(log: list[ChunkEvent], got: list[Got]) -> None:
    """What came of a track is a stretch of the log: each chunk once, in order, byte for byte."""
    assert got
    by_place = {(e.header.msn, e.header.chunk): n for n, e in enumerate(log)}
    first = by_place[got[0].place]
    assert [one.place for one in got] == [
        (event.header.msn, event.header.chunk) for event in log[first : first + len(got)]
    ]
    for one, event in zip(got, log[first:], strict=False):
        header = event.header
        assert one.body == event.payload
        assert (one.epoch, one.part, one.dts, one.dur, one.wall) == (
            header.epoch, header.part, header.dts, header.dur, header.wall,
        )  # fmt: skip


def discontinuities(got: list[Got]) -> Iterator[int]:
    """Where something does not follow what was before it."""
    return (index for index, one in enumerate(got) if one.discontinuous)
