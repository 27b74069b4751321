"""A question that gets no answer costs a client of Kafka, which must not outlive it."""

from __future__ import annotations

import asyncio
import gc
import uuid
import weakref
from typing import Any

import pytest

from kinolog.core.errors import KinologError
from kinolog.log import random_reader
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader

pytestmark = pytest.mark.cluster


def test_clients_of_questions_without_an_answer_are_gone_at_once(
    one_broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process can have a thousand, and those that wait for the collector of cycles count."""
    made: list[weakref.ref[Any]] = []

    class Counted(random_reader.Asker):
        def __init__(self, config: dict[str, Any]) -> None:
            super().__init__(config)
            made.append(weakref.ref(self))

    monkeypatch.setattr(random_reader, "Asker", Counted)
    monkeypatch.setattr(random_reader, "_PATIENCE_S", 1.0)

    async def work() -> None:
        reader = RandomReader(KafkaSettings(one_broker))
        for _ in range(3):
            with pytest.raises(KinologError):
                await reader.bounds(f"t{uuid.uuid4().hex[:10]}", 0)
        alive = sum(one() is not None for one in made)
        assert len(made) > 3
        assert alive <= 1  # the one in the traceback of the last error
        await reader.close()

    gc.disable()
    try:
        asyncio.run(work())
    finally:
        gc.enable()
