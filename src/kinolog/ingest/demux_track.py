"""One stream of a container: FFmpeg's packets in, Format and Packet events out."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple, cast

from av.audio.stream import AudioStream
from av.codec import CodecContext
from av.packet import Packet as AvPacket
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from kinolog.ingest.demux_encoded import EncodedTrack, PictureTrack
from kinolog.ingest.demux_time import (
    AudioGrid,
    Unwrap,
    derive_dts,
    likely_rate,
    to_ticks,
    video_timescale,
)
from kinolog.ingest.demux_transcoded import TranscodedTrack
from kinolog.ingest.encode_audio import TRANSCODED
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.normaliser import normaliser
from kinolog.media.samples import Unit
from kinolog.media.types import AUDIO_CODECS, VIDEO_CODECS, Codec, Packet, TrackFormat

# FFmpeg guesses a frame's duration where the container has none, and Matroska's are cut to
# milliseconds; the time stamp of the frame that follows tells better.
_TELLS_DURATIONS = "mov"
_MAX_HELD = 17  # H.264 and HEVC reorder at most 16 pictures


class _Held(NamedTuple):
    """A picture that waits for its decode time."""

    format: TrackFormat | None
    unit: Unit
    pts: int
    duration: int | None


def codec_name(stream: Stream) -> str:
    """The codec's name as FFmpeg has it, `unknown` where it has none."""
    # None for what FFmpeg has no decoder for, whatever the type says
    context: CodecContext | None = stream.codec_context
    if context is None:
        return stream.type if stream.type in ("data", "attachment") else "unknown"
    return context.codec.canonical_name


def is_picture(stream: Stream) -> bool:
    """Whether the stream is a cover picture rather than a track."""
    return bool(stream.disposition & Disposition.attached_pic)


def open_track(
    stream: Stream,
    container: str,
    *,
    encode: VideoTarget | None = None,
    transcode_audio: bool = True,
) -> Track | None:
    """The conversion for a stream; None for one that kinolog does not carry.

    `container` is FFmpeg's name of the demuxer; with `encode`, video is encoded to that, from
    whatever codec; with `transcode_audio`, other audio is made AAC. MediaError for a
    configuration that is broken.
    """
    codec = codec_name(stream)
    if codec in VIDEO_CODECS and isinstance(stream, VideoStream):
        carried = VideoTrack(stream, cast(Codec, codec), container)
        return EncodedTrack(carried, encode) if encode is not None else carried
    if isinstance(stream, VideoStream) and encode is not None and codec != "unknown":
        return PictureTrack(stream, container, encode)
    if codec in AUDIO_CODECS and isinstance(stream, AudioStream):
        return AudioTrack(stream, cast(Codec, codec), container)
    if transcode_audio and codec in TRANSCODED and isinstance(stream, AudioStream):
        return TranscodedTrack(stream, codec, container)
    return None


def _language(stream: Stream) -> str:
    return stream.language or "und"


class VideoTrack:
    """Video: ticks of the container's own scale or a multiple, decode times filled in."""

    def __init__(self, stream: VideoStream, codec: Codec, container: str) -> None:
        self.number = stream.index
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._timescale = video_timescale(self._time_base)
        self._unwrap = Unwrap(container)
        # AVI tells decode times only. Those at which to show, FFmpeg makes up: a frame late where
        # nothing is reordered.
        self._in_order = container == "avi" and not stream.codec_context.has_b_frames
        self._tells_duration = _TELLS_DURATIONS in container.split(",")
        self._rate = likely_rate(stream.average_rate)
        template = TrackFormat(
            codec,
            self._timescale,
            extradata=stream.codec_context.extradata or b"",
            frame_rate=self._rate,
            language=_language(stream),
        )
        self._samples = normaliser(template)
        self._sent: TrackFormat | None = None
        self._held: list[_Held] | None = []
        self._last_dts = 0
        self._step = max(1, round(self._timescale / (self._rate or 30)))

    def start(self) -> list[SourceEvent]:
        """The format, where the container has told it."""
        return self._announce(self._samples.format)

    def _announce(self, found: TrackFormat | None) -> list[SourceEvent]:
        if found is None or found == self._sent:
            return []
        self._sent = found
        return [Format(self.number, found)]

    def take(self, packet: AvPacket[Stream]) -> list[SourceEvent]:
        """The events of one packet. MediaError for what cannot be used."""
        if (changed := _new_extradata(packet)) is not None:
            self._samples.reconfigure(changed)
        dts, pts = self._unwrap(packet.dts, packet.pts)
        pts = self._ticks(dts if pts is None or self._in_order else pts)
        dts = self._ticks(dts)
        told = packet.duration if self._tells_duration else None
        duration = self._ticks(told) if told and told > 0 else None
        events: list[SourceEvent] = []
        for unit in self._samples(bytes(packet)):
            events += self._place(unit, dts, pts, duration)
        return events

    def _ticks(self, value: int | None) -> int | None:
        return None if value is None else to_ticks(value, self._time_base, self._timescale)

    def _place(
        self, unit: Unit, dts: int | None, pts: int | None, duration: int | None
    ) -> list[SourceEvent]:
        found = self._samples.format
        if found is None:
            return []  # nothing can decode this before the first configuration
        if self._held is not None:
            if dts is None and pts is not None:
                self._held.append(_Held(found, unit, pts, duration))
                return self._release(None) if len(self._held) >= _MAX_HELD else []
            events = self._release(dts)
        else:
            events = []
            if dts is None:
                dts = self._last_dts + self._step
                dts = max(self._last_dts + 1, dts if pts is None else min(dts, pts))
        if dts is None:
            dts = 0
        return events + self._emit(found, unit, dts, dts if pts is None else pts, duration)

    def _release(self, following_dts: int | None) -> list[SourceEvent]:
        held, self._held = self._held or [], None
        times = derive_dts([item.pts for item in held], following_dts, self._step)
        events: list[SourceEvent] = []
        for item, dts in zip(held, times, strict=True):
            events += self._emit(item.format, item.unit, dts, item.pts, item.duration)
        return events

    def _emit(
        self, found: TrackFormat | None, unit: Unit, dts: int, pts: int, duration: int | None
    ) -> list[SourceEvent]:
        self._last_dts = dts
        packet = Packet(self.number, dts, pts, duration, unit.keyframe, unit.data)
        return [*self._announce(found), packet]

    def finish(self) -> list[SourceEvent]:
        """What was still held when the source ended."""
        return self._release(None)


class AudioTrack:
    """Audio: ticks are samples, frames on a grid."""

    def __init__(self, stream: AudioStream, codec: Codec, container: str) -> None:
        self.number = stream.index
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._unwrap = Unwrap(container)
        context = stream.codec_context
        template = TrackFormat(
            codec,
            context.sample_rate or 0,
            extradata=context.extradata or b"",
            channels=context.channels if context.channels > 0 else 0,
            language=_language(stream),
        )
        self._samples = normaliser(template)
        self._sent: TrackFormat | None = None
        self._grid: AudioGrid | None = None

    def start(self) -> list[SourceEvent]:
        """The format, where the container has told it."""
        return self._announce()

    def _announce(self) -> list[SourceEvent]:
        found = self._samples.format
        if found is None or found == self._sent:
            return []
        if self._sent is None or found.sample_rate != self._sent.sample_rate:
            self._grid = AudioGrid(self._time_base, found.sample_rate)
        self._sent = found
        return [Format(self.number, found)]

    def take(self, packet: AvPacket[Stream]) -> list[SourceEvent]:
        """The events of one packet. MediaError for what cannot be used."""
        if (changed := _new_extradata(packet)) is not None:
            self._samples.reconfigure(changed)
        units = self._samples(bytes(packet))
        events = self._announce()
        if self._grid is None or self._sent is None:
            return events
        _, pts = self._unwrap(None, packet.pts if packet.pts is not None else packet.dts)
        for index, unit in enumerate(units):
            at = self._grid.place(pts if index == 0 else None, unit.samples)
            duration = self._duration(packet, unit) if len(units) == 1 else unit.samples
            events.append(Packet(self.number, at, at, duration, True, unit.data))
        return events

    def _duration(self, packet: AvPacket[Stream], unit: Unit) -> int:
        """The container's where it counts in samples itself (a last frame may be cut short)."""
        exact = self._sent and self._time_base == Fraction(1, self._sent.sample_rate)
        return packet.duration or unit.samples if exact else unit.samples

    def finish(self) -> list[SourceEvent]:
        """Nothing is ever held."""
        return []


def _new_extradata(packet: AvPacket[Stream]) -> bytes | None:
    if not packet.has_sidedata("new_extradata"):
        return None
    return bytes(packet.get_sidedata("new_extradata")) or None


Track = VideoTrack | EncodedTrack | PictureTrack | AudioTrack | TranscodedTrack

__all__ = ["AudioTrack", "Track", "VideoTrack", "codec_name", "is_picture", "open_track"]
