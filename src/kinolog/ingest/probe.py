"""How long a source is, for progress, for `--fast` without `--at`, and to tell what is live."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import av

_TIMEOUT_S = 10.0


async def duration_ms_of(
    url: str, format: str | None = None, options: Mapping[str, str] | None = None
) -> int | None:
    """Milliseconds that a source lasts by its own account, None where it does not tell."""
    return await asyncio.to_thread(_duration_ms, url, format, dict(options or {}))


def _duration_ms(url: str, format: str | None, options: dict[str, str]) -> int | None:
    try:
        with av.open(url, "r", format, options, timeout=_TIMEOUT_S) as container:
            duration = container.duration
    except (av.FFmpegError, OSError, ValueError):
        return None  # publishing it gives the error, with its reason
    return duration // 1000 if duration else None
