"""`POST /cmcd`: what players report. `GET /viewers` and `/media/{collection}/{stream}/viewers`."""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KinologError
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.qoe.board import Board
from kinolog.delivery.qoe.rate import Limits
from kinolog.delivery.rate import client_of
from kinolog.log.reports import ReportLog
from kinolog.record import cmcd
from kinolog.record.cmcd import Cmcd, Report
from kinolog.timeline.audience import WINDOW_MS, Figures

_JSON: Final = ("content-type", "application/json")
_VIEWERS: Final[Headers] = [*answers.CORS, _JSON, ("cache-control", "public, max-age=1")]
_SHORT_BYTES: Final = 4_096
"""A body that is read in the event loop; a longer one may take 10 ms."""
_MOST_TOLD: Final = 3
"""Refused reports of a body that are explained to its sender."""
_SESSION: Final = re.compile(r"sid(?:=|%3[Dd])(?:\"|%22)([^%&\"]{1,64})(?:\"|%22)")
_TOLD_S: Final = 5.0
"""Of the requests of a session one in so long is kept: there are ten a second."""
_MOST_TELLING: Final = 20_000


@dataclass(slots=True)
class Counts:
    """What became of reports at this edge."""

    taken: int = 0
    refused: int = 0
    limited: int = 0


class QoeServer:
    """Takes reports for the log, and tells the figures that come out of it."""

    def __init__(
        self, log: ReportLog, board: Board, has: Callable[[StreamName], bool], clock: Clock
    ) -> None:
        self._log = log
        self._board = board
        self._has = has
        self._clock = clock
        self._limits = Limits()
        self._told_at: OrderedDict[str, float] = OrderedDict()
        self.counts = Counts()

    async def report(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/cmcd`."""
        if scope.method != "POST":
            answers.preflight_of(scope, protocol, "POST")
            return
        told = answers.query(scope).get("stream", [""])[0]
        body = await answers.body(protocol, cmcd.MOST_BODY_BYTES)
        if body is None:
            return
        try:
            kind = scope.headers.get("content-type", "")
            if len(body) <= _SHORT_BYTES:
                found = cmcd.parse_body(body, kind)
            else:
                found = await asyncio.to_thread(cmcd.parse_body, body, kind)
        except InputError:
            self.counts.refused += 1
            raise
        reports, refused = self._named(found.reports, told)
        refused = [*found.refused, *refused]
        self.counts.refused += len(refused)
        if not self._allowed(scope, protocol, reports):
            return
        for report in reports:
            self._log.put(report)
        self.counts.taken += len(reports)
        if refused:
            _tell(protocol, refused, len(reports))
        else:
            protocol.response_empty(204, [*answers.CORS, answers.NO_STORE])

    def _named(self, found: list[Cmcd], told: str) -> tuple[list[Report], list[str]]:
        """Records of reports, and why some of them are none."""
        now_ms = self._clock.unix_ms()
        reports: list[Report] = []
        refused: list[str] = []
        for one in found:
            try:
                stream = cmcd.stream_of(one, told)
            except KinologError as error:
                refused.append(f"{error}{f': {error.hint}' if error.hint else ''}")
                continue
            if self._has(stream):
                reports.append(Report(str(stream), now_ms, cmcd.without_queries(one)))
            else:
                refused.append(f"there is no stream {stream}")
        return reports, refused

    def _allowed(self, scope: Scope, protocol: HttpProtocol, reports: list[Report]) -> bool:
        """Whether these reports may be taken; answered where not."""
        for report in reports:
            why = self._log.refusal(report.stream.partition("/")[0])
            if why:
                # A player that hears 410 sends no more (CTA-5004-B, event mode).
                answers.refuse(protocol, 410, f"this edge may not keep reports: {why}")
                self.counts.limited += len(reports)
                return False
        over = self._limits.allow(
            client_of(scope), [report.session for report in reports], self._clock.monotonic()
        )
        if over:
            self.counts.limited += len(reports)
            text = f"too many reports of {over}; try again in some seconds\n"
            again = ("retry-after", "10")
            protocol.response_str(429, [*answers.CORS, answers.NO_STORE, again], text)
            return False
        return True

    def told(self, scope: Scope, stream: StreamName) -> None:
        """A request for media with `CMCD=` in its query (request mode): kept now and then, so that
        viewers are counted whose players do no more. It is answered whatever stands there."""
        found = _SESSION.search(scope.query_string)
        if found is None or scope.method != "GET":
            return
        session, now_s = found[1], self._clock.monotonic()
        if now_s - self._told_at.get(session, float("-inf")) < _TOLD_S:
            return
        self._told_at[session] = now_s
        self._told_at.move_to_end(session)
        if len(self._told_at) > _MOST_TELLING:
            self._told_at.popitem(last=False)
        try:
            report = cmcd.parse_query(scope.query_string)
        except (InputError, ValueError):
            self.counts.refused += 1
            return
        if report is None:
            return
        if self._limits.allow(client_of(scope), [session], now_s):
            self.counts.limited += 1
            return
        at_ms = self._clock.unix_ms()
        self._log.put(Report(str(stream), at_ms, cmcd.without_queries(report)))
        self.counts.taken += 1

    async def viewers(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/viewers`: every stream that is watched."""
        if answers.preflight(scope, protocol):
            return
        found = await self._board.overview()
        body = msgspec.json.encode(
            {
                "at_ms": found.at_ms,
                "window_s": WINDOW_MS // 1000,
                "viewers": found.viewers,
                "players": found.players,
                "streams": [
                    {"stream": one.stream, **msgspec.to_builtins(one.figures)}
                    for one in found.listed
                ],
                "streams_left_out": found.left_out,
            }
        )
        answers.send(scope, protocol, _VIEWERS, body)

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """`viewers` below a stream's path; False for anything else."""
        if rest != "viewers":
            return False
        figures = await self._board.of(str(channel.name))
        body = msgspec.json.encode(_with_stream(channel.name, figures, self._clock.unix_ms()))
        answers.send(scope, protocol, _VIEWERS, body)
        return True


def _with_stream(stream: StreamName, figures: Figures, now_ms: int) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(figures)
    return {"stream": str(stream), "at_ms": now_ms, "window_s": WINDOW_MS // 1000, **told}


def _tell(protocol: HttpProtocol, refused: list[str], taken: int) -> None:
    more = f"; and {len(refused) - _MOST_TOLD} more" if len(refused) > _MOST_TOLD else ""
    text = "; ".join(refused[:_MOST_TOLD])
    answers.refuse(protocol, 400, f"{taken} taken, {len(refused)} refused: {text}{more}")
