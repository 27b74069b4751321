"""What the RTMP tests share: a publisher's bytes, and a desk that keeps what it is fed."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec

import uvloop

from kinolog.core.errors import KinologError
from kinolog.core.names import StreamName
from kinolog.ingest.rtmp.amf0 import Value, encode_all
from kinolog.ingest.rtmp.chunk_reader import ChunkReader
from kinolog.ingest.rtmp.chunk_writer import ChunkWriter
from kinolog.ingest.rtmp.message import AUDIO, COMMAND_AMF0, VIDEO, Message
from kinolog.ingest.source import SourceEvent

AVC_RECORD = bytes.fromhex("0164000bffe1000467640000010003680000fdf8f800")
ASC_48K_STEREO = b"\x11\x90"
HANDSHAKE = bytes((3,)) + bytes(2 * 1536)


P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """A test that is a coroutine, run in an event loop of its own."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        uvloop.run(test(*args, **kwargs))

    return run


class Publisher:
    """Writes what an encoder would send."""

    def __init__(self) -> None:
        self._writer = ChunkWriter()

    def command(self, *values: Value, stream_id: int = 0, type_id: int = COMMAND_AMF0) -> bytes:
        prefix = b"" if type_id == COMMAND_AMF0 else b"\x00"
        return self.message(type_id, prefix + encode_all(*values), stream_id=stream_id, csid=3)

    def message(
        self, type_id: int, payload: bytes, time_ms: int = 0, *, stream_id: int = 1, csid: int = 4
    ) -> bytes:
        message = Message(type_id, stream_id, time_ms, memoryview(payload))
        return self._writer.write(csid, message)

    def greet(self, app: str = "demo") -> bytes:
        """Handshake and connect."""
        return HANDSHAKE + self.command("connect", 1, {"app": app, "flashVer": "Test: 1"})

    def publish(self, app: str = "demo", key: str = "camera") -> bytes:
        """Everything up to and with the publish command."""
        create = self.command("createStream", 2, None)
        return self.greet(app) + create + self.command("publish", 3, None, key, "live", stream_id=1)

    def headers(self) -> bytes:
        """Sequence headers of H.264 and AAC."""
        video = self.message(VIDEO, b"\x17\x00\x00\x00\x00" + AVC_RECORD)
        return video + self.message(AUDIO, b"\xaf\x00" + ASC_48K_STEREO)

    def picture(self, time_ms: int, data: bytes, *, keyframe: bool = False) -> bytes:
        first = b"\x17" if keyframe else b"\x27"
        return self.message(VIDEO, first + b"\x01\x00\x00\x00" + data, time_ms)


def answers(data: bytes) -> list[Message]:
    """The messages in what a server sent, handshake left out."""
    messages: list[Message] = []
    ChunkReader().receive(data[1 + 2 * 1536 :], messages)
    return messages


class MemoryPublication:
    """Keeps what it is fed; raises `error` on feed if there is one, waits on `gate` if closed."""

    def __init__(self) -> None:
        self.events: list[SourceEvent] = []
        self.reasons: list[str] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.fed = asyncio.Condition()
        self.closed = asyncio.Event()

    async def feed(self, events: Sequence[SourceEvent]) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        async with self.fed:
            self.events += events
            self.fed.notify_all()

    async def close(self, reason: str) -> None:
        self.reasons.append(reason)
        self.closed.set()


class MemoryDesk:
    """Gives out publications, or raises `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.publications: dict[str, MemoryPublication] = {}
        self.publishers: list[str] = []
        self.senders: list[str] = []
        self.owners: list[str] = []
        self.cut_offs: list[Callable[[KinologError], None] | None] = []

    async def publish(
        self,
        name: StreamName,
        *,
        publisher: str,
        sender: str = "",
        at_ms: int | None = None,
        live: bool = True,
        owner: str = "",
        cut_off: Callable[[KinologError], None] | None = None,
    ) -> MemoryPublication:
        if self.error is not None:
            raise self.error
        self.publishers.append(publisher)
        self.senders.append(sender)
        self.owners.append(owner)
        self.cut_offs.append(cut_off)
        return self.publications.setdefault(str(name), MemoryPublication())
