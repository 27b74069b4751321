"""Latency by stage: a frame captured, its chunk acknowledged, readable, its part at a client."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kinolog.bench.collection import scratch_collection
from kinolog.bench.figures import spread
from kinolog.bench.follower import Follower, Place
from kinolog.bench.latency import (
    Buffered,
    Captured,
    Playback,
    acknowledged,
    by_stage,
    by_the_log,
    by_the_sender,
    live_latency,
    on_schedule,
    play_back,
)
from kinolog.bench.player import Joined, Player
from kinolog.bench.sender import FRAME_RATE, Clip, Sender
from kinolog.bench.server import running
from kinolog.core.errors import ConfigError, NotFound, Unavailable
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLine, read_ack_log
from kinolog.log.decode import to_record
from kinolog.log.tail_reader import Batch, TailReader
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.record.topics import topic
from kinolog.runtime.roles import Backend

WIDTH, HEIGHT, BITRATE_BPS = 1280, 720, 3_000_000
_BEGIN_S = 20.0
_HELD_S = 3.0
_TOLD_EVERY_S = 5.0
Progress = Callable[[str], None]


async def measure(
    base: Backend,
    name: StreamName,
    edge_url: str,
    seconds: float,
    *,
    ack_log: Path | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Follow a stream that somebody publishes, in the log and as a player of `edge_url`.

    Capture times are those in the log: of the ingest's clock, which must be this machine's, and
    counted from when the first packet was taken in. `ack_log`: of that ingest; without it no
    acknowledgement is timed. Raises ConfigError, NotFound, Unavailable, MediaError.
    """
    player = Player(edge_url, f"media/{name}/video.m3u8")
    if ack_log is not None and not await asyncio.to_thread(ack_log.is_file):
        raise ConfigError(f"there is no ack log {ack_log}", hint="`kinolog serve --ack-log FILE`")
    entry = base.catalog.registry.newest_epoch(name)
    if entry is None:
        raise NotFound(f"there is no stream {name}", hint="`kinolog streams` lists those there are")
    if all(track.kind != "video" for track in entry.open.tracks):
        raise NotFound(f"{name} has no video to measure")
    _, end = await base.reader.bounds(topic(entry.base, "media"), entry.partition)
    follower = Follower(name.name, entry)
    async with _followed(base, entry, end, follower):
        await _play(player, follower, seconds, progress)
    lines = await asyncio.to_thread(read_ack_log, ack_log) if ack_log is not None else []
    return _result(name, player, follower, lines, by_the_log, by_the_log)


async def measure_own(
    base: Backend,
    kafka_config: Path | None,
    seconds: float,
    *,
    replication_factor: int,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """Publish a stream by RTMP into a `kinolog serve` of our own, and follow that: it is known
    when each picture was captured. 1280x720, 30 frames a second, 3 Mb/s, encoded beforehand.

    Raises Unavailable where it is not taken in, or cannot be played.
    """
    progress("encoding the clip")
    clip = await asyncio.to_thread(Clip, WIDTH, HEIGHT, BITRATE_BPS, audio=False)
    progress("starting kinolog serve")
    async with (
        scratch_collection(base.catalog, replication_factor) as collection,
        running("serve", base.kafka, kafka_config) as server,
    ):
        name = StreamName(collection, "camera")
        player = Player(server.http, f"media/{name}/video.m3u8")
        sender = Sender(clip, f"{server.rtmp}/{name}")
        sender.start()
        try:
            entry = await _begun(base, name, sender)
            follower = Follower(name.name)
            async with _followed(base, entry, entry.open_offset, follower):
                await _play(player, follower, seconds, progress)
            sender.check()
        finally:
            sender.stop()
        progress("clearing up")
        await asyncio.to_thread(sender.join)
        await server.publishers(0)
        lines = server.acks()
    captured = by_the_sender(sender.captured, follower.zero, FRAME_RATE)
    due = by_the_sender(on_schedule(sender.captured, FRAME_RATE), follower.zero, FRAME_RATE)
    found = _result(name, player, follower, lines, captured, due)
    known = [(part, due(place, part)) for place, part in follower.parts.items()]
    off_s = [part.first - capture.first for part, capture in known if capture is not None]
    return found | {"capture_clock": "sender", "stream_clock_off_s": spread(off_s)}


async def _begun(base: Backend, name: StreamName, sender: Sender) -> EpochEntry:
    """Wait until the stream is in the registry."""
    deadline = time.monotonic() + _BEGIN_S
    while (entry := base.catalog.registry.newest_epoch(name)) is None:
        sender.check()
        if time.monotonic() > deadline:
            raise Unavailable(f"{name} was not taken in within {_BEGIN_S:.0f} s")
        await asyncio.sleep(0.05)
    return entry


@asynccontextmanager
async def _followed(
    base: Backend, entry: EpochEntry, offset: int, follower: Follower
) -> AsyncIterator[None]:
    """The follower is fed from a log offset on, by the tail reader that edges use."""

    def take(batches: Sequence[Batch[LogRecord]]) -> None:
        now = time.time()
        for batch in batches:
            follower.take(batch.records, now)

    tail = TailReader(base.kafka, to_record, take)
    tail.add(topic(entry.base, "media"), entry.partition, offset)
    try:
        yield
    finally:
        await tail.close()


async def _play(player: Player, follower: Follower, seconds: float, progress: Progress) -> None:
    """Play once the follower holds some seconds, so that it knows all that the player gets."""
    progress(f"waiting for {_HELD_S:g} s of video")
    await asyncio.to_thread(player.open)
    await _filled(follower)
    progress(f"playing for {seconds:g} s")
    playing = asyncio.create_task(asyncio.to_thread(player.play, seconds))
    begun = time.monotonic()
    try:
        while not (await asyncio.wait([playing], timeout=_TOLD_EVERY_S))[0]:
            played_s = time.monotonic() - begun
            progress(f"{played_s:.0f} of {seconds:g} s, {len(player.arrivals)} parts")
    finally:
        player.stop()
    playing.result()


async def _filled(follower: Follower) -> None:
    """Wait until the follower holds an independent part that is seconds old."""
    deadline = time.monotonic() + _BEGIN_S
    while True:
        old = [p.first for p in follower.parts.values() if p.independent]
        if old and max(p.last for p in follower.parts.values()) - min(old) >= _HELD_S:
            return
        if time.monotonic() > deadline:
            raise Unavailable(
                f"no video came in {_BEGIN_S:.0f} s", hint="is the stream being published?"
            )
        await asyncio.sleep(0.05)


def _result(
    name: StreamName,
    player: Player,
    follower: Follower,
    acks: Sequence[AckLine],
    captured: Captured,
    due: Captured,
) -> dict[str, Any]:
    heard = {p: at for p, at in player.arrivals.items() if p not in player.before}
    stages = by_stage(follower.parts, heard, acknowledged(acks, str(name)), captured)
    parts = _buffered(player, follower, due)
    joined = player.joined
    assert joined is not None
    seen = _own_viewer(joined, parts)
    caught_up = [part for place, part in parts.items() if place not in player.before]
    return {
        "stream": str(name),
        "capture_clock": "stream",
        "parts": len(stages["last_frame_to_client_s"]),
        "missed_parts": player.missed,
        "epochs": len({place.epoch for place in heard}),
        "ended": player.ended,
        "stages": {stage: spread(values) for stage, values in stages.items()},
        "hold_back_s": joined.hold_back_s,
        "live_latency_s": spread(live_latency(caught_up, joined.hold_back_s, joined.part_target_s)),
        "client_live_latency_s": spread(seen.live_s),
        "stalls": seen.stalls,
        "stalled_s": round(seen.stalled_s, 3),
    }


def _buffered(player: Player, follower: Follower, due: Captured) -> dict[Place, Buffered]:
    """The parts that the player got, in order."""
    parts: dict[Place, Buffered] = {}
    for place in sorted(player.arrivals):
        part = follower.parts.get(place)
        capture = due(place, part) if part is not None else None
        if part is not None and capture is not None:
            end = capture.last + part.frame_s
            parts[place] = Buffered(capture.first, end, player.arrivals[place])
    return parts


def _own_viewer(joined: Joined, parts: Mapping[Place, Buffered]) -> Playback:
    """What the player's viewer saw: it begins a hold-back before the end of the playlist that
    it began with, with a part of media buffered."""
    if joined.edge not in parts:
        return Playback()
    start = parts[joined.edge].end - joined.hold_back_s
    return play_back(list(parts.values()), start, joined.part_target_s)
