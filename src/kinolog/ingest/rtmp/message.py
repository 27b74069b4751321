"""RTMP messages and the protocol control messages built from them (RTMP 1.0, 5.4, 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from kinolog.ingest.rtmp.errors import RtmpError

SET_CHUNK_SIZE = 1
ABORT = 2
ACKNOWLEDGEMENT = 3
USER_CONTROL = 4
WINDOW_ACK_SIZE = 5
SET_PEER_BANDWIDTH = 6
AUDIO = 8
VIDEO = 9
DATA_AMF3 = 15
COMMAND_AMF3 = 17
DATA_AMF0 = 18
COMMAND_AMF0 = 20
AGGREGATE = 22

# User control event types (7.1.7).
STREAM_BEGIN = 0
PING_REQUEST = 6
PING_RESPONSE = 7

_TAG_HEADER_SIZE = 11
_BACK_POINTER_SIZE = 4


class Message(NamedTuple):
    """A whole message. `timestamp` is 32-bit milliseconds; `payload` is only read."""

    type_id: int
    stream_id: int
    timestamp: int
    payload: memoryview


def control(type_id: int, payload: bytes) -> Message:
    """A message of message stream 0 and timestamp 0, as protocol control needs (5.4)."""
    return Message(type_id, 0, 0, memoryview(payload))


def uint32(type_id: int, value: int) -> Message:
    """Set Chunk Size, Acknowledgement or Window Acknowledgement Size (5.4.1, 5.4.3, 5.4.4)."""
    return control(type_id, value.to_bytes(4, "big"))


def peer_bandwidth(window_bytes: int) -> Message:
    """Set Peer Bandwidth with limit type Dynamic (5.4.5)."""
    return control(SET_PEER_BANDWIDTH, window_bytes.to_bytes(4, "big") + b"\x02")


def user_control(event: int, value: int) -> Message:
    """A user control message whose event data is one 32-bit number (7.1.7)."""
    return control(USER_CONTROL, event.to_bytes(2, "big") + value.to_bytes(4, "big"))


def read_uint32(payload: memoryview, what: str) -> int:
    """The number that a control message begins with, else RtmpError."""
    if len(payload) < 4:
        raise RtmpError(f"{what} message is too short")
    return int.from_bytes(payload[:4], "big")


def split_aggregate(message: Message) -> Iterator[Message]:
    """The messages inside an aggregate (7.1.6), their times moved to the aggregate's own.

    The back pointer of the last one may be missing. Raises RtmpError for a truncated one.
    """
    payload = message.payload
    at = 0
    shift: int | None = None
    while at < len(payload):
        header = payload[at : at + _TAG_HEADER_SIZE]
        if len(header) < _TAG_HEADER_SIZE:
            raise RtmpError("aggregate message is truncated")
        size = int.from_bytes(header[1:4], "big")
        # FLV's order: the low 24 bits, then the high 8.
        timestamp = int.from_bytes(header[4:7], "big") | header[7] << 24
        if shift is None:
            shift = message.timestamp - timestamp
        body = payload[at + _TAG_HEADER_SIZE : at + _TAG_HEADER_SIZE + size]
        if len(body) < size:
            raise RtmpError("aggregate message is truncated")
        yield Message(header[0], message.stream_id, (timestamp + shift) & 0xFFFFFFFF, body)
        at += _TAG_HEADER_SIZE + size + _BACK_POINTER_SIZE
