"""How long a read waits for a Kafka that is not there: a port on which nobody answers."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError

from kinolog.core.errors import KafkaUnavailable
from kinolog.log import random_reader
from kinolog.log.client import KafkaSettings, UnknownTopic
from kinolog.log.random_reader import AWAY_S, RandomReader


@pytest.fixture
def nobody() -> Iterator[KafkaSettings]:
    """A broker that takes connections and says nothing, as one that hangs."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield KafkaSettings(f"127.0.0.1:{server.getsockname()[1]}")


def waited_s(settings: KafkaSettings, silent_s: float, asked: int = 1) -> list[float]:
    """How long each of some reads takes to fail, all asked at once, where Kafka has been silent for
    so long."""
    begun = time.monotonic()

    async def one(reader: RandomReader) -> float:
        with pytest.raises(KafkaUnavailable):
            await reader.bounds("t", 0)
        return time.monotonic() - begun

    async def go() -> list[float]:
        reader = RandomReader(settings, size=2)
        reader.heed(lambda: silent_s + time.monotonic() - begun)
        try:
            return await asyncio.gather(*(one(reader) for _ in range(asked)))
        finally:
            await reader.close()

    return asyncio.run(go())


def test_where_it_is_known_to_be_away_nothing_is_waited_for(nobody: KafkaSettings) -> None:
    assert max(waited_s(nobody, AWAY_S, asked=10)) < 0.5


def test_where_it_has_just_gone_it_is_said_within_five_seconds(nobody: KafkaSettings) -> None:
    # More than there are consumers: the others fail with the first.
    found = waited_s(nobody, 0.0, asked=6)
    assert min(found) > AWAY_S - 1
    assert max(found) < 5


def test_what_it_waits_is_cut_to_what_is_left(nobody: KafkaSettings) -> None:
    assert max(waited_s(nobody, AWAY_S - 0.5)) < 1.5


def test_while_some_broker_answers_a_leader_is_waited_for(
    nobody: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kinolog.log.random_reader._PATIENCE_S", 3.0)

    async def go() -> float:
        reader = RandomReader(nobody, size=1)
        reader.heed(lambda: 1.0)
        begun = time.monotonic()
        try:
            with pytest.raises(KafkaUnavailable):
                await reader.bounds("t", 0)
            return time.monotonic() - begun
        finally:
            await reader.close()

    assert asyncio.run(go()) > 5  # an attempt of 2 s, then one of 4 s


class Deleted:
    """A consumer whose topic goes once its bounds are told."""

    asked = frozenset({"t"})
    polls = 0

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return 0, 5

    def assign(self, _: object) -> None: ...

    def unassign(self) -> None: ...

    def poll(self, _: float) -> Deleted:
        self.polls += 1
        assert self.polls < 3, "it is waited for in a read that cannot go on"
        return self

    def consume(self, *_: object) -> list[object]:
        return []

    def error(self) -> KafkaError:
        return KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)


def test_a_topic_that_goes_amid_a_read_is_asked_for_anew() -> None:
    gone: Any = Deleted()
    with pytest.raises(UnknownTopic):
        random_reader._messages(gone, "t", 0, 0, 5, None, 1.0, lambda: None)
