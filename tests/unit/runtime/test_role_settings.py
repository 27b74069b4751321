"""Settings: flag, then environment, then file, then default."""

from __future__ import annotations

from pathlib import Path

import pytest

from kinolog.core.errors import ConfigError
from kinolog.log.choice import mistyped_variables
from kinolog.runtime.settings import Settings, load


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KINOLOG_HTTP_PORT", raising=False)


def _nowhere(_: Path) -> str:
    return ""


def test_flag_over_environment_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().http_port == 8080
    Path("kinolog.toml").write_text("http_port = 1001\nhost = '::1'\n")
    assert (load().http_port, load().host) == (1001, "::1")
    monkeypatch.setenv("KINOLOG_HTTP_PORT", "1002")
    assert load().http_port == 1002
    assert load(http_port=1003).http_port == 1003
    assert load(http_port=None).http_port == 1002


def test_a_wrong_value_is_named_with_where_it_may_come_from() -> None:
    with pytest.raises(ConfigError, match="http_port") as error:
        load(http_port=70_000)
    assert "--http-port" in error.value.hint
    assert "KINOLOG_HTTP_PORT" in error.value.hint


def test_an_unknown_key_in_the_file_is_an_error() -> None:
    Path("kinolog.toml").write_text("htpp_port = 1\n")
    with pytest.raises(ConfigError, match="unknown setting htpp_port") as error:
        load()
    assert error.value.hint == "did you mean http_port?"
    Path("kinolog.toml").write_text("bogus_key = 1\n")
    with pytest.raises(ConfigError, match="unknown setting bogus_key") as error:
        load()
    assert "bogus" not in error.value.hint
    assert "http_port" in error.value.hint


def test_a_variable_that_is_nearly_a_setting_is_found() -> None:
    named = "HTTP_PROT HTTP_PORT http_port TEST_DATA CACHE TRACEBACK PYTHON EDGE TLSCERT"
    environment = ["PATH", *(f"KINOLOG_{name}" for name in named.split())]
    assert mistyped_variables(Settings, environment) == {
        "KINOLOG_HTTP_PROT": "KINOLOG_HTTP_PORT",
        "KINOLOG_TLSCERT": "KINOLOG_TLS_CERT",
    }


def test_a_file_that_is_no_toml() -> None:
    Path("kinolog.toml").write_text("= nothing")
    with pytest.raises(ConfigError, match="not TOML"):
        load()


def test_a_named_file_must_be_there() -> None:
    with pytest.raises(ConfigError, match=r"other\.toml"):
        load(Path("other.toml"))


def test_without_any_kafka_the_error_says_how_to_get_one() -> None:
    with pytest.raises(ConfigError, match="no Kafka") as error:
        load().kafka(_nowhere)
    assert "cluster start" in error.value.hint


def test_bootstrap_servers_may_stand_in_the_properties(tmp_path: Path) -> None:
    file = tmp_path / "client.properties"
    file.write_text("bootstrap.servers=a:1\nsecurity.protocol=SSL\n")
    kafka = load(kafka_config=file).kafka(_nowhere)
    assert kafka.bootstrap_servers == "a:1"
    assert dict(kafka.properties) == {"security.protocol": "SSL"}


def test_a_switch_is_thrown_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load().transcode_audio
    monkeypatch.setenv("KINOLOG_TRANSCODE_AUDIO", "false")
    assert not load().transcode_audio
    assert load(transcode_audio=True).transcode_audio
