"""Garbage to the RTMP port of a live server: its sender is cut off, the others lose nothing.

The corpus is what real encoders (FFmpeg 8) sent, from handshake to deleteStream.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from kit.beside import Beside
from kit.server import HOST, Server, serving

pytestmark = pytest.mark.cluster

CAPTURES = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parent / "corpus/rtmp").iterdir())
}
HANDSHAKE = bytes((3,)) + bytes(3072)
DEADLINE_S = 60.0
GROWTH_BYTES = 192 << 20
FEW = settings(
    max_examples=8,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("rtmp-fuzz")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def beside(server: Server) -> Iterator[None]:
    """A good stream is published all the while; afterwards none of its frames may be missing."""
    good = Beside(server, "fuzz/good-rtmp")
    before = server.rss_bytes
    yield
    server.wait_idle(publishers=1)
    print(good.stop_and_count())
    grown = server.rss_bytes - before
    print(f"the server grew by {grown / 1e6:.1f} MB to {server.rss_bytes / 1e6:.1f} MB")
    assert grown < GROWTH_BYTES
    assert server.ready()


def send(server: Server, data: bytes) -> bytes:
    """Send all, say that it is all, and read to the end: the server must end the connection."""
    answers = b""
    with socket.create_connection((HOST, server.rtmp_port), DEADLINE_S) as peer:
        try:
            peer.sendall(data)
            peer.shutdown(socket.SHUT_WR)
            while piece := peer.recv(65536):
                answers += piece
        except (BrokenPipeError, ConnectionResetError):
            pass
    return answers


@pytest.mark.parametrize("name", CAPTURES)
def test_the_whole_capture_is_taken(name: str, server: Server) -> None:
    assert b"NetStream.Publish.Start" in send(server, CAPTURES[name])


def test_what_breaks_the_protocol_is_told_so(server: Server) -> None:
    answers = send(server, HANDSHAKE + b"\x03" + b"\xff" * 5000)
    assert b"Rejected" in answers


def test_another_protocol_is_cut_off(server: Server) -> None:
    assert send(server, b"GET / HTTP/1.1\r\nHost: kinolog\r\n\r\n" * 100) == b""


@FEW
@given(st.randoms(use_true_random=False), st.integers(0, 100_000), st.booleans())
def test_random_bytes(server: Server, random, size: int, greeted: bool) -> None:
    send(server, (HANDSHAKE if greeted else b"") + random.randbytes(size))


@FEW
@given(st.sampled_from(sorted(CAPTURES)), st.integers(0, 1 << 16))
def test_cut_short(server: Server, name: str, at: int) -> None:
    data = CAPTURES[name]
    send(server, data[: at * len(data) >> 16])


@FEW
@given(
    st.sampled_from(sorted(CAPTURES)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=40),
    st.booleans(),
)
def test_flipped_bits(server: Server, name: str, flips: list[tuple[int, int]], early: bool) -> None:
    data = bytearray(CAPTURES[name])
    room = min(len(data) - 3073, 1500) if early else len(data) - 3073
    for position, mask in flips:
        data[3073 + position % room] ^= mask
    send(server, bytes(data))
