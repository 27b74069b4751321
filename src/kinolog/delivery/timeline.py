"""`/media/{collection}/{stream}/timeline`: when there is media, and what of, as JSON."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError
from kinolog.core.rsgi import HttpProtocol, Scope
from kinolog.core.units import rfc3339
from kinolog.delivery import answers
from kinolog.delivery.channel import Channel
from kinolog.delivery.history import History, Named
from kinolog.delivery.live_rows import live_rows
from kinolog.delivery.media_files import left_off
from kinolog.delivery.span import Span, parse_span
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack
from kinolog.timeline.extent import Extent, gaps, merged

STEPS: Final = 2000
"""A timeline is not finer than a so manieth of its length, unless it is asked to be."""
MOST_RANGES: Final = 20_000
_JSON: Final = ("content-type", "application/json")


class TimelineServer:
    """Answers from the index; pages that have no holes are not read."""

    def __init__(self, history: History, registry: Registry, clock: Clock) -> None:
        self._history = history
        self._registry = registry
        self._clock = clock

    async def answer(
        self, scope: Scope, protocol: HttpProtocol, channel: Channel, rest: str
    ) -> bool:
        """Answer for `timeline`; False for anything else."""
        if rest != "timeline":
            return False
        await self._answer(scope, protocol, channel)
        return True

    async def _answer(self, scope: Scope, protocol: HttpProtocol, channel: Channel) -> None:
        """`timeline?start=&end=&resolution=`: all that is kept, or what of it lies in a range."""
        now_ms = self._clock.unix_ms()
        span = parse_span(scope.query_string, now_ms) or Span(0)
        if span.dvr_ms is not None:
            span = Span(now_ms - span.dvr_ms)
        body = await self._body(channel, span, now_ms, answers.resolution_ms(scope))
        headers = [*answers.CORS, _JSON, answers.NO_CACHE]
        answers.send(scope, protocol, headers, msgspec.json.encode(body))

    async def _body(
        self, channel: Channel, span: Span, now_ms: int, resolution_ms: int | None
    ) -> dict[str, Any]:
        start_ms = span.start_ms or 0
        end_ms = span.end_ms if span.end_ms is not None else now_ms
        track = self._lead(channel)
        found: list[Extent] = []
        if track is not None:
            name = Named(channel.name, track)
            live = live_rows(channel, track)
            found = merged(await self._history.extents(name, start_ms, end_ms, live), 0)
        if resolution_ms is None:
            # Where all is asked for, its length is that of what is kept.
            begins_ms = max(start_ms, found[0].start) if found else start_ms or end_ms
            resolution_ms = max(0, end_ms - begins_ms) // STEPS
        found = merged(found, resolution_ms)
        if len(found) > MOST_RANGES:
            raise InputError(
                f"these are {len(found)} ranges", hint="ask for less, or with a ?resolution="
            )
        epochs = self._registry.epochs.get(channel.name, {})
        by_epoch: dict[int, list[Extent]] = {}
        for one in found:
            by_epoch.setdefault(one.epoch, []).append(one)
        return {
            "stream": str(channel.name),
            "state": "away" if left_off(channel) else channel.live.state,
            "now": rfc3339(now_ms),
            "track": track,
            "resolution_s": resolution_ms / 1000,
            "ranges": [
                {"start": rfc3339(one.start), "end": rfc3339(one.end), "epoch": one.epoch}
                for one in found
            ],
            "gaps": [
                {"start": rfc3339(start), "end": rfc3339(end)}
                for start, end in gaps(found, resolution_ms)
            ],
            "epochs": [
                {
                    "epoch": epoch,
                    "start": rfc3339(of_epoch[0].start),
                    "end": rfc3339(of_epoch[-1].end),
                    "tracks": [_track(info) for info in epochs[epoch].open.tracks]
                    if epoch in epochs
                    else [],
                }
                for epoch, of_epoch in by_epoch.items()
            ],
        }

    def _lead(self, channel: Channel) -> str | None:
        """The track whose segments tell when there is media: a video track where there is one."""
        infos: dict[str, OpenTrack] = {}
        for _, entry in sorted(self._registry.epochs.get(channel.name, {}).items()):
            infos |= {info.name: info for info in entry.open.tracks}
        ordered = sorted(infos.values(), key=lambda info: (info.kind != "video", info.name))
        return ordered[0].name if ordered else None


def _track(info: OpenTrack) -> dict[str, Any]:
    found = {"name": info.name, "kind": info.kind, "codec": info.codec}
    if info.kind == "video":
        return found | {"width": info.width, "height": info.height}
    return found | {"language": info.language}
