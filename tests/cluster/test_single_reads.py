"""One record by its offset, fetched with as little of its neighbours as can be."""

from __future__ import annotations

import asyncio
import random
import uuid

import pytest
from confluent_kafka import Producer

from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import FETCH_BYTES, RandomReader

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("linger_ms", [0, 200], ids=["alone", "in-batches"])
def test_a_record_that_is_larger_than_what_is_asked_for_comes_whole(
    one_broker: str, linger_ms: int
) -> None:
    sizes = [10, 5_000, 800_000, 30, FETCH_BYTES[0], 70_000, 1]
    values = [random.Random(size).randbytes(size) for size in sizes]

    async def work() -> None:
        kafka = KafkaSettings(one_broker)
        topic = f"t{uuid.uuid4().hex[:10]}"
        await Admin(kafka).create([TopicSpec(topic, 1, 1, {})])
        producer = Producer({"bootstrap.servers": one_broker, "linger.ms": linger_ms})
        for value in values:
            producer.produce(topic, value, key=b"k", partition=0)
            if not linger_ms:
                assert producer.flush(30) == 0
        assert producer.flush(30) == 0
        reader = RandomReader(kafka)
        try:
            for at, value in [*enumerate(values)] * 2:
                found = await reader.read_raw(topic, 0, at, at + 1, "k", 1)
                assert [one.value() for one in found] == [value]
            assert await reader.read_raw(topic, 0, len(values), len(values) + 1, "k", 1) == []
            found = await reader.read_raw(topic, 0, 0, len(values), "k", 1)
            assert [one.value() for one in found] == values
        finally:
            await reader.close()

    asyncio.run(work())
