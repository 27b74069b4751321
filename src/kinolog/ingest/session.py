"""A publisher's session: from the events of any protocol to acknowledged records.

gather tracks -> gate -> packager -> outbox -> Kafka; an epoch begins with an acknowledged open
and session entry (invariant 1), and a new one where formats change or time stamps jump: with a
keyframe of the leading track, so that nothing before that is lost (docs/adr/0010). The first
failed delivery stops the epoch; its tail is replayed under a new open (invariant 2).
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from fractions import Fraction

from kinolog.core.errors import (
    KafkaRefused,
    KinologError,
    MediaError,
    Replaced,
    Unavailable,
    UnsupportedCodec,
)
from kinolog.core.log import get_logger
from kinolog.core.timebase import rescale
from kinolog.ingest.epoch import Epoch, EpochOpener
from kinolog.ingest.gate import Gate, Jump, Shift, ordered
from kinolog.ingest.gathering import GATHER_MS, Gathering
from kinolog.ingest.left_out import LeftOut
from kinolog.ingest.past import Place
from kinolog.ingest.services import Request, Services
from kinolog.ingest.silence import SILENT_TRACK, Silence, last_sound
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent
from kinolog.ingest.wallclock import WallClock
from kinolog.media.cmaf import parse_chunk
from kinolog.media.describe import describe
from kinolog.media.types import Packet, TrackFormat
from kinolog.packager.packager import Packager
from kinolog.packager.writer import Chunk
from kinolog.record.header import VERSION, Header

_NOTHING_ELSE_S = 5.0
"""How long a source that says nothing of its tracks may have none that is carried."""
_LIVE_PATIENCE_S = 15.0
_SETTLE_S = 20.0
_AGAIN_S = 0.5
_MOST_REPLAYS = 5
_log = get_logger("kinolog.ingest")


class Session:
    """One accepted publisher. `feed` and `close` are called by its protocol's task only."""

    def __init__(
        self,
        services: Services,
        request: Request,
        cut_off: Callable[[KinologError], None] | None = None,
    ) -> None:
        """`cut_off`: see source.Desk.publish."""
        self.request = request
        self._cut_off = cut_off
        self._services = services
        self._stream = str(request.name)
        self._opener = EpochOpener(services, request)
        self._formats: dict[int, TrackFormat] = {}
        self._skipped: dict[int, str] = {}
        self._skipped_at_s: float | None = None
        self._gathering = Gathering()
        self._zero_ms = math.inf
        self._epoch: Epoch | None = None
        self._gate: Gate | None = None
        self._tracks: dict[int, TrackFormat] = {}
        """The gate's and the epoch's."""
        self._late: dict[int, TrackFormat] = {}
        """Those that are not the epoch's yet: new ones, and changed formats."""
        self._refused = LeftOut("no keyframe had come yet")
        self._packager: Packager | None = None
        self._silence: Silence | None = None
        self._index_of: dict[int, int] = {}
        self._shift: Shift | None = None
        self._wall = WallClock(follow=request.live and request.at_ms is None)
        self._media_ms = 0
        self._first_ms: int | None = None
        self._dropping = False
        self._dropped = LeftOut("Kafka was away for too long")
        self._failure: KinologError | None = None
        self._closed = False
        self.packets = 0
        """Packets that were let through to the log."""

    @property
    def epoch(self) -> int:
        """The current epoch's number, 0 before the first."""
        return self._epoch.number if self._epoch else 0

    @property
    def session_id(self) -> str:
        """The session's id, as in its open records."""
        return self._opener.session_id

    @property
    def current_place(self) -> tuple[int, Place] | None:
        """The newest epoch's number and where it is, None before the first."""
        return self._opener.newest

    @property
    def formats(self) -> dict[int, TrackFormat]:
        """The tracks, by the source's numbers."""
        return self._formats

    @property
    def skipped(self) -> dict[int, str]:
        """Tracks that are not carried: the source's number and the codec's name."""
        return self._skipped

    @property
    def left_out(self) -> int:
        """Packets that were received and not let through."""
        return self._refused.total + self._dropped.total

    @property
    def published_ms(self) -> int:
        """How far the newest packet is behind the first, in media time."""
        return self._media_ms - self._first_ms if self._first_ms is not None else 0

    @property
    def unacked_bytes(self) -> int:
        """Payload bytes that Kafka has not acknowledged yet."""
        return self._epoch.outbox.unacked_bytes if self._epoch else 0

    def fail(self, error: KinologError) -> None:
        """End the session from outside: its next `feed` raises this, and its protocol is told."""
        if self._failure is not None:
            return
        self._failure = error
        self._opener.replaced = self._replaced
        if self._cut_off is not None:
            self._cut_off(error)
        if self._epoch is not None:
            self._epoch.outbox.wake()

    async def feed(self, events: Sequence[SourceEvent]) -> None:
        """Take events in order; see Publication.feed."""
        for event in events:
            if self._failure is not None:
                raise self._failure
            await self._take(event)
        self._check_usable()
        await self._room()

    async def close(self, reason: str) -> None:
        """Write what is held, and the close record. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._epoch is None and self._failure is None:
            await self._begin_late()
        try:
            await self._end_epoch(reason)
        finally:
            self._opener.let_go()
        if self.left_out:
            _log.warning("packets were left out", stream=self._stream, packets=self.left_out)
        await self._opener.announcer.finish()

    async def _take(self, event: SourceEvent) -> None:
        match event:
            case Packet():
                await self._packet(event)
            case Format():
                self._format(event)
            case Expect():
                self._gathering.expected = event.tracks
            case Skipped():
                self._skipped[event.track] = event.codec

    def _check_usable(self) -> None:
        """Refuse a source all of whose tracks are left out. Where it does not say how many there
        are, none may come for so long."""
        if self._formats or not self._skipped:
            return
        now_s = self._services.clock.monotonic()
        if self._skipped_at_s is None:
            self._skipped_at_s = now_s
        if self._gathering.expected and len(self._skipped) >= self._gathering.expected:
            raise self._nothing_usable()
        if now_s - self._skipped_at_s >= _NOTHING_ELSE_S:
            raise self._nothing_usable()

    def _format(self, event: Format) -> None:
        described = describe(event.format)
        if self._formats.get(event.track) == described:
            return
        self._formats[event.track] = described
        # Not a new video track's: epochs do not wait for one that may never send anything.
        if self._gate is not None and (described.kind == "audio" or event.track in self._tracks):
            self._late[event.track] = described

    async def _packet(self, packet: Packet) -> None:
        if packet.track not in self._formats:
            self._refused.total += 1
        elif self._gate is not None:
            await self._pass(packet)
        else:
            self._see_zero(packet)
            self._gathering.add(packet)
            if self._gathering.complete(self._formats, len(self._skipped)):
                await self._pass_gathered()

    def _see_zero(self, packet: Packet) -> None:
        """When the source's clock was zero (Unix ms), by the packet that came with least delay."""
        media_ms = 1000 * packet.dts / self._formats[packet.track].timescale
        self._zero_ms = min(self._zero_ms, self._services.clock.unix_ms() - media_ms)

    async def _pass_gathered(self) -> None:
        self._new_gate(dict(self._formats))
        for packet in self._gathering.take():
            await self._pass(packet)

    def _new_gate(self, tracks: dict[int, TrackFormat], *, go_on: bool = True) -> list[Packet]:
        """A gate for these tracks; what the one before held is to be passed to it. `go_on`: on the
        same time line."""
        before = self._gate
        slowest = max((1 / f.frame_rate for f in tracks.values() if f.frame_rate), default=0)
        slowest_ms = round(2500 * Fraction(slowest))
        self._gate = Gate(tracks, self._refused, slowest_ms, before if go_on else None)
        if self._silence is not None and not go_on:
            self._silence.leap()
        self._tracks, self._late = tracks, {}
        return list(before.held) if before is not None else []

    async def _begin(self, through: Sequence[Packet]) -> None:
        """Open an epoch for packets that the gate lets through."""
        assert self._gate is not None
        first = min(through, key=lambda p: p.dts / self._tracks[p.track].timescale)
        if self._shift is None:
            pictures = (packet for packet in through if packet.track == self._gate.lead)
            self._shift = self._place(first, next(pictures, first))
        self._gate.place(self._shift, first)
        if self._opener.newest is None:
            self._refused.forget()  # before the stream's beginning there is nothing to miss
        await self._open()
        await self._name_left_out()

    async def _begin_late(self) -> None:
        """The source has ended, or goes on for long, before what was to be waited for."""
        if self._gate is None and self._gathering.packets:
            await self._pass_gathered()
        gate = self._gate
        if self._epoch is not None or gate is None or not gate.held:
            return
        if gate.lead_unseen:
            shown = {packet.track for packet in gate.held}
            held = self._new_gate({t: f for t, f in self._tracks.items() if t in shown})
            for packet in held:
                await self._pass(packet)
        else:
            self._refused.total += len(gate.held)

    def _place(self, first: Packet, leading: Packet) -> Shift:
        """Media time begins at the capture's Unix time (DESIGN.md section 3, Time). What is said to
        be of a moment begins with its first picture then: files have sound before it, which its
        decoder needs."""
        origin = first
        if self._media_ms and not self.request.live:
            base_ms = self._media_ms
        elif self.request.at_ms is not None and not self._media_ms:
            base_ms = self.request.at_ms
            origin = leading if base_ms >= GATHER_MS else first  # no time is below 0
        else:
            base_ms = self._captured_ms(first)
        follow = self.request.live and self.request.at_ms is None
        self._wall = WallClock(follow=follow, proven=self._wall.proven)
        return Shift(base_ms, origin.pts, self._tracks[origin.track].timescale)

    def _captured_ms(self, first: Packet) -> int:
        """When a packet was captured that has waited for others since: the tracks were gathered,
        or the source sent what it had kept."""
        now_ms = self._services.clock.unix_ms()
        if not self.request.live:
            return now_ms
        at_ms = round(self._zero_ms + 1000 * first.dts / self._tracks[first.track].timescale)
        return min(now_ms, max(at_ms, now_ms - GATHER_MS))

    async def _open(self) -> None:
        tracks = ordered(self._tracks)
        if not tracks:
            raise self._nothing_usable()
        if self._failure is not None:
            raise self._failure
        formats = [self._tracks[number] for number in tracks]
        self._silence = await self._silence_beside(formats)
        silent = self._silence.format if self._silence is not None else None
        if silent is not None:
            tracks.append(SILENT_TRACK)
        self._index_of = {number: index for index, number in enumerate(tracks)}
        self._epoch = await self._opener.open(formats, self._wall_of, silent)
        self._packager = self._epoch.packager

    async def _silence_beside(self, formats: Sequence[TrackFormat]) -> Silence | None:
        """The silent track that goes with these. A session that has one keeps it, whatever the
        registry forgets meanwhile."""
        if any(one.kind == "audio" for one in formats) or not self._services.fill_silence:
            return None
        registry, name = self._services.catalog.registry, self.request.name
        stream = registry.streams.get(name)
        if self._silence is not None or stream is None:
            return self._silence
        sound = last_sound(registry.epochs.get(name, {}), stream.placements[0].from_epoch)
        if sound is None:
            return None
        _log.info("no sound came: silence is added", stream=self._stream, codec=sound.codec)
        return await asyncio.to_thread(Silence, sound)

    def _nothing_usable(self) -> KinologError:
        if self._skipped:
            names = ", ".join(sorted(set(self._skipped.values())))
            return UnsupportedCodec(
                f"none of the tracks can be carried: {names}",
                hint="send H.264, HEVC, VP9 or AV1 with AAC or Opus",
            )
        return MediaError("no audio or video track was found")

    def _wall_of(self, dts: int, timescale: int) -> float:
        return self._wall.wall_ms(1000 * dts / timescale)

    async def _pass(self, packet: Packet) -> None:
        track, fmt = packet.track, self._formats[packet.track]
        if self._tracks.get(track) is not fmt:
            self._late[track] = fmt
        if self._late:
            tracks = {**self._tracks, **self._late}
            if self._epoch is None or (packet.keyframe and track == ordered(tracks)[0]):
                await self._restart([packet], "tracks changed", tracks)
                return
            if track in self._late:
                self._refused.add(packet)
                return
        gate = self._gate
        assert gate is not None
        if self._epoch is None:
            self._see_zero(packet)
        elif self._wall.broken and not self._dropping and track == gate.lead and packet.keyframe:
            await self._leap([packet], "the source's clock is over a second off")
            return
        through = gate.admit(packet)
        if self._epoch is None:
            if through:
                await self._begin(through)
            elif gate.lead_unseen and gate.held_long:
                await self._begin_late()
        for index, one in enumerate(through):
            try:
                timed = gate.timed(one)
            except Jump:
                await self._leap(through[index:], "time stamps jumped")
                return
            if timed is not None:
                await self._cut(timed)

    async def _leap(self, packets: Sequence[Packet], reason: str) -> None:
        """A new epoch on a new time line. The packets have the source's time stamps still: the gate
        moves them, and all that follow, by the new shift."""
        self._shift, self._zero_ms = None, math.inf
        await self._restart(packets, reason, self._tracks, go_on=False)

    async def _restart(
        self,
        packets: Sequence[Packet],
        reason: str,
        tracks: dict[int, TrackFormat],
        *,
        go_on: bool = True,
    ) -> None:
        """A new epoch for these tracks, once the gate lets one of the packets through."""
        await self._end_epoch(reason)
        for packet in [*self._new_gate(tracks, go_on=go_on), *packets]:
            await self._pass(packet)

    async def _cut(self, packet: Packet) -> None:
        self._media_ms = rescale(packet.dts, self._tracks[packet.track].timescale, 1000)
        if self._first_ms is None:
            self._first_ms = self._media_ms
        self._wall.arrived(self._media_ms, self._services.clock.unix_ms())
        if self._dropping:
            leads = self._index_of[packet.track] == 0 and packet.keyframe
            if not (leads and self._has_room()):
                self._dropped.add(packet)
                return
            await self._resume()
        self.packets += 1
        await self._send(packet)
        if self._silence is not None and self._index_of[packet.track] == 0:
            for silent in self._silence.beside(packet.dts, self._tracks[packet.track].timescale):
                await self._send(silent)

    async def _send(self, packet: Packet) -> None:
        epoch, packager = self._epoch, self._packager
        assert epoch is not None
        assert packager is not None
        for chunk in packager.push(packet._replace(track=self._index_of[packet.track])):
            if chunk.header.msn >= epoch.msn_floor:
                await self._opener.reserve(epoch)
            epoch.outbox.send(chunk)

    def _has_room(self) -> bool:
        return self.unacked_bytes < self._services.buffer_bytes // 2

    async def _room(self) -> None:
        """Wait while too much is unacknowledged; a live source is not held up for ever."""
        waited_until = asyncio.get_running_loop().time() + _LIVE_PATIENCE_S
        while True:
            if self._failure is not None:
                raise self._failure
            epoch = self._epoch
            if epoch is None:
                return
            if epoch.outbox.failure is not None:
                await self._replay()
                continue
            if epoch.outbox.unacked_bytes < self._services.buffer_bytes:
                return
            if self._dropping:
                return
            if self.request.live and asyncio.get_running_loop().time() >= waited_until:
                self._dropping = True
                return
            await epoch.outbox.changed(1.0)

    async def _resume(self) -> None:
        """Kafka takes something again: go on in a new epoch."""
        assert self._gate is not None
        await self._end_epoch("frames were dropped")
        if self._silence is not None:
            self._silence.leap()
        await self._open()
        self._gate.wait_again()

    async def _name_left_out(self) -> None:
        """Write the gap records of what did not reach the epoch, and say so once."""
        epoch, gate = self._epoch, self._gate
        assert epoch is not None
        assert gate is not None
        names = {track: epoch.names[index] for track, index in self._index_of.items()}
        gaps = self._refused.take_gaps(names, gate.shift) + self._dropped.take_gaps(names, {})
        for gap in gaps:
            header = Header(v=VERSION, kind="gap", epoch=epoch.number, track=gap.track)
            await self._opener.control(epoch, header, gap)
            _log.warning(
                "frames were left out",
                stream=self._stream,
                track=gap.track,
                frames=gap.frames,
                reason=gap.reason,
            )

    def _send_held(self, epoch: Epoch) -> None:
        if self._packager is not None:
            for chunk in self._packager.flush():
                epoch.outbox.send(chunk)

    async def _end_epoch(self, reason: str) -> None:
        """Flush, wait for the acknowledgements, write the close record."""
        epoch = self._epoch
        if epoch is None:
            return
        if self._silence is not None:
            for silent in self._silence.rest():
                await self._send(silent)
        self._send_held(epoch)
        for _ in range(_MOST_REPLAYS):
            if await epoch.outbox.delivered() or self._replaced:
                break
            await self._replay(ending=True)
            epoch = self._epoch or epoch
        await self._name_left_out()
        self._dropping = False
        self._epoch = None
        await self._opener.close(epoch, reason)

    async def _replay(self, *, ending: bool = False) -> None:
        """A delivery failed: what the log does not hold goes under a new open."""
        for _ in range(_MOST_REPLAYS):
            failed = self._epoch
            assert failed is not None
            if isinstance(failed.outbox.failure, KafkaRefused):
                raise failed.outbox.failure
            await self._services.writer.renew(failed.outbox.producer)
            if not await failed.outbox.settled(_SETTLE_S):
                raise Unavailable("Kafka neither took nor refused what was sent")
            tail = failed.outbox.tail()
            held = self._packager.flush() if self._packager is not None else []
            epoch = await self._open_again()
            landed = await self._opener.landed(failed, epoch)
            for chunk in [*tail, *held]:
                header = chunk.header
                if (header.track, header.msn, header.chunk) not in landed:
                    self._resend(epoch, failed, chunk)
            if ending:
                self._send_held(epoch)
            if epoch.outbox.failure is None:
                return
        raise Unavailable("Kafka keeps refusing this stream's records")

    async def _open_again(self) -> Epoch:
        """An epoch in place of a failed one. Kafka may still be away: then it is waited for, and
        meanwhile nothing is read from the publisher."""
        for attempt in range(_MOST_REPLAYS):
            try:
                await self._open()
            except Unavailable:
                if attempt == _MOST_REPLAYS - 1:
                    raise
                await asyncio.sleep(_AGAIN_S)
            except Replaced as error:
                self.fail(error)
                raise
            else:
                break
        assert self._epoch is not None
        return self._epoch

    @property
    def _replaced(self) -> bool:
        """Whether the stream is somebody else's now: nothing of it is written again."""
        return isinstance(self._failure, Replaced)

    def _resend(self, epoch: Epoch, failed: Epoch, chunk: Chunk) -> None:
        """Cut a chunk's samples again, under the numbers of the new epoch."""
        index = failed.names.index(chunk.header.track)
        parsed = parse_chunk(chunk.payload)
        dts, at = parsed.base_decode_time, parsed.data_offset
        for size, duration, cts, sync in zip(
            parsed.sizes, parsed.durations, parsed.cts, parsed.sync, strict=True
        ):
            data = chunk.payload[at : at + size]
            packet = Packet(index, dts, dts + cts, duration, sync, data)
            for again in epoch.packager.push(packet):
                epoch.outbox.send(again)
            dts, at = dts + duration, at + size
