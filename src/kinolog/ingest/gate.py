"""What every source's packets pass before they are cut: keyframe gate, one time line, jumps.

Video is dropped until a keyframe, and the audio before it with it; DTS that goes back a little is
clamped and counted; a jump of over a second either way ends the epoch (DESIGN.md section 3,
Publishers' edge cases).
"""

from __future__ import annotations

from collections.abc import Iterable

from kinolog.core.timebase import rescale
from kinolog.media.types import Packet, TrackFormat

_JUMP_MS = 1_000
_JITTER_MS = 100
_HOLD_PACKETS = 512
_STRAY_MS = 5_000
_MOST_STRAYS = 200


class Jump(Exception):
    """The time stamps jumped. `packet` is the first after the jump, not yet taken."""

    def __init__(self, packet: Packet) -> None:
        super().__init__("time stamps jumped")
        self.packet = packet


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


class Gate:
    """One epoch's gate. `push` gives the packets that may go on, with media time stamps."""

    def __init__(self, formats: dict[int, TrackFormat], slowest_ms: int = 0) -> None:
        self._formats = formats
        self._video = {t for t, f in formats.items() if f.kind == "video"}
        self._open = not self._video
        self._held: list[Packet] = []
        self._refused_video = False
        self._last_dts: dict[int, int] = {}
        self._step: dict[int, int] = {}
        self._shift: dict[int, int] = {}
        self._slowest_ms = slowest_ms
        self._base_ms = 0
        self._strays = 0
        self.clamped = 0
        self.dropped = 0

    def place(self, shift: Shift) -> None:
        """Say where media time begins; before the first packet is let through."""
        self._shift = {t: shift.ticks(f.timescale) for t, f in self._formats.items()}
        self._base_ms = shift.base_ms

    def first(self, packets: Iterable[Packet]) -> Packet | None:
        """The earliest of the packets that a fresh gate would let through, to place it by."""
        gate = Gate(self._formats, self._slowest_ms)
        through = [p for packet in packets for p in gate._admit(packet)]
        scale = self._formats
        return min(through, key=lambda p: p.dts / scale[p.track].timescale, default=None)

    def push(self, packet: Packet) -> list[Packet]:
        """The packets that may go on now, in media time. Raises Jump."""
        timed = [self._timed(p) for p in self._admit(packet)]
        return [p for p in timed if p is not None]

    def _admit(self, packet: Packet) -> list[Packet]:
        if self._open:
            return [packet]
        if packet.track not in self._video:
            if len(self._held) == _HOLD_PACKETS:
                self._held.pop(0)
                self.dropped += 1
            self._held.append(packet)
            return []
        if not packet.keyframe:
            self._refused_video = True
            self.dropped += 1
            return []
        self._open = True
        held, self._held = self._held, []
        if self._refused_video:
            kept = [p for p in held if not self._before(p, packet)]
            self.dropped += len(held) - len(kept)
            held = kept
        return [*held, packet]

    def _before(self, audio: Packet, video: Packet) -> bool:
        return (
            audio.dts * self._formats[video.track].timescale
            < video.dts * self._formats[audio.track].timescale
        )

    def _timed(self, packet: Packet) -> Packet | None:
        track, shift = packet.track, self._shift[packet.track]
        scale = self._formats[track].timescale
        dts, pts = packet.dts + shift, packet.pts + shift
        last = self._last_dts.get(track)
        if last is None:
            if self._stray(dts, scale):
                return None
        else:
            step = dts - last
            jitter = max(self._step.get(track, 0), scale * _JITTER_MS // 1000)
            if abs(step) > scale * max(_JUMP_MS, self._slowest_ms) // 1000 + jitter:
                raise Jump(packet)
            if step <= 0:
                self.clamped += 1
                dts = last + 1
                if self._formats[track].kind == "audio":
                    pts = max(pts, dts)
            else:
                self._step[track] = step
        self._last_dts[track] = dts
        return packet._replace(dts=dts, pts=pts)

    def _stray(self, dts: int, scale: int) -> bool:
        """Whether a track's first packet is still from before the jump that began this epoch:
        tracks are interleaved, so the others arrive at the new time a little later."""
        far = abs(dts - rescale(self._base_ms, 1000, scale)) > scale * _STRAY_MS // 1000
        if not far or self._strays >= _MOST_STRAYS:
            return False
        self._strays += 1
        self.dropped += 1
        return True
