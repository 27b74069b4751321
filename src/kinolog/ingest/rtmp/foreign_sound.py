"""Sound in FLV codecs that kinolog does not carry, made AAC as it comes."""

from __future__ import annotations

from kinolog.core.timebase import rescale
from kinolog.ingest.encode_audio import SAMPLE_RATE, AudioTranscoder
from kinolog.ingest.rtmp.unit import Unit
from kinolog.media.types import Packet, TrackFormat

# FFmpeg's decoders by the names of audio_tag.py; G.711 has 8 kHz in FLV (10.1, E.4.2.1), the
# others tell their rate themselves.
FOREIGN_CODECS = {
    "MP3": "mp3", "AC-3": "ac3", "E-AC-3": "eac3",
    "G.711 A-law": "pcm_alaw", "G.711 mu-law": "pcm_mulaw",
}  # fmt: skip
_TELEPHONE_HZ = 8_000


class ForeignSound:
    """One audio track; `codec` is a key of FOREIGN_CODECS, `channels` 0 where not told."""

    def __init__(self, track: int, codec: str, channels: int) -> None:
        self.codec = codec
        decoder = FOREIGN_CODECS[codec]
        self._transcoder = AudioTranscoder(
            decoder,
            track=track,
            timescale=SAMPLE_RATE,
            sample_rate=_TELEPHONE_HZ if decoder.startswith("pcm_") else SAMPLE_RATE,
            channels=channels or 2,
        )

    @property
    def format(self) -> TrackFormat:
        """The AAC track's."""
        return self._transcoder.format

    def take(self, unit: Unit, time_ms: int) -> list[Packet]:
        """The AAC packets that come out when a coded frame goes in."""
        at = rescale(time_ms, 1000, SAMPLE_RATE) + rescale(
            unit.nanoseconds, 1_000_000_000, SAMPLE_RATE
        )
        return self._transcoder.feed(bytes(unit.body), at)

    def finish(self) -> list[Packet]:
        """What the encoder still held."""
        return self._transcoder.flush()
