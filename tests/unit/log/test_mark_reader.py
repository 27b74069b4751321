"""Which records of a partition are read for the marks of a range: few, and all that matter."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import KafkaUnavailable
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.marks import LATE_MS, MOST_BYTES, MOST_READ, Found, MarkReader
from kinolog.log.random_reader import RandomReader
from kinolog.record.mark import Mark, encode_mark, late_with
from kinolog.record.registry import LateMarks, Placement, StreamEntry

NAME = StreamName("marks", "gate")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
BEGIN_MS = 20_000 * DAY_MS


@dataclass
class Partition:
    """A partition of an events topic, as a RandomReader gives it: (key, mark) by offset."""

    records: list[tuple[str, Mark]] = field(default_factory=list)
    read: list[tuple[int, int]] = field(default_factory=list)

    def check_there(self) -> None:
        pass

    async def bounds(self, _topic: str, _partition: int) -> tuple[int, int]:
        return 0, len(self.records)

    async def offset_for_time(self, _topic: str, _partition: int, unix_ms: int) -> int:
        times = (offset for offset, (_, mark) in enumerate(self.records) if mark.at >= unix_ms)
        return next(times, len(self.records))

    async def read_raw(
        self, _topic: str, _partition: int, start: int, stop: int, key: str, _about: int
    ) -> list[Any]:
        self.read.append((start, stop))
        return [
            SimpleNamespace(value=lambda mark=mark: encode_mark(mark))
            for whose, mark in self.records[start:stop]
            if whose == key
        ]


def found(
    partition: Partition, start_ms: int, end_ms: int, late: list[LateMarks] | None = None
) -> Found:
    entry = StreamEntry([Placement("base", 0)], created_ms=5, late=late or [])
    catalog = SimpleNamespace(registry=SimpleNamespace(streams={NAME: entry}), has_topic=_yes)
    reader = MarkReader(cast(Catalog, catalog), cast(RandomReader, partition), SystemClock())
    return asyncio.run(reader.between(NAME, start_ms, end_ms))


async def _yes(_base: str, _suffix: str, _timeout_s: float) -> bool:
    return True


def test_a_kafka_that_does_not_answer_is_no_missing_topic() -> None:
    asked: list[str] = []

    async def has_topic(base: str, _suffix: str, _timeout_s: float) -> bool:
        asked.append(base)
        if len(asked) == 1:
            raise KafkaUnavailable("away")
        return True

    async def go() -> Found:
        entry = StreamEntry([Placement("base", 0)], created_ms=5)
        registry = SimpleNamespace(streams={NAME: entry})
        catalog = cast(Catalog, SimpleNamespace(registry=registry, has_topic=has_topic))
        partition = Partition([("gate", mark(BEGIN_MS, 1))])
        reader = MarkReader(catalog, cast(RandomReader, partition), SystemClock())
        with pytest.raises(KafkaUnavailable):
            await reader.between(NAME, BEGIN_MS, BEGIN_MS + 1)
        return await reader.between(NAME, BEGIN_MS, BEGIN_MS + 1)

    assert [one.at for one in asyncio.run(go()).marks] == [BEGIN_MS]
    assert len(asked) == 2


def mark(at_ms: int, number: int, of: int = 0) -> Mark:
    return Mark(str(number), at_ms, "k", of=of)


def week() -> Partition:
    """A mark a minute for a week; every other one is a neighbour's."""
    minutes = 7 * 24 * 60
    return Partition(
        [("other" if n % 2 else "gate", mark(BEGIN_MS + n * 60_000, n)) for n in range(minutes)]
    )


def test_an_hour_of_a_week_costs_two() -> None:
    partition = week()
    start_ms = BEGIN_MS + 3 * DAY_MS
    marks, complete = found(partition, start_ms, start_ms + HOUR_MS)
    assert complete
    assert len(marks) == 30
    assert all(start_ms <= one.at < start_ms + HOUR_MS for one in marks)
    (only,) = partition.read
    assert only[1] - only[0] == (HOUR_MS + LATE_MS) // 60_000


def test_what_was_written_an_hour_late_is_found() -> None:
    partition = week()
    at_ms = BEGIN_MS + 3 * DAY_MS + 1
    partition.records.insert(3 * 24 * 60 + 59, ("gate", mark(at_ms, -1)))
    marks, _ = found(partition, at_ms, at_ms + 1)
    assert [one.id for one in marks] == ["-1"]


def test_what_was_written_days_late_is_where_the_registry_says() -> None:
    partition = week()
    at_ms = BEGIN_MS + DAY_MS + 1
    offset = len(partition.records)
    partition.records.append(("gate", mark(at_ms, -1)))
    assert found(partition, at_ms, at_ms + 1) == Found([], True)
    late = late_with([], "base", 0, at_ms, offset)
    assert [one.id for one in found(partition, at_ms, at_ms + 1, late).marks] == ["-1"]
    # Of another day it costs nothing, and in another place it is not.
    partition.read.clear()
    found(partition, at_ms + DAY_MS, at_ms + DAY_MS + 1, late)
    assert all(start < offset for start, _ in partition.read)
    elsewhere = late_with([], "elsewhere", 0, at_ms, offset)
    assert found(partition, at_ms, at_ms + 1, elsewhere).marks == []


def test_a_question_reads_so_much_and_says_that_there_is_more() -> None:
    partition = Partition([("gate", mark(BEGIN_MS + n, n)) for n in range(MOST_READ + 5)])
    marks, complete = found(partition, BEGIN_MS, BEGIN_MS + DAY_MS)
    assert not complete
    assert len(marks) == MOST_READ
    assert sum(stop - start for start, stop in partition.read) == MOST_READ


def test_a_question_takes_so_many_bytes_and_says_that_there_is_more() -> None:
    data = msgspec.Raw(b'"' + b"x" * 8000 + b'"')
    partition = Partition(
        [("gate", Mark(str(n), BEGIN_MS + n, "k", data=data)) for n in range(5000)]
    )
    marks, complete = found(partition, BEGIN_MS, BEGIN_MS + DAY_MS)
    assert not complete
    taken = sum(len(encode_mark(one)) for one in marks)
    step = max(stop - start for start, stop in partition.read)
    assert MOST_BYTES <= taken < MOST_BYTES + step * 8_100 < 2.1 * MOST_BYTES


def test_marks_of_an_earlier_stream_of_the_name_are_not_its() -> None:
    partition = Partition([("gate", mark(BEGIN_MS, n, of)) for n, of in enumerate((0, 4, 5, 6))])
    marks, _ = found(partition, BEGIN_MS, BEGIN_MS + 1)
    assert [one.id for one in marks] == ["0", "2"]


def test_what_is_no_mark_is_passed_over() -> None:
    partition = Partition([("gate", Mark("a b", BEGIN_MS, "k")), ("gate", mark(BEGIN_MS, 1))])
    marks, complete = found(partition, BEGIN_MS, BEGIN_MS + 1)
    assert [one.id for one in marks] == ["1"]
    assert complete
