"""Silence: the sound of a session that has none, in a stream that had some before.

Players show no picture where the sound that they were told of is missing: docs/adr/0016.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Literal

import av
import msgspec

from kinolog.core.timebase import rescale
from kinolog.ingest.encode_audio import SAMPLE_RATE, AudioEncoder
from kinolog.media.types import Packet, TrackFormat
from kinolog.record.control import OpenTrack
from kinolog.record.registry import EpochEntry

SILENT_TRACK = -1
"""The number of the silent track: no source has such a one."""

_SETTLED = 4
"""Packets after which an encoder of silence says the same for ever."""
_LAST_PICTURE = 2 * SAMPLE_RATE
"""How long a session's last picture lasts at most."""


class Silence:
    """A silent track beside the leading video: whole frames, back to back, in media time."""

    def __init__(self, like: OpenTrack) -> None:
        """`like`: the sound in whose place it is."""
        channels: Literal[1, 2] = 1 if like.channels == 1 else 2
        encoded, self._data, self._frame = _steady(
            "opus" if like.codec == "opus" else "aac", channels
        )
        self.format = msgspec.structs.replace(encoded, language=like.language)
        self._next: int | None = None
        self._video = self._step = 0

    def beside(self, dts: int, timescale: int) -> Iterator[Packet]:
        """The packets up to a picture of the leading video: the last begins with it, or less than a
        frame later. So the sound is cut where the video is, and no later."""
        at = rescale(dts, timescale, SAMPLE_RATE)
        if self._next is None:
            self._next = self._video = at
        self._video, self._step = at, at - self._video
        return self._up_to(at + self._frame)

    def rest(self) -> Iterator[Packet]:
        """The packets up to the end of the last picture, which lasts as long as the one before."""
        return self._up_to(self._video + min(self._step, _LAST_PICTURE))

    def leap(self) -> None:
        """The next picture is on another time line, or others before it were dropped."""
        self._next, self._video, self._step = None, 0, 0

    def _up_to(self, end: int) -> Iterator[Packet]:
        while self._next is not None and self._next < end:
            at, self._next = self._next, self._next + self._frame
            yield Packet(SILENT_TRACK, at, at, self._frame, True, self._data)


def last_sound(epochs: Mapping[int, EpochEntry], from_epoch: int) -> OpenTrack | None:
    """The sound that a stream had last: the first such track of the newest epoch that has one,
    silence aside. Those before `from_epoch` are of a deleted stream of the same name."""
    for number in sorted(epochs, reverse=True):
        if number < from_epoch:
            break
        for track in epochs[number].open.tracks:
            if track.kind == "audio" and not track.silence:
                return track
    return None


@functools.cache
def _steady(
    codec: Literal["aac", "opus"], channels: Literal[1, 2]
) -> tuple[TrackFormat, bytes, int]:
    """A track's format, its packet of silence, and how many samples that has."""
    encoder = AudioEncoder(codec, track=SILENT_TRACK, channels=channels)
    samples = encoder.frame_samples
    packets: list[Packet] = []
    while len(packets) <= _SETTLED:
        frame = av.AudioFrame(encoder.sample_format, encoder.layout, samples)
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        packets += encoder.encode(frame, len(packets) * samples)
    return encoder.format, packets[_SETTLED].data, samples
