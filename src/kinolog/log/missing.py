"""Partitions that Kafka says it does not have: since when, and what a person can do about it."""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

from kinolog.core.errors import KafkaUnavailable
from kinolog.log.client import KafkaSettings
from kinolog.record.topics import registry_topic

PATIENCE_S: Final = 3.0
"""A topic that is new may be unknown to a broker for a moment, and to one that has just started.
What all have said for so long is so."""
Place = tuple[str, int]
"""A topic and a partition."""


class _Said(NamedTuple):
    since_s: float
    last_s: float


class MissingPlaces:
    """What Kafka said to the threads of a reader. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._said: dict[Place, _Said] = {}
        self._lock = threading.Lock()

    def unknown(self, place: Place, now_s: float) -> bool:
        """Kafka says once more that it knows no such place. Whether it has said so, and nothing
        else, for PATIENCE_S: the first who asks waits for that, and those behind do not."""
        with self._lock:
            # Nobody knows what was so since one who asked long ago.
            fresh = {p: s for p, s in self._said.items() if now_s - s.last_s <= PATIENCE_S}
            since_s = fresh[place].since_s if place in fresh else now_s
            self._said = fresh | {place: _Said(since_s, now_s)}
            return now_s - since_s >= PATIENCE_S

    def forget(self, place: Place) -> None:
        """Kafka knows it, or does not answer."""
        with self._lock:
            self._said.pop(place, None)


def missing(settings: KafkaSettings, topic: str, partition: int) -> KafkaUnavailable:
    """The error for a partition that Kafka does not have."""
    hint = "was it deleted, or is this another Kafka?"
    if topic != registry_topic(settings.prefix):
        collection = topic.removeprefix(f"{settings.prefix}.").partition(".")[0]
        if topic.endswith(".index"):
            hint = f"`kinolog index rebuild {collection}` makes it again of the media"
        else:
            hint += f" `kinolog collections show {collection}` names what belongs to it"
    return KafkaUnavailable(
        f"topic {topic} is missing: Kafka at {settings.bootstrap_servers} has no partition "
        f"{partition} of it",
        hint=hint,
    )
