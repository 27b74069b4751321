"""Which Kafka is meant: given, then environment, then file, then the cluster that runs here."""

from __future__ import annotations

from pathlib import Path

import pytest

import kinolog
from kinolog.core.errors import ConfigError
from kinolog.log.choice import KafkaChoice, load


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in KafkaChoice.model_fields:
        monkeypatch.delenv(f"KINOLOG_{name.upper()}", raising=False)


def _embedded(folder: Path) -> str:
    return f"embedded-in-{folder}:1"


def test_the_cluster_that_runs_here_is_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(KafkaChoice).kafka(_embedded).bootstrap_servers == "embedded-in-.kinolog:1"
    Path("kinolog.toml").write_text("bootstrap_servers = 'file:1'\ntopic_prefix = 'tv'\n")
    assert load(KafkaChoice).kafka(_embedded).bootstrap_servers == "file:1"
    monkeypatch.setenv("KINOLOG_BOOTSTRAP_SERVERS", "variable:1")
    assert load(KafkaChoice).kafka(_embedded).bootstrap_servers == "variable:1"
    given = load(KafkaChoice, bootstrap_servers="given:1").kafka(_embedded)
    assert (given.bootstrap_servers, given.prefix) == ("given:1", "tv")


def test_the_address_given_wins_over_that_of_the_properties(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers=file:1\nsecurity.protocol=SSL\n")
    choice = load(KafkaChoice, bootstrap_servers="given:1", kafka_config=file)
    kafka = choice.kafka(_embedded)
    assert (choice.named, kafka.bootstrap_servers) == ("given:1", "given:1")
    assert kafka.config()["bootstrap.servers"] == "given:1"
    assert load(KafkaChoice, kafka_config=file).named == "file:1"
    assert load(KafkaChoice).named == ""


@pytest.mark.parametrize(
    "text",
    [
        "broker",
        "a:1,b-2.example.org:65535",
        "a:1, b:2",
        "[::1]:9092",
        "[fe80::1%eth0]",
        "SSL://a:1",
    ],
)
def test_addresses(text: str) -> None:
    assert load(KafkaChoice, bootstrap_servers=text).kafka(_embedded).bootstrap_servers == text


@pytest.mark.parametrize(
    "text", ["http://127.0.0.1:9092", "127.0.0.1:99999", "a:0", "a:b", "::1:9092", "a:1 b:2", ","]
)
def test_wrong_addresses_are_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="setting bootstrap_servers: '") as error:
        load(KafkaChoice, bootstrap_servers=text)
    assert "--bootstrap-servers" in error.value.hint
    file = tmp_path / "client.properties"
    file.write_text(f"bootstrap.servers={text}\n")
    with pytest.raises(ConfigError, match=r"client\.properties: bootstrap\.servers: '") as error:
        load(KafkaChoice, kafka_config=file).kafka(_embedded)
    assert "host:port" in error.value.hint


@pytest.mark.parametrize("prefix", ["my prefix", "", "a/b", "x" * 141])
def test_a_wrong_prefix_is_named(prefix: str) -> None:
    with pytest.raises(ConfigError, match="setting topic_prefix: '") as error:
        load(KafkaChoice, topic_prefix=prefix)
    assert "--topic-prefix" in error.value.hint


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("kinolog.toml").write_text("bootstrap_servers = 'file:1'\n")
    monkeypatch.setenv("KINOLOG_BOOTSTRAP_SERVERS", "")
    assert load(KafkaChoice).kafka(_embedded).bootstrap_servers == "file:1"


def test_a_file_that_cannot_be_read() -> None:
    Path("kinolog.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"cannot read kinolog\.toml"):
        load(KafkaChoice)


def test_the_sdk_passes_over_settings_of_the_servers() -> None:
    Path("kinolog.toml").write_text("http_port = 9000\nbootstrap_servers = 'file:1'\n")
    assert kinolog.connect().kafka.bootstrap_servers == "file:1"


def test_the_sdk_takes_properties_as_a_mapping_in_place_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KINOLOG_KAFKA_CONFIG", "nowhere.properties")
    given = {"bootstrap.servers": "mapping:1", "security.protocol": "ssl"}
    kafka = kinolog.connect(kafka_config=given).kafka
    assert kafka.bootstrap_servers == "mapping:1"
    assert dict(kafka.properties) == {"security.protocol": "ssl"}
    assert "bootstrap.servers" in given


def test_without_any_kafka_the_sdk_says_how_to_name_one() -> None:
    with pytest.raises(ConfigError, match="no Kafka") as error:
        kinolog.connect()
    assert "kinolog.connect(" in error.value.hint
