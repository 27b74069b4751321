"""The Metadata request by hand, against bytes of the protocol guide's layout."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.cluster.probe import Partition, ask, parse_answer, request


def _text(value: str) -> bytes:
    return struct.pack(">h", len(value)) + value.encode()


def _ids(*values: int) -> bytes:
    return struct.pack(f">i{len(values)}i", len(values), *values)


ANSWER = (
    struct.pack(">i", 1)
    + struct.pack(">i", 2)
    + struct.pack(">i", 1) + _text("127.0.0.1") + struct.pack(">i", 9001) + struct.pack(">h", -1)
    + struct.pack(">i", 2) + _text("127.0.0.1") + struct.pack(">i", 9002) + _text("rack")
    + struct.pack(">i", 2)
    + struct.pack(">i", 1)
    + struct.pack(">h", 0) + _text("video") + b"\0"
    + struct.pack(">i", 1)
    + struct.pack(">hii", 0, 7, 2) + _ids(1, 2) + _ids(2)
)  # fmt: skip


def test_request() -> None:
    data = request(partitions=True)
    assert struct.unpack(">i", data[:4]) == (len(data) - 4,)
    assert struct.unpack(">hh", data[4:8]) == (3, 1)
    assert data[-4:] == b"\xff\xff\xff\xff"
    assert request(partitions=False)[-4:] == b"\0\0\0\0"


def test_answer() -> None:
    view = parse_answer(ANSWER)
    assert view.brokers == {1: 9001, 2: 9002}
    assert view.partitions == [Partition("video", 7, 2, (1, 2), (2,))]


@pytest.mark.parametrize("size", [0, 3, 20, len(ANSWER) - 1])
def test_a_torn_answer(size: int) -> None:
    with pytest.raises(struct.error):
        parse_answer(ANSWER[:size])


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    with contextlib.suppress(struct.error, UnicodeDecodeError):
        parse_answer(data)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x08abcd"])
def test_something_else_listens_there(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            # The prober hangs up as soon as it has seen enough, whatever is being said.
            with connection, contextlib.suppress(OSError):
                connection.sendall(sent)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1024):
                    pass

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask(server.getsockname()[1], 5) is None
        thread.join(10)


def test_nobody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ask(port, 5) is None
