"""An archive beside a stage: workers, what they stored, and Kafka's records given up."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import httpx
from hls_stage import KINOLOG, PATIENCE_S, Stage

from kinolog.archive.blocks import Blocks
from kinolog.archive.marker import PATH
from kinolog.archive.names import parse
from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.objects.store import open_objects
from kinolog.record.topics import topic


class Segment(NamedTuple):
    """A media segment's name in a URL."""

    track: str
    epoch: int
    msn: int


@dataclass
class Answers:
    """What an edge said: status and body by URL, without what differs from request to request."""

    bodies: dict[str, tuple[int, bytes]]

    @classmethod
    def of(cls, client: httpx.Client, edge: str, urls: list[str]) -> Answers:
        found = {}
        for url in urls:
            answer = client.get(f"{edge}{url}")
            body = answer.content
            if "/timeline?" in url and answer.status_code == 200:
                body = json.dumps(answer.json() | {"now": None}).encode()
            found[url] = (answer.status_code, body)
        return cls(found)

    def told(self) -> dict[str, tuple[int, int, str]]:
        """Status, bytes and digest: what a failed comparison can show."""
        return {
            url: (status, len(body), hashlib.sha256(body).hexdigest()[:12])
            for url, (status, body) in self.bodies.items()
        }


def collection(stage: Stage, name: str, *words: str) -> None:
    """Make one, of one partition."""
    made = stage.start("collections", "create", name, "--partitions", "1", *words)
    assert made.wait(PATIENCE_S) == 0


def worker(stage: Stage, name: str, place: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start archiving a collection."""
    return stage.start("worker", "archive", name, "--to", str(place), *words)


def archived(stage: Stage, name: str, place: Path, *words: str) -> None:
    """Archive what there is."""
    assert worker(stage, name, place, "--once", *words).wait(2 * PATIENCE_S) == 0


def listed(place: Path, name: str = "") -> list[dict[str, object]]:
    """What `kinolog archive list` tells."""
    words = [str(KINOLOG), "archive", "list", *([name] if name else []), "--at", str(place)]
    done = subprocess.run([*words, "--json"], capture_output=True, check=True, timeout=PATIENCE_S)
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found


def stored(place: Path) -> dict[str, dict[Segment, bytes]]:
    """Every media segment of an archive by its stream, cut out of the objects; none may be there
    twice."""

    async def work() -> tuple[Counter[tuple[str, Segment]], dict[str, dict[Segment, bytes]]]:
        objects = open_objects(str(place))
        blocks = Blocks(objects)
        count: Counter[tuple[str, Segment]] = Counter()
        found: dict[str, dict[Segment, bytes]] = defaultdict(dict)
        async for one in objects.listed():
            if one.path == PATH:
                continue
            assert parse(one.path) is not None, f"{one.path} is no block"
            entries = await blocks.entries(one.path)
            assert entries.lengths.media_at + entries.lengths.of_media == one.size, one.path
            for segment in entries.head.segments:
                name = Segment(segment.track, segment.epoch, segment.msn)
                count[entries.head.stream, name] += 1
                at = entries.lengths.media_at + segment.at
                found[entries.head.stream][name] = await objects.read(one.path, at, segment.size)
        return count, found

    count, found = asyncio.run(work())
    assert [name for name, times in count.items() if times != 1] == []
    return found


def segments_of(playlist: str) -> list[Segment]:
    """Those whose URIs a media playlist has, by the names in them."""
    found = re.findall(r"^([a-z0-9-]+)/(\d+)/(\d+)\.m4s", playlist, re.MULTILINE)
    return [Segment(track, int(epoch), int(msn)) for track, epoch, msn in found]


async def _give_up(stage: Stage, stream: str, parts: Mapping[str, float]) -> None:
    kafka = KafkaSettings(stage.bootstrap, prefix=stage.prefix)
    catalog = await Catalog.open(kafka, SystemClock())
    reader, admin = RandomReader(kafka), Admin(kafka)
    try:
        for place in catalog.registry.streams[StreamName.parse(stream)].placements:
            for suffix, part in parts.items():
                name = topic(place.base, "media" if suffix == "media" else "index")
                low, high = await reader.bounds(name, place.partition)
                await admin.delete_records(name, place.partition, low + round(part * (high - low)))
    finally:
        await reader.close()
        await catalog.close()


def give_up(stage: Stage, stream: str, **parts: float) -> None:
    """Delete this part of the records that Kafka has (of `media`, of the `index`), as its retention
    does."""
    asyncio.run(_give_up(stage, stream, parts))
