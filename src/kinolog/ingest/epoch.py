"""Opening and closing the epochs of a session: the order of invariants 1 and 6.

open record -> read the log up to it -> repair the index -> session entry -> chunks -> close.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from kinolog.core.errors import ConfigError, KinologError, NotFound, Replaced, Unavailable
from kinolog.core.log import get_logger
from kinolog.core.units import show_duration, show_time
from kinolog.ingest.announcer import INGEST, Announcer
from kinolog.ingest.open_value import audio_frames, open_value, video_frames
from kinolog.ingest.outbox import Outbox
from kinolog.ingest.past import ChunkName, Past, Place, Unknown, read_landed, read_past
from kinolog.ingest.services import Request, Services
from kinolog.log.paging import Paging
from kinolog.log.writer import Target
from kinolog.media.types import TrackFormat
from kinolog.packager.packager import Packager
from kinolog.packager.settings import CutSettings, TrackPlan, has_parts, plan_cut
from kinolog.record.control import (
    Close,
    Gap,
    Open,
    SegmentEntry,
    SessionEntry,
    encode_value,
)
from kinolog.record.header import VERSION, Header
from kinolog.record.page import Where
from kinolog.record.registry import CollectionEntry, EpochEntry, State, StreamEntry
from kinolog.timeline.events import ChunkEvent, Closed
from kinolog.timeline.indexer import Indexer

MSN_STEP = 10_000
"""Media sequence numbers are set aside in steps of this many: 5.5 hours of 2 s segments."""

_VOID_OPENS = 10
_UNKNOWN_PAST_MS = 3_600_000
"""How far the media are read for a stream of which registry and index know nothing."""
_CLOCKS_APART_MS = 10_000
_SEAL_S = 10.0
_log = get_logger("kinolog.ingest")


@dataclass(slots=True)
class Epoch:
    """An open epoch: its numbers, its packager, and what is under way to Kafka."""

    number: int
    disc: int
    place: Place
    names: list[str]
    open: Open
    open_offset: int
    outbox: Outbox
    packager: Packager
    paging: Paging
    msn_floor: int
    indexer: Indexer = field(default_factory=Indexer)
    index_writes: set[asyncio.Future[int]] = field(default_factory=set)
    indexed: int = -1
    """Index offset of the newest entry that is acknowledged."""


class EpochOpener:
    """Opens a stream's epochs, one after another, for one publisher."""

    def __init__(self, services: Services, request: Request) -> None:
        self._services = services
        self._request = request
        self.session_id = uuid.uuid4().hex[:16]
        self._key = request.name.name.encode()
        self.announcer = Announcer(services, request.name)
        self.newest: tuple[int, Place] | None = None
        self._paging: Paging | None = None
        self.replaced = False
        """Whether somebody else has the stream, though the registry may not have been told."""

    async def open(
        self,
        formats: Sequence[TrackFormat],
        wall_of: Callable[[int, int], float],
        silence: TrackFormat | None = None,
    ) -> Epoch:
        """A new epoch for these tracks, and behind them a silent one. Raises what Kafka's absence
        or refusal raises."""
        services, request = self._services, self._request
        formats = [*formats, silence] if silence is not None else formats
        await services.writer.repair()
        settings = await self._collection()
        self._check_retention(settings)
        cut = self._cut(settings, formats)
        entry, new = await services.catalog.place(
            request.name,
            owner=request.owner,
            target_ms=cut.target_ms,
            part_ms=cut.part_ms,
            msn_floor=MSN_STEP,
        )
        if not entry.target_ms:
            entry = await self._decide_durations(cut)
        parts = has_parts([*video_frames(formats), *audio_frames(formats)], entry.part_ms)
        if not parts:
            _log.warning(
                "published without parts, at the latency of plain HLS: the frames do not fill them",
                stream=str(request.name),
                part_ms=entry.part_ms,
            )
        cut = CutSettings(entry.target_ms, entry.part_ms, cut.profile, parts)
        place = Place.of(entry.placements[-1])
        value = await open_value(services, request, self.session_id, formats, cut, silence)
        number, offset, past = await self._append_open(place, value, entry)
        disc = past.disc + 1
        names = [track.name for track in value.tracks]
        await self._write_index(place, past.unindexed, past.pages)
        session = SessionEntry(number, disc, offset, number, value, past.pages)
        indexed = await services.writer.append(
            self._index(place), None, encode_value(session), number
        )
        # A track that the log does not know begins with the others, so that a late track's numbers
        # run beside theirs; where it knows none, at the floor.
        first = max(past.next_msn.values(), default=0 if new else entry.msn_floor)
        plans = [
            TrackPlan(name, fmt, past.next_msn.get(name, first))
            for name, fmt in zip(names, formats, strict=True)
        ]
        packager = Packager(plans, cut, epoch=number, disc=disc, wall_of=wall_of)
        outbox = Outbox(services.writer, self._media(place))
        paging = Paging(
            services.reader,
            (place.index, place.partition, self._key.decode()),
            {track.name: track.timescale for track in value.tracks},
            {name: Where(indexed, indexed) for name in names} | past.pages,
            indexed + 1,
            lambda data, ms: services.writer.append(self._index(place), None, data, ms),
            lambda: self._newer(number) is not None,
        )
        epoch = Epoch(
            number,
            disc,
            place,
            names,
            value,
            offset,
            outbox,
            packager,
            paging,
            entry.msn_floor,
            indexed=indexed,
        )
        outbox.on_landed = lambda event: self._landed(epoch, event)
        if max(plan.first_msn for plan in plans) >= entry.msn_floor:
            await self.reserve(epoch)
        self._check_newest(number)
        self.let_go()
        self._paging = paging
        paging.start()
        self.newest = (number, place)
        self.announcer.announce(_entry(epoch, "live"))
        _log.info(
            "publishing",
            stream=str(request.name),
            epoch=number,
            publisher=request.publisher,
            tracks={t.name: t.codec for t in value.tracks},
            msn=[p.first_msn for p in plans],
            partition=f"{place.media}/{place.partition}",
        )
        return epoch

    def let_go(self) -> None:
        """No more pages of the index are sealed for the epoch that was open last."""
        if self._paging is not None:
            self._paging.stop()
            self._paging = None

    async def landed(self, failed: Epoch, epoch: Epoch) -> set[ChunkName]:
        """The chunks of a failed epoch that reached the log, though nobody said so."""
        end = epoch.open_offset
        if failed.place != epoch.place:
            _, end = await self._services.reader.bounds(failed.place.media, failed.place.partition)
        start = max(failed.outbox.acked_offset, failed.open_offset) + 1
        key = self._key.decode()
        return await read_landed(
            self._services.reader, key, failed.place, failed.number, start, end
        )

    async def control(self, epoch: Epoch, header: Header, value: Gap | Close | None) -> int:
        """Append a control record and wait for its acknowledgement; its log offset."""
        data = encode_value(value) if value is not None else b""
        now_ms = self._services.clock.unix_ms()
        return await self._services.writer.append(self._media(epoch.place), header, data, now_ms)

    async def reserve(self, epoch: Epoch) -> None:
        """Set more MSNs aside, acknowledged before any of them is used (invariant 6)."""
        needed = max(epoch.packager.next_msn(i) for i in range(len(epoch.names)))

        def raise_floor(entry: StreamEntry | None) -> StreamEntry:
            if entry is None:
                raise NotFound(f"stream {self._request.name} was deleted while it was published")
            if entry.msn_floor > needed + 1:
                return entry
            return msgspec.structs.replace(entry, msn_floor=needed + 1 + MSN_STEP)

        raised = await self._services.catalog.registry.change_stream(
            self._request.name, raise_floor
        )
        assert raised is not None
        epoch.msn_floor = raised.msn_floor

    async def close(self, epoch: Epoch, reason: str) -> None:
        """Write the close record, and the index entries of what it cut short."""
        header = Header(v=VERSION, kind="close", epoch=epoch.number)
        indexed = epoch.indexed
        offset = await self.control(epoch, header, Close(reason))
        entries = epoch.indexer.apply(Closed(epoch.number, reason, offset))
        if not self._superseded(epoch):
            self._index_entries(epoch, entries)
        if epoch.index_writes:
            await asyncio.wait(epoch.index_writes, timeout=30)
        await epoch.paging.close(_SEAL_S)
        away = msgspec.structs.replace(
            _entry(epoch, "away"), close_offset=offset, close_index=indexed
        )
        if epoch.paging.complete:
            away.pages = epoch.paging.pages
        self.announcer.announce(away)
        _log.info("closed", stream=str(self._request.name), epoch=epoch.number, reason=reason)

    async def end(self, epoch: int, place: Place) -> None:
        """Nobody came back: the stream is over (ENDLIST), unless a newer epoch has begun."""
        header = Header(v=VERSION, kind="end", epoch=epoch)
        now_ms = self._services.clock.unix_ms()
        offset = await self._services.writer.append(self._media(place), header, b"", now_ms)
        await self._services.catalog.registry.change_epoch(
            self._request.name,
            epoch,
            lambda e: e and msgspec.structs.replace(e, state="ended", end_offset=offset),
        )

    def _superseded(self, epoch: Epoch) -> bool:
        """Whether the stream has been opened since: what is acknowledged now is a zombie's, and
        is not indexed. What landed before the newer open, its session indexes."""
        return self._newer(epoch.number) is not None

    def _newer(self, number: int) -> EpochEntry | None:
        """The stream's newest epoch, as the registry was told, if it is newer than this one."""
        newest = self._services.catalog.registry.newest_epoch(self._request.name)
        return newest if newest is not None and newest.epoch > number else None

    async def _decide_durations(self, cut: CutSettings) -> StreamEntry:
        """The first session of a stream that was placed without one fixes its durations."""

        def decide(entry: StreamEntry | None) -> StreamEntry:
            if entry is None:
                raise NotFound(f"stream {self._request.name} was deleted while it was published")
            if entry.target_ms:
                return entry
            return msgspec.structs.replace(entry, target_ms=cut.target_ms, part_ms=cut.part_ms)

        decided = await self._services.catalog.registry.change_stream(self._request.name, decide)
        assert decided is not None
        return decided

    async def _collection(self) -> CollectionEntry:
        services, name = self._services, self._request.name.collection
        if services.auto_create:
            return await services.catalog.ensure_collection(name)
        return services.catalog.collection(name)

    def _cut(self, settings: CollectionEntry, formats: Sequence[TrackFormat]) -> CutSettings:
        """The durations that a new stream would get; an old one keeps its own."""
        video = [f for f in formats if f.kind == "video"]
        return plan_cut(
            video[0].frame_rate if video else None,
            bool(video),
            settings.target_ms,
            settings.part_ms,
            profile=self._services.profile or settings.profile,
            audio_frames=audio_frames(formats),
        )

    async def _append_open(
        self, place: Place, value: Open, entry: StreamEntry
    ) -> tuple[int, int, Past]:
        """Append an open, read the log up to it, and again with a greater epoch where it is
        void: somebody else opened meanwhile, or a clock was ahead."""
        services = self._services
        known = services.catalog.registry.newest_epoch(self._request.name)
        if known is not None and known.epoch < entry.placements[0].from_epoch:
            known = None  # of a stream of this name that was deleted
        newest = max(known.epoch if known else 0, entry.placements[-1].from_epoch - 1)
        if self.newest is not None:
            _, end = await services.reader.bounds(place.media, place.partition)
            past = await self._past(place, known, entry, end - 1, services.clock.unix_ms())
            self._check_ours(past)
            newest = max(newest, past.newest_epoch)
        data = encode_value(value)
        for _ in range(_VOID_OPENS):
            now_ms = services.clock.unix_ms()
            number = max(newest + 1, now_ms)
            header = Header(v=VERSION, kind="open", epoch=number)
            offset = await services.writer.append(self._media(place), header, data, number)
            await self._fence_off(place, known, entry, number)
            past = await self._past(place, known, entry, offset, now_ms)
            if past.newest_epoch == number and past.open_offset == offset:
                return number, offset, past
            if self.newest is not None:
                self._check_ours(past)
            newest = max(newest, past.newest_epoch)
        raise Unavailable(f"{self._request.name}: others keep opening this stream")

    async def _fence_off(
        self, place: Place, known: EpochEntry | None, entry: StreamEntry, epoch: int
    ) -> None:
        """After the first open after a move: what an older session still writes in the former
        place is void, for those who read it later, too. With the epoch of an open that is there,
        so that no fence ends a session without another's beginning."""
        if known is not None and Place.of(known) == place:
            return
        header = Header(v=VERSION, kind="fence", epoch=epoch)
        for former in self._former_places(place, known, entry):
            now_ms = self._services.clock.unix_ms()
            await self._services.writer.append(self._media(former), header, b"", now_ms)

    def _check_retention(self, settings: CollectionEntry) -> None:
        """What Kafka would delete at once is not taken (DESIGN.md section 3, Time)."""
        at_ms, kept_ms = self._request.at_ms, settings.retention_ms
        if at_ms is None or kept_ms < 0:
            return
        if self._services.clock.unix_ms() - at_ms >= kept_ms and self.newest is None:
            name = self._request.name.collection
            raise ConfigError(
                f"collection {name} keeps {show_duration(kept_ms)}, and {show_time(at_ms)} is "
                "before that: Kafka would delete it at once",
                hint=f"kinolog collections alter {name} --retention, or a later --at",
            )

    def _check_newest(self, number: int) -> None:
        """Somebody may have opened after us and told the registry before this session had an
        epoch to compare with. Raises Replaced."""
        newer = self._newer(number)
        if newer is not None and newer.open.session != self.session_id:
            raise Replaced(f"{self._request.name}: replaced by a newer publisher")

    def _check_ours(self, past: Past) -> None:
        """The newest publisher wins: a session that opens again must not take the stream back
        from one that came after it. Raises Replaced."""
        assert self.newest is not None
        if past.newest_epoch > self.newest[0] and past.newest_session != self.session_id:
            raise Replaced(f"{self._request.name}: replaced by a newer publisher")

    async def _past(
        self, place: Place, known: EpochEntry | None, entry: StreamEntry, offset: int, now_ms: int
    ) -> Past:
        """What the log holds of the stream, in its former place too where it has moved. `now_ms`:
        not after the epoch that is being opened."""
        reader, key = self._services.reader, self._key.decode()
        unknown = Unknown(
            born_ms=entry.created_ms - _CLOCKS_APART_MS,
            since_ms=now_ms - _UNKNOWN_PAST_MS,
            opening_ms=now_ms - _CLOCKS_APART_MS,
        )
        past = await read_past(reader, key, place, known, offset + 1, unknown)
        for before in self._former_places(place, known, entry):
            _, end = await reader.bounds(before.media, before.partition)
            old = await read_past(reader, key, before, known, end, unknown, left=True)
            await self._write_index(before, old.unindexed, old.pages)
            past.follow(old)
        return past

    @staticmethod
    def _former_places(
        place: Place, known: EpochEntry | None, entry: StreamEntry
    ) -> Sequence[Place]:
        """Where a stream that has moved was: in the registry's newest epoch, and before its
        newest move, should that have had an epoch that the registry was never told of."""
        former = [Place.of(known)] if known is not None else []
        former += [Place.of(placement) for placement in entry.placements[-2:-1]]
        return [found for found in dict.fromkeys(former) if found != place]

    def _media(self, place: Place) -> Target:
        return Target(place.media, place.partition, self._key)

    def _index(self, place: Place) -> Target:
        return Target(place.index, place.partition, self._key)

    def _landed(self, epoch: Epoch, event: ChunkEvent) -> None:
        ack_log = self._services.ack_log
        # Readers pass over what is behind a newer open: it may be that already.
        if ack_log is not None and not (self.replaced or self._superseded(epoch)):
            ack_log.add(self._request.name, event.header, event.last_offset)
        self.announcer.weigh(epoch.number, event.header.wall, len(event.payload))
        entries = epoch.indexer.apply(event)
        if not entries or self._superseded(epoch):
            return
        self._index_entries(epoch, entries)

    def _index_entries(self, epoch: Epoch, entries: Sequence[SegmentEntry]) -> None:
        for entry in entries:
            entry.pages = epoch.paging.pages
            write = asyncio.ensure_future(self._write_entry(epoch.place, entry))
            epoch.index_writes.add(write)
            write.add_done_callback(partial(self._indexed, epoch, entry))

    @staticmethod
    def _indexed(epoch: Epoch, entry: SegmentEntry, write: asyncio.Future[int]) -> None:
        epoch.index_writes.discard(write)
        if write.cancelled() or write.result() < 0:
            return
        epoch.indexed = max(epoch.indexed, write.result())
        epoch.paging.add(entry, write.result())

    async def _write_entry(self, place: Place, entry: SegmentEntry) -> int:
        """An entry that is lost here is written again by the next session's repair."""
        try:
            return await self._services.writer.append(
                self._index(place), None, encode_value(entry), entry.wall
            )
        except KinologError as error:
            _log.warning(
                "index entry not written", stream=str(self._request.name), error=str(error)
            )
            return -1

    async def _write_index(
        self, place: Place, entries: Sequence[SegmentEntry], pages: dict[str, Where]
    ) -> None:
        for entry in entries:
            entry.pages = pages
        await asyncio.gather(*(self._write_entry(place, entry) for entry in entries))


def _entry(epoch: Epoch, state: State) -> EpochEntry:
    """What the registry has of an epoch."""
    return EpochEntry(
        epoch=epoch.number,
        disc=epoch.disc,
        open_offset=epoch.open_offset,
        partition=epoch.place.partition,
        base=epoch.place.base,
        wall=epoch.number,
        open=epoch.open,
        ingest=INGEST,
        state=state,
    )
