"""The golden log on a real broker: three readers of two languages and three clients, one output."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from example_kit import installed_kafkajs, kafkajs_example, listed, python_example
from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import SessionEntry, decode_index
from kinolog.record.header import HEADER_NAME
from kinolog.record.registry import CollectionEntry, EpochEntry, Placement, StreamEntry
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Hole, Opened
from kinolog.timeline.reader import StreamReader

pytestmark = pytest.mark.cluster

GOLDEN = Path(__file__).parents[1] / "golden"
EXPECTED = json.loads((GOLDEN / "golden_expected.json").read_text())
PREFIX, COLLECTION, KEY, PARTITION = "golden", "hard-day", "camera", 2
BASE = f"{PREFIX}.{COLLECTION}"
NAME = StreamName(COLLECTION, KEY)


def start_entry() -> SessionEntry:
    entry = decode_index((GOLDEN / "golden_start.json").read_bytes())
    assert isinstance(entry, SessionEntry)
    return entry


@pytest.fixture(scope="module")
def golden_broker(one_broker: str) -> str:
    """A broker that has the golden log, at its very offsets, and what the registry says of it."""
    asyncio.run(_register(KafkaSettings(one_broker, {}, PREFIX)))
    _append(one_broker)
    return one_broker


async def _register(settings: KafkaSettings) -> None:
    catalog = await Catalog.open(settings, SystemClock())
    try:
        await catalog.create(COLLECTION, CollectionEntry(3, 1, retention_ms=-1))
        entry = StreamEntry([Placement(BASE, PARTITION)], target_ms=2000, part_ms=200)
        await catalog.registry.change_stream(NAME, lambda _: entry)
        start = start_entry()
        epoch = EpochEntry(
            start.epoch, start.disc, start.open_offset, PARTITION, BASE, start.wall, start.open
        )
        await catalog.registry.change_epoch(NAME, start.epoch, lambda _: epoch)
    finally:
        await catalog.close()


def _append(bootstrap: str) -> None:
    """The records, behind as many that have aged out as their offsets ask for."""
    rows = [json.loads(line) for line in (GOLDEN / "golden_log.jsonl").read_text().splitlines()]
    media, first = f"{BASE}.media", rows[0]["offset"]
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    landed: list[Any] = []

    def note(error: Any, message: Any) -> None:
        assert error is None, error
        landed.append(message.offset())

    for _ in range(first):
        producer.produce(media, b"aged out", KEY, PARTITION, on_delivery=note)
    for row in rows:
        producer.produce(
            media,
            base64.b64decode(row["value"]),
            row["key"],
            PARTITION,
            on_delivery=note,
            timestamp=row["timestamp"],
            headers=[(HEADER_NAME, json.dumps(row["header"]).encode())],
        )
    assert producer.flush(30) == 0
    assert landed == [*range(first), *(row["offset"] for row in rows)]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    trimmed = admin.delete_records([TopicPartition(media, PARTITION, first)])
    assert all(one.result(30).low_watermark == first for one in trimmed.values())


async def _read(settings: KafkaSettings) -> dict[str, list[Any]]:
    """By kinolog's own reader."""
    pool, rule = RandomReader(settings, 1), StreamReader()
    found: dict[str, list[Any]] = {name: [] for name in EXPECTED}
    try:
        media = f"{BASE}.media"
        low, high = await pool.bounds(media, PARTITION)
        events = list(rule.start(start_entry()))
        for record in await pool.read(media, PARTITION, low, high, KEY):
            events += rule.feed(record)
    finally:
        await pool.close()
    for event in events:
        match event:
            case Opened():
                found["opened"].append(event.epoch)
            case Closed():
                found["closed"].append(event.epoch)
            case Ended():
                found["ended"].append(event.epoch)
            case Hole():
                found["holes"].append([event.epoch, event.track, event.msn])
            case ChunkEvent(header=h, payload=payload):
                digest = hashlib.sha256(payload).hexdigest()
                found["chunks"].append([h.epoch, h.track, h.msn, h.part, h.chunk, digest])
    return found


def test_kinolog_reads_it(golden_broker: str) -> None:
    assert asyncio.run(_read(KafkaSettings(golden_broker, {}, PREFIX))) == EXPECTED


def test_the_kafka_python_example_reads_it(golden_broker: str) -> None:
    where = (str(NAME), "--bootstrap-servers", golden_broker, "--prefix", PREFIX)
    assert listed(python_example("read_kafka_python.py", *where)) == EXPECTED


def test_the_kafkajs_example_reads_it(golden_broker: str, tmp_path: Path) -> None:
    where = (str(NAME), "--bootstrap-servers", golden_broker, "--prefix", PREFIX)
    assert listed(kafkajs_example(installed_kafkajs(tmp_path), *where)) == EXPECTED
