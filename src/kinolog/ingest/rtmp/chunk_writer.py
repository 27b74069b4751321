"""The sending half of the chunk stream: messages in, bytes out (RTMP 1.0, 5.3)."""

from __future__ import annotations

from kinolog.ingest.rtmp.chunk_reader import DEFAULT_CHUNK_SIZE
from kinolog.ingest.rtmp.message import SET_CHUNK_SIZE, Message

_EXTENDED = 0xFFFFFF


class ChunkWriter:
    """Cuts messages into chunks, with the shortest header that says what changed.

    A Set Chunk Size message that passes through takes effect for those after it.
    """

    def __init__(self) -> None:
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._last: dict[int, tuple[Message, int]] = {}

    def write(self, chunk_stream_id: int, message: Message) -> bytes:
        """`message` as chunks of chunk stream `chunk_stream_id` (2 to 65599)."""
        chunk_type, time_field, header = self._header(chunk_stream_id, message)
        extension = b""
        if time_field >= _EXTENDED:
            extension = time_field.to_bytes(4, "big")
        payload = message.payload
        out = bytearray(_basic_header(chunk_type, chunk_stream_id) + header + extension)
        out += payload[: self._chunk_size]
        follow_up = _basic_header(3, chunk_stream_id) + extension
        for at in range(self._chunk_size, len(payload), self._chunk_size):
            out += follow_up
            out += payload[at : at + self._chunk_size]
        self._last[chunk_stream_id] = (message, time_field)
        if message.type_id == SET_CHUNK_SIZE:
            self._chunk_size = int.from_bytes(payload[:4], "big")
        return bytes(out)

    def _header(self, chunk_stream_id: int, message: Message) -> tuple[int, int, bytes]:
        """(chunk type, timestamp or delta, message header without extended timestamp)."""
        size = len(message.payload).to_bytes(3, "big") + bytes((message.type_id,))
        last = self._last.get(chunk_stream_id)
        if last is None or _needs_full_header(last[0], message):
            time_field = message.timestamp
            stream_id = message.stream_id.to_bytes(4, "little")
            return 0, time_field, _time_bytes(time_field) + size + stream_id
        before, before_field = last
        delta = message.timestamp - before.timestamp
        same_size = len(before.payload) == len(message.payload)
        if not same_size or before.type_id != message.type_id:
            return 1, delta, _time_bytes(delta) + size
        if delta != before_field:
            return 2, delta, _time_bytes(delta)
        return 3, delta, b""


def _needs_full_header(before: Message, message: Message) -> bool:
    """A type 0 chunk "must be used when the timestamp goes backward" (5.3.1.2.1)."""
    return before.stream_id != message.stream_id or message.timestamp < before.timestamp


def _time_bytes(time_field: int) -> bytes:
    return min(time_field, _EXTENDED).to_bytes(3, "big")


def _basic_header(chunk_type: int, chunk_stream_id: int) -> bytes:
    """The basic header of one, two or three bytes (5.3.1.1)."""
    top = chunk_type << 6
    if chunk_stream_id < 64:
        return bytes((top | chunk_stream_id,))
    rest = chunk_stream_id - 64
    if rest < 256:
        return bytes((top, rest))
    return bytes((top | 1, rest & 0xFF, rest >> 8))
