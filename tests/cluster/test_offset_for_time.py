"""Where a time is in a partition that is written to while it is asked."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition

from kinolog.log import random_reader
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader

pytestmark = pytest.mark.cluster

_TIME_MS = 1_700_000_000_000


def test_a_record_that_comes_meanwhile_is_not_passed_over(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An edge that joins a stream at the moment of its first record must read that record."""

    class Interrupted(random_reader.Asker):
        """A consumer whose question about times is answered just before a record comes."""

        def offsets_for_times(self, partitions: list[TopicPartition], timeout: float = 10) -> Any:
            answer = super().offsets_for_times(partitions, timeout=timeout)
            producer = Producer({"bootstrap.servers": one_broker})
            producer.produce(partitions[0].topic, b"open", partition=0, timestamp=_TIME_MS + 1)
            assert producer.flush(30) == 0
            return answer

    monkeypatch.setattr(random_reader, "Asker", Interrupted)

    async def work() -> None:
        kafka = KafkaSettings(one_broker)
        topic = f"t{uuid.uuid4().hex[:10]}"
        await Admin(kafka).create([TopicSpec(topic, 1, 1, {})])
        reader = RandomReader(kafka)
        try:
            assert await reader.offset_for_time(topic, 0, _TIME_MS) == 0
            assert await reader.bounds(topic, 0) == (0, 1)
            assert await reader.offset_for_time(topic, 0, _TIME_MS) == 0
            assert await reader.offset_for_time(topic, 0, _TIME_MS + 2) == 2
        finally:
            await reader.close()

    asyncio.run(work())
