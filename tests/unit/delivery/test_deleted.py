"""What is deleted while an edge has it in memory is listed by nobody any more."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.borders import Borders
from kinolog.delivery.channel import Channel
from kinolog.delivery.dash.manifests import Manifests
from kinolog.delivery.history import History, Named
from kinolog.delivery.hls.playlist import Behind, MediaPlaylist
from kinolog.delivery.hls.replay import Replay
from kinolog.delivery.leads import Leads
from kinolog.delivery.live_rows import live_rows
from kinolog.delivery.span import Span
from kinolog.delivery.ws.reel import are_kept, places_in_memory
from kinolog.log.pages import Frontier
from kinolog.record.control import Open, decode_value
from kinolog.record.page import INDEPENDENT
from kinolog.record.registry import EpochEntry
from kinolog.record.table import Row, Table
from kinolog.testing.log_script import START_MS, Item, as_records, session
from kinolog.timeline.reader import StreamReader

STREAM = StreamName("c", "gate")
NAME = Named(STREAM, "v0")
OLD, NEW = ("kinolog.c", 0), ("kinolog.own", 0)
FIRST = session(epoch=5, disc=0, first_msn=0, seconds=8)
SECOND = session(epoch=9, disc=1, first_msn=5, seconds=8, start_ms=START_MS + 20_000)


def entry_of(place: tuple[str, int], items: Sequence[Item]) -> EpochEntry:
    base, partition = place
    opened = decode_value(items[0].value, Open)
    return EpochEntry(items[0].header.epoch, 0, 0, partition, base, START_MS, opened)


class Stage:
    """A stream whose sessions are in these places, all of it in an edge's memory. `lows`: where
    media topics begin; `indexed`: rows of the old place, of which memory has nothing."""

    def __init__(self, *sessions: tuple[tuple[str, int], Sequence[Item]]) -> None:
        self.lows: dict[str, int] = {}
        self.asked = 0
        self.indexed = Table()
        epochs: dict[int, EpochEntry] = {}
        self.channel = Channel(STREAM, SystemClock())
        reader = StreamReader()
        for place, items in sessions:
            entry = entry_of(place, items)
            epochs[entry.epoch] = entry
            for record in as_records(items, 100):
                for event in reader.feed(record):
                    self.channel.live.apply(event)
        self.registry: Any = SimpleNamespace(epochs={STREAM: epochs}, streams={}, collections={})
        kafka: Any = self
        self.history = History(kafka, self.registry, SystemClock())
        pages: Any = SimpleNamespace(
            where=self.where, frontier=self.frontier, tables=self.tables, row=self.absent
        )
        self.history._pages = pages
        self.live = live_rows(self.channel, "v0")

    tiered = False

    async def bounds(self, topic: str, partition: int, key: str) -> tuple[int, int]:
        self.asked += 1
        return self.lows.get(topic, 0), 10_000

    async def absent(self, *_: Any) -> None:
        return None

    async def read_raw(self, *_: Any) -> list[Any]:
        return []

    async def where(self, *_: Any) -> tuple[dict[str, int], int]:
        return {"v0": 1}, 1

    async def frontier(self, place: Any, *_: Any) -> Frontier:
        return Frontier((), self.indexed if place.topic.startswith(OLD[0]) else Table())

    async def tables(self, *_: Any) -> list[Table]:
        return []

    @property
    def borders(self) -> Borders:
        return Borders(self.history, Leads(self.history), self.registry)

    async def numbers(self) -> list[int]:
        found = await self.history.between(NAME, START_MS, START_MS + 60_000, self.live)
        return [row.msn for run in found for row in run]

    def behind(self) -> tuple[Behind, list[str]]:
        """What a list from the beginning on has behind the live window, and its segments."""
        version = self.channel.live.tracks["v0"].version
        assert version is not None
        replay = Replay(self.history, self.borders, self.registry, SystemClock())
        found = asyncio.run(replay.behind(self.channel, "v0", Span(START_MS), version))
        assert found is not None
        text = MediaPlaylist("v0").render(version, behind=found).decode()
        return found, [line for line in text.splitlines() if line.startswith("v0/")]


def indexed() -> Table:
    """Two segments before those in memory."""
    rows = [
        Row(3, 0, msn, 180_000 * msn, 180_000, START_MS + 2000 * msn, msn, msn, 9, msn, INDEPENDENT)
        for msn in (0, 1)
    ]
    return Table(rows)


def test_memory_lists_what_is_kept() -> None:
    stage = Stage((OLD, FIRST))

    async def work() -> None:
        assert await stage.numbers() == [0, 1, 2, 3]
        stage.lows["kinolog.c.media"] = stage.live.first[1]
        stage.history.look_again(STREAM)
        stage.asked = 0
        assert await stage.numbers() == [1, 2, 3]
        found = await stage.history.extents(NAME, START_MS, START_MS + 60_000, stage.live)
        assert min(one.start for one in found) == stage.live.wall[1]
        assert stage.asked == 1
        stage.lows["kinolog.c.media"] = stage.live.first[1] + 1  # of the segment, a part is left
        stage.history.look_again(STREAM)
        assert await stage.numbers() == [2, 3]
        stage.lows["kinolog.c.media"] = 10_000
        stage.history.look_again(STREAM)
        assert await stage.numbers() == []

    asyncio.run(work())


@pytest.mark.parametrize("trimmed", [OLD, NEW])
def test_offsets_are_those_of_a_place(trimmed: tuple[str, int]) -> None:
    """A stream that moved has the same offsets in both."""
    stage = Stage((OLD, FIRST), (NEW, SECOND))
    assert list(stage.live.msn) == [0, 1, 2, 3, 5, 6, 7, 8]
    stage.lows[f"{trimmed[0]}.media"] = stage.live.first[2]
    left = [2, 3, 5, 6, 7, 8] if trimmed == OLD else [0, 1, 2, 3, 7, 8]
    assert asyncio.run(stage.numbers()) == left


def test_a_list_that_grows_begins_with_what_is_kept() -> None:
    stage = Stage((OLD, FIRST))
    found, uris = stage.behind()
    assert (found.first_msn, found.dropped) == (0, 0)
    stage.lows["kinolog.c.media"] = stage.live.first[2]
    stage.history.look_again(STREAM)
    found, left = stage.behind()
    assert (found.first_msn, found.dropped, found.head) == (2, 2, "")
    assert left == uris[2:]
    stage.lows["kinolog.c.media"] = 10_000  # a playlist has something
    stage.history.look_again(STREAM)
    assert stage.behind()[0].first_msn == 3


def test_what_is_kept_before_what_is_deleted_stays_in_a_list_that_grows() -> None:
    """Trimmed where the stream is, which is not where it was."""
    stage = Stage((NEW, SECOND))
    epochs = stage.registry.epochs
    epochs[STREAM] = {3: entry_of(OLD, session(epoch=3, seconds=1)), **epochs[STREAM]}
    stage.indexed = indexed()
    stage.lows["kinolog.own.media"] = stage.live.first[1]
    found, uris = stage.behind()
    assert (found.first_msn, found.dropped) == (0, 1)
    assert uris[:2] == ["v0/3/0.m4s", "v0/3/1.m4s"]
    assert "v0/9/5.m4s" not in uris
    assert "v0/9/6.m4s" in uris


def test_a_manifest_is_made_of_a_track_that_is_left() -> None:
    """Of the other, even what it has begun is deleted."""
    stage = Stage((OLD, session(epoch=5, seconds=7.9)))
    tracks = stage.channel.live.tracks
    begun = {name: track.segments[-1].first_offset for name, track in tracks.items()}
    assert begun["v0"] != begun["a0"]
    stage.lows["kinolog.c.media"] = max(begun.values())
    made = Manifests(stage.history, stage.borders, stage.registry)
    found = asyncio.run(made.growing(stage.channel, Span(START_MS), START_MS + 8_000))
    assert found is not None
    assert found.count("<AdaptationSet") == 1


def test_a_viewer_begins_in_memory_with_what_is_kept() -> None:
    stage = Stage((OLD, FIRST), (NEW, SECOND))
    viewers: Any = SimpleNamespace(
        history=stage.history, registry=stage.registry, kinds=lambda _: {"v0": "video"}
    )

    async def are_kept_at(ms: int) -> bool:
        places = places_in_memory(viewers, stage.channel, ["v0"], START_MS + ms)
        assert places is not None
        return await are_kept(viewers, stage.channel, places)

    async def work() -> None:
        assert await are_kept_at(1_000)
        stage.lows["kinolog.c.media"] = stage.live.first[1]
        stage.history.look_again(STREAM)
        assert [await are_kept_at(ms) for ms in (1_000, 3_000, 21_000)] == [False, True, True]

    asyncio.run(work())
