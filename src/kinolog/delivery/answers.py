"""HTTP answers that the delivery protocols share: CORS, caching, Range, gzip."""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

from kinolog.core.errors import InputError
from kinolog.core.origin import refusal
from kinolog.core.rsgi import Headers, HttpProtocol, Scope
from kinolog.core.units import duration_ms

CORS: Final[Headers] = [
    ("access-control-allow-origin", "*"),
    (
        "access-control-expose-headers",
        "content-length, content-range, date, kinolog-changes, kinolog-preroll, server-timing",
    ),
]
_PREFLIGHT: Final[Headers] = [
    *CORS,
    ("access-control-allow-methods", "GET, HEAD, OPTIONS"),
    ("access-control-allow-headers", "*"),
    ("access-control-max-age", "86400"),
]
FOREVER: Final = ("cache-control", "public, max-age=31536000, immutable")
NO_CACHE: Final = ("cache-control", "no-cache")
NO_STORE: Final = ("cache-control", "no-store")
_TEXT: Final = ("content-type", "text/plain; charset=utf-8")
_RANGE: Final = re.compile(r"bytes=(\d{0,30})-(\d{0,30})")


class Sent:
    """What this process has handed to the HTTP server: a plain number, since this is the way of
    every body."""

    __slots__ = ("body_bytes",)

    def __init__(self) -> None:
        self.body_bytes = 0


SENT: Final = Sent()
BODY_S: Final = 10.0
"""So long a request's body may take to come."""
_MOST_FIELDS: Final = 50
_MOST_ENCODINGS: Final = 256
"""Characters of Accept-Encoding that are looked at: what is longer is not remembered."""


def refuse(protocol: HttpProtocol, status: int, sentence: str, cache_s: int = 0) -> None:
    """An error with a sentence for a person. `cache_s`: how long a CDN may keep it."""
    cache = ("cache-control", f"public, max-age={cache_s}") if cache_s else NO_STORE
    protocol.response_str(status, [*CORS, _TEXT, cache], sentence + "\n")


def preflight(scope: Scope, protocol: HttpProtocol) -> bool:
    """Answer what is neither GET nor HEAD; whether that was all."""
    if scope.method in ("GET", "HEAD"):
        return False
    if scope.method == "OPTIONS":
        protocol.response_empty(204, _PREFLIGHT)
    else:
        protocol.response_str(
            405, [*CORS, _TEXT, ("allow", "GET, HEAD, OPTIONS")], "only GET, HEAD and OPTIONS\n"
        )
    return True


def preflight_of(scope: Scope, protocol: HttpProtocol, method: str) -> None:
    """Answer for a path that takes nothing but this method: OPTIONS 204, another 405."""
    if scope.method == "OPTIONS":
        allowed = ("access-control-allow-methods", f"{method}, OPTIONS")
        headers = [one for one in _PREFLIGHT if one[0] != "access-control-allow-methods"]
        protocol.response_empty(204, [*headers, allowed])
    else:
        text = f"only {method} and OPTIONS\n"
        protocol.response_str(405, [*CORS, _TEXT, ("allow", f"{method}, OPTIONS")], text)


def of_this_site(scope: Scope, protocol: HttpProtocol, *writes: str) -> bool:
    """Whether to go on with a path that takes these writes beside GET and HEAD; else answered.

    A page of another site is refused with 403. OPTIONS gives no leave to one, not even for reading:
    a browser would remember it for the path, and take it for writes.
    """
    if scope.method in ("GET", "HEAD"):
        return True
    if scope.method not in writes:
        allowed = ", ".join(("GET", "HEAD", "OPTIONS", *writes))
        if scope.method == "OPTIONS":
            protocol.response_empty(204, [("allow", allowed)])
        else:
            protocol.response_str(405, [_TEXT, ("allow", allowed)], f"only {allowed}\n")
        return False
    text = refusal(scope)
    if text is None:
        return True
    protocol.response_str(403, [_TEXT, NO_STORE], text + "\n")
    return False


async def body(protocol: HttpProtocol, most_bytes: int, within_s: float = BODY_S) -> bytes | None:
    """A request's body. None, and answered, for one that is too long (413), or does not come in
    time (408)."""
    found = bytearray()
    try:
        async with asyncio.timeout(within_s):
            async for part in protocol:
                if len(found) + len(part) > most_bytes:
                    refuse(protocol, 413, f"a body has at most {most_bytes >> 10} KiB")
                    return None
                found += part
    except TimeoutError:
        refuse(protocol, 408, f"the body did not come within {within_s:g} s")
        return None
    return bytes(found)


def query(scope: Scope) -> dict[str, list[str]]:
    """A request's query. InputError for one of too many fields."""
    try:
        return parse_qs(scope.query_string, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise InputError(f"the query of {scope.path}: {error}") from error


def resolution_ms(scope: Scope) -> int | None:
    """What a query's `resolution` says; None without one. InputError where that is no length."""
    wanted = query(scope).get("resolution")
    if wanted is None:
        return None
    try:
        found = duration_ms(wanted[0])
    except InputError as error:
        raise InputError(f"resolution: {error}", hint=error.hint) from error
    if found < 0:
        raise InputError("resolution is a length", hint="for example 1s")
    return found


def unchanged(scope: Scope, tag: str) -> bool:
    """Whether the client has this already (If-None-Match, compared weakly: RFC 9110, 13.1.2)."""
    sent = scope.headers.get("if-none-match")
    if not sent:
        return False
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in sent.split(","))


def takes_gzip(scope: Scope) -> bool:
    """Whether the client asked for gzip (RFC 9110, 12.5.3; q=0 is taken for a no)."""
    accepted = scope.headers.get("accept-encoding")
    return bool(accepted) and _means_gzip(accepted[:_MOST_ENCODINGS])


@lru_cache(256)
def _means_gzip(accepted: str) -> bool:
    refused = re.search(r"gzip\s*;\s*q=0(\.0*)?\s*(,|$)", accepted)
    return "gzip" in accepted and refused is None


def send(scope: Scope, protocol: HttpProtocol, headers: Headers, body: bytes) -> None:
    """A body, or the range of it that was asked for (RFC 9110, 14), or its headers for HEAD."""
    wanted = scope.headers.get("range")
    if wanted is not None:
        _send_range(scope, protocol, headers, body, wanted)
    else:
        _send_whole(scope, protocol, headers, body)


def _send_whole(scope: Scope, protocol: HttpProtocol, headers: Headers, body: bytes) -> None:
    if scope.method == "HEAD":
        protocol.response_empty(200, [*headers, ("content-length", str(len(body)))])
    else:
        SENT.body_bytes += len(body)
        protocol.response_bytes(200, headers, body)


def _send_range(
    scope: Scope, protocol: HttpProtocol, headers: Headers, body: bytes, wanted: str
) -> None:
    found = _range_of(wanted, len(body))
    if found is None:
        _send_whole(scope, protocol, headers, body)
        return
    if not found:
        _no_such_range(protocol, len(body))
        return
    part = [*headers, _content_range(found, len(body))]
    if scope.method == "HEAD":
        protocol.response_empty(206, [*part, ("content-length", str(len(found)))])
    else:
        SENT.body_bytes += len(found)
        protocol.response_bytes(206, part, body[found.start : found.stop])


def begin_range(
    scope: Scope, protocol: HttpProtocol, headers: Headers, size: int, tag: str
) -> tuple[int, Headers, int, int] | None:
    """How to answer with a body that is streamed: status, headers, and the bytes [start, stop) of
    `size`. None where that was all (HEAD, or no such range). If-Range (RFC 9110, 13.1.5) is heeded.
    """
    wanted = scope.headers.get("range")
    condition = scope.headers.get("if-range")
    found = None
    if wanted is not None and condition in (None, tag):
        found = _range_of(wanted, size)
    if found is not None and not found:
        _no_such_range(protocol, size)
        return None
    status = 206 if found is not None else 200
    if found is not None:
        headers = [*headers, _content_range(found, size)]
    start, stop = (found.start, found.stop) if found is not None else (0, size)
    headers = [*headers, ("content-length", str(stop - start))]
    if scope.method == "HEAD":
        protocol.response_empty(status, headers)
        return None
    return status, headers, start, stop


def _range_of(wanted: str, size: int) -> range | None:
    """The bytes that are asked for; empty where there are none such. None: the whole, as for
    several ranges, or another unit (RFC 9110, 14.2)."""
    found = _RANGE.fullmatch(wanted.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return range(max(0, size - int(found[2])), size)
    start = int(found[1])
    return range(start, min(int(found[2]) + 1, size) if found[2] else size)


def _content_range(found: range, size: int) -> tuple[str, str]:
    return "content-range", f"bytes {found.start}-{found.stop - 1}/{size}"


def _no_such_range(protocol: HttpProtocol, size: int) -> None:
    error = [*CORS, _TEXT, NO_STORE, ("content-range", f"bytes */{size}")]
    protocol.response_str(416, error, "no such range\n")
