"""The list of streams, as `/api/streams` and the page show it."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.hub import Hub
from kinolog.delivery.pulse import STALE_MS, Place, Pulse
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack

_FRESH_S = 0.5


class Listing:
    """Streams of the registry; what this process follows is known to the moment."""

    def __init__(
        self,
        registry: Registry,
        hub: Hub,
        pulse: Pulse,
        clock: Clock,
        ingest: dict[str, int] | None = None,
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._pulse = pulse
        self._clock = clock
        self._ingest = ingest or {}
        self._made_at_s = float("-inf")
        self._making = asyncio.Lock()
        self._made: tuple[bytes, str] = (b"", "")

    async def body(self) -> tuple[bytes, str]:
        """(JSON, entity tag), made anew at most twice a second, however many ask."""
        async with self._making:
            if self._clock.monotonic() - self._made_at_s >= _FRESH_S:
                await self._pulse.look(self._unfollowed())
                body = msgspec.json.encode({"streams": self.streams(), "ingest": self._ingest})
                self._made = (body, f'"{hashlib.blake2s(body, digest_size=12).hexdigest()}"')
                self._made_at_s = self._clock.monotonic()
            return self._made

    def streams(self) -> list[dict[str, Any]]:
        """One entry a stream, by name."""
        return [self._stream(name) for name in sorted(self._registry.streams)]

    def _stream(self, name: StreamName) -> dict[str, Any]:
        channel = self._hub.channel(name)
        epoch = self._registry.newest_epoch(name)
        entry: dict[str, Any] = {"collection": name.collection, "name": name.name}
        if channel is not None and channel.live.open is not None:
            live = channel.live
            rates = {track.name: track.bit_rates() for track in live.tracks.values()}
            assert live.open is not None
            return entry | {
                "state": "away" if _silent(channel) else live.state,
                "since_ms": live.epoch,
                "epoch": live.epoch,
                "last_ms": channel.last_ms,
                "publisher": live.open.publisher,
                "profile": live.open.profile,
                "tracks": [_track(info, rates.get(info.name)) for info in live.open.tracks],
            }
        if epoch is None:
            return entry | {"state": "away", "since_ms": 0, "epoch": 0, "last_ms": 0, "tracks": []}
        newest_ms = self._pulse.newest_ms((epoch.base, epoch.partition), name.name)
        return entry | {
            "state": self._pulse.state(epoch, name.name),
            "since_ms": epoch.wall,
            "epoch": epoch.epoch,
            "last_ms": max(epoch.wall, newest_ms or 0),
            "publisher": epoch.open.publisher,
            "profile": epoch.open.profile,
            "tracks": [_track(info, None) for info in epoch.open.tracks],
        }

    def _unfollowed(self) -> list[Place]:
        """Where the streams are that the registry calls live, and that are not followed here."""
        found = []
        for name in self._registry.streams:
            if self._hub.channel(name) is None:
                epoch = self._registry.newest_epoch(name)
                if epoch is not None and epoch.state == "live":
                    found.append((epoch.base, epoch.partition))
        return found


def _silent(channel: Channel) -> bool:
    """A live stream of which nothing comes."""
    opened = channel.live.open
    return opened is not None and channel.quiet_ms > max(STALE_MS, 3 * opened.target_ms)


def _track(info: OpenTrack, rates: tuple[int, int] | None) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": info.name, "kind": info.kind, "codec": info.codec}
    if info.kind == "video":
        entry |= {"width": info.width, "height": info.height, "frame_rate": info.frame_rate}
    else:
        entry |= {
            "sample_rate": info.sample_rate,
            "channels": info.channels,
            "language": info.language,
        }
    return entry | {"bitrate_bps": rates[1] if rates else 0}
