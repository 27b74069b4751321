"""Moments as people give them: "live", "earliest", "-10m", RFC 3339, Unix seconds, datetimes."""

from __future__ import annotations

from datetime import UTC, datetime

from kinolog.core.errors import InputError
from kinolog.core.units import show_time, unix_ms
from kinolog.log.history import Moment

When = str | float | datetime
"""A point in time: "-10m" (before now), "now", RFC 3339, Unix seconds, an aware datetime."""


SKEW_MS = 2_000
"""Clocks may be so far apart."""


def moment_of(start: When, now_ms: int) -> Moment:
    """Where to begin. InputError for what is no time, or has not been yet."""
    if start in ("live", "earliest"):
        return "live" if start == "live" else "earliest"
    found = time_ms(start, now_ms)
    if found > now_ms + SKEW_MS:
        raise InputError(f"{show_time(found)} lies in the future", hint="live begins with now")
    return found


def time_ms(when: When, now_ms: int) -> int:
    """Unix ms of a point in time. InputError for what is none."""
    if isinstance(when, datetime):
        if when.tzinfo is None:
            raise InputError(f"{when} has no time zone", hint="use datetime.now(UTC) and the like")
        return round(when.timestamp() * 1000)
    return unix_ms(str(when) if isinstance(when, str) else f"{when:f}", now_ms)


def as_datetime(unix_ms: float) -> datetime:
    """An aware datetime (UTC) of Unix ms."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
