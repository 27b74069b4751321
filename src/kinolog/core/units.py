"""Durations and sizes as people write them: 90s, 10m, 1h, 7d; 500MB, 2GiB."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

from kinolog.core.errors import InputError

_DURATIONS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_SIZES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)", re.ASCII)
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.ASCII)
_LEAP = re.compile(r"([T ]\d\d:\d\d):60")
_NO_ZONE = re.compile(r"[+-]\d\d:?[6-9]\d$", re.ASCII)
_LONGEST_MS = 1000 * 365 * 86_400_000
_LAST_MS = 7_258_118_400_000
"""2200-01-01: a number of seconds behind it is one of milliseconds."""
_LARGEST = 2**63
_BINARY = {"k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def duration_ms(text: str) -> int:
    """Milliseconds of `90s`, `10m`, `1.5h`, `7d`; -1 for `forever`."""
    if text == "forever":
        return -1
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InputError(f"{text[:40]!r} is not a duration", hint="for example 90s, 10m, 1h, 7d")
    length = float(found[1]) * _DURATIONS_MS[found[2]]
    if length > _LONGEST_MS:
        raise InputError(f"{text[:40]!r} is longer than 1000 years", hint="forever has no end")
    return round(length)


def size_bytes(text: str) -> int:
    """Bytes of `500MB`, `2GiB`, `1000000`; -1 for `unlimited`."""
    if text == "unlimited":
        return -1
    found = _SIZE.fullmatch(text.strip().lower())
    if found is None or (found[3] and not found[2]):
        raise InputError(f"{text[:40]!r} is not a size", hint="for example 500MB, 2GiB")
    factor = _BINARY[found[2]] if found[3] else _SIZES[found[2]]
    size = float(found[1]) * factor
    if size > _LARGEST:
        raise InputError(f"{text[:40]!r} is more than there is", hint="unlimited has no end")
    return round(size)


def unix_ms(text: str, now_ms: int) -> int:
    """Unix ms of `-10m` (before now), RFC 3339 with a zone, or Unix seconds: 1970 to 2199."""
    found = _unix_ms(text, now_ms)
    if 0 <= found < _LAST_MS:
        return found
    number = found >= _LAST_MS and "-" not in text
    hint = "Unix times are seconds here, not milliseconds" if number else ""
    raise InputError(f"{text[:60]!r} is not between 1970 and 2199", hint=hint)


def _unix_ms(text: str, now_ms: int) -> int:
    if text.startswith("-") and _DURATION.fullmatch(text[1:].strip()):
        return now_ms - duration_ms(text[1:])
    if text == "now":
        return now_ms
    if text.startswith(("-", "+")) or "_" in text or not text.isascii():
        raise _no_time(text)
    try:
        seconds = float(text)
    except ValueError:
        return _rfc3339_ms(text)
    if not math.isfinite(seconds):
        raise _no_time(text)
    # Bounded first: what is far outside has no whole number of milliseconds.
    return round(min(max(seconds, -1.0), _LAST_MS) * 1000)


def _no_time(text: str) -> InputError:
    return InputError(
        f"{text[:60]!r} is not a time",
        hint="for example -10m, 2026-01-31T12:00:00Z, or Unix seconds",
    )


def _rfc3339_ms(text: str) -> int:
    if _NO_ZONE.search(text):
        raise _no_time(text)
    # t and z may be small (RFC 3339, 5.6); a leap second is the second after it (5.7).
    wanted, leaps = _LEAP.subn(r"\1:59", text.upper())
    try:
        moment = datetime.fromisoformat(wanted)
    except ValueError as error:
        raise _no_time(text) from error
    if moment.tzinfo is None:
        raise InputError(f"{text[:60]!r} has no time zone", hint="end it with Z, or +01:00")
    found = round(moment.timestamp() * 1000)
    if leaps and found // 1000 % 86_400 != 86_399:
        raise _no_time(text)
    return found + 1000 * leaps


def show_duration(ms: int) -> str:
    """`1h`, `7d`, `90s`; `forever` for -1."""
    if ms == -1:
        return "forever"
    for unit, factor in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if ms >= factor and ms % factor == 0:
            return f"{ms // factor}{unit}"
    return f"{ms / 1000:g}s"


def show_size(size: int) -> str:
    """`2.0 GB`; `unlimited` for -1."""
    if size == -1:
        return "unlimited"
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"


def rfc3339(unix_ms: int) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(unix_ms // 1000, UTC)
    return f"{moment.isoformat()[:19]}.{unix_ms % 1000:03d}Z"


def show_time(ms: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"
