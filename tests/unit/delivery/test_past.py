"""Old segments are rebuilt as they were live."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from kinolog.core.names import StreamName
from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.delivery.past import MOST_READS, Name, Past, rebuild
from kinolog.record.control import Open, decode_value
from kinolog.record.registry import EpochEntry
from kinolog.testing.log_script import VIDEO, Item, as_records, session
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader

ITEMS = session(epoch=5, first_msn=10, seconds=9, tracks=(VIDEO,))


def live_of(items: list[Item]) -> LiveStream:
    live, reader = LiveStream(), StreamReader()
    for record in as_records(items):
        for event in reader.feed(record):
            live.apply(event)
    return live


def epoch_of(items: list[Item]) -> EpochEntry:
    opened = decode_value(items[0].value, Open)
    return EpochEntry(5, 0, 0, 0, "k.c", 0, opened)


@pytest.mark.parametrize("lost", [None, 3])
def test_a_rebuilt_segment_is_the_live_one(lost: int | None) -> None:
    """Part for part, also where a chunk is missing."""
    items = [item for n, item in enumerate(ITEMS) if lost is None or n != lost + 10]
    entry = epoch_of(items)
    (info,) = entry.open.tracks
    for segment in live_of(items).tracks["v0"].segments:
        if not segment.ended:
            continue
        records = [r for r in as_records(items) if r.header.kind == "chunk"]
        of_it = [r for r in records if r.header.msn == segment.msn]
        found = rebuild(of_it, entry, info, segment.msn)
        assert found is not None
        assert found.gap == segment.gap
        assert found.body() == segment.body()
        assert [(p.dts, p.size, p.gap) for p in found.parts] == [
            (p.dts, p.size, p.gap) for p in segment.parts
        ]


def test_no_part_is_said_to_be_longer_than_the_target() -> None:
    """A frame that lasts because the next ones were left out."""
    slow = [
        item._replace(header=_lasting(item)) if item.header.msn == 13 else item for item in ITEMS
    ]
    version = live_of(slow).tracks["v0"].version
    assert version is not None
    lasting = [p for s in version.segments for p in s.parts if p.duration_ticks > 0.2 * 90_000]
    text = MediaPlaylist("v0").render(version).decode()
    said = [
        float(line.split("=")[1].split(",")[0]) for line in text.splitlines() if "PART:" in line
    ]
    assert said
    assert max(said) <= 0.2
    assert lasting


def test_no_part_but_the_last_is_said_to_be_shorter_than_allowed() -> None:
    """The same, cut before the frame that lasts."""
    brief = [item._replace(header=_brief(item)) for item in ITEMS]
    version = live_of(brief).tracks["v0"].version
    assert version is not None
    assert any(p.duration_ticks < 0.1 * 90_000 for s in version.segments for p in s.parts)
    text = MediaPlaylist("v0").render(version).decode()
    lines = text.splitlines()
    said = [
        (float(line.split("=")[1].split(",")[0]), after.startswith("#EXTINF"))
        for line, after in pairwise(lines)
        if "PART:" in line
    ]
    assert all(seconds >= 0.17 or last for seconds, last in said)
    assert [seconds for seconds, last in said if last] == [0.066666] * 2


def _brief(item: Item) -> Any:
    header = item.header
    return msgspec.structs.replace(header, dur=header.dur // 3) if header.ends else header


def _lasting(item: Item) -> Any:
    header = item.header
    return msgspec.structs.replace(header, dur=header.dur * 4) if header.ends else header


def test_what_kafka_has_does_not_wait_for_an_object_store() -> None:
    """Many ask for segments that Kafka has deleted, and the store hangs."""
    entry, stream = epoch_of(ITEMS), StreamName("c", "gate")
    (info,) = entry.open.tracks
    records = [r for r in as_records(ITEMS) if r.header.kind == "chunk" and r.header.msn == 13]
    size = sum(len(r.value) for r in records)

    hanging = asyncio.Event()

    class Reader:
        tiered = True
        hanging = 0

        async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
            return 100, 200

        async def read(self, topic: str, partition: int, start: int, *_: Any) -> list[Any]:
            if start < 100:
                self.hanging += 1
                if self.hanging == MOST_READS:
                    hanging.set()
                await asyncio.Event().wait()
            return records

    async def row(_: Any, epoch: int, msn: int) -> SimpleNamespace:
        first = 150 if msn == 13 else msn
        return SimpleNamespace(first=first, last=first + 5, size=size)

    async def go() -> None:
        reader, registry = Reader(), SimpleNamespace(epochs={stream: {5: entry}})
        past = Past(reader, registry, SimpleNamespace(row=row))  # type: ignore[arg-type]
        old = [
            asyncio.create_task(past.segment(Name(stream, info.name, 5, msn)))
            for msn in range(20, 20 + 3 * MOST_READS)
        ]
        async with asyncio.timeout(5):
            await hanging.wait()
            found = await past.segment(Name(stream, info.name, 5, 13))
        assert found is not None
        assert found.size == size
        await past.close()
        await asyncio.gather(*old, return_exceptions=True)

    asyncio.run(go())
