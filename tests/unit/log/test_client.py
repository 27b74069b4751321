"""Client properties files and the translation of errors."""

from __future__ import annotations

from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from kinolog.core.errors import ConfigError, DeliveryFailed, KafkaRefused, KafkaUnavailable
from kinolog.log.client import KafkaSettings, Reachability, read_properties, translate


def test_a_properties_file(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("# mine\nsecurity.protocol = SASL_SSL\n\nsasl.password=a=b\n")
    assert read_properties(file) == {"security.protocol": "SASL_SSL", "sasl.password": "a=b"}


@pytest.mark.parametrize(
    ("text", "says"),
    [("what is this", "not key=value"), ("sasl.jaas.config=x", "Java clients")],
)
def test_a_wrong_line_is_named(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "client.properties"
    file.write_text(f"a=b\n{text}\n")
    with pytest.raises(ConfigError, match=says) as error:
        read_properties(file)
    assert ":2:" in str(error.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read_properties(tmp_path / "nowhere")


def test_the_users_properties_win() -> None:
    settings = KafkaSettings("a:1", {"reconnect.backoff.ms": "7", "client.id": "theirs"})
    config = settings.config(linger_ms=0)
    assert config["reconnect.backoff.ms"] == "7"
    assert config["client.id"] == "theirs"
    assert config["linger.ms"] == 0
    assert config["bootstrap.servers"] == "a:1"


def test_errors_say_what_to_do() -> None:
    away = translate(KafkaError(KafkaError._ALL_BROKERS_DOWN), KafkaSettings("h:9"))
    assert isinstance(away, KafkaUnavailable)
    assert away.retriable
    assert "h:9" in str(away)
    assert away.hint
    assert isinstance(translate(KafkaError(KafkaError._AUTHENTICATION)), KafkaRefused)
    assert isinstance(translate(KafkaError(KafkaError._MSG_TIMED_OUT)), DeliveryFailed)


def test_a_refusal_explains_more_than_a_lost_connection() -> None:
    seen = Reachability()
    seen.on_error(KafkaError(KafkaError._AUTHENTICATION))
    seen.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert seen.last is not None
    assert seen.last.code() == KafkaError._AUTHENTICATION
