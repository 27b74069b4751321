"""What a live stream costs the ingest process: CPU and memory, through the real way in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kinolog.bench.collection import scratch_collection
from kinolog.bench.figures import spread
from kinolog.bench.sender import FRAME_RATE, Clip, Sender
from kinolog.bench.server import Server, running
from kinolog.bench.usage import cpu_s, rss_bytes
from kinolog.core.errors import Unavailable
from kinolog.core.names import StreamName
from kinolog.runtime.roles import Backend

_WIDTH, _HEIGHT = 640, 360
_AUDIO_BPS = 128_000
_SETTLE_S = 3.0
_LEAST_ACKNOWLEDGED = 0.98


async def measure(
    base: Backend,
    kafka_config: Path | None,
    *,
    streams: int,
    mbps: float,
    seconds: float,
    runs: int,
    replication_factor: int,
    brokers: tuple[int, ...] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Send so many live streams by RTMP into a `kinolog ingest` of our own, and read its CPU in
    `runs` windows of `seconds`, one after another.

    A stream is 640x360 at 30 frames a second with sound, made once and looped: nothing is
    encoded meanwhile. `brokers`: their process ids, whose CPU is told beside. Raises Unavailable
    where a stream was not taken in whole.
    """
    progress("encoding the clip")
    rate = max(10_000, round(mbps * 1e6) - _AUDIO_BPS)
    clip = await asyncio.to_thread(Clip, _WIDTH, _HEIGHT, rate, audio=True)
    progress("starting kinolog ingest")
    async with (
        scratch_collection(base.catalog, replication_factor) as collection,
        running("ingest", base.kafka, kafka_config) as server,
    ):
        names = [f"{collection}/cam-{number}" for number in range(streams)]
        # One after another within a second, so that keyframes do not all come at once.
        senders = [
            Sender(clip, f"{server.rtmp}/{name}", delay_s=number / streams)
            for number, name in enumerate(names)
        ]
        for sender in senders:
            sender.start()
        try:
            await _begun(server, senders)
            windows = []
            for run in range(runs):
                progress(f"{streams} streams, run {run + 1} of {runs}: {seconds:g} s")
                windows.append(await _window(server.pid, brokers, seconds))
                for sender in senders:
                    sender.check()
        finally:
            for sender in senders:
                sender.stop()
        progress("clearing up")
        await asyncio.gather(*(asyncio.to_thread(sender.join) for sender in senders))
        await server.publishers(0, 60.0)
        _check_whole(base, server, dict(zip(names, senders, strict=True)))
    return row(windows, streams=streams, megabits_s=clip.megabits_s, seconds=seconds)


Window = tuple[float, float, int]
"""CPU shares (1: a core) of ingest and of the brokers, and ingest's memory in bytes."""


def row(
    windows: Sequence[Window], *, streams: int, megabits_s: float, seconds: float
) -> dict[str, Any]:
    """Spread over the windows."""
    return {
        "streams": streams,
        "mbps_per_stream": round(megabits_s, 2),
        "seconds": seconds,
        "cpu_percent_per_stream": spread([100 * cpu / streams for cpu, _, _ in windows], 2),
        "cpu_percent": spread([100 * cpu for cpu, _, _ in windows], 1),
        "rss_mb": spread([rss / 1e6 for _, _, rss in windows], 1),
        "brokers_cpu_percent": spread([100 * brokers for _, brokers, _ in windows], 1),
    }


async def _begun(server: Server, senders: Sequence[Sender]) -> None:
    """Wait until all publish, and what comes with a beginning is over."""
    try:
        await server.publishers(len(senders))
    except Unavailable:
        for sender in senders:
            sender.check()
        raise
    await asyncio.sleep(_SETTLE_S)


async def _window(pid: int, brokers: tuple[int, ...], seconds: float) -> Window:
    begun, before_s, brokers_before_s = time.monotonic(), cpu_s([pid]), cpu_s(brokers)
    await asyncio.sleep(seconds)
    wall_s = time.monotonic() - begun
    share = (cpu_s([pid]) - before_s) / wall_s
    return share, (cpu_s(brokers) - brokers_before_s) / wall_s, rss_bytes(pid)


def _check_whole(base: Backend, server: Server, senders: dict[str, Sender]) -> None:
    """CPU per stream means nothing where streams were not taken in."""
    acked_ticks = dict.fromkeys(senders, 0)
    for line in server.acks():
        if line.track == "video":
            acked_ticks[line.stream] += line.dur
    for name, sender in senders.items():
        known = base.catalog.registry.newest_epoch(StreamName.parse(name))
        scales = [t.timescale for t in known.open.tracks if t.kind == "video"] if known else []
        acked_s = acked_ticks[name] / scales[0] if scales else 0.0
        sent_s = len(sender.captured) / FRAME_RATE
        if acked_s < _LEAST_ACKNOWLEDGED * sent_s:
            raise Unavailable(
                f"of {sent_s:.1f} s sent as {name}, {acked_s:.1f} s were acknowledged",
                hint="the machine is too slow for so many streams: pass a smaller --streams",
            )
