"""For how long Kafka must say that it has no such partition, and what a person is told then."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError

from kinolog.core.errors import KafkaUnavailable
from kinolog.log.client import KafkaSettings, UnknownTopic, translate
from kinolog.log.missing import PATIENCE_S, MissingPlaces, missing

HERE, OTHER = ("t", 0), ("t", 1)
BEGUN_S = 1000.0
STEP_S = PATIENCE_S / 4


def said(places: MissingPlaces, *times_s: float) -> list[bool]:
    return [places.unknown(HERE, BEGUN_S + time_s) for time_s in times_s]


def test_the_first_who_asks_waits_and_those_behind_do_not() -> None:
    places = MissingPlaces()
    steps = said(places, 0, STEP_S, 2 * STEP_S, 3 * STEP_S, PATIENCE_S)
    assert steps == [False] * 4 + [True]
    assert said(places, PATIENCE_S + STEP_S) == [True]
    assert not places.unknown(OTHER, BEGUN_S + PATIENCE_S)


def test_one_that_was_there_meanwhile_or_did_not_answer_is_waited_for_again() -> None:
    places = MissingPlaces()
    said(places, 0, STEP_S, 2 * STEP_S)
    places.forget(HERE)
    assert said(places, PATIENCE_S) == [False]


def test_what_was_said_long_ago_does_not_count() -> None:
    places = MissingPlaces()
    assert said(places, 0, 2 * PATIENCE_S) == [False, False]


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("kinolog.cams.index", "`kinolog index rebuild cams`"),
        ("kinolog.cams.gate.index", "`kinolog index rebuild cams`"),
        ("kinolog.cams.media", "`kinolog collections show cams`"),
        ("kinolog.registry", "another Kafka?"),
    ],
)
def test_the_topic_is_named_and_what_to_do(topic: str, hint: str) -> None:
    error = missing(KafkaSettings("h:9"), topic, 3)
    assert isinstance(error, KafkaUnavailable)
    assert str(error) == f"topic {topic} is missing: Kafka at h:9 has no partition 3 of it"
    assert hint in error.hint
    assert "show registry" not in error.hint


@pytest.mark.parametrize(
    "code",
    [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION],
)
def test_it_is_told_from_one_that_moves(code: int) -> None:
    error = translate(KafkaError(code), KafkaSettings("h:9"))
    assert isinstance(error, UnknownTopic)
    assert error.retriable
    assert "moving" not in str(error)
