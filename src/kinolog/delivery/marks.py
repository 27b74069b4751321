"""`/media/{collection}/{stream}/events`: marks on a stream's time, read and written as JSON."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, KafkaRefused, Overloaded
from kinolog.core.json import decoded
from kinolog.core.names import StreamName
from kinolog.core.rsgi import HttpProtocol, Scope
from kinolog.core.units import rfc3339
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.rate import Buckets, Rate
from kinolog.delivery.span import Span, moment_ms, parse_span
from kinolog.log.marks import Found, MarkReader, MarkWriter
from kinolog.record.mark import Mark, check_mark

MOST_MARKS: Final = 2_000
"""Entries of an answer."""
MOST_AT_ONCE: Final = 100
MOST_BODY_BYTES: Final = 262_144
RATE_HZ: Final = 100
BURST: Final = 1_000
"""Marks of one stream that an edge takes: so many a second, and so many in a row."""
_DEFAULT_MS: Final = 3_600_000
_FRESH_S: Final = 1.0
_MOST_KEPT: Final = 32
"""Answers that are kept while they are fresh, or being made. More are refused."""
MOST_KEPT_BYTES: Final = 16_000_000
"""Of answers that are kept: those that were asked for first are let go."""
_MOST_READS: Final = 2
_MOST_WORDS: Final = 5
_JSON: Final = ("content-type", "application/json")


class Sent(msgspec.Struct, forbid_unknown_fields=True):
    """A mark as people write it: times as in URLs."""

    at: str | float
    kind: str = "marker"
    end: str | float | None = None
    text: str = ""
    data: msgspec.Raw = msgspec.Raw()
    id: str | msgspec.UnsetType = msgspec.UNSET


_decode = msgspec.json.Decoder(list[Sent] | Sent).decode


class MarkServer:
    """Answers from the events topic, and appends to it."""

    def __init__(self, reader: MarkReader, writer: MarkWriter | None, clock: Clock) -> None:
        """Without a writer nothing is taken."""
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._rates = Buckets(Rate(RATE_HZ, BURST))
        self._kept: dict[tuple[StreamName, str], tuple[float, asyncio.Task[bytes]]] = {}
        self._reading = asyncio.Semaphore(_MOST_READS)

    async def close(self) -> None:
        """Close the writer."""
        for _, task in self._kept.values():
            task.cancel()
        if self._writer is not None:
            await self._writer.close()

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `events`; False for anything else."""
        if rest != "events":
            return False
        if scope.method == "POST":
            await self._take(scope, protocol, channel.name)
        else:
            await self._give(scope, protocol, channel.name)
        return True

    async def _give(self, scope: Scope, protocol: HttpProtocol, name: StreamName) -> None:
        """`events?start=&end=&resolution=`: the last hour's, where no range is given."""
        now_ms = self._clock.unix_ms()
        span = parse_span(scope.query_string, now_ms) or Span(now_ms - _DEFAULT_MS)
        start_ms = now_ms - span.dvr_ms if span.dvr_ms is not None else span.start_ms or 0
        end_ms = span.end_ms if span.end_ms is not None else now_ms + 1
        resolution_ms = answers.resolution_ms(scope) or 0
        found = await self._found(name, scope.query_string, start_ms, end_ms, resolution_ms)
        takes = self._writer is not None
        head = msgspec.json.encode({"stream": str(name), "now": rfc3339(now_ms), "takes": takes})
        headers = [*answers.CORS, _JSON, answers.NO_CACHE]
        answers.send(scope, protocol, headers, b"%b,%b" % (head[:-1], found))

    async def _found(
        self, name: StreamName, query: str, start_ms: int, end_ms: int, resolution_ms: int
    ) -> bytes:
        """What is in the log, as the end of an answer; read once for all who ask the same at about
        the same time."""
        now_s = self._clock.monotonic()
        for key, (at_s, task) in list(self._kept.items()):
            if task.done() and now_s - at_s > _FRESH_S:
                del self._kept[key]
        kept = self._kept.get((name, query))
        if kept is None:
            if len(self._kept) >= _MOST_KEPT:
                done = next((key for key, (_, one) in self._kept.items() if one.done()), None)
                if done is None:
                    raise Overloaded("too many ask for marks", hint="try again in a second")
                del self._kept[done]
            task = asyncio.create_task(self._read(name, start_ms, end_ms, resolution_ms))
            task.add_done_callback(lambda _: self._let_go())
            self._kept[(name, query)] = kept = (now_s, task)
        return await asyncio.shield(kept[1])

    async def _read(
        self, name: StreamName, start_ms: int, end_ms: int, resolution_ms: int
    ) -> bytes:
        async with self._reading:
            found = await self._reader.between(name, start_ms, end_ms)
            return await asyncio.to_thread(_told, found, resolution_ms)

    def _let_go(self) -> None:
        """Keep no more bytes than may be: those who wait for an answer get it all the same."""
        kept = 0
        for key, (_, task) in reversed(list(self._kept.items())):
            if task.done() and not task.cancelled() and task.exception() is None:
                kept += len(task.result())
                if kept > MOST_KEPT_BYTES:
                    del self._kept[key]

    async def _take(self, scope: Scope, protocol: HttpProtocol, name: StreamName) -> None:
        """201 with the marks as they were written, once Kafka has acknowledged them all."""
        if self._writer is None:
            answers.refuse(protocol, 403, "this edge takes no marks")
            return
        sort = (scope.headers.get("content-type") or "").partition(";")[0].strip().lower()
        if sort != "application/json":
            answers.refuse(protocol, 415, "marks are sent as application/json")
            return
        body = await answers.body(protocol, MOST_BODY_BYTES)
        if body is None:
            return
        now_ms = self._clock.unix_ms()
        marks = read_marks(body, now_ms)
        if not self._rates.allow(str(name), len(marks), self._clock.monotonic()):
            protocol.response_str(
                429,
                [("content-type", "text/plain; charset=utf-8"), ("retry-after", "1")],
                f"too many marks: {RATE_HZ} a second are taken of a stream\n",
            )
            return
        try:
            await self._writer.add(name, marks)
        except KafkaRefused as error:
            answers.refuse(protocol, 403, f"this edge may write no marks: {error}")
            return
        for key in [key for key in self._kept if key[0] == name]:
            del self._kept[key]  # who asks now finds them
        body = msgspec.json.encode({"stream": str(name), "marks": [shown(m) for m in marks]})
        protocol.response_bytes(201, [_JSON, answers.NO_STORE], body)


def read_marks(body: bytes, now_ms: int) -> list[Mark]:
    """The marks of a request: one, or an array. InputError where they are none."""
    try:
        sent = decoded(_decode, body, "this is no mark")
    except InputError as error:
        error.hint = 'for example {"at": "-10s", "kind": "detection", "text": "a person"}'
        raise
    several = sent if isinstance(sent, list) else [sent]
    if not 1 <= len(several) <= MOST_AT_ONCE:
        raise InputError(f"a request has 1 to {MOST_AT_ONCE} marks")
    return [made_of(one, now_ms) for one in several]


def made_of(sent: Sent, now_ms: int) -> Mark:
    """The mark that is meant, with an ID. InputError where it is beyond the bounds."""
    return check_mark(
        Mark(
            id=uuid.uuid4().hex if sent.id is msgspec.UNSET else sent.id,
            at=moment_ms("at", str(sent.at), now_ms),
            end=0 if sent.end is None else moment_ms("end", str(sent.end), now_ms),
            kind=sent.kind,
            text=sent.text,
            data=sent.data,
        )
    )


def _told(found: Found, resolution_ms: int) -> bytes:
    """The end of an answer, behind its stream and time. InputError for too many marks."""
    shown = joined(found.marks, resolution_ms)
    if len(shown) > MOST_MARKS:
        raise InputError(
            f"these are {len(shown)} marks", hint="ask for less, or with a ?resolution="
        )
    return msgspec.json.encode(
        {"resolution_s": resolution_ms / 1000, "complete": found.complete, "marks": shown}
    )[1:]


def joined(marks: Sequence[Mark], resolution_ms: int) -> list[dict[str, Any]]:
    """Marks as JSON shows them, those nearer to the first of theirs than the resolution as one."""
    together: list[list[Mark]] = []
    for mark in marks:
        if together and mark.at - together[-1][0].at < resolution_ms:
            together[-1].append(mark)
        else:
            together.append([mark])
    return [shown(several[0]) | (_told_of(several) if several[1:] else {}) for several in together]


def _told_of(several: list[Mark]) -> dict[str, Any]:
    words = Counter(mark.text or mark.kind for mark in several)
    return {
        "count": len(several),
        "last": rfc3339(several[-1].at),
        "words": dict(words.most_common(_MOST_WORDS)),
    }


def shown(mark: Mark) -> dict[str, Any]:
    """A mark as JSON shows it."""
    found: dict[str, Any] = {"id": mark.id, "at": rfc3339(mark.at), "kind": mark.kind}
    if mark.end:
        found["end"] = rfc3339(mark.end)
    if mark.text:
        found["text"] = mark.text
    if bytes(mark.data):
        found["data"] = mark.data
    return found
