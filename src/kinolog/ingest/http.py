"""HTTP ingest: `PUT` or `POST /ingest/{collection}/{stream}` with MPEG-TS, fragmented MP4,
Matroska/WebM or FLV, for as long as the publisher sends."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Final
from urllib.parse import parse_qs

from kinolog.core.clock import Clock
from kinolog.core.errors import (
    InputError,
    KinologError,
    MediaError,
    NameError_,
    NotFound,
    Refused,
)
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.core.origin import refusal
from kinolog.core.rsgi import HttpProtocol, Scope
from kinolog.core.units import unix_ms
from kinolog.ingest.demux import PushedBytes, demux
from kinolog.ingest.demux_errors import say_published
from kinolog.ingest.desk import LocalDesk

MOST_PUBLISHERS: Final = 512
_MOST_PARAMETERS: Final = 20
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_JSON: Final = ("content-type", "application/json")
_CLOSE: Final = ("connection", "close")
_log = get_logger("kinolog.ingest")


class HttpIngest:
    """Each request is a publisher: its body goes through FFmpeg's demuxers into a session."""

    def __init__(self, desk: LocalDesk, clock: Clock, *, transcode_audio: bool = True) -> None:
        """`transcode_audio`: whether sound that kinolog does not carry is made AAC, or skipped."""
        self._desk = desk
        self._clock = clock
        self._transcode_audio = transcode_audio
        self._bodies: set[PushedBytes] = set()

    async def close(self) -> None:
        """Cut off who is still sending; what was sent is written."""
        for body in self._bodies:
            body.finish()

    async def answer(self, scope: Scope, protocol: HttpProtocol) -> None:
        """201 with what was taken, once the body has ended and Kafka has acknowledged it all."""
        if scope.method not in ("PUT", "POST"):
            protocol.response_str(405, [_TEXT, ("allow", "PUT, POST")], "publish by PUT or POST\n")
            return
        # A form of any page could send a body here without asking first.
        foreign = refusal(scope)
        if foreign is not None:
            protocol.response_str(403, [_TEXT, _CLOSE], f"{foreign}\n")
            return
        try:
            name = StreamName.parse(scope.path.removeprefix("/ingest/").strip("/"))
            at_ms, owner = _query(scope.query_string, self._clock.unix_ms())
            if len(self._bodies) >= MOST_PUBLISHERS:
                raise Refused("too many publishers", hint="try again later")
            report = await self._publish(scope, protocol, name, at_ms, owner)
        except KinologError as error:
            _log.info("refused", path=scope.path, error=str(error))
            text = f"{error}{': ' + error.hint if error.hint else ''}\n"
            protocol.response_str(_status(error), [_TEXT, _CLOSE], text)
            return
        protocol.response_str(201, [_JSON], report)

    async def _publish(
        self,
        scope: Scope,
        protocol: HttpProtocol,
        name: StreamName,
        at_ms: int | None,
        owner: str,
    ) -> str:
        agent = (scope.headers.get("user-agent") or "").split(" ")[0][:40]
        body = PushedBytes()
        ticket = await self._desk.publish(
            name,
            publisher=f"http {agent} {scope.client}",
            sender=f"http {agent} {scope.client.rpartition(':')[0]}",
            at_ms=at_ms,
            live=False,
            owner=owner,
            cut_off=body.abort,
        )
        self._bodies.add(body)
        reason = "the publisher is gone"
        unusable: MediaError | None = None
        try:
            async with asyncio.TaskGroup() as tasks:
                receiving = tasks.create_task(_receive(protocol, body))
                opened = demux(body, transcode_audio=self._transcode_audio)
                async with aclosing(opened) as batches:
                    async for events in batches:
                        await ticket.feed(events)
                receiving.cancel()
            reason = "the publisher has finished"
        except BaseExceptionGroup as group:
            first = _first_of(group)
            reason = str(first)
            unusable = first if isinstance(first, MediaError) else None
            raise first from None
        finally:
            body.close()
            self._bodies.discard(body)
            await asyncio.shield(ticket.close(reason))
            if unusable is not None:
                say_published(unusable, ticket.session.packets)
        session = ticket.session
        skipped = ", ".join(sorted(set(session.skipped.values())))
        counts = f'"packets":{session.packets},"left_out":{session.left_out}'
        return f'{{"stream":"{name}",{counts},"skipped":"{skipped}"}}\n'


async def _receive(protocol: HttpProtocol, body: PushedBytes) -> None:
    try:
        async for data in protocol:
            await body.feed(data)
    except KinologError as error:
        # The reader is gone, and says why itself; or it is held up for too long, and must not
        # take what it has for the whole.
        body.abort(error)
    finally:
        # A connection that breaks ends the body too: what arrived is worth keeping.
        body.finish()


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            return _first_of(error)
        if isinstance(error, KinologError):
            return error
    return group.exceptions[0]


def _query(query: str, now_ms: int) -> tuple[int | None, str]:
    """`at` (`-10m`, RFC 3339, or Unix seconds) and `owner`. Raises InputError."""
    try:
        found = parse_qs(query, max_num_fields=_MOST_PARAMETERS)
    except ValueError as error:
        raise InputError(f"more than {_MOST_PARAMETERS} parameters in the address") from error
    at = found.get("at", [""])[0]
    owner = found.get("owner", [""])[0][:100]
    return (unix_ms(at, now_ms) if at else None), owner


def _status(error: KinologError) -> int:
    if isinstance(error, NameError_ | NotFound):
        return 404
    if isinstance(error, Refused):
        return 409
    if error.retriable:
        return 503
    if isinstance(error, MediaError):
        return 415
    return 400 if isinstance(error, InputError) else 500
