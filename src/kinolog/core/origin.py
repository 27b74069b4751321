"""Which site a request that writes comes from: a browser says it (`Origin`, RFC 6454 section 7)."""

from __future__ import annotations

from urllib.parse import urlsplit

from kinolog.core.rsgi import Scope


def refusal(scope: Scope) -> str | None:
    """Why a request may not write: it comes from a page of another host. None where it may: from a
    page of the same host, or with no `Origin`, as from what is no browser."""
    origin = scope.headers.get("origin")
    if origin is None:
        return None
    host = scope.authority or scope.headers.get("host") or ""
    if _host_of(origin) == _host_of(f"//{host}") != "":
        return None
    return (
        f"a page of {origin[:100]!r} may not write here, at {host[:100]!r}: "
        "only pages of the same host may (a proxy in between passes on Host)"
    )


def _host_of(origin: str) -> str:
    """Host and port, the port left out where it is that of a scheme; "" where there is none."""
    try:
        found = urlsplit(origin.strip())
        port = found.port
    except ValueError:
        return ""
    name = found.hostname or ""
    return name if port in (None, 80, 443) or not name else f"{name}:{port}"
