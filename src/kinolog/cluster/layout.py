"""Where things are in a cluster's data directory."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kinolog.core.errors import ClusterError


class Layout(NamedTuple):
    """Paths under one data directory."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by whoever starts or stops brokers."""
        return self.root / "lock"

    @property
    def scratch(self) -> Path:
        """Unpacked native libraries and other files without value."""
        return self.root / "tmp"

    @property
    def log4j(self) -> Path:
        """The brokers' logging settings."""
        return self.root / "log4j2.xml"

    def data(self, broker: int) -> Path:
        """Kafka's log directory of one broker."""
        return self.root / f"broker-{broker}"

    def settings(self, broker: int) -> Path:
        """server.properties of one broker."""
        return self.root / f"broker-{broker}.properties"

    def log(self, broker: int) -> Path:
        """What one broker says."""
        return self.root / "logs" / f"broker-{broker}.log"

    def output(self, broker: int) -> Path:
        """What one broker's JVM says: stdout and stderr."""
        return self.root / "logs" / f"broker-{broker}.out"

    def make(self) -> None:
        """Create the directories, else ClusterError."""
        if "," in str(self.root):
            raise ClusterError(
                f"Kafka cannot keep data in {self.root}: it takes the comma for a list",
                hint="use a --data-dir without a comma in its path",
            )
        try:
            for path in (self.scratch, self.root / "logs"):
                path.mkdir(parents=True, exist_ok=True)
            self.lock.touch()
        except OSError as error:
            raise ClusterError(
                f"Kafka's data cannot be kept in {self.root}: {error.strerror}",
                hint="use a --data-dir that can be written",
            ) from error
