"""The server's side of one RTMP connection, without I/O: bytes in, events and bytes out.

`receive_data` takes what the socket gave, `events` what came of it, `data_to_send` what the peer
must be told. Clause numbers are those of Adobe's RTMP specification 1.0 (2012).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from kinolog.ingest.rtmp import message as msg
from kinolog.ingest.rtmp import replies
from kinolog.ingest.rtmp.amf0 import Value, decode_all
from kinolog.ingest.rtmp.chunk_reader import ChunkLimits, ChunkReader
from kinolog.ingest.rtmp.chunk_writer import ChunkWriter
from kinolog.ingest.rtmp.errors import BAD_NAME, PLAY_FAILED, RtmpError
from kinolog.ingest.rtmp.handshake import Handshake
from kinolog.ingest.rtmp.message import Message

# ffmpeg answers with the same chunk size, so this is also how large its chunks will be.
CHUNK_SIZE = 65536
WINDOW_ACK_BYTES = 2_500_000
_MAX_COMMAND_BYTES = 64 << 10
_MAX_UNPUBLISHED_BYTES = 64 << 10
"""What may be held of unfinished messages of a peer that does not publish."""
_MAX_STREAMS = 16
_MAX_APP_CHARS = 1024
# Chunk stream ids of what we send: 2 is reserved for protocol control (5.4).
_CONTROL_CSID = 2
_COMMAND_CSID = 3
_STATUS_CSID = 5


class PublishRequested(NamedTuple):
    """A peer asks to publish; answer with `accept` or `refuse`. `key` may hold a secret."""

    app: str
    key: str
    client: str


class Unpublished(NamedTuple):
    """The publisher said that it has ended: by which command."""

    command: str


Event: TypeAlias = PublishRequested | Unpublished | Message


class RtmpConnection:
    """One publisher's connection. `Message` events are audio (8), video (9) and data (18).

    A violation queues an answer for the peer where there is one, and raises RtmpError; the
    events before it remain to be read, and no more bytes are taken.
    """

    def __init__(self, limits: ChunkLimits | None = None) -> None:
        self._handshake = Handshake()
        self._reader = ChunkReader(limits)
        self._writer = ChunkWriter()
        self._out = bytearray()
        self._events: list[Event] = []
        self._received_bytes = 0
        self._acknowledged_bytes = 0
        self._ack_window_bytes = WINDOW_ACK_BYTES
        self._app: str | None = None
        self._client = ""
        self._streams = 0
        self._connect_transaction = 1.0
        self._publishing: int | None = None
        self._failed = False
        self._commands: dict[str, Callable[[Message, list[Value]], None]] = {
            "connect": self._on_connect,
            "createStream": self._on_create_stream,
            "publish": self._on_publish,
            "play": self._on_play,
            "play2": self._on_play,
            "FCPublish": self._on_fc_publish,
            "FCUnpublish": self._on_unpublish,
            "deleteStream": self._on_unpublish,
            "closeStream": self._on_unpublish,
            "releaseStream": self._on_tolerated,
            "getStreamLength": self._on_get_stream_length,
        }

    @property
    def buffered_bytes(self) -> int:
        """Bytes held of messages that are not whole yet."""
        return self._reader.buffered_bytes

    @property
    def failed(self) -> bool:
        """Whether the peer broke the protocol: it has been told, and no more bytes are taken."""
        return self._failed

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer. Raises RtmpError; the connection must then be closed."""
        if self._failed:
            return
        messages: list[Message] = []
        try:
            self._receive(data, messages)
        except RtmpError as error:
            self._failed = True
            self.refuse(error.code, str(error))
            raise

    def events(self) -> list[Event]:
        """The events since the last call."""
        events, self._events = self._events, []
        return events

    def data_to_send(self) -> bytes:
        """The bytes to send since the last call."""
        out, self._out = bytes(self._out), bytearray()
        return out

    def acknowledge(self) -> None:
        """Queue an Acknowledgement (5.4.3) where one is due. It can wait until nothing more is
        there to be read; a peer that waits for it sends nothing meanwhile."""
        unacknowledged = self._received_bytes - self._acknowledged_bytes
        if unacknowledged >= self._ack_window_bytes and self._app is not None:
            self._acknowledged_bytes = self._received_bytes
            sequence = self._received_bytes & 0xFFFFFFFF
            self._send(_CONTROL_CSID, msg.uint32(msg.ACKNOWLEDGEMENT, sequence))

    def accept(self) -> None:
        """Let the peer publish: it begins to send (7.2.2.6)."""
        stream_id = self._publishing or 0
        self._send(_CONTROL_CSID, msg.user_control(msg.STREAM_BEGIN, stream_id))
        self._status("status", replies.PUBLISH_START, "Publishing.")

    def warn(self, description: str) -> None:
        """Tell the publisher something that does not end the publication (7.2.2)."""
        self._status("warning", replies.WARNING, description)

    def refuse(self, code: str, description: str) -> None:
        """Tell the peer why it is cut off, in the form that fits how far it came."""
        if not self._handshake.done:
            return
        if self._app is None:
            rejected = replies.connect_rejected(self._connect_transaction, description)
            self._send(_COMMAND_CSID, rejected)
        else:
            self._status("error", code, description)

    def _receive(self, data: bytes, messages: list[Message]) -> None:
        self._received_bytes += len(data)
        if not self._handshake.done:
            answer, data = self._handshake.receive(data)
            self._out += answer
        try:
            self._reader.receive(data, messages)
        finally:
            for message in messages:
                self._take(message)
        # After what was whole is taken: a peer need not wait for the answer to its publish.
        if self._publishing is None and self._reader.buffered_bytes > _MAX_UNPUBLISHED_BYTES:
            raise RtmpError("a message is too long before publish")

    def _take(self, message: Message) -> None:
        type_id = message.type_id
        if type_id in (msg.AUDIO, msg.VIDEO, msg.DATA_AMF0):
            if self._publishing is not None:
                self._events.append(message)
        elif type_id == msg.AGGREGATE:
            for inner in msg.split_aggregate(message):
                if inner.type_id != msg.AGGREGATE:
                    self._take(inner)
        elif type_id == msg.DATA_AMF3:
            self._take(message._replace(type_id=msg.DATA_AMF0, payload=message.payload[1:]))
        elif type_id == msg.COMMAND_AMF0:
            self._command(message, message.payload)
        elif type_id == msg.COMMAND_AMF3:
            # An AMF3 command begins with a 0 byte and holds AMF0 values unless they are marked.
            self._command(message, message.payload[1:])
        elif type_id == msg.USER_CONTROL:
            self._user_control(message.payload)
        elif type_id == msg.WINDOW_ACK_SIZE:
            window = msg.read_uint32(message.payload, "Window Acknowledgement Size")
            # A window of a few bytes would make us answer every read; nobody needs that.
            self._ack_window_bytes = max(window, 4096)

    def _user_control(self, payload: memoryview) -> None:
        if int.from_bytes(payload[:2], "big") == msg.PING_REQUEST:
            timestamp = msg.read_uint32(payload[2:], "Ping Request")
            self._send(_CONTROL_CSID, msg.user_control(msg.PING_RESPONSE, timestamp))

    def _command(self, message: Message, payload: memoryview) -> None:
        if len(payload) > _MAX_COMMAND_BYTES:
            raise RtmpError(f"command of {len(payload)} bytes is too long")
        values = decode_all(bytes(payload))
        name = values[0] if values else None
        if not isinstance(name, str):
            raise RtmpError("command without a name")
        handler = self._commands.get(name)
        if handler is None:
            return  # _checkbw, _result, onBWDone and the like need no answer
        if self._app is None and name != "connect":
            raise RtmpError(f"{name[:40]} before connect")
        handler(message, values)

    def _on_connect(self, _message: Message, values: list[Value]) -> None:
        """7.2.1.1: the app names where to publish; answer with window, bandwidth, chunk size."""
        if self._app is not None:
            raise RtmpError("connect twice on one connection")
        self._connect_transaction = _transaction(values)
        properties = values[2] if len(values) > 2 else None
        if not isinstance(properties, dict):
            raise RtmpError("connect without its command object")
        app = properties.get("app") or ""
        if not isinstance(app, str) or len(app) > _MAX_APP_CHARS:
            raise RtmpError("connect with an app that is not a short text")
        client = properties.get("flashVer")
        self._client = _printable(client if isinstance(client, str) else "")
        self._app = app
        self._send(_CONTROL_CSID, msg.uint32(msg.WINDOW_ACK_SIZE, WINDOW_ACK_BYTES))
        self._send(_CONTROL_CSID, msg.peer_bandwidth(WINDOW_ACK_BYTES))
        self._send(_CONTROL_CSID, msg.uint32(msg.SET_CHUNK_SIZE, CHUNK_SIZE))
        self._send(_COMMAND_CSID, replies.connected(self._connect_transaction))

    def _on_create_stream(self, _message: Message, values: list[Value]) -> None:
        """7.2.1.3: message streams are numbered from 1."""
        if self._streams >= _MAX_STREAMS:
            raise RtmpError("too many streams on one connection")
        self._streams += 1
        self._send(_COMMAND_CSID, replies.result(_transaction(values), None, self._streams))

    def _on_publish(self, message: Message, values: list[Value]) -> None:
        """7.2.2.6: publish(name, type). One publication at a time on a connection."""
        if self._publishing is not None:
            raise RtmpError(
                "publish twice on one connection: open another connection", code=BAD_NAME
            )
        key = values[3] if len(values) > 3 else None
        key = "" if key is None else key
        if not isinstance(key, str) or len(key) > _MAX_APP_CHARS:
            raise RtmpError("publish with a stream name that is not a short text")
        self._publishing = message.stream_id
        self._events.append(PublishRequested(self._app or "", key, self._client))

    def _on_play(self, message: Message, _values: list[Value]) -> None:
        self._publishing = message.stream_id
        raise RtmpError(
            "kinolog does not play over RTMP: watch this stream by HLS, or on its page",
            code=PLAY_FAILED,
        )

    def _on_fc_publish(self, _message: Message, values: list[Value]) -> None:
        """Flash Media Live Encoder's announcement of publish: it waits for onFCPublish."""
        self._on_tolerated(_message, values)
        status: dict[str, Value] = {"code": replies.PUBLISH_START, "description": ""}
        self._send(_COMMAND_CSID, replies.command(0, "onFCPublish", 0, None, status))

    def _on_unpublish(self, message: Message, values: list[Value]) -> None:
        """FCUnpublish, closeStream and deleteStream (7.2.2.3) each end the publication."""
        if self._publishing is not None:
            self._status("status", replies.UNPUBLISHED, "Ended.")
            self._publishing = None
            self._events.append(Unpublished(str(values[0])))

    def _on_tolerated(self, _message: Message, values: list[Value]) -> None:
        transaction = _transaction(values)
        if transaction:
            self._send(_COMMAND_CSID, replies.result(transaction, None, None))

    def _on_get_stream_length(self, _message: Message, values: list[Value]) -> None:
        self._send(_COMMAND_CSID, replies.result(_transaction(values), None, 0))

    def _status(self, level: str, code: str, description: str) -> None:
        stream_id = self._publishing or 0
        self._send(_STATUS_CSID, replies.on_status(stream_id, level, code, description))

    def _send(self, chunk_stream_id: int, message: Message) -> None:
        self._out += self._writer.write(chunk_stream_id, message)


def _transaction(values: list[Value]) -> float:
    transaction = values[1] if len(values) > 1 else 0.0
    return transaction if isinstance(transaction, float) else 0.0


def _printable(text: str) -> str:
    """A peer's own words, short and safe for a log line."""
    return "".join(char for char in text[:80] if char.isprintable())
