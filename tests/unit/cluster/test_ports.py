"""Free ports."""

from __future__ import annotations

import socket

import pytest

from kinolog.cluster import ports
from kinolog.core.errors import ClusterError


def test_a_listening_port_is_not_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_a_port_on_all_interfaces_is_not_free() -> None:
    with socket.create_server(("", 0)) as server:
        assert not ports.is_free(server.getsockname()[1])


def test_free_ports_differ() -> None:
    taken: set[int] = set()
    for _ in range(20):
        taken.add(ports.free_port(taken))
    assert len(taken) == 20
    assert max(taken) < 32768, "below the range of outgoing connections"


def test_none_left() -> None:
    with pytest.raises(ClusterError, match="no free port"):
        ports.free_port(range(65536))
