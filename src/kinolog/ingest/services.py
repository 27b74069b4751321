"""What the sessions of a process share, and what one publisher asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLog
from kinolog.log.catalog import Catalog
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter
from kinolog.record.control import Profile

BUFFER_BYTES = 64 * 1024 * 1024
"""What a session may hold unacknowledged: ten seconds of 50 Mb/s."""


@dataclass(frozen=True, slots=True)
class Services:
    """What the sessions of a process share."""

    catalog: Catalog
    writer: LogWriter
    reader: RandomReader
    clock: Clock
    ack_log: AckLog | None = None
    profile: Profile | None = None
    auto_create: bool = True
    fill_silence: bool = True
    software: str = "kinolog"
    end_grace_ms: int = 60_000
    buffer_bytes: int = BUFFER_BYTES


class Request(NamedTuple):
    """What a publisher asked for."""

    name: StreamName
    publisher: str
    at_ms: int | None = None
    live: bool = True
    owner: str = ""
    sender: str = ""
