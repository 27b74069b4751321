"""Old segments are rebuilt as they were live, and found without reading the archive."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import msgspec
import pytest

from kinolog.delivery.hls.playlist import MediaPlaylist
from kinolog.delivery.past import rebuild
from kinolog.log.index_reader import entries_near
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import Open, SegmentEntry, decode_value, encode_value
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


class _Message:
    def __init__(self, key: bytes, value: bytes) -> None:
        self._key, self._value = key, value

    def key(self) -> bytes:
        return self._key

    def value(self) -> bytes:
        return self._value


class _Index:
    """An index partition: our stream's two tracks, one entry in `sparse` records."""

    def __init__(self, entries: int, sparse: int) -> None:
        self.read = 0
        self._log: list[_Message] = []
        for msn in range(entries):
            for track in ("a0", "v0"):
                value = encode_value(entry_of(track, msn))
                self._log += [_Message(b"neighbour", value)] * (sparse - 1)
                self._log.append(_Message(b"ours", value))

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self._log)

    async def read_raw(
        self, topic: str, partition: int, start: int, end: int, key: str
    ) -> list[Any]:
        self.read += end - start
        return [one for one in self._log[start:end] if one.key() == key.encode()]


def entry_of(track: str, msn: int) -> SegmentEntry:
    epoch = 100 + msn // 50
    return SegmentEntry(
        track, epoch, 0, msn, 0, 1, 0, True, 1, [msn], [1], [1], [1], [1], [1], [1], [0]
    )


@pytest.mark.parametrize("sparse", [1, 7, 400])
@pytest.mark.parametrize("msn", [0, 1, 49, 50, 77, 198, 199])
def test_an_entry_is_found_by_bisection(sparse: int, msn: int) -> None:
    index = _Index(200, sparse)
    at = 100 + msn // 50, msn
    found = asyncio.run(entries_near(cast(RandomReader, index), "k.c.index", 0, "ours", "v0", at))
    assert [e.track for e in found if (e.epoch, e.msn) == at] == ["v0"]
    assert index.read < max(4000, 200 * 2 * sparse / 4)


@pytest.mark.parametrize("at", [(99, 0), (100, 60), (101, 10), (103, 200), (900, 1)])
def test_an_entry_that_is_not_there_is_not_found(at: tuple[int, int]) -> None:
    index = _Index(200, 3)
    found = asyncio.run(entries_near(cast(RandomReader, index), "k.c.index", 0, "ours", "v0", at))
    assert at not in [(e.epoch, e.msn) for e in found]


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
