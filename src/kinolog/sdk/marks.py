"""`kinolog.mark` and `kinolog.marks`: what was seen at a moment of a stream, written and found."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.log.marks import MarkReader
from kinolog.record.mark import Mark as Record
from kinolog.record.mark import check_mark
from kinolog.sdk.connection import Connection, connect
from kinolog.sdk.loop import background
from kinolog.sdk.moment import SKEW_MS, When, as_datetime, time_ms


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark: when, until when (None: it has no length), what sort, in words, and JSON with it."""

    id: str
    time: datetime
    end: datetime | None
    kind: str
    text: str
    data: Any


def mark(
    stream: str,
    text: str = "",
    at: When = "now",
    end: When | None = None,
    *,
    kind: str = "marker",
    data: Any = None,
    id: str = "",
    connection: Connection | None = None,
) -> Mark:
    """Mark a moment of a stream; returns once Kafka has acknowledged it.

    `at`, `end`: capture times, as of `frames`. `text`: at most 200 characters. `data`: what JSON
    can hold, at most 8 KiB of it. A mark that is written again under one `id` replaces the first.
    Raises NotFound, InputError, KafkaUnavailable, KafkaRefused.

        with kinolog.connect() as cluster:
            for frame in cluster.frames("cams/gate"):
                for box in detect(frame.image):
                    cluster.mark("cams/gate", box.label, frame.time, kind="detection")
    """
    now_ms = SystemClock().unix_ms()
    try:
        raw = msgspec.Raw() if data is None else msgspec.Raw(msgspec.json.encode(data))
    except (TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"data is nothing that JSON can hold: {error}") from error
    record = check_mark(
        Record(
            id=id or uuid.uuid4().hex,
            at=time_ms(at, now_ms),
            kind=kind,
            end=0 if end is None else time_ms(end, now_ms),
            text=text,
            data=raw,
        )
    )
    if record.at > now_ms + SKEW_MS:
        raise InputError("at lies in the future")
    background().call(_write(connection or connect(), StreamName.parse(stream), record))
    return _mark(record)


def marks(
    stream: str,
    start: When = "-1h",
    end: When | None = None,
    *,
    connection: Connection | None = None,
) -> list[Mark]:
    """The marks that begin in a range, by time; without `end` up to now.

    Raises NotFound, InputError for a range with too many, KafkaUnavailable, KafkaRefused.

        for mark in kinolog.marks("cams/gate", start="-1d"):
            print(mark.time, mark.text)
    """
    now_ms = SystemClock().unix_ms()
    until_ms = now_ms + SKEW_MS if end is None else time_ms(end, now_ms)
    start_ms = time_ms(start, now_ms)
    asking = _read(connection or connect(), StreamName.parse(stream), start_ms, until_ms)
    return background().call(asking)


async def _write(connection: Connection, name: StreamName, record: Record) -> None:
    async with connection.lease() as base:
        await base.marks.add(name, [record])


async def _read(connection: Connection, name: StreamName, start_ms: int, end_ms: int) -> list[Mark]:
    async with connection.lease() as base:
        await base.catalog.registry.catch_up()
        reader = MarkReader(base.catalog, base.reader, base.clock)
        found = await reader.between(name, start_ms, end_ms)
    if not found.complete:
        raise InputError("there are too many marks in that time", hint="ask for less of it at once")
    return [_mark(one) for one in found.marks]


def _mark(record: Record) -> Mark:
    data = msgspec.json.decode(record.data) if bytes(record.data) else None
    end = as_datetime(record.end) if record.end else None
    return Mark(record.id, as_datetime(record.at), end, record.kind, record.text, data)
