"""How long a source is, for progress and for `--fast` without `--at`."""

from __future__ import annotations

import asyncio

import av

_TIMEOUT_S = 10.0


async def duration_ms_of(url: str) -> int | None:
    """Milliseconds that a file lasts by its own account, None where it does not tell."""
    return await asyncio.to_thread(_duration_ms, url)


def _duration_ms(url: str) -> int | None:
    try:
        with av.open(url, "r", timeout=_TIMEOUT_S) as container:
            duration = container.duration
    except (av.FFmpegError, OSError):
        return None  # publishing it gives the error, with its reason
    return duration // 1000 if duration else None
