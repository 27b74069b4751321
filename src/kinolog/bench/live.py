"""Latency by stage: a frame captured, its chunk acknowledged, readable, its part at a client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from kinolog.bench.figures import spread
from kinolog.core.names import StreamName
from kinolog.log.decode import to_record
from kinolog.log.tail_reader import Batch, TailReader
from kinolog.record.log_record import LogRecord
from kinolog.record.topics import topic
from kinolog.runtime.roles import Backend
from kinolog.timeline.events import ChunkEvent
from kinolog.timeline.reader import StreamReader

_JOIN_S = 10.0
_Place = tuple[int, int]


@dataclass(slots=True)
class _Part:
    """When a part's first and last frame were captured, and when it could be read (Unix s)."""

    first: float
    end: float
    frame: float
    readable: float


class _Follower:
    """Reads the stream's partition as an edge does, and notes when each part is whole."""

    def __init__(self, name: StreamName) -> None:
        self.parts: dict[_Place, _Part] = {}
        self.epoch = 0
        self._name = name.name
        self._reader = StreamReader()
        self._timescale = 90_000
        self._frame = 0.0
        self._growing: dict[_Place, float] = {}

    def take(self, batches: Sequence[Batch[LogRecord]]) -> None:
        now = time.time()
        for batch in batches:
            for record in batch.records:
                if record.key != self._name:
                    continue
                for event in self._reader.feed(record):
                    self._event(event, now)

    def begin(self, entry: Any) -> None:
        """Start within a session."""
        for event in self._reader.start(entry):
            self._event(event, 0.0)

    def _event(self, event: Any, now: float) -> None:
        if not isinstance(event, ChunkEvent):
            if hasattr(event, "open"):
                self.epoch = event.epoch
                video = next(t for t in event.open.tracks if t.kind == "video")
                self._timescale = video.timescale
                self._frame = 1 / video.frame_rate if video.frame_rate else 1 / 30
            return
        header = event.header
        if header.track != "video":
            return
        place = (header.msn, header.part)
        first = self._growing.setdefault(place, header.wall / 1000)
        if header.ends:
            end = header.wall / 1000 + header.dur / self._timescale
            self.parts[place] = _Part(first, end, self._frame, now)
            del self._growing[place]


async def measure(base: Backend, name: StreamName, edge_url: str, seconds: float) -> dict[str, Any]:
    """Follow a live stream for so long, in the log and as a player of `edge_url`.

    Capture times are those of the stream; this clock must be that of its ingest.
    """
    entry = base.catalog.registry.streams[name]
    placement = entry.placements[-1]
    place = (topic(placement.base, "media"), placement.partition)
    follower = _Follower(name)
    newest = base.catalog.registry.newest_epoch(name)
    if newest is not None:
        follower.begin(newest)
    _, end = await base.reader.bounds(*place)
    tail = TailReader(base.kafka, to_record, follower.take)
    tail.add(*place, end)
    try:
        client = await _play(edge_url, name, follower, seconds)
    finally:
        await tail.close()
    rows: dict[str, list[float]] = {k: [] for k in ("readable", "client_last", "client_first")}
    for key, arrived in client.items():
        part = follower.parts.get(key)
        if part is None:
            continue
        last_frame = part.end - part.frame
        rows["readable"].append(part.readable - last_frame)
        rows["client_last"].append(arrived - last_frame)
        rows["client_first"].append(arrived - part.first)
    return {
        "parts": len(rows["readable"]),
        "last_frame_to_readable_s": spread(rows["readable"]),
        "last_frame_to_client_s": spread(rows["client_last"]),
        "first_frame_to_client_s": spread(rows["client_first"]),
    }


async def _play(
    edge_url: str, name: StreamName, follower: _Follower, seconds: float
) -> dict[_Place, float]:
    """Ask for each hinted part before it exists; when its last byte came, by (msn, part)."""
    url = urlsplit(edge_url)
    reader, writer = await asyncio.open_connection(url.hostname, url.port or 80)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _JOIN_S
    while not follower.parts:
        if loop.time() > deadline:
            raise TimeoutError(f"no part of {name} came in {_JOIN_S:.0f} s")
        await asyncio.sleep(0.05)
    msn, part = max(follower.parts)
    part += 1
    found: dict[_Place, float] = {}
    end = loop.time() + seconds
    while loop.time() < end:
        path = f"/media/{name}/video/{follower.epoch}/{msn}.{part}.m4s"
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.netloc}\r\n\r\n".encode())
        status = await asyncio.wait_for(_response(reader), 15)
        if status == 200:
            found[(msn, part)] = time.time()
            part += 1
        elif status == 404:
            msn, part = msn + 1, 0
        else:
            raise ConnectionError(f"{path}: {status}")
    writer.close()
    return found


async def _response(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    sizes = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length")]
    await reader.readexactly(sizes[0] if sizes else 0)
    return int(lines[0].split(" ")[1])
