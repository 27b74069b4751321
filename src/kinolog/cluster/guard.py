"""A process that stops a cluster when its owner is gone, however the owner went.

It waits for the end of its stdin, a pipe that only the owner holds open: Python's own cleanup does
not run after kill -9, but the kernel closes pipes.
"""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from kinolog.cluster.cluster import Cluster
from kinolog.core.errors import ClusterError


def main(data_dir: Path) -> None:
    """Wait for the owner's end, then stop the cluster of `data_dir`."""
    sys.stdin.buffer.read()
    with contextlib.suppress(ClusterError):
        if cluster := Cluster.find(data_dir):
            cluster.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
