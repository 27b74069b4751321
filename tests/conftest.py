"""Options, markers and the real Kafka clusters that tests share."""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from kinolog.cluster import Cluster
from needs_kit import SMALL_DISK

# A busy machine is no fault of what is tested.
settings.register_profile("kinolog", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kinolog")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kinolog")
    group.addoption("--slow", action="store_true", help="run the tests of minutes, too")
    group.addoption(
        "--all", action="store_true", help="fail where the system lacks something, not skip"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        skip = pytest.mark.skip(reason="takes minutes: run with --slow")
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(skip)


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        missing = [need for need in marker.args if not _is_there(need)]
        if missing and item.config.getoption("--all"):
            pytest.fail(f"missing on this system: {', '.join(missing)}", pytrace=False)
        if missing:
            pytest.skip(f"missing on this system: {', '.join(missing)}")


def _is_there(need: str) -> bool:
    return _may_mount() if need == SMALL_DISK else _installed(need)


@functools.cache
def _may_mount() -> bool:
    """Whether this user may mount a file system: root, where no container forbids it."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True
        )
        if done.returncode == 0:
            subprocess.run(["umount", folder], check=True)
        return done.returncode == 0


@pytest.fixture
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of so many MB (indirect parameter); of `needs(SMALL_DISK)` tests."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "tmpfs", str(folder)], check=True
    )
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def _installed(name: str) -> bool:
    """Whether the system has this program, or this library (`libx-1.0.so.0`)."""
    if ".so" not in name:
        return shutil.which(name) is not None
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def cluster_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the clusters of this run keep their data: $KINOLOG_TEST_DATA, else a new directory."""
    if kept := os.environ.get("KINOLOG_TEST_DATA"):
        root = Path(kept).absolute() / "kafka" / os.environ.get("PYTEST_XDIST_WORKER", "")
        root.mkdir(parents=True, exist_ok=True)
        return root
    return tmp_path_factory.mktemp("kafka")


@pytest.fixture(scope="session")
def one_broker(cluster_root: Path) -> Iterator[str]:
    """`bootstrap.servers` of a broker of this run's own, for tests that break nothing."""
    with Cluster.start(cluster_root / "one", 1, owned=True) as cluster:
        yield cluster.bootstrap_servers


@pytest.fixture(scope="session")
def cluster3(cluster_root: Path) -> Iterator[Cluster]:
    """Three brokers, replication 3. Tests that break them take `healthy_cluster3` instead."""
    with Cluster.start(cluster_root / "three", 3, owned=True) as cluster:
        yield cluster


@pytest.fixture
def healthy_cluster3(cluster3: Cluster) -> Iterator[Cluster]:
    """Three brokers that a test may pause and kill; whole and in sync before it and after it."""
    _heal(cluster3)
    yield cluster3
    _heal(cluster3)


def _heal(cluster: Cluster) -> None:
    Cluster.start(cluster.data_dir)
    cluster.wait_in_sync()
