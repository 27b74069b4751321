"""From a client's message to a LogRecord."""

from __future__ import annotations

from typing import Any

from kinolog.core.errors import WireError
from kinolog.record.header import HEADER_NAME, decode_header
from kinolog.record.log_record import LogRecord


def to_record(message: Any) -> LogRecord | None:
    """The kinolog record in a Kafka message; None for one that is somebody else's."""
    data = next((found for name, found in message.headers() or () if name == HEADER_NAME), None)
    if data is None:
        return None
    key = message.key()
    try:
        header = decode_header(data)
        return LogRecord(
            message.offset(), message.timestamp()[1], key.decode(), header, message.value() or b""
        )
    except (WireError, AttributeError, UnicodeDecodeError):
        return None
