"""The receiving half of the chunk stream: bytes in, whole messages out (RTMP 1.0, 5.3)."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.message import ABORT, SET_CHUNK_SIZE, Message, read_uint32

DEFAULT_CHUNK_SIZE = 128
_EXTENDED = 0xFFFFFF
# Message header sizes of chunk types 0 to 3 (5.3.1.2).
_HEADER_SIZES = (11, 7, 3, 0)
_INCOMPLETE = -1


class ChunkLimits(NamedTuple):
    """What one peer may make us hold."""

    message_bytes: int = 16 << 20
    buffered_bytes: int = 32 << 20
    chunk_streams: int = 64


class _ChunkStream:
    """The last header of one chunk stream id, and the message being put together on it."""

    __slots__ = (
        "body", "extended", "length", "missing", "stream_id", "time_field", "timestamp", "type_id",
    )  # fmt: skip

    def __init__(self) -> None:
        self.timestamp = 0
        # Timestamp of a type 0 chunk, delta of types 1 and 2: what a type 3 chunk repeats.
        self.time_field = 0
        self.extended = False
        self.length = 0
        self.type_id = 0
        self.stream_id = 0
        self.missing = 0
        self.body = bytearray()


class ChunkReader:
    """Puts messages together. Obeys Set Chunk Size and Abort where they stand in the stream.

    Chunk payloads are taken as they come, so no more than a header (18 bytes) is ever held back
    besides the messages' own bytes.
    """

    def __init__(self, limits: ChunkLimits | None = None) -> None:
        self._limits = limits or ChunkLimits()
        self._chunk_size = DEFAULT_CHUNK_SIZE
        self._streams: dict[int, _ChunkStream] = {}
        self._held = b""
        self._current: _ChunkStream | None = None
        self._chunk_left = 0
        self._buffered = 0

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of messages that are not whole yet."""
        return self._buffered + len(self._held)

    def receive(self, data: bytes, messages: list[Message]) -> None:
        """Take bytes and append each message that they complete to `messages`.

        Payloads may be views of `data`. Raises RtmpError for what breaks the format or a limit;
        the messages before it have been appended.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        view = memoryview(data)
        size = len(data)
        at = 0
        while at < size:
            if not self._chunk_left:
                after = self._header(data, at)
                if after == _INCOMPLETE:
                    self._held = data[at:]
                    return
                at = after
            stream = self._current
            assert stream is not None
            end = min(at + self._chunk_left, size)
            taken = end - at
            self._chunk_left -= taken
            stream.missing -= taken
            if stream.missing:
                self._buffered += taken
                if self._buffered > self._limits.buffered_bytes:
                    raise RtmpError("too many bytes in unfinished messages")
                stream.body += view[at:end]
            else:
                self._complete(stream, view[at:end], messages)
            at = end

    def _complete(self, stream: _ChunkStream, last: memoryview, messages: list[Message]) -> None:
        payload = last
        if stream.body:
            self._buffered -= len(stream.body)
            stream.body += last
            payload = memoryview(stream.body)
            stream.body = bytearray()
        message = Message(stream.type_id, stream.stream_id, stream.timestamp, payload)
        if message.type_id == SET_CHUNK_SIZE:
            self._set_chunk_size(read_uint32(payload, "Set Chunk Size"))
        elif message.type_id == ABORT:
            self._abort(read_uint32(payload, "Abort"))
        else:
            messages.append(message)

    def _set_chunk_size(self, size_bytes: int) -> None:
        # 5.4.1: it SHOULD be 128 or more. Chunks of a byte would hold up the loop 0.2 s a read.
        if not DEFAULT_CHUNK_SIZE <= size_bytes <= 0x7FFFFFFF:
            raise RtmpError(f"chunk size {size_bytes} is not valid")
        self._chunk_size = size_bytes

    def _abort(self, chunk_stream_id: int) -> None:
        stream = self._streams.get(chunk_stream_id)
        if stream is not None:
            self._buffered -= len(stream.body)
            stream.body = bytearray()
            stream.missing = 0

    def _header(self, data: bytes, at: int) -> int:
        """Read a chunk's header; the position after it, or _INCOMPLETE with nothing changed."""
        size = len(data)
        first = data[at]
        at += 1
        chunk_stream_id = first & 0x3F
        if chunk_stream_id < 2:  # 5.3.1.1: ids of one or two more bytes, low byte first
            id_end = at + 1 + chunk_stream_id
            if id_end > size:
                return _INCOMPLETE
            chunk_stream_id = 64 + int.from_bytes(data[at:id_end], "little")
            at = id_end
        chunk_type = first >> 6
        after = at + _HEADER_SIZES[chunk_type]
        if after > size:
            return _INCOMPLETE
        stream = self._streams.get(chunk_stream_id)
        if stream is None:
            stream = self._open(chunk_stream_id, chunk_type)
        if chunk_type == 3 and stream.missing:
            return self._continue(stream, data, after)
        return self._begin(stream, chunk_type, data, at)

    def _open(self, chunk_stream_id: int, chunk_type: int) -> _ChunkStream:
        # librtmp is known to begin a chunk stream with type 1 for pings.
        if chunk_type > 1:
            raise RtmpError(f"chunk stream {chunk_stream_id} begins with a type {chunk_type} chunk")
        if len(self._streams) >= self._limits.chunk_streams:
            raise RtmpError("too many chunk streams")
        stream = self._streams[chunk_stream_id] = _ChunkStream()
        return stream

    def _continue(self, stream: _ChunkStream, data: bytes, at: int) -> int:
        """A type 3 chunk amid a message. 5.3.1.3 repeats the extended timestamp in it, some
        encoders do not: it is skipped where it is there."""
        if stream.extended:
            if at + 4 > len(data):
                return _INCOMPLETE
            if int.from_bytes(data[at : at + 4], "big") == stream.time_field:
                at += 4
        self._current = stream
        self._chunk_left = min(self._chunk_size, stream.missing)
        return at

    def _begin(self, stream: _ChunkStream, chunk_type: int, data: bytes, at: int) -> int:
        """The first chunk of a message: take over what its header says (5.3.1.2)."""
        header = at
        at += _HEADER_SIZES[chunk_type]
        extended = stream.extended
        time_field = stream.time_field
        if chunk_type < 3:
            time_field = int.from_bytes(data[header : header + 3], "big")
            extended = time_field == _EXTENDED
        if extended:
            if at + 4 > len(data):
                return _INCOMPLETE
            time_field = int.from_bytes(data[at : at + 4], "big")
            at += 4
        if stream.missing:
            raise RtmpError("a message begins before the one before it on its chunk stream ended")
        if chunk_type < 2:
            stream.length = int.from_bytes(data[header + 3 : header + 6], "big")
            stream.type_id = data[header + 6]
        if chunk_type == 0:
            stream.stream_id = int.from_bytes(data[header + 7 : header + 11], "little")
            stream.timestamp = time_field
        else:
            stream.timestamp = (stream.timestamp + time_field) & 0xFFFFFFFF
        stream.time_field = time_field
        stream.extended = extended
        if stream.length > self._limits.message_bytes:
            raise RtmpError(f"message of {stream.length} bytes is too long")
        stream.missing = stream.length
        self._current = stream
        self._chunk_left = min(self._chunk_size, stream.length)
        return at
