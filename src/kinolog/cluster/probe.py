"""Asking a broker what it knows of its cluster: Kafka's Metadata request, version 1, by hand.

It needs no client library, logs nothing while a broker is away, and answers what matters for
readiness: the unfenced brokers, and the replicas in sync (Kafka protocol guide, Metadata API).
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from kinolog.cluster.settings import HOST

_METADATA_API = 3
_VERSION = 1
_CLIENT = b"kinolog-cluster"
_LARGEST_ANSWER_BYTES = 64 << 20


class Partition(NamedTuple):
    """One partition, as a broker sees it."""

    topic: str
    number: int
    leader: int
    replicas: tuple[int, ...]
    in_sync: tuple[int, ...]


class ClusterView(NamedTuple):
    """A broker's view of its cluster."""

    brokers: dict[int, int]
    """Port of each unfenced broker, by id."""
    partitions: list[Partition]


def ask(port: int, timeout_s: float, *, partitions: bool = False) -> ClusterView | None:
    """The view of the broker on `port`; None if it does not answer (properly) in time."""
    try:
        with socket.create_connection((HOST, port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(request(partitions=partitions))
            (size,) = struct.unpack(">i", _receive(connection, 4))
            if not 0 < size <= _LARGEST_ANSWER_BYTES:
                return None
            return parse_answer(_receive(connection, size))
    except (OSError, struct.error, UnicodeDecodeError):
        return None


def request(*, partitions: bool) -> bytes:
    """The request with its length; all topics, or none."""
    topics = struct.pack(">i", -1 if partitions else 0)
    header = struct.pack(">hhih", _METADATA_API, _VERSION, 1, len(_CLIENT)) + _CLIENT
    return struct.pack(">i", len(header) + len(topics)) + header + topics


def parse_answer(body: bytes) -> ClusterView:
    """An answer without its length. Raises struct.error or UnicodeDecodeError if it is none."""
    reader = _Reader(body)
    reader.int32()  # correlation id
    brokers = {}
    for _ in range(reader.int32()):
        broker = reader.int32()
        reader.text()  # host
        brokers[broker] = reader.int32()
        reader.text()  # rack
    reader.int32()  # controller id
    found: list[Partition] = []
    for _ in range(reader.int32()):
        reader.int16()  # error
        topic = reader.text()
        reader.int8()  # is internal
        for _ in range(reader.int32()):
            reader.int16()  # error
            found.append(
                Partition(topic, reader.int32(), reader.int32(), reader.ids(), reader.ids())
            )
    return ClusterView(brokers, found)


class _Reader:
    """Big-endian fields in a row."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def _next(self, form: str, size: int) -> int:
        (value,) = struct.unpack_from(form, self._data, self._at)
        self._at += size
        return int(value)

    def int8(self) -> int:
        return self._next(">b", 1)

    def int16(self) -> int:
        return self._next(">h", 2)

    def int32(self) -> int:
        return self._next(">i", 4)

    def text(self) -> str:
        size = max(0, self.int16())  # -1 is null
        self._at += size
        return self._data[self._at - size : self._at].decode()

    def ids(self) -> tuple[int, ...]:
        return tuple(self.int32() for _ in range(self.int32()))


def _receive(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(min(65536, size - len(parts)))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return bytes(parts)
