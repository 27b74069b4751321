"""Audio encoders: sound to AAC or Opus packets, and other codecs' packets to AAC.

`AudioTranscoder` is for what kinolog does not carry as it is (MP3, G.711, AC-3).
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Literal

import av
from av.codec.context import Flags

from kinolog.core.errors import UnsupportedCodec
from kinolog.core.timebase import rescale
from kinolog.media.types import Packet, TrackFormat

SAMPLE_RATE = 48_000
_JUMP_TICKS = SAMPLE_RATE // 10  # a source further off than this has jumped
_ENCODERS = {"aac": ("aac", "fltp"), "opus": ("libopus", "flt")}
# Codecs that publishers send and kinolog transcodes, by FFmpeg's decoder names.
TRANSCODED = frozenset({"mp3", "mp2", "ac3", "eac3", "pcm_alaw", "pcm_mulaw", "pcm_s16le"})


class AudioEncoder:
    """Encodes 48 kHz sound to one track; ticks are samples.

    The first packet begins before zero by the codec's priming (1024 samples for AAC, 312 for
    Opus), so that the sound itself stands where the frames' times say.
    """

    def __init__(
        self,
        codec: Literal["aac", "opus"],
        *,
        track: int,
        channels: int = 2,
        bitrate_bps: int = 128_000,
        language: str = "und",
    ) -> None:
        """`channels` 1 or 2."""
        name, sample_format = _ENCODERS[codec]
        context = av.CodecContext.create(name, "w")
        assert isinstance(context, av.AudioCodecContext)
        context.sample_rate = SAMPLE_RATE
        context.layout = "stereo" if channels == 2 else "mono"
        context.format = sample_format
        context.bit_rate = bitrate_bps
        context.time_base = Fraction(1, SAMPLE_RATE)
        context.thread_count = 1
        context.flags |= Flags.global_header
        context.open()
        self._context = context
        self._track = track
        self.sample_format = sample_format
        self.layout = context.layout.name
        self.frame_samples: int = context.frame_size
        self.format = TrackFormat(
            codec=codec,
            timescale=SAMPLE_RATE,
            extradata=bytes(context.extradata or b""),
            sample_rate=SAMPLE_RATE,
            channels=channels,
            language=language,
        )

    def encode(self, frame: av.AudioFrame, pts: int) -> list[Packet]:
        """The packets that come out when `frame_samples` samples (the last may be fewer) go in.

        `frame` has `sample_format` and `layout`; `pts` is its first sample.
        """
        frame.pts = pts
        frame.sample_rate = SAMPLE_RATE
        frame.time_base = Fraction(1, SAMPLE_RATE)
        return self._packets(frame)

    def flush(self) -> list[Packet]:
        """The last packets. The encoder cannot be used afterwards."""
        return self._packets(None)

    def _packets(self, frame: av.AudioFrame | None) -> list[Packet]:
        return [
            Packet(
                self._track, packet.pts, packet.pts, packet.duration or None, True, bytes(packet)
            )
            for packet in self._context.encode(frame)
            if packet.pts is not None
        ]


class AudioTranscoder:
    """Decodes one track's packets and encodes them to AAC, at the same times.

    Sound is counted by samples from its first packet, so that times rounded by a transport do
    not jitter; a source that jumps by over 0.1 s is followed.
    """

    def __init__(
        self,
        codec_name: str,
        *,
        track: int,
        timescale: int,
        sample_rate: int,
        channels: int,
        extradata: bytes = b"",
        language: str = "und",
    ) -> None:
        """`codec_name` is FFmpeg's; times of packets fed are ticks of `timescale`.

        Raises UnsupportedCodec where kinolog does not transcode it.
        """
        if codec_name not in TRANSCODED:
            raise UnsupportedCodec(
                f"kinolog carries AAC and Opus, and cannot make AAC of {codec_name}",
                hint="let the encoder send AAC",
            )
        decoder = av.CodecContext.create(codec_name, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        if codec_name.startswith("pcm_"):  # the others' frames tell it themselves
            decoder.sample_rate = sample_rate
            decoder.layout = "mono" if channels == 1 else "stereo"
        decoder.extradata = extradata or None
        decoder.thread_count = 1
        self._decoder = decoder
        self._timescale = timescale
        self._encoder = AudioEncoder(
            "aac", track=track, channels=min(channels, 2) or 1, language=language
        )
        self._resampler = self._new_resampler()
        self._next: int | None = None  # sample that is encoded next
        self._source = 0  # where the source should go on, in samples
        self._shape: tuple[int, str, str] | None = None  # of the decoded sound
        self.damaged = 0

    @property
    def format(self) -> TrackFormat:
        """The AAC track's."""
        return self._encoder.format

    def feed(self, data: bytes, pts: int) -> list[Packet]:
        """AAC packets, in ticks of 1/48000 s, from one packet at `pts`.

        A packet that does not decode is counted in `damaged` and makes no sound.
        """
        packet = av.Packet(data)
        packet.pts = packet.dts = pts
        try:
            frames = self._decoder.decode(packet)
        except av.FFmpegError:
            self.damaged += 1
            return []
        out: list[Packet] = []
        expected = rescale(pts, self._timescale, SAMPLE_RATE)
        for frame in frames:
            shape = (frame.sample_rate, frame.layout.name, frame.format.name)
            jumped = self._next is None or abs(expected - self._source) > _JUMP_TICKS
            if jumped or shape != self._shape:
                # What the resampler holds, under a frame, is let go: an encoder takes only one
                # short frame, its last.
                self._shape, self._resampler = shape, self._new_resampler()
                self._next = self._source = expected if jumped else max(expected, self._next or 0)
            length = rescale(frame.samples, frame.sample_rate, SAMPLE_RATE)
            self._source += length
            expected += length
            out += self._encode(self._resampler.resample(frame))
        return out

    def flush(self) -> list[Packet]:
        """The last packets."""
        if self._next is None:
            return []
        return self._encode(self._resampler.resample(None)) + self._encoder.flush()

    def _new_resampler(self) -> av.AudioResampler:
        encoder = self._encoder
        return av.AudioResampler(
            encoder.sample_format, encoder.layout, SAMPLE_RATE, encoder.frame_samples
        )

    def _encode(self, frames: Iterable[av.AudioFrame]) -> list[Packet]:
        out: list[Packet] = []
        for frame in frames:
            assert self._next is not None
            out += self._encoder.encode(frame, self._next)
            self._next += frame.samples
        return out
