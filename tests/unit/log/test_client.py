"""Client properties files and the translation of errors."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from kinolog.core.errors import ConfigError, DeliveryFailed, KafkaRefused, KafkaUnavailable
from kinolog.log.client import (
    KafkaSettings,
    Reachability,
    checked,
    kafka_errors,
    read_properties,
    translate,
)


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


@pytest.mark.parametrize("data", [b"sasl.password=caf\xe9\n", b"\xfe\xed\xfe\xed\0\0\0\2"])
def test_a_file_that_is_no_text_is_named(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "client.properties"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=r"client\.properties is not UTF-8") as error:
        read_properties(file)
    assert error.value.hint


@pytest.mark.parametrize(
    ("properties", "says"),
    [
        ({"security.protocol": "FOO"}, 'Invalid value "FOO"'),
        ({"ssl.truststore.location": "x"}, "use `ssl.ca.location`"),
        ({"no.such.key": "1"}, "no.such.key"),
        (
            {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"},
            "mine: sasl.username and sasl.password must be set",
        ),
        (
            {"security.protocol": "SSL", "ssl.ca.location": "/nowhere.pem"},
            "ssl.ca.location: cannot read /nowhere.pem: No such file",
        ),
        (
            {"security.protocol": "SSL", "ssl.ca.location": __file__},
            "test_client.py is not PEM",
        ),
    ],
)
def test_properties_that_make_no_client_are_named_with_their_file(
    properties: dict[str, str], says: str
) -> None:
    with pytest.raises(ConfigError, match=re.escape(says)) as error:
        checked(KafkaSettings("127.0.0.1:9", properties, origin="mine"), AdminClient)
    assert str(error.value).startswith("mine: ")
    assert "librdkafka" in error.value.hint


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


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, "rights"),
        (KafkaError.INVALID_CONFIG, "another value"),
        (KafkaError.INVALID_PARTITIONS, "another value"),
        (KafkaError.INVALID_REPLICATION_FACTOR, "another value"),
        (KafkaError.POLICY_VIOLATION, "another value"),
    ],
)
def test_rights_and_values_are_told_apart(code: int, hint: str) -> None:
    error = translate(KafkaError(code))
    assert isinstance(error, KafkaRefused)
    assert hint in error.hint


def test_a_refusal_explains_more_than_a_lost_connection() -> None:
    seen = Reachability()
    seen.on_error(KafkaError(KafkaError._AUTHENTICATION))
    seen.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert seen.last is not None
    assert seen.last.code() == KafkaError._AUTHENTICATION


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "is no Kafka broker but an HTTP server"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is no Kafka broker$"),
    ],
)
def test_what_is_no_broker_is_told_as_such(answer: bytes, says: str) -> None:
    """An answer that no Kafka gives, as librdkafka reads it: its first bytes are a size."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer, args=(listening, answer), daemon=True).start()
        settings = KafkaSettings(f"127.0.0.1:{listening.getsockname()[1]}")
        client, seen = checked(settings, AdminClient)
        with pytest.raises(KafkaRefused, match=says) as error, kafka_errors(settings, seen):
            client.list_topics(timeout=1.0)
    assert settings.bootstrap_servers in str(error.value)
    assert "max.bytes" not in str(error.value)
    assert "--bootstrap-servers" in error.value.hint


def _answer(listening: socket.socket, answer: bytes) -> None:
    with suppress(OSError):  # the socket is closed at the end
        while True:
            with listening.accept()[0] as peer:
                peer.recv(4096)
                peer.sendall(answer)


def test_that_no_broker_is_left_explains_least() -> None:
    seen = Reachability()
    seen.on_error(KafkaError(KafkaError._TRANSPORT))
    seen.on_error(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert seen.last is not None
    assert seen.last.code() == KafkaError._TRANSPORT
