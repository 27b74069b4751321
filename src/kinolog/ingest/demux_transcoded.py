"""A container's audio track in a codec that kinolog does not carry, made AAC as it comes."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from av.audio.stream import AudioStream
from av.packet import Packet as AvPacket
from av.stream import Stream

from kinolog.ingest.demux_time import Unwrap, to_ticks
from kinolog.ingest.encode_audio import SAMPLE_RATE, AudioTranscoder
from kinolog.ingest.source import Format, SourceEvent


class TranscodedTrack:
    """As demux_track.AudioTrack; `codec` is one of encode_audio.TRANSCODED."""

    def __init__(self, stream: AudioStream, codec: str, container: str) -> None:
        self.number = stream.index
        self._time_base = stream.time_base or Fraction(1, 90_000)
        self._unwrap = Unwrap(container)
        self._next = 0
        context = stream.codec_context
        self._transcoder = AudioTranscoder(
            codec,
            track=stream.index,
            timescale=SAMPLE_RATE,
            sample_rate=context.sample_rate or SAMPLE_RATE,
            channels=context.channels if context.channels > 0 else 2,
            extradata=context.extradata or b"",
            language=stream.language or "und",
        )

    def start(self) -> list[SourceEvent]:
        """The format of what comes out."""
        return [Format(self.number, self._transcoder.format)]

    def take(self, packet: AvPacket[Stream]) -> Sequence[SourceEvent]:
        """The AAC packets that come out when one packet goes in."""
        _, pts = self._unwrap(None, packet.pts if packet.pts is not None else packet.dts)
        at = self._next if pts is None else to_ticks(pts, self._time_base, SAMPLE_RATE)
        self._next = at + to_ticks(packet.duration or 0, self._time_base, SAMPLE_RATE)
        return self._transcoder.feed(bytes(packet), at)

    def finish(self) -> Sequence[SourceEvent]:
        """What the encoder still held."""
        return self._transcoder.flush()
