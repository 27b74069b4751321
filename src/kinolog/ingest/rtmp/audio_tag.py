"""FLV audio tag bodies: legacy (FLV 10.1, E.4.2) and Enhanced RTMP."""

from __future__ import annotations

from collections.abc import Iterator

from kinolog.ingest.rtmp import enhanced
from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.unit import Step, Unit

_FOURCCS = {
    "mp4a": "aac", "Opus": "opus", "ac-3": "AC-3", "ec-3": "E-AC-3", ".mp3": "MP3", "fLaC": "FLAC",
}  # fmt: skip
_ENHANCED = 9
_AAC = 10
_OTHER_FORMATS = {
    0: "PCM", 1: "ADPCM", 2: "MP3", 3: "PCM", 4: "Nellymoser", 5: "Nellymoser", 6: "Nellymoser",
    7: "G.711 A-law", 8: "G.711 mu-law", 11: "Speex", 14: "MP3",
}  # fmt: skip
_STEPS = {enhanced.SEQUENCE_START: Step.CONFIG, enhanced.CODED_FRAMES: Step.FRAME}


def parse_audio(payload: memoryview) -> Iterator[Unit]:
    """The units of an audio tag's body; none for an empty one. Raises RtmpError if truncated."""
    if not payload:
        return
    sound_format = payload[0] >> 4
    if sound_format == _AAC:
        if len(payload) < 2:
            raise RtmpError("audio tag is truncated")
        # AACPacketType: 0 is the AudioSpecificConfig, 1 a raw frame.
        yield Unit(0, "aac", Step.FRAME if payload[1] else Step.CONFIG, payload[2:])
    elif sound_format == _ENHANCED:
        for part in enhanced.parts("audio", payload):
            codec = _FOURCCS.get(part.fourcc, part.fourcc)
            step = _STEPS.get(part.packet_type, Step.OTHER)
            yield Unit(part.track_id, codec, step, part.body, nanoseconds=part.nanoseconds)
    else:
        name = _OTHER_FORMATS.get(sound_format, f"audio format {sound_format}")
        yield Unit(0, name, Step.FRAME, payload[1:], channels=1 + (payload[0] & 1))
