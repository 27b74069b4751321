"""A container's video track encoded as it comes, whatever FFmpeg decodes: `--encode`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.packet import Packet as AvPacket
from av.stream import Stream
from av.video.stream import VideoStream

from kinolog.core.errors import MediaError
from kinolog.ingest.demux_time import Unwrap, likely_rate, to_ticks, video_timescale
from kinolog.ingest.encode import MAX_DAMAGED, Encoder, PictureEncoder
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.source import SourceEvent

if TYPE_CHECKING:
    from kinolog.ingest.demux_track import VideoTrack


class EncodedTrack:
    """A track that kinolog could carry as it is, encoded all the same."""

    def __init__(self, carried: VideoTrack, target: VideoTarget) -> None:
        self.number = carried.number
        self._carried = carried
        self._encoder = Encoder(target)

    def start(self) -> Sequence[SourceEvent]:
        """Nothing: the format comes with the first picture."""
        return self._encoder.feed(self._carried.start())

    def take(self, packet: AvPacket[Stream]) -> Sequence[SourceEvent]:
        """What comes out when one packet goes in."""
        return self._encoder.feed(self._carried.take(packet))

    def finish(self) -> Sequence[SourceEvent]:
        """What was still held when the source ended."""
        return [*self._encoder.feed(self._carried.finish()), *self._encoder.flush()]


class PictureTrack:
    """A track in a codec that kinolog does not carry: a webcam's raw pictures or MJPEG."""

    def __init__(self, stream: VideoStream, container: str, target: VideoTarget) -> None:
        self.number = stream.index
        self._decoder = stream.codec_context
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._timescale = video_timescale(self._time_base)
        self._unwrap = Unwrap(container)
        self._pictures = PictureEncoder(
            target,
            stream.index,
            self._timescale,
            frame_rate=likely_rate(stream.average_rate),
            language=stream.language or "und",
        )
        self._damaged_in_a_row = 0

    def start(self) -> Sequence[SourceEvent]:
        """Nothing: the format comes with the first picture."""
        return []

    def take(self, packet: AvPacket[Stream]) -> Sequence[SourceEvent]:
        """What comes out when one packet goes in. MediaError where too many do not decode."""
        packet.dts, packet.pts = self._unwrap(packet.dts, packet.pts)
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError as error:
            self._damaged_in_a_row += 1
            if self._damaged_in_a_row > MAX_DAMAGED:
                raise MediaError(
                    f"the video of track {self.number} does not decode: {error.strerror}"
                ) from error
            return []
        self._damaged_in_a_row = 0
        return self._encode(frames)

    def finish(self) -> Sequence[SourceEvent]:
        """What decoder and encoder still held."""
        try:
            frames = self._decoder.decode(None)
        except av.FFmpegError:
            frames = []
        return [*self._encode(frames), *self._pictures.flush()]

    def _encode(self, frames: Sequence[av.VideoFrame]) -> list[SourceEvent]:
        out: list[SourceEvent] = []
        for frame in frames:
            pts, duration = self._ticks(frame.pts), self._ticks(frame.duration)
            out += self._pictures.encode(frame, pts, duration, self._timescale)
        return out

    def _ticks(self, value: int | None) -> int:
        return to_ticks(value or 0, self._time_base, self._timescale)
