"""What every source's packets pass before they are cut: keyframe gate, one time line, jumps.

The first video track leads: until its first keyframe nothing goes on, nor does what is before it.
Each other video track waits for a keyframe of its own. DTS that goes back a little is clamped and
counted; a jump ends the epoch, a pause does not (docs/adr/0010).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from kinolog.core.timebase import rescale
from kinolog.ingest.left_out import LeftOut
from kinolog.media.types import Packet, TrackFormat

_BACK_MS = 1_000
_FORWARD_MS = 10_000
_JITTER_MS = 100
_AHEAD_MS = 2_000
_ROUNDED_MS = 3
"""What is rounded to milliseconds, PTS, DTS and the first of both, is no further apart."""
_HOLD_PACKETS = 512
_HOLD_MS = 5_000
_STRAY_MS = 5_000
_MOST_STRAYS = 200
HOLD_BYTES = 16 << 20
"""What a session may hold before its epoch begins."""


class Jump(Exception):
    """The time stamps jumped."""


class Shift:
    """The source's time line moved so that media time is Unix time, in each track's ticks."""

    def __init__(self, base_ms: int, origin: int, origin_scale: int) -> None:
        self.base_ms = base_ms
        self._origin = origin
        self._scale = origin_scale

    def ticks(self, timescale: int) -> int:
        """What is added to a track's ticks."""
        return rescale(self.base_ms, 1000, timescale) - rescale(
            self._origin, self._scale, timescale
        )


def ordered(tracks: Mapping[int, TrackFormat]) -> list[int]:
    """The tracks in the order of an epoch: video first. The first one leads: its keyframes begin
    epochs."""
    return sorted(tracks, key=lambda track: (tracks[track].kind == "audio", track))


class Gate:
    """One epoch's gate: `admit` says what may go on, `timed` gives it media time.

    Video that comes before a keyframe, and what else is before that, is added to `refused`.
    `before`: the gate of the same time line that this one goes on from.
    """

    def __init__(
        self,
        tracks: Mapping[int, TrackFormat],
        refused: LeftOut,
        slowest_ms: int = 0,
        before: Gate | None = None,
    ) -> None:
        self.lead = ordered(tracks)[0]
        self.shift: dict[int, int] = {}
        self.held: deque[Packet] = deque()
        """What waits for the leading video's first keyframe."""
        self.clamped = 0
        self._tracks = tracks
        self._refused = refused
        self._held_bytes = 0
        self._last_dts: dict[int, int] = {}
        self._step: dict[int, int] = {}
        self._ahead: dict[int, int] = {}
        """Ticks by which each track's pictures are shown after they are decoded, at its first."""
        self._back_ms = max(_BACK_MS, slowest_ms)
        self._forward_ms = max(_FORWARD_MS, slowest_ms)
        self._begun = (0, 1)
        self._strays = 0
        self._waiting = {t for t, f in tracks.items() if f.kind == "video"}
        self._late_ms: float | None = None
        if before is not None:
            if before.lead == self.lead:
                self._late_ms = before._late_ms
            for track in (t for t, f in tracks.items() if before._tracks.get(t) is f):
                if track in before._last_dts:
                    self._last_dts[track] = before._last_dts[track]
                    self._ahead[track] = before._ahead[track]

    @property
    def lead_unseen(self) -> bool:
        """Whether the leading video has sent nothing at all yet."""
        return self.lead in self._waiting and self._late_ms is None

    @property
    def held_long(self) -> bool:
        """Whether so much is held that a track that has sent nothing is not waited for."""
        if not self.held:
            return False
        if len(self.held) >= _HOLD_PACKETS or self._held_bytes >= HOLD_BYTES:
            return True
        first, last = self.held[0], self.held[-1]
        return abs(self._ms(last) - self._ms(first)) >= _HOLD_MS

    def place(self, shift: Shift, first: Packet) -> None:
        """Say where media time begins, and with which packet the epoch; before `timed`."""
        self.shift = {t: shift.ticks(f.timescale) for t, f in self._tracks.items()}
        self._begun = (
            first.pts + self.shift[first.track],
            self._tracks[first.track].timescale,
        )

    def wait_again(self) -> None:
        """The leading video goes on with a keyframe after frames were dropped: the other video
        tracks wait for theirs."""
        self._waiting = {t for t, f in self._tracks.items() if f.kind == "video"} - {self.lead}

    def admit(self, packet: Packet) -> list[Packet]:
        """The packets that may go on now, with the source's time stamps still."""
        if not self._waiting:
            return [packet]
        if self.lead not in self._waiting:
            return [packet] if self._starts(packet) else []
        if packet.track != self.lead:
            self._hold(packet)
            return []
        if not self._starts(packet):
            self._late_ms = self._ms(packet) if self._late_ms is None else self._late_ms
            return []
        held, self.held = self.held, deque()
        through = [one for one in held if not self._too_early(one, packet) and self._starts(one)]
        return [*through, packet]

    def timed(self, packet: Packet) -> Packet | None:
        """The packet in media time, or None for one that is left out. Raises Jump.

        A track begins with DTS = PTS, as CMAF would have it: with B-frames its DTS are moved, so
        that the date of a media segment is that of the first picture that is shown of it (at a
        steady rate), for players that go by the one as for those that go by the other. A keyframe
        whose PTS is below its DTS then (a clock of milliseconds rounds them apart) has that for
        both, where it can: players that count from the first DTS of a list would drop it, and all
        that needs it.
        """
        track, shift = packet.track, self.shift[packet.track]
        scale = self._tracks[track].timescale
        ahead, rounded = self._ahead.get(track), scale * _ROUNDED_MS // 1000
        if ahead is None:
            ahead = packet.pts - packet.dts
            ahead = ahead if 0 < ahead <= scale * _AHEAD_MS // 1000 else 0
        dts, pts = packet.dts + shift + ahead, packet.pts + shift
        last = self._last_dts.get(track)
        if packet.keyframe and last is not None and last < pts < dts <= pts + rounded:
            dts = pts
        if last is None:
            if self._stray(track, dts):
                return None
        else:
            step = dts - last
            if step <= 0:
                jitter = max(self._step.get(track, 0), scale * _JITTER_MS // 1000)
                if -step > scale * self._back_ms // 1000 + jitter:
                    raise Jump
                self.clamped += 1
                dts = last + 1
                if self._tracks[track].kind == "audio":
                    pts = max(pts, dts)
            elif step > scale * self._forward_ms // 1000 and self._apart(track, dts):
                raise Jump
            else:
                self._step[track] = min(step, scale * self._back_ms // 1000)
        self._last_dts[track] = dts
        self._ahead[track] = ahead
        return packet._replace(dts=dts, pts=pts)

    def _ms(self, packet: Packet) -> float:
        return 1000 * packet.dts / self._tracks[packet.track].timescale

    def _starts(self, packet: Packet) -> bool:
        """Whether the packet's track has begun, or begins with it."""
        if packet.track in self._waiting:
            if not packet.keyframe:
                self._refused.add(packet)
                return False
            self._waiting.discard(packet.track)
        return True

    def _too_early(self, held: Packet, keyframe: Packet) -> bool:
        """Whether it is before the keyframe, where pictures before that were refused, too."""
        if self._late_ms is None or self._ms(held) >= self._ms(keyframe):
            return False
        if self._ms(held) < self._late_ms - _STRAY_MS:  # from before a jump: no time in this epoch
            self._refused.total += 1
        else:
            self._refused.add(held)
        return True

    def _hold(self, packet: Packet) -> None:
        self.held.append(packet)
        self._held_bytes += len(packet.data)
        while len(self.held) > _HOLD_PACKETS or self._held_bytes > HOLD_BYTES:
            oldest = self.held.popleft()
            self._held_bytes -= len(oldest.data)
            self._refused.add(oldest)

    def _apart(self, track: int, dts: int) -> bool:
        """Whether a time is far from the newest of every other track, too: a track that was away
        comes back where the others are."""
        others = [(d, self._tracks[t].timescale) for t, d in self._last_dts.items() if t != track]
        scale = self._tracks[track].timescale
        return all(_apart_ms(dts, scale, *other) > self._forward_ms for other in others)

    def _stray(self, track: int, dts: int) -> bool:
        """Whether a track's first packet is still from before the jump that began this epoch:
        tracks are interleaved, so the others arrive at the new time a little later."""
        scale = self._tracks[track].timescale
        known = [(d, self._tracks[t].timescale) for t, d in self._last_dts.items()]
        if self._strays >= _MOST_STRAYS or any(
            _apart_ms(dts, scale, *at) <= _STRAY_MS for at in (self._begun, *known)
        ):
            return False
        self._strays += 1
        self._refused.total += 1
        return True


def _apart_ms(dts: int, scale: int, other: int, other_scale: int) -> float:
    return abs(1000 * dts / scale - 1000 * other / other_scale)
