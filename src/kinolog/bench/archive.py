"""The past of a long archive beside that of a short one: what a moment in the middle costs.

Made with 1 picture a second, profile `standard`, so that a month is 1.3 million media segments; in
one partition, with other streams between them.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Callable
from datetime import datetime
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import httpx
import numpy as np

from kinolog.bench.figures import ratios, spread
from kinolog.bench.server import Server, running
from kinolog.bench.usage import rss_bytes
from kinolog.core.clock import SystemClock
from kinolog.core.errors import Unavailable
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.record.registry import CollectionEntry

SHORT_S = 600
HOUR_S = 3600
DAY_S = 86_400
_X264 = {"preset": "ultrafast", "tune": "zerolatency", "crf": "40", "g": "2"}
_SIDE = 64
_SEGMENTS = 3
"""So many of each window are asked for."""
_MB = 1 << 20

Progress = Callable[[str], None]


def write_clip(path: Path, seconds: int) -> None:
    """A film of 1 picture a second, 64x64, a keyframe every other: an hour, again and again."""
    with av.open(path, "w", format="matroska") as film:
        track = film.add_stream("libx264", rate=1, options=_X264)
        track.width = track.height = _SIDE
        track.pix_fmt = "yuv420p"
        hour = []
        for number in range(HOUR_S):
            picture = np.full((_SIDE, _SIDE, 3), (number * 37) % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1)
            hour += [(bytes(packet), packet.is_keyframe) for packet in track.encode(frame)]
        for number in range(seconds):
            data, keyframe = hour[number % HOUR_S]
            packet = av.Packet(data)
            packet.stream, packet.time_base = track, Fraction(1)
            packet.pts = packet.dts = number
            packet.duration = 1
            packet.is_keyframe = keyframe
            film.mux(packet)


async def make(
    catalog: Catalog, kafka: KafkaSettings, days: int, others: int, progress: Progress
) -> tuple[StreamName, StreamName]:
    """A collection of one partition with a long archive, a short one, and others of half a day
    that were published while the long one was; the names of the first two."""
    now_ms = SystemClock().unix_ms()
    collection = f"archive-{now_ms}"
    wanted = CollectionEntry(
        partitions=1,
        max_partitions=1,  # else each stream would get a partition of its own
        replication_factor=1,
        retention_ms=(days + 30) * DAY_S * 1000,
        partition_mbps=0,
        profile="standard",
        created_ms=now_ms,
    )
    await catalog.create(collection, wanted)
    try:
        await _fill(kafka, collection, days, others, progress)
    except BaseException:
        await catalog.delete(collection)
        raise
    return StreamName(collection, "long"), StreamName(collection, "short")


async def _fill(
    kafka: KafkaSettings, collection: str, days: int, others: int, progress: Progress
) -> None:
    with TemporaryDirectory(prefix="kinolog-bench-") as folder:
        lengths = {"long": days * DAY_S, "half": DAY_S // 2, "short": SHORT_S}
        for name, seconds in lengths.items():
            progress(f"making a film of {seconds / DAY_S:.2f} days")
            await asyncio.to_thread(write_clip, Path(folder, f"{name}.mkv"), seconds)
        progress(f"publishing {days} days, and {others} others beside")
        begun_s = time.monotonic()
        begins_s = int(time.time())
        long = asyncio.create_task(
            _publish(kafka, folder, "long", f"{collection}/long", begins_s - (days + 1) * DAY_S)
        )
        await _publish(kafka, folder, "short", f"{collection}/short", begins_s - 2 * SHORT_S)
        for number in range(others):
            name = f"{collection}/other-{number}"
            await _publish(kafka, folder, "half", name, begins_s - DAY_S)
        await long
        progress(f"published in {time.monotonic() - begun_s:.0f} s")


async def measure(
    kafka: KafkaSettings,
    kafka_config: Path | None,
    long: StreamName,
    short: StreamName,
    *,
    rounds: int,
    moments: int,
    progress: Progress,
) -> dict[str, Any]:
    """In each round a new edge for each archive, asked for its timeline, by which it joins the
    stream, then for `moments` random windows of an hour and for segments amid each, none of them
    twice; the first of each edge counts as cold. Then windows of a day."""
    figures: dict[str, dict[str, list[float]]] = {"long": {}, "short": {}}
    day: dict[str, list[float]] = {}
    for number in range(rounds):
        for which, name in (("long", long), ("short", short)):
            progress(f"round {number + 1} of {rounds}: {name}")
            async with running("edge", kafka, kafka_config) as edge:
                client = httpx.AsyncClient(base_url=f"{edge.http}/media/{name}/", timeout=120)
                async with client:
                    begun_s = time.perf_counter()
                    begins_s, ends_s = await _extent(client)
                    _add(figures[which], "join_ms", 1000 * (time.perf_counter() - begun_s))
                    await _windows(client, figures[which], begins_s, ends_s, moments, number)
                    _add(figures[which], "rss_mb", rss_bytes(edge.pid) / _MB)
                    if which == "long" and ends_s - begins_s > 2 * DAY_S:
                        await _days(client, day, begins_s, ends_s, edge, number)
    keys = [key for key in figures["long"] if key in figures["short"]]
    return {
        "long": {key: spread(values, 1) for key, values in figures["long"].items()},
        "short": {key: spread(values, 1) for key, values in figures["short"].items()},
        "ratio": {key: ratios(figures["long"][key], figures["short"][key]) for key in keys},
        "day": {key: spread(values, 1) for key, values in day.items()},
    }


async def _windows(
    client: httpx.AsyncClient,
    found: dict[str, list[float]],
    begins_s: float,
    ends_s: float,
    moments: int,
    seed: int,
) -> None:
    chance = random.Random(seed)  # noqa: S311 - the same moments in each run
    asked: set[str] = set()
    for number in range(moments):
        if ends_s - begins_s > 2 * HOUR_S:
            start_s = begins_s + chance.random() * (ends_s - begins_s - HOUR_S)
        else:
            start_s = begins_s - chance.random() * HOUR_S / 2
        url = f"video.m3u8?start={start_s:.3f}&end={start_s + HOUR_S:.3f}"
        if start_s + HOUR_S > time.time():
            url = f"video.m3u8?start={start_s:.3f}&end={time.time() - 1:.3f}"
        took_ms, body = await _get(client, url)
        uris = [line for line in body.decode().splitlines() if line.endswith(".m4s")]
        cold = "cold_" if number == 0 else ""
        _add(found, f"{cold}playlist_ms", took_ms)
        amid = [uri for uri in uris[len(uris) // 6 : -len(uris) // 6] if uri not in asked]
        for uri in chance.sample(amid, min(_SEGMENTS, len(amid))):
            asked.add(uri)
            _add(found, f"{cold}segment_ms", (await _get(client, uri))[0])
            cold = ""


async def _days(
    client: httpx.AsyncClient,
    found: dict[str, list[float]],
    begins_s: float,
    ends_s: float,
    edge: Server,
    seed: int,
) -> None:
    chance = random.Random(100 + seed)  # noqa: S311 - the same moments in each run
    for _ in range(5):
        start_s = begins_s + chance.random() * (ends_s - begins_s - DAY_S)
        url = f"video.m3u8?start={start_s:.3f}&end={start_s + DAY_S:.3f}"
        took_ms, body = await _get(client, url)
        _add(found, "first_ms", took_ms)
        _add(found, "segments", body.count(b"#EXTINF"))
        for _ in range(3):
            _add(found, "again_ms", (await _get(client, url))[0])
    _add(found, "rss_mb", rss_bytes(edge.pid) / _MB)


async def _extent(client: httpx.AsyncClient) -> tuple[float, float]:
    told = (await client.get("timeline")).json()
    if not told.get("ranges"):
        raise Unavailable("the archive has nothing")
    first, last = told["ranges"][0]["start"], told["ranges"][-1]["end"]
    return datetime.fromisoformat(first).timestamp(), datetime.fromisoformat(last).timestamp()


async def _get(client: httpx.AsyncClient, url: str) -> tuple[float, bytes]:
    """Time to the first byte of the body in ms, and the body."""
    begun_s = time.perf_counter()
    async with client.stream("GET", url) as answer:
        took_ms = None
        pieces = []
        async for piece in answer.aiter_bytes():
            if took_ms is None:
                took_ms = 1000 * (time.perf_counter() - begun_s)
            pieces.append(piece)
    if answer.status_code != 200 or took_ms is None:
        raise Unavailable(f"{url}: {answer.status_code} {b''.join(pieces)[:200]!r}")
    return took_ms, b"".join(pieces)


async def _publish(kafka: KafkaSettings, folder: str, film: str, name: str, at_s: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "kinolog", "publish", f"{film}.mkv", name),
        *("--fast", "--at", str(at_s), "--bootstrap-servers", kafka.bootstrap_servers),
        *("--topic-prefix", kafka.prefix),
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    if process.returncode:
        raise Unavailable(f"publishing {name} failed: {said.decode()[-300:]}")


def _add(found: dict[str, list[float]], key: str, value: float) -> None:
    found.setdefault(key, []).append(value)
