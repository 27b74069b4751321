"""A topic that an admin has deleted is told as such, and one that is being made is waited for."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from kinolog.core.errors import KafkaUnavailable
from kinolog.log import missing, random_reader
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader

pytestmark = pytest.mark.cluster


def test_one_that_was_deleted_is_named_by_whatever_asks(one_broker: str) -> None:
    async def work() -> None:
        settings = KafkaSettings(one_broker)
        admin, topic = Admin(settings), f"kinolog.gone{uuid.uuid4().hex[:8]}.index"
        await admin.create([TopicSpec(topic, 1, 1, {})])
        reader = RandomReader(settings)
        try:
            assert await reader.bounds(topic, 0) == (0, 0)
            with pytest.raises(KafkaUnavailable, match="no partition 1 of it"):
                await reader.bounds(topic, 1)
            await admin.delete([topic])
            asked = (
                reader.bounds(topic, 0),
                reader.read_raw(topic, 0, 0, 1),
                reader.offset_for_time(topic, 0, 1),
            )
            for found in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(found, KafkaUnavailable)
                assert f"{topic} is missing" in str(found)
                assert "index rebuild gone" in found.hint
        finally:
            await reader.close()

    asyncio.run(work())


def test_one_that_is_being_made_is_waited_for(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"t{uuid.uuid4().hex[:10]}"
    admin = AdminClient({"bootstrap.servers": one_broker})
    refused: list[KafkaException] = []

    class Early(random_reader.Asker):
        """A consumer that asks before the topic is there."""

        def get_watermark_offsets(self, *words: Any, **named: Any) -> Any:
            try:
                return super().get_watermark_offsets(*words, **named)
            except KafkaException as error:
                if len(refused) == 1:
                    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
                refused.append(error)
                raise

    monkeypatch.setattr(random_reader, "Asker", Early)
    # That the machine is busy says nothing of Kafka.
    monkeypatch.setattr(missing, "PATIENCE_S", 15.0)

    async def work() -> None:
        reader = RandomReader(KafkaSettings(one_broker))
        try:
            assert await reader.bounds(topic, 0) == (0, 0)
        finally:
            await reader.close()

    asyncio.run(work())
    assert len(refused) >= 2
