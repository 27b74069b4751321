"""Contact: how long ago Kafka last answered, asked once a second, for readiness."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from types import TracebackType

from confluent_kafka import Consumer, KafkaException, TopicPartition

from kinolog.core.clock import Clock
from kinolog.log.client import KafkaSettings, checked
from kinolog.log.random_reader import consumer_config
from kinolog.record.topics import registry_topic

_EVERY_S = 1.0
_PATIENCE_S = 2.0
_ANY_S = 1.0


class Contact:
    """`async with Contact(settings, clock) as contact`: asks the registry topic's leader for its
    high watermark, with a client and a thread of its own, so that busy readers do not look like
    an outage."""

    def __init__(self, settings: KafkaSettings, clock: Clock) -> None:
        self._clock = clock
        self._answered_at = self._heard_at = clock.monotonic()
        self._place = TopicPartition(registry_topic(settings.prefix), 0)
        self._consumer, _ = checked(settings, Consumer, **consumer_config())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kafka-contact", daemon=True)

    @property
    def age_s(self) -> float:
        """Seconds since Kafka last answered."""
        return self._clock.monotonic() - self._answered_at

    @property
    def silent_s(self) -> float:
        """Seconds since any broker last said anything: it grows while no broker is there, and not
        while a leader moves."""
        return self._clock.monotonic() - self._heard_at

    async def __aenter__(self) -> Contact:
        self._thread.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.set()
        await asyncio.to_thread(self._thread.join, 2 * _PATIENCE_S)

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    self._consumer.get_watermark_offsets(self._place, timeout=_PATIENCE_S)
                    self._answered_at = self._heard_at = self._clock.monotonic()
                except KafkaException:
                    self._ask_any()
                self._closing.wait(_EVERY_S)
        finally:
            self._consumer.close()

    def _ask_any(self) -> None:
        """Ask whichever broker is there: every one of them answers this."""
        with contextlib.suppress(KafkaException):
            self._consumer.list_topics(self._place.topic, timeout=_ANY_S)
            self._heard_at = self._clock.monotonic()
