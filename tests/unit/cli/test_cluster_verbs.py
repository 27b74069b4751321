"""`kinolog cluster` and `kinolog demo` go by the settings, as every verb does."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from kinolog.cli import main
from kinolog.cluster import KAFKA_FOLDER, state
from kinolog.cluster.state import BrokerState, State

_HOST = "127.0.0.1"


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a cluster that does not run and has said three lines, in the working directory."""
    monkeypatch.chdir(tmp_path)
    logs = tmp_path / "elsewhere" / KAFKA_FOLDER / "logs"
    logs.mkdir(parents=True)
    (logs / "broker-1.log").write_text("one\ntwo\nthree\n")
    state.save(logs.parent, State("x", "4.3.0", 256, [BrokerState(1, 9999, 9998)]))
    return tmp_path / "elsewhere"


def _fails(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code not in (None, 0)
    return capsys.readouterr().err


def _says(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code in (None, 0)
    return capsys.readouterr().out


def test_the_data_dir_of_the_environment(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KINOLOG_DATA_DIR", str(state_dir))
    assert "stopped" in _says("cluster status", capsys)
    assert _says("cluster logs --lines 2", capsys) == "two\nthree\n"
    assert "pass --brokers 1" in _fails("cluster start --brokers 3", capsys)
    assert "there is no cluster in other" in _fails("cluster stop --data-dir other", capsys)


def test_the_data_dir_of_the_settings_file(
    state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("kinolog.toml").write_text('data_dir = "elsewhere"\n')
    assert "stopped" in _says("cluster status", capsys)


@pytest.mark.parametrize("name", ["http", "rtmp"])
def test_the_demos_ports(
    name: str,
    state_dir: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.create_server((_HOST, 0)) as taken, socket.create_server((_HOST, 0)) as free:
        port = taken.getsockname()[1]
        monkeypatch.setenv("KINOLOG_HTTP_PORT", str(free.getsockname()[1]))
        free.close()
        monkeypatch.setenv(f"KINOLOG_{name.upper()}_PORT", str(port))
        said = _fails("demo", capsys)
    assert str(port) in said
    assert f"--{name}-port" in said


def test_the_demo_takes_the_brokers_and_the_data_dir_that_are_there(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((_HOST, 0)) as http, socket.create_server((_HOST, 0)) as rtmp:
        ports = [one.getsockname()[1] for one in (http, rtmp)]
    flags = f"--http-port {ports[0]} --rtmp-port {ports[1]}"
    monkeypatch.setenv("KINOLOG_DATA_DIR", str(state_dir))
    assert "holds a cluster of 1, not 3, brokers" in _fails(f"demo --brokers 3 {flags}", capsys)


def test_no_lines_of_a_log(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _says(f"cluster logs --lines 0 --data-dir {state_dir}", capsys) == ""
