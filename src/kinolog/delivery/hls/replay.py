"""The past in HLS: closed ranges, and what live playlists list behind their window.

Closed ranges are made once for all who ask, and kept for a while; what stands behind a live window
is a function of the index, the window, and what is kept of the media, so every edge says the same.
"""

from __future__ import annotations

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from kinolog.core.clock import Clock
from kinolog.core.errors import InputError, Unavailable
from kinolog.delivery.borders import Begin, Borders
from kinolog.delivery.channel import Channel
from kinolog.delivery.history import History, Kept, Named
from kinolog.delivery.hls import recorded
from kinolog.delivery.hls.listed import AllListed, Head, oldest
from kinolog.delivery.hls.multivariant import Rendition, render
from kinolog.delivery.hls.playlist import Behind
from kinolog.delivery.live_rows import come_to, live_rows
from kinolog.delivery.span import Span, nothing_between
from kinolog.log.registry import Registry
from kinolog.record.control import OpenTrack
from kinolog.record.topics import dedicated_base
from kinolog.timeline.measure import independent, rates
from kinolog.timeline.segment import Segment
from kinolog.timeline.track import Version
from kinolog.timeline.window import Run

KEEP_S: Final = 60.0
MOST_BYTES: Final = 8 << 20
FORGET_S: Final = 60.0
MOST_SPANS: Final = 512
"""Spans of a channel whose way is remembered, for so long after they were asked for last."""
_GZIP_LEVEL: Final = 4
_KEPT_WAIT_S: Final = 1.0
"""So long Kafka is waited for to say what is still kept of what is listed already."""


class Body(NamedTuple):
    """A playlist, plain and compressed."""

    plain: bytes
    zipped: bytes


class Replay:
    """Playlists of the past, for the channels of this process."""

    def __init__(
        self, history: History, borders: Borders, registry: Registry, clock: Clock
    ) -> None:
        self._history = history
        self._borders = borders
        self._registry = registry
        self._clock = clock
        self._made: OrderedDict[tuple[Named, Span], tuple[float, Body]] = OrderedDict()
        self._made_bytes = 0
        self._making: dict[tuple[Named, Span], asyncio.Task[Body]] = {}
        self._listed = AllListed(history)
        self._ways: WeakKeyDictionary[Channel, OrderedDict[tuple[str, Span], _Way]] = (
            WeakKeyDictionary()
        )

    async def closed(self, channel: Channel, track: str, span: Span) -> Body:
        """The media playlist of a closed range. NotFound where nothing is kept of it."""
        return await self._once(channel, Named(channel.name, track), span)

    async def closed_index(self, channel: Channel, span: Span) -> Body:
        """The multivariant playlist of a closed range."""
        return await self._once(channel, Named(channel.name, ""), span)

    async def behind(
        self, channel: Channel, track: str, span: Span, version: Version
    ) -> Behind | None:
        """What a growing playlist lists behind the live window of this version."""
        segments = version.segments
        if not segments:
            return None
        ways = self._ways.get(channel)
        if ways is None:
            ways = self._ways[channel] = OrderedDict()
        way = ways.get((track, span))
        if way is None:
            way = ways[track, span] = _Way()
            while len(ways) > MOST_SPANS:
                ways.popitem(last=False)
        ways.move_to_end((track, span))
        way.asked_s = self._clock.monotonic()
        while next(iter(ways.values())).asked_s < way.asked_s - FORGET_S:
            ways.popitem(last=False)
        window = (segments[0].msn, segments[-1].msn)
        made, was = way.key is not None and way.key[:2] == window, way.behind
        try:
            async with asyncio.timeout(_KEPT_WAIT_S if made else None):
                kept = await self._history.kept(Named(channel.name, track))
        except (Unavailable, TimeoutError):
            if not made:
                raise
            return was  # Kafka is away, and deletes nothing meanwhile
        key = (*window, kept)
        async with way.lock:  # all who wait for a segment ask at once
            if way.key != key:
                way.behind = await self._make_behind(channel, track, span, version, way, kept)
                way.key = key
            return way.behind

    async def close(self) -> None:
        """Give up what is being made."""
        for task in self._making.values():
            task.cancel()

    async def _make_behind(
        self, channel: Channel, track: str, span: Span, version: Version, way: _Way, kept: Kept
    ) -> Behind:
        segments = version.segments
        since_ms = span.start_ms
        if since_ms is None:
            assert span.dvr_ms is not None
            since_ms = segments[-1].wall - span.dvr_ms
        tags = self._event_tag(channel) if span.start_ms is not None else ""
        if way.begin is None or span.start_ms is None:
            way.begin = await self._borders.begin(channel, track, since_ms)
            way.first_msn = None
        ended = _ended_before(segments, way.begin.at_ms)
        dropped = max(ended, self._deleted(channel, segments, kept))
        first = segments[dropped]
        if ended:
            if span.start_ms is not None:
                tags += recorded.start_line(first.wall, way.begin.shown_ms, always=True)
            return Behind(first.msn, first.disc, dropped, tags=tags)
        named = Named(channel.name, track)
        if way.first_msn is None:
            way.first_msn = await self._history.number_after(named, way.begin.at_ms)
        begin_msn = oldest(way.first_msn, first.msn)
        listed, lines = await self._listed.lines(channel, track, begin_msn, first.msn, kept)
        head = way.head
        if lines is None:
            head = None
        elif head is None or not head.whole or way.headed != (begin_msn, lines.first, kept):
            head = way.head = await listed.head(lines, begin_msn, first.msn)
            way.headed = (begin_msn, lines.first, kept)
        begins = head.wall if head is not None else first.wall
        if span.start_ms is not None:
            tags += recorded.start_line(begins, way.begin.shown_ms, always=True)
        if lines is None or head is None:
            return Behind(first.msn, first.disc, dropped, tags=tags)
        foot, lead = "", lines.leads.get(first.msn, "")
        if lines.below <= first.msn:
            foot, lead = recorded.joint(track, lines.last, first, version.open.target_ms)
        return Behind(
            head.first_msn,
            head.disc,
            dropped,
            head.text,
            lines.texts,
            head.resumes - lines.first,
            min(lines.below, first.msn) - lines.first,
            foot,
            lead,
            head.first_msn > lines.dependent,
            tags,
        )

    def _deleted(self, channel: Channel, segments: Sequence[Segment], kept: Kept) -> int:
        """How many of the oldest live segments are deleted already: not the last."""
        epochs = self._registry.epochs.get(channel.name, {})
        lows = {(one.newest.base, one.newest.partition): one.low for one in kept}
        count = 0
        for index, segment in enumerate(segments[:-1]):
            if segment.first_offset < 0:
                continue  # it stands for a gap
            entry = epochs.get(segment.epoch)
            low = lows.get((entry.base, entry.partition), 0) if entry is not None else 0
            if segment.first_offset >= low:
                break
            count = index + 1
        return count

    def _event_tag(self, channel: Channel) -> str:
        """EXT-X-PLAYLIST-TYPE:EVENT promises that nothing listed goes away: said only where
        nothing can. What is a stream's own may be trimmed."""
        name = channel.name
        entry = self._registry.collections.get(name.collection)
        stream = self._registry.streams.get(name)
        if entry is None or entry.retention_ms >= 0 or entry.retention_bytes >= 0:
            return ""
        own = dedicated_base("", name)
        if stream is None or any(place.base.endswith(own) for place in stream.placements):
            return ""
        return "#EXT-X-PLAYLIST-TYPE:EVENT\n"

    async def _once(self, channel: Channel, name: Named, span: Span) -> Body:
        key = (name, span)
        kept = self._made.get(key)
        if kept is not None and self._clock.monotonic() - kept[0] < KEEP_S:
            self._made.move_to_end(key)
            return kept[1]
        task = self._making.get(key)
        if task is None:
            task = self._making[key] = asyncio.create_task(self._make(channel, name, span))
            task.add_done_callback(lambda _: self._making.pop(key, None))
        body = await asyncio.shield(task)
        self._keep(key, body)
        return body

    def _keep(self, key: tuple[Named, Span], body: Body) -> None:
        before = self._made.pop(key, None)
        if before is not None:
            self._made_bytes -= sum(map(len, before[1]))
        self._made[key] = (self._clock.monotonic(), body)
        self._made_bytes += sum(map(len, body))
        while self._made_bytes > MOST_BYTES and len(self._made) > 1:
            _, (_, oldest) = self._made.popitem(last=False)
            self._made_bytes -= sum(map(len, oldest))

    async def _make(self, channel: Channel, name: Named, span: Span) -> Body:
        if name.track:
            text = await self._media(channel, name, span)
        else:
            text = await self._multivariant(channel, span)
        plain = text.encode()
        zipped = await asyncio.to_thread(gzip.compress, plain, _GZIP_LEVEL, mtime=0)
        return Body(plain, zipped)

    async def _media(self, channel: Channel, name: Named, span: Span) -> str:
        begin, runs = await self._runs(channel, name, span)
        assert span.start_ms is not None
        assert span.end_ms is not None
        if not runs:
            raise nothing_between(channel.name, span.start_ms, span.end_ms)
        target_ms = self._history.target_ms(channel.name)
        head = recorded.closed_head(runs, target_ms, begin.shown_ms)
        body = await _gently(recorded.lines(name.track, runs, target_ms, closed=True))
        return f"{head}{body}#EXT-X-ENDLIST\n"

    async def _multivariant(self, channel: Channel, span: Span) -> str:
        tracks: dict[str, dict[int, OpenTrack]] = {}
        for epoch, entry in sorted(self._registry.epochs.get(channel.name, {}).items()):
            for info in entry.open.tracks:
                tracks.setdefault(info.name, {})[epoch] = info
        listed: list[Rendition] = []
        decodable = True
        for track, infos in tracks.items():
            _, runs = await self._runs(channel, Named(channel.name, track), span)
            found = rates(runs, self._history.target_ms(channel.name))
            if found is None:
                continue
            codecs = dict.fromkeys(infos[run.epoch].codec for run in runs)
            listed.append(Rendition(infos[runs[0].epoch], *found, tuple(codecs)))
            decodable = decodable and independent(runs)
        if not listed:
            assert span.start_ms is not None
            assert span.end_ms is not None
            raise nothing_between(channel.name, span.start_ms, span.end_ms)
        return render(listed, decodable, span.query)

    async def _runs(self, channel: Channel, name: Named, span: Span) -> tuple[Begin, list[Run]]:
        """Where a track's list of a closed range begins, and what is in it."""
        assert span.start_ms is not None
        assert span.end_ms is not None
        await come_to(channel, name.track, span.end_ms)
        live = live_rows(channel, name.track)
        begin = await self._borders.begin(channel, name.track, span.start_ms)
        end_ms = await self._borders.end_ms(channel, name.track, span.start_ms, span.end_ms)
        runs = await self._history.between(name, begin.at_ms, end_ms, live)
        count = sum(run.count for run in runs)
        if count > recorded.MOST_SEGMENTS:
            raise InputError(
                f"these are {count} media segments, a playlist has at most "
                f"{recorded.MOST_SEGMENTS}",
                hint="ask for a shorter range",
            )
        return begin, runs


@dataclass(slots=True)
class _Way:
    """What is remembered of a span: where it begins, the number that it begins with, its first
    lines and what they were made for, and what was made for the window of these numbers and of
    what was kept of the media."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    asked_s: float = 0.0
    begin: Begin | None = None
    first_msn: int | None = None
    head: Head | None = None
    headed: tuple[int, int, Kept] | None = None
    key: tuple[int, int, Kept] | None = None
    behind: Behind | None = None


def _ended_before(segments: Sequence[Segment], unix_ms: float) -> int:
    """How many of the live segments end before a moment; not the last."""
    for index, segment in enumerate(segments[:-1]):
        if not segment.wall or segment.wall + segment.duration_us / 1000 > unix_ms:
            return index
    return len(segments) - 1


async def _gently(texts: Iterator[str]) -> str:
    """Join what takes long to make, and let others work in between."""
    made = []
    for text in texts:
        made.append(text)
        if len(text) > 10_000:
            await asyncio.sleep(0)
    return "".join(made)
