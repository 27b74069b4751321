"""`kinolog events`: marks on a stream's time, added and listed."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
from cyclopts import App

from kinolog.cli.common import MOMENT, Json, KafkaFlags, kafka_of, note, settings_of, show
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError
from kinolog.core.names import StreamName
from kinolog.delivery.marks import Sent, made_of, shown
from kinolog.delivery.span import moment_ms
from kinolog.log.marks import Found, MarkReader, MarkWriter
from kinolog.runtime import roles

app = App(
    name="events",
    default_parameter=PARAMETERS,
    help="""Add and list marks: what was seen at a moment of a stream, or is to be found again.

    Marks are shown on the page's timeline.

    Try it:

        kinolog events add demo/camera "the door opens"

        kinolog events list demo/camera --start -1h
    """,
)
_KAFKA = KafkaFlags()


@app.command
def add(
    stream: str,
    text: str = "",
    /,
    *,
    at: Annotated[str, MOMENT] = "now",
    end: Annotated[str | None, MOMENT] = None,
    kind: str = "marker",
    data: str | None = None,
    id: str = "",
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Mark a moment of a stream.

    Try it:

        kinolog events add demo/camera "the door opens"

        kinolog events add cams/gate "a person" --at -10s --kind detection --data '{"score": 0.93}'

    Parameters
    ----------
    stream
        collection/name.
    text
        What a person reads, at most 200 characters.
    at
        When: now, -10m, 2026-01-31T12:00:00Z, or Unix seconds.
    end
        Until when it lasts. [default: it has no length]
    kind
        What sort of mark it is.
    data
        JSON of your own, at most 8 KiB.
    id
        A mark that is added again under one ID replaces the first. [default: a new one]
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)
    clock = SystemClock()
    try:
        raw = msgspec.Raw(data.encode()) if data is not None else msgspec.Raw()
        if data is not None:
            msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(
            f"--data is not JSON: {error}", hint="for example '{\"a\": 1}'"
        ) from error
    mark = made_of(Sent(at, kind, end, text, raw, id or msgspec.UNSET), clock.unix_ms())

    async def work() -> None:
        async with roles.backend(kafka_of(settings)) as base:
            writer = MarkWriter(base.kafka, base.catalog, clock)
            try:
                await writer.add(name, [mark])
            finally:
                await writer.close()

    roles.run(work())
    if json:
        sys.stdout.write(msgspec.json.encode(shown(mark)).decode() + "\n")
    else:
        note(f"{name}: {mark.kind} at {shown(mark)['at']}")


@app.command(name="list")
def list_(
    stream: str,
    /,
    *,
    start: Annotated[str, MOMENT] = "-1h",
    end: Annotated[str, MOMENT] = "now",
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """List the marks that begin in a range.

    Try it:

        kinolog events list demo/camera

        kinolog events list cams/gate --start -2d --end -1d --json

    Parameters
    ----------
    stream
        collection/name.
    start
        -10m, 2026-01-31T12:00:00Z, or Unix seconds.
    end
        The same, or now.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)
    clock = SystemClock()
    now_ms = clock.unix_ms()
    start_ms = moment_ms("--start", start, now_ms)
    end_ms = moment_ms("--end", end, now_ms) + (end == "now")
    if end_ms <= start_ms:
        raise ConfigError("--end is not after --start", hint="for example --start -10m --end -5m")

    async def ask() -> Found:
        async with roles.backend(kafka_of(settings)) as base:
            return await MarkReader(base.catalog, base.reader, clock).between(
                name, start_ms, end_ms
            )

    found = roles.run(ask())
    rows: list[dict[str, Any]] = [shown(mark) for mark in found.marks]
    if not rows and not json:
        note(f"{name}: no marks in that time")
        return
    show(rows, {"at": "AT", "kind": "KIND", "text": "TEXT", "id": "ID"}, as_json=json)
    if not found.complete:
        note("there are more: ask for less time at once")
