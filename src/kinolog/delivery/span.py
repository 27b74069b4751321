"""Span: which stretch of a stream a URL's query asks for; the same for every protocol.

`?start=`, `?start=&end=` and `?dvr=`. Times are RFC 3339, Unix seconds, or relative to now
(`-10m`).
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

from kinolog.core.errors import InputError, NotFound
from kinolog.core.names import StreamName
from kinolog.core.units import duration_ms, rfc3339, show_duration, show_time, unix_ms

SKEW_MS = 2_000
"""So far ahead a person's clock may be."""
LONGEST_DVR_MS = 366 * 86_400_000


class Span(NamedTuple):
    """From `start_ms` (Unix ms) up to `end_ms`, or on and on where that is None; or, with `dvr_ms`,
    always the last so many milliseconds."""

    start_ms: int | None = None
    end_ms: int | None = None
    dvr_ms: int | None = None

    @property
    def closed(self) -> bool:
        """It has an end."""
        return self.end_ms is not None

    @property
    def query(self) -> str:
        """It as a query with absolute times, for the URIs of playlists."""
        if self.dvr_ms is not None:
            return f"dvr={show_duration(self.dvr_ms)}"
        assert self.start_ms is not None
        end = f"&end={_seconds(self.end_ms)}" if self.end_ms is not None else ""
        return f"start={_seconds(self.start_ms)}{end}"


def asks_for_span(query: str) -> bool:
    """Whether a query has anything to do with spans: nearly none has."""
    return "start=" in query or "end=" in query or "dvr=" in query


def is_relative(query: str) -> bool:
    """Whether a query's times count from now."""
    times = (item.partition("=") for item in query.split("&"))
    return any(
        name in ("start", "end") and value[:1] in ("-", "n", "%") for name, _, value in times
    )


def value_of(query: str, name: str) -> str | None:
    """What a parameter of a query says, as it stands there (a + of a time zone is one, and no
    blank); None where it is not there. InputError where it stands twice."""
    items = (item.partition("=") for item in query.split("&"))
    values = [value for key, _, value in items if key == name]
    if len(values) > 1:
        raise InputError(f"{name} stands twice")
    return values[0] if values else None


def parse_span(query: str, now_ms: int) -> Span | None:
    """The span that a query asks for; None for one that asks for none. Other parameters are passed
    over. InputError, with a sentence for a person, where it cannot be meant."""
    values = {name: value_of(query, name) for name in ("start", "end", "dvr")}
    found = {name: unquote(value) for name, value in values.items() if value is not None}
    if not found:
        return None
    if "dvr" in found:
        if len(found) > 1:
            raise InputError("dvr follows the live edge: it goes with neither start nor end")
        return Span(dvr_ms=_dvr_ms(found["dvr"]))
    if "start" not in found:
        raise InputError("end needs a start", hint="for example ?start=-10m&end=-5m")
    start_ms = moment_ms("start", found["start"], now_ms)
    if "end" not in found:
        return Span(start_ms)
    end_ms = moment_ms("end", found["end"], now_ms)
    if end_ms <= start_ms:
        raise InputError("end is not after start")
    return Span(start_ms, end_ms)


def moment_ms(name: str, text: str, now_ms: int) -> int:
    """A time that has been, in Unix ms. InputError, with the parameter's name, where it is none."""
    try:
        found = unix_ms(text, now_ms)
    except InputError as error:
        raise InputError(f"{name}: {error}", hint=error.hint) from error
    if found > now_ms + SKEW_MS:
        raise InputError(f"{name} lies in the future")
    return found


def nothing_between(stream: StreamName, start_ms: int, end_ms: int) -> NotFound:
    """The error for a range (Unix ms) of which nothing is kept."""
    show = show_time if start_ms // 1000 != end_ms // 1000 else rfc3339
    return NotFound(f"of {stream} nothing is kept between {show(start_ms)} and {show(end_ms)}")


def _dvr_ms(text: str) -> int:
    try:
        found = duration_ms(text)
    except InputError as error:
        raise InputError(f"dvr: {error}", hint=error.hint) from error
    if not 1000 <= found <= LONGEST_DVR_MS:
        raise InputError("dvr is a length between a second and a year", hint="for example 2h")
    return found


def _seconds(unix_ms: int) -> str:
    return f"{unix_ms / 1000:.3f}".rstrip("0").rstrip(".")
