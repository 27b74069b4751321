"""cluster.json: kept, read again, refused when it is not ours."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from kinolog.cluster import Cluster, state
from kinolog.cluster.process import ProcessId
from kinolog.cluster.state import BrokerState, State
from kinolog.core.errors import ClusterError, NotFound


def _state() -> State:
    brokers = [
        BrokerState(1, 21001, 22001, ended_by="stop"),
        BrokerState(2, 21002, 22002, ended_by="kill"),
    ]
    return State(cluster_id="x", kafka_version="4.3.1", heap_mb=256, brokers=brokers)


def test_round_trip(tmp_path: Path) -> None:
    known = _state()
    known.brokers[0].process = ProcessId(17, "boot/4711")
    state.save(tmp_path, known)
    assert state.load(tmp_path) == known
    assert [path.name for path in tmp_path.iterdir()] == ["cluster.json"]


def test_no_cluster_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert state.load(tmp_path) is None
    assert Cluster.find(tmp_path / "none") is None
    assert Cluster.find(tmp_path / "file" / "below") is None


@pytest.mark.parametrize("content", ["", "{", '{"brokers": 1}', "[]"])
def test_damage_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "cluster.json").write_text(content)
    with pytest.raises(ClusterError, match="is damaged") as error:
        Cluster.find(tmp_path)
    assert "begin anew" in error.value.hint


def test_another_format_is_told(tmp_path: Path) -> None:
    known = _state()
    known.format = 99
    state.save(tmp_path, known)
    with pytest.raises(ClusterError, match="another version of kinolog"):
        state.load(tmp_path)


def test_status_of_a_cluster_that_does_not_run(tmp_path: Path) -> None:
    state.save(tmp_path, _state())
    cluster = Cluster.find(tmp_path)
    assert cluster is not None
    assert not cluster.running
    assert cluster.bootstrap_servers == "127.0.0.1:21001,127.0.0.1:21002"
    assert [(b.id, b.state, b.pid, b.rss_bytes) for b in cluster.status()] == [
        (1, "stopped", None, 0),
        (2, "died", None, 0),
    ]
    with pytest.raises(NotFound, match="no broker 3"):
        cluster.kill(3)
    with pytest.raises(ClusterError, match="broker 1 does not run"):
        cluster.kill(1)


def test_a_pid_that_is_now_somebody_elses_is_not_ours(tmp_path: Path) -> None:
    known = _state()
    known.brokers[0].process = ProcessId(1, "another boot/1")
    state.save(tmp_path, known)
    (first, _) = Cluster(tmp_path).status()
    assert first.state == "died"
    assert first.pid is None


def test_a_data_dir_under_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ClusterError, match="cannot be kept in") as error:
        Cluster.start(tmp_path / "file" / "kafka")
    assert "--data-dir" in error.value.hint


def test_a_comma_in_the_path(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="comma"):
        Cluster.start(tmp_path / "a,b")


def test_another_number_of_brokers(tmp_path: Path) -> None:
    state.save(tmp_path, _state())
    with pytest.raises(ClusterError, match="holds a cluster of 2, not 3, brokers") as error:
        Cluster.start(tmp_path, 3)
    assert error.value.hint.startswith("leave --brokers out, or pass --brokers 2")


@pytest.mark.parametrize("brokers", [-1, 0, 10])
def test_impossible_numbers(tmp_path: Path, brokers: int) -> None:
    with pytest.raises(ClusterError, match="not possible"):
        Cluster.start(tmp_path, brokers)


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinolog.cluster.launch.jars.class_path", lambda _: [])
    usage = SimpleNamespace(total=10, used=10, free=3 << 20)
    monkeypatch.setattr("kinolog.cluster.launch.shutil.disk_usage", lambda _: usage)
    with pytest.raises(ClusterError, match=r"is full \(3 MB free\)") as error:
        Cluster.start(tmp_path)
    assert "free some space" in error.value.hint


def test_errors_of_the_system_are_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "some/file")

    monkeypatch.setattr("kinolog.cluster.cluster.launch.start", fail)
    with pytest.raises(ClusterError, match="cannot use some/file: No space left on device"):
        Cluster.start(tmp_path)
