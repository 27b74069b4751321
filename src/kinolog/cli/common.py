"""What the verbs share: flags of every role, the cluster that is meant, tables and JSON."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from kinolog.cluster import deaths, running_servers
from kinolog.log.choice import mistyped_variables
from kinolog.log.client import KafkaSettings
from kinolog.runtime import logs
from kinolog.runtime.settings import Settings, load

_LOOK_S = 2.0
KAFKA_GROUP = "Kafka and settings"
_GROUP = Parameter(group=KAFKA_GROUP)
Json = Annotated[bool, Parameter(name="--json", negative="", help="Print JSON, for programs.")]

MOMENT = Parameter(allow_leading_hyphen=True)
"""A moment may be before now: -10m."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaFlags:
    """Which Kafka."""

    bootstrap_servers: Annotated[str | None, _GROUP] = None
    """Kafka's address, host:port[,host:port…]. [default: the cluster running in --data-dir]"""
    kafka_config: Annotated[Path | None, _GROUP] = None
    """File of client properties (librdkafka's keys): security.protocol, sasl and ssl settings."""
    topic_prefix: Annotated[str | None, _GROUP] = None
    """What every topic's name begins with. [default: kinolog]"""
    data_dir: Annotated[Path | None, _GROUP] = None
    """State of the embedded cluster. [default: .kinolog]"""
    config: Annotated[Path | None, _GROUP] = None
    """Settings file. [default: kinolog.toml, where there is one]"""
    log_level: Annotated[str | None, _GROUP] = None
    """debug, info, warning or error. [default: info for servers, warning for the rest]"""


def settings_of(kafka: KafkaFlags | None, *, log_level: str = "warning", **flags: Any) -> Settings:
    """Settings from flags, environment and file; logs are set up by them."""
    given = {f.name: getattr(kafka, f.name) for f in fields(kafka)} if kafka is not None else {}
    config = given.pop("config", None)
    for wrong, meant in mistyped_variables(Settings, os.environ).items():
        note(f"kinolog: variable {wrong} sets nothing: did you mean {meant}?")
    settings = load(config, **given, **flags)
    chosen = settings.log_level if "log_level" in settings.model_fields_set else log_level
    logs.set_up(chosen)
    return settings


def kafka_of(settings: Settings) -> KafkaSettings:
    """The Kafka that is meant: the named one, else the cluster that runs in the data dir."""
    return settings.kafka(_running)


def _running(data_dir: Path) -> str:
    """As running_servers; where a broker died, that is the error, and not that none runs."""
    servers = running_servers(data_dir)
    died = [] if servers else deaths(data_dir)
    if died:
        raise died[0]
    return servers


@asynccontextmanager
async def telling_of_deaths(settings: Settings) -> AsyncIterator[None]:
    """Inside, tell the person at the terminal, once, of each broker of the data dir that dies:
    what is published waits for it."""

    async def look() -> None:
        told: set[str] = set()
        while True:
            for death in await asyncio.to_thread(deaths, settings.data_dir):
                if str(death) not in told:
                    told.add(str(death))
                    note(f"kinolog: {death}\n  {death.hint}")
            await asyncio.sleep(_LOOK_S)

    looking = None if settings.named else asyncio.create_task(look())
    try:
        yield
    finally:
        if looking is not None:
            looking.cancel()
            await asyncio.wait([looking])


def show(rows: list[dict[str, Any]], columns: dict[str, str], *, as_json: bool) -> None:
    """A table for people (column titles by key), or the rows as JSON for programs."""
    if as_json:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode() + "\n")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns.values():
        table.add_column(title, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(key, "")) for key in columns))
    console = Console(width=None if sys.stdout.isatty() else 200)
    console.print(table)


def note(text: str) -> None:
    """A line for the person at the terminal, on standard error."""
    print(text, file=sys.stderr, flush=True)
