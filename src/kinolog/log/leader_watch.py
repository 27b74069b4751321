"""LeaderWatch: asks who leads as soon as a broker goes away, until that must have been settled.

By itself librdkafka asks once a second while a partition's leader is down, and so adds up to a
second to every fail-over (docs/explanation/failover.md).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

from confluent_kafka import KafkaError, KafkaException

_AWAY = {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
_EVERY_S = 0.1
_ANSWER_S = 0.5
_FOR_S = 8.0


class LeaderWatch:
    """A thread beside one client. `topics()` names those that matter to it.

    Each answer updates what the client itself knows of the topic (librdkafka: rd_kafka_metadata).
    """

    def __init__(self, topics: Callable[[], Iterable[str]]) -> None:
        self._topics = topics
        self._client: Any = None
        self._lost = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-leaders", daemon=True)

    def start(self, client: Any) -> None:
        """Begin to watch for this client."""
        self._client = client
        self._thread.start()

    def on_error(self, error: KafkaError) -> None:
        """From librdkafka's error_cb, in whichever thread polls the client."""
        if error.code() in _AWAY:
            self._lost.set()

    def close(self) -> None:
        """End the thread; before the client is closed. Takes at most half a second."""
        self._closing.set()
        self._lost.set()
        self._thread.join()

    def _run(self) -> None:
        while self._lost.wait() and not self._closing.is_set():
            self._lost.clear()
            until = time.monotonic() + _FOR_S
            while time.monotonic() < until and not self._closing.wait(_EVERY_S):
                self._ask(until)

    def _ask(self, until: float) -> None:
        for topic in self._topics():
            if self._closing.is_set() or time.monotonic() >= until:
                return
            with suppress(KafkaException):
                self._client.list_topics(topic, _ANSWER_S)
