"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from kinolog.cluster.settings import HOST
from kinolog.core.errors import ClusterError

# Below the ranges that Linux (32768) and macOS (49152) give to outgoing connections, so that a
# remembered port is seldom taken by chance.
_FIRST, _LAST = 20000, 31999
_TRIES = 2000


def is_free(port: int) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As Java does: a port in TIME_WAIT is free for a server.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port(taken: Collection[int] = ()) -> int:
    """A port that is free and not among `taken`."""
    for _ in range(_TRIES):
        port = random.randint(_FIRST, _LAST)  # noqa: S311 - not a secret
        if port not in taken and is_free(port):
            return port
    raise ClusterError(
        f"no free port between {_FIRST} and {_LAST} on {HOST}",
        hint="end programs that hold them (ss -ltn lists them)",
    )
