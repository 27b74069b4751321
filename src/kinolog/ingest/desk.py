"""The desk: lets publishers in, one a name; the newest wins (DESIGN.md, Publishers' edge cases)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

import msgspec

from kinolog.core.errors import InputError, KinologError, Refused, Replaced
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.core.units import show_time
from kinolog.ingest.announcer import INGEST
from kinolog.ingest.epoch import EpochOpener
from kinolog.ingest.past import Place
from kinolog.ingest.services import Request, Services
from kinolog.ingest.session import Session
from kinolog.record.registry import EpochEntry

_OTHERS_S = 5.0
"""What one ingest needs at most to tell another that it has ended a stream."""
_MOST_AHEAD_MS = 60_000
"""How far ahead of our clock a publisher's may be."""
REFUSED_S = 10.0
"""How long a publisher that was replaced is refused, so that two do not fight for ever."""

_log = get_logger("kinolog.ingest")


class LocalDesk:
    """The publishers of one process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._sessions: dict[StreamName, Session] = {}
        self._refused_until: dict[tuple[StreamName, str], float] = {}
        self._endings: dict[StreamName, asyncio.Task[None]] = {}
        self._unwatch = services.catalog.registry.watch(self._registry_changed)
        for name in services.catalog.registry.epochs:
            self._end_for_others(name)

    @property
    def sessions(self) -> dict[StreamName, Session]:
        """Who is publishing now."""
        return self._sessions

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
    ) -> Ticket:
        """Open a publication; see source.Desk.publish."""
        if not self._services.auto_create:
            self._services.catalog.collection(name.collection)
        if at_ms is not None and at_ms > self._services.clock.unix_ms() + _MOST_AHEAD_MS:
            raise InputError(
                f"{show_time(at_ms)} is in the future",
                hint="media can be dated back, not ahead: Kafka would keep it, and its neighbours' "
                "media with it, until then and the retention are over",
            )
        request = Request(name, publisher, at_ms, live, owner, sender or publisher)
        self._refuse_the_replaced(request)
        older = self._sessions.get(name)
        if older is not None:
            self._replace(name, older)
        ending = self._endings.pop(name, None)
        if ending is not None:
            ending.cancel()
        session = Session(self._services, request, cut_off)
        self._sessions[name] = session
        return Ticket(self, session)

    async def close(self) -> None:
        """Stop following the registry; streams that wait for their end are left open."""
        self._unwatch()
        for task in self._endings.values():
            task.cancel()

    def _refuse_the_replaced(self, request: Request) -> None:
        name = request.name
        now = self._services.clock.monotonic()
        for key in [key for key, until in self._refused_until.items() if until <= now]:
            del self._refused_until[key]
        until = self._refused_until.get((name, request.sender))
        if until is not None and (name in self._sessions or self._is_elsewhere(name)):
            raise Refused(
                f"{name} was taken over by a newer publisher; "
                f"this one is refused for {until - now:.0f} s more",
                hint="stop one of the two, or publish under another name",
            )

    def _is_elsewhere(self, name: StreamName) -> bool:
        """Whether another process has a session of this stream."""
        newest = self._services.catalog.registry.newest_epoch(name)
        return newest is not None and newest.state == "live" and newest.ingest != INGEST

    def _replace(self, name: StreamName, older: Session) -> None:
        now = self._services.clock.monotonic()
        self._refused_until[(name, older.request.sender)] = now + REFUSED_S
        older.fail(Replaced(f"{name}: replaced by a newer publisher"))
        _log.info("replaced", stream=str(name), publisher=older.request.publisher)

    def _registry_changed(self, key: str, entry: msgspec.Struct | None) -> None:
        """Another process opened a newer epoch of a stream that is published here, or it was
        deleted."""
        parts = key.split("/")
        if len(parts) < 2:
            return
        name = StreamName(*parts[:2])
        session = self._sessions.get(name)
        if len(parts) == 2 and entry is None and session is not None and session.epoch:
            session.fail(Replaced(f"{name} was deleted", hint="publish again to begin it anew"))
        if not isinstance(entry, EpochEntry):
            return
        self._end_for_others(name)
        if session is not None and session.epoch and entry.epoch > session.epoch:
            ours = session.session_id == entry.open.session
            if not ours:
                self._replace(name, session)

    async def ended(self, session: Session, place: tuple[int, Place] | None) -> None:
        """A session is over; unless somebody comes back, so is the stream, a minute later."""
        name = session.request.name
        if self._sessions.get(name) is not session:
            return
        del self._sessions[name]
        if place is not None:
            grace_s = self._services.end_grace_ms / 1000
            self._endings[name] = asyncio.create_task(self._end_later(name, *place, grace_s))
        else:
            self._end_for_others(name)

    def _end_for_others(self, name: StreamName) -> None:
        """A stream that is away ends, also where the process that had it is gone. It gets more
        than twice its time, and each of several ingests waits for longer than another."""
        newest = self._services.catalog.registry.newest_epoch(name)
        if newest is None or newest.state != "away" or name in self._sessions:
            return
        if name not in self._endings:
            grace_s = newest.open.end_grace_ms / 1000
            wait_s = _OTHERS_S + grace_s * random.uniform(2, 3)  # noqa: S311
            ending = self._end_later(name, newest.epoch, Place.of(newest), wait_s)
            self._endings[name] = asyncio.create_task(ending)

    async def _end_later(self, name: StreamName, epoch: int, place: Place, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        try:
            newest = self._services.catalog.registry.newest_epoch(name)
            if newest is None or newest.epoch > epoch or newest.state == "ended":
                return
            await EpochOpener(self._services, Request(name, "")).end(epoch, place)
        except KinologError as error:
            _log.warning("end not written", stream=str(name), error=str(error))
        finally:
            if self._endings.get(name) is asyncio.current_task():
                del self._endings[name]
                self._end_for_others(name)  # it may have come back and gone meanwhile


class Ticket:
    """A publication of the desk: its session, and its place in the list."""

    def __init__(self, desk: LocalDesk, session: Session) -> None:
        self._desk = desk
        self.session = session
        self.feed = session.feed

    async def close(self, reason: str) -> None:
        """See source.Publication.close."""
        try:
            await self.session.close(reason)
        finally:
            await self._desk.ended(self.session, self.session.current_place)
