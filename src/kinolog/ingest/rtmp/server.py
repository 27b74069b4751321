"""The RTMP listener: many publishers on one port, each in a task that the server owns."""

from __future__ import annotations

import asyncio
import ssl as tls
from types import TracebackType
from typing import Self

from kinolog.core.errors import ConfigError
from kinolog.core.log import get_logger
from kinolog.ingest.rtmp.link import IncomingReader, Link, TlsLink
from kinolog.ingest.rtmp.session import RtmpSession, RtmpSettings
from kinolog.ingest.source import Desk

log = get_logger(__name__)


class RtmpServer:
    """Listens while its `async with` block runs; its end closes every publication.

    `port` 0 takes a free one, which `port` then tells. With `ssl`, publishers use rtmps.
    """

    def __init__(
        self,
        desk: Desk,
        host: str,
        port: int,
        *,
        ssl: tls.SSLContext | None = None,
        settings: RtmpSettings | None = None,
    ) -> None:
        self.host = host
        self.port = port
        self._desk = desk
        self._ssl = ssl
        self._settings = settings or RtmpSettings()
        self._sessions: dict[asyncio.Task[None], RtmpSession] = {}
        self._tasks = asyncio.TaskGroup()
        self._server: asyncio.Server | None = None
        self._stopping = False

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._sessions)

    async def __aenter__(self) -> Self:
        """Listen. Raises ConfigError when the port is taken or the host is not ours."""
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol, self.host, self.port
            )
        except OSError as error:
            raise ConfigError(
                f"cannot listen for RTMP on {self.host}:{self.port}: {error.strerror or error}",
                hint="choose another port, or end the program that has it",
            ) from error
        self.port = self._server.sockets[0].getsockname()[1]
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Stop listening, let sessions feed what they have, close their publications."""
        assert self._server is not None
        self._stopping = True
        self._server.close()
        for session in self._sessions.values():
            session.stop()
        try:
            if self._sessions:
                await asyncio.wait(self._sessions, timeout=self._settings.close_timeout)
        finally:
            for task in self._sessions:
                task.cancel()
            # Not the block's own error: a TaskGroup would wrap it in a group.
            await self._tasks.__aexit__(None, None, None)

    def _protocol(self) -> asyncio.StreamReaderProtocol:
        reader = IncomingReader(limit=self._settings.read_bytes)
        return asyncio.StreamReaderProtocol(
            reader, lambda _, writer: self._connected(reader, writer)
        )

    def _connected(self, reader: IncomingReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:
            writer.close()
            return
        if len(self._sessions) >= self._settings.max_connections:
            log.warning("rtmp_too_many_connections", limit=self._settings.max_connections)
            writer.close()
            return
        link = Link(reader, writer) if self._ssl is None else TlsLink(reader, writer, self._ssl)
        session = RtmpSession(link, self._desk, self._settings)
        task = self._tasks.create_task(session.run(), name="rtmp-session")
        self._sessions[task] = session
        task.add_done_callback(self._sessions.pop)
