"""One publisher's TCP connection: its reads fed to a publication, its answers written."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from kinolog.core.errors import KinologError, NameError_, Refused
from kinolog.core.log import get_logger
from kinolog.ingest.rtmp.address import parse_address
from kinolog.ingest.rtmp.chunk_reader import ChunkLimits
from kinolog.ingest.rtmp.connection import PublishRequested, RtmpConnection, Unpublished
from kinolog.ingest.rtmp.errors import BAD_NAME, PUBLISH_FAILED, RtmpError
from kinolog.ingest.rtmp.link import Link
from kinolog.ingest.rtmp.tracks import Tracks
from kinolog.ingest.source import Desk, Publication, Skipped, SourceEvent

log = get_logger(__name__)

_MAX_OWNER_CHARS = 100
_CUT_OFF_LINGER_S = 0.5
_GRACE_S = 0.2


@dataclass(frozen=True)
class RtmpSettings:
    """The bounds on publishers' connections, times in seconds; and whether sound that kinolog does
    not carry is made AAC (else it is skipped)."""

    publish_deadline: float = 10.0
    idle_timeout: float = 30.0
    write_timeout: float = 10.0
    close_timeout: float = 10.0
    linger_timeout: float = 2.0
    max_connections: int = 1000
    read_bytes: int = 64 << 10
    transcode_audio: bool = True
    limits: ChunkLimits = field(default_factory=ChunkLimits)


class RtmpSession:
    """Runs one connection until either side ends it; always closes its publication."""

    def __init__(
        self,
        link: Link,
        desk: Desk,
        settings: RtmpSettings,
    ) -> None:
        self._link = link
        self._desk = desk
        self._settings = settings
        self._protocol = RtmpConnection(settings.limits)
        self._publication: Publication | None = None
        self._tracks = Tracks(transcode_audio=settings.transcode_audio)
        self._stream = ""
        self._stopping = False
        self._reading: asyncio.Timeout | None = None
        self._cut: KinologError | None = None
        self._told = False
        self._peer = f"{link.host}:{link.port}"

    async def run(self) -> None:
        """Serve the connection. Raises nothing but CancelledError: what goes wrong is told to
        the publisher and logged, and is never another publisher's concern."""
        try:
            await self._serve()
        except Exception:
            log.exception("rtmp_session_failed", **self._who())
            self._link.abort()

    async def _serve(self) -> None:
        reason = "the server stopped"
        try:
            reason = await self._converse()
        except KinologError as error:
            reason = _one_line(error)
            log.warning("rtmp_publisher_cut_off", **self._who(), reason=reason)
            await self._tell(error, reason)
        except OSError as error:
            reason = f"connection lost: {error.strerror or error}"
        except Exception:
            reason = "internal error"
            log.exception("rtmp_session_failed", **self._who())
            await self._tell(KinologError(reason), reason)
        finally:
            await self._end(reason)

    def stop(self) -> None:
        """End the connection from our side: what was received is still fed, then the end seen."""
        self._stopping = True
        self._link.close()

    def _cut_off(self, error: KinologError) -> None:
        """The desk has ended the publication: a publisher that is silent is not waited for."""
        self._cut = error
        if self._reading is not None and not self._reading.expired():
            self._reading.reschedule(asyncio.get_running_loop().time())

    async def _converse(self) -> str:
        """Read until the end; the reason for it."""
        loop = asyncio.get_running_loop()
        publish_by = loop.time() + self._settings.publish_deadline
        await self._open(publish_by)
        while True:
            deadline = publish_by
            if self._publication is not None:
                deadline = loop.time() + self._settings.idle_timeout
            data = await self._read(deadline)
            if not data:
                await self._feed(self._tracks.finish())
                if self._link.broken is not None:
                    raise self._link.broken
                return "the publisher disconnected"
            await self._receive(data)
            if self._publication is not None:
                publish_by = loop.time() + self._settings.publish_deadline

    async def _open(self, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._link.open()
        except OSError as error:  # TimeoutError is one
            log.info("rtmp_not_opened", peer=self._peer, reason=str(error) or "no TLS in time")
            raise

    async def _read(self, deadline: float) -> bytes:
        """What came, b"" at the end. Raises what the publication was cut off with, and Refused at
        the deadline."""
        if self._cut is not None:
            raise self._cut
        # The second look is for a process that was held up itself: its event loop tells of the
        # deadline first, of the data that came meanwhile afterwards.
        for _ in range(2):
            try:
                async with asyncio.timeout_at(deadline) as self._reading:
                    return await self._link.read(self._settings.read_bytes)
            except TimeoutError:
                if self._cut is not None:
                    raise self._cut from None
                deadline = asyncio.get_running_loop().time() + _GRACE_S
            finally:
                self._reading = None
        raise Refused(self._silence())

    def _silence(self) -> str:
        if self._publication is not None:
            return f"no data for {self._settings.idle_timeout:g} s"
        return f"nothing was published within {self._settings.publish_deadline:g} s"

    async def _receive(self, data: bytes) -> None:
        failure: RtmpError | None = None
        try:
            self._protocol.receive_data(data)
        except RtmpError as error:
            failure = error
        await self._feed_events()
        if not self._link.waiting:
            self._protocol.acknowledge()
        await self._flush()
        if failure is not None:
            raise failure

    async def _feed_events(self) -> None:
        """Take what the protocol understood; media of one read is fed in one call."""
        fed: list[SourceEvent] = []
        try:
            for event in self._protocol.events():
                if isinstance(event, PublishRequested):
                    await self._publish(event)
                elif isinstance(event, Unpublished):
                    ended, fed = [*fed, *self._tracks.finish()], []
                    await self._feed(ended)
                    await self._close_publication(f"the publisher ended it ({event.command})")
                    self._cut = None
                elif self._publication is None:
                    continue
                elif self._tracks.transcodes(event):
                    # Measured: 0.6 to 1.6 ms a frame. One at a time, so the order stays.
                    await asyncio.to_thread(self._tracks.take, event, fed)
                else:
                    self._tracks.take(event, fed)
        finally:
            # What came before a malformed message is good.
            await self._feed(fed)

    async def _feed(self, events: list[SourceEvent]) -> None:
        if self._publication is not None:  # also of nothing: how long nothing came counts
            for event in events:
                if isinstance(event, Skipped):
                    log.warning("rtmp_track_skipped", **self._who(), codec=event.codec)
                    self._protocol.warn(f"{event.codec} cannot be carried: the track is left out")
            await self._publication.feed(events)

    async def _publish(self, request: PublishRequested) -> None:
        address = parse_address(request.app, request.key)
        self._stream = str(address.stream)
        publisher = f"rtmp {self._peer} {request.client}".rstrip()
        owner = address.parameters.get("owner", "")[:_MAX_OWNER_CHARS]
        self._publication = await self._desk.publish(
            address.stream,
            publisher=publisher,
            sender=f"rtmp {self._link.host}",
            owner=owner,
            cut_off=self._cut_off,
        )
        self._tracks = Tracks(transcode_audio=self._settings.transcode_audio)
        self._protocol.accept()
        await self._flush()
        log.info("rtmp_publishing", **self._who(), client=request.client)

    async def _flush(self) -> None:
        out = self._protocol.data_to_send()
        if out:
            try:
                async with asyncio.timeout(self._settings.write_timeout):
                    await self._link.send(out)
            except TimeoutError:
                self._link.abort()
                raise ConnectionError("the publisher does not read its answers") from None

    async def _tell(self, error: KinologError, text: str) -> None:
        """Send the error to the publisher, unless the protocol already has."""
        if not self._protocol.failed:
            self._protocol.refuse(_status_code(error), text)
        try:
            await self._flush()
            self._link.end_sending()
        except OSError:
            return  # it is gone: nobody to tell
        self._told = True

    async def _linger(self) -> None:
        """Drop what is still coming for a moment: closing on unread bytes would reset the
        connection, and some systems then lose the answer that was sent."""
        if not self._told or self._link.closing:
            return
        most_s = self._settings.linger_timeout
        if self._cut is not None:  # it may be dead, and another has its name
            most_s = min(most_s, _CUT_OFF_LINGER_S)
        try:
            async with asyncio.timeout(most_s):
                while await self._link.read(self._settings.read_bytes):
                    pass
        except TimeoutError:
            return

    async def _end(self, reason: str) -> None:
        """Close publication and socket, also when cancelled."""
        if self._stopping:
            reason = "the server stopped"
        try:
            async with asyncio.timeout(self._settings.close_timeout):
                await self._close_publication(reason)
        except KinologError as error:
            log.warning("rtmp_close_failed", **self._who(), reason=_one_line(error))
        except TimeoutError:
            log.warning("rtmp_close_failed", **self._who(), reason="no answer in time")
        finally:
            try:
                await self._linger()
            finally:
                self._link.close()

    async def _close_publication(self, reason: str) -> None:
        publication, self._publication = self._publication, None
        if publication is not None:
            log.info("rtmp_ended", **self._who(), reason=reason)
            await publication.close(reason)

    def _who(self) -> dict[str, str]:
        return {"peer": self._peer, "stream": self._stream}


def _status_code(error: KinologError) -> str:
    """The onStatus code: BadName is what a publisher knows for a name that is not to be had."""
    if isinstance(error, RtmpError):
        return error.code
    return BAD_NAME if isinstance(error, (NameError_, Refused)) else PUBLISH_FAILED


def _one_line(error: KinologError) -> str:
    """The error and what to do about it."""
    return f"{error} ({error.hint})" if error.hint else str(error)
