"""Viewers who jump about in the past of a stream: playlists of a minute, or of all from then on, as
the page asks for them, and segments as played."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from urllib.parse import urljoin

import httpx

from kinolog.bench.figures import spread
from kinolog.core.errors import Unavailable

RANGE_S = 60.0
WATCHED_S = (2.0, 8.0)
"""How long one stays at a moment before the next jump."""

_FIRST = re.compile(r"#EXT-X-MEDIA-SEQUENCE:([0-9]+)")
_EXTINF = re.compile(r"#EXTINF:([0-9.]+)")
_URI = re.compile(r'^#EXT-X-MEDIA:.*URI="([^"]+)"|^([^#\s].*)$', re.MULTILINE)


class Rewinders:
    """So many viewers of one stream. A jump: the multivariant playlist of a minute from a random
    moment on, each media playlist of it, and their first segments; then segments in playing time.
    Every other viewer asks for all from that moment on, and for what comes to that as it comes.
    """

    def __init__(self, stream_url: str, count: int) -> None:
        """`stream_url`: `…/media/{collection}/{stream}`."""
        self._base = stream_url.rstrip("/") + "/"
        self._count = count
        self.jumps_s: list[float] = []
        """From a jump to the last byte of the first segment of every track, in seconds."""
        self.failed: list[str] = []

    def report(self) -> dict[str, Any]:
        """Figures of all jumps, and the first few reasons why one failed."""
        return {
            "jumps_s": spread(self.jumps_s),
            "failed": len(self.failed),
            "why": self.failed[:3],
        }

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """They watch while the block runs. Raises Unavailable where the stream has no past."""
        limits = httpx.Limits(max_connections=2 * self._count)
        async with httpx.AsyncClient(timeout=30, limits=limits) as client:
            ranges = await self._ranges(client)
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._watch(client, ranges, number))
                    for number in range(self._count)
                ]
                try:
                    yield
                finally:
                    for task in tasks:
                        task.cancel()

    async def _ranges(self, client: httpx.AsyncClient) -> list[tuple[float, float]]:
        """What is kept: from when until when, in Unix s."""
        told = (await client.get(urljoin(self._base, "timeline"))).json()
        found = [(_unix_s(one["start"]), _unix_s(one["end"])) for one in told.get("ranges", [])]
        long = [(first, last) for first, last in found if last - first > RANGE_S]
        if not long:
            raise Unavailable(f"the stream has no {RANGE_S:.0f} s in one piece to rewind into")
        return long

    async def _watch(
        self, client: httpx.AsyncClient, ranges: list[tuple[float, float]], seed: int
    ) -> None:
        chance = random.Random(seed)  # noqa: S311 - the same moments in each run
        lengths = [last - first - RANGE_S for first, last in ranges]
        await asyncio.sleep(chance.random() * WATCHED_S[1])
        while True:
            (first_s, last_s) = chance.choices(ranges, lengths)[0]
            start_s = chance.uniform(first_s, last_s - RANGE_S)
            stay_s = chance.uniform(*WATCHED_S)
            try:
                await self._jump(client, start_s, stay_s, grows=seed % 2 == 1)
            except (httpx.HTTPError, Unavailable) as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                await asyncio.sleep(stay_s)

    async def _jump(
        self, client: httpx.AsyncClient, start_s: float, stay_s: float, *, grows: bool
    ) -> None:
        begun_s = time.perf_counter()
        end = "" if grows else f"&end={start_s + RANGE_S:.3f}"
        master = f"{self._base}index.m3u8?start={start_s:.3f}{end}"
        text = (await _get(client, master)).decode()
        urls = [urljoin(master, uri) for uri in sorted({a or b for a, b in _URI.findall(text)})]
        lists = [one.decode() for one in await asyncio.gather(*(_get(client, u) for u in urls))]
        segments = [_listed(url, text) for url, text in zip(urls, lists, strict=True)]
        await asyncio.gather(*(_get(client, listed[0][0]) for listed in segments if listed))
        self.jumps_s.append(time.perf_counter() - begun_s)
        doing = [self._play(client, listed, stay_s) for listed in segments]
        for url, text in zip(urls, lists, strict=True):
            if "#EXT-X-ENDLIST" not in text:
                doing.append(self._follow(client, url, text, stay_s))
        await asyncio.gather(*doing)

    async def _follow(self, client: httpx.AsyncClient, url: str, text: str, stay_s: float) -> None:
        """Ask for each segment that is added to a playlist, as a delta update."""
        first = _FIRST.search(text)
        following = (int(first[1]) if first else 0) + len(_EXTINF.findall(text))
        until_s = time.monotonic() + stay_s
        while time.monotonic() < until_s:
            await _get(client, f"{url}&_HLS_msn={following}&_HLS_skip=YES")
            following += 1

    async def _play(
        self, client: httpx.AsyncClient, listed: list[tuple[str, float]], stay_s: float
    ) -> None:
        """Two segments ahead, as a player's buffer, then one for each that was played."""
        until_s = time.monotonic() + stay_s
        for number, (url, seconds) in enumerate(listed[1:]):
            if number >= 1:
                await asyncio.sleep(min(seconds, max(0.0, until_s - time.monotonic())))
            if time.monotonic() >= until_s:
                return
            await _get(client, url)


def _listed(url: str, text: str) -> list[tuple[str, float]]:
    """(address, seconds) of the segments of a media playlist."""
    uris = [line for line in text.splitlines() if line and not line.startswith("#")]
    seconds = [float(one) for one in _EXTINF.findall(text)]
    return [(urljoin(url, uri), s) for uri, s in zip(uris, seconds, strict=True)]


def _unix_s(date: str) -> float:
    return datetime.fromisoformat(date).timestamp()


async def _get(client: httpx.AsyncClient, url: str) -> bytes:
    answer = await client.get(url)
    if answer.status_code != 200:
        raise Unavailable(f"{url}: {answer.status_code} {answer.text[:200]}")
    return answer.content
