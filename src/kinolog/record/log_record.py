"""A record as a reader of the log sees it, whichever client read it."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.record.header import Header


class LogRecord(NamedTuple):
    """One kinolog record of one partition. `key` is the stream's name within its collection."""

    offset: int
    timestamp_ms: int
    key: str
    header: Header
    value: bytes
