"""Sample entries of stsd: avc1, hvc1, av01, vp09, mp4a and Opus (14496-12, 12.1.3 and 12.2.3)."""

from __future__ import annotations

import struct

from kinolog.media import opus
from kinolog.media.boxes import box, full_box
from kinolog.media.codec_string import vp9_record
from kinolog.media.types import TrackFormat

# reserved(6), data_reference_index, pre_defined/reserved(16), width, height, 72 dpi twice,
# reserved, frame_count, compressorname, depth, pre_defined
_VISUAL = struct.Struct(">6xH16xHHII4xH32xHh")
# reserved(6), data_reference_index, reserved(8), channels, 16 bits, reserved(4), rate 16.16
_AUDIO = struct.Struct(">6xH8xHH4xI")


def sample_entry(format: TrackFormat) -> bytes:
    """The one sample entry of the track, from a format that has been described in full."""
    match format.codec:
        case "h264":
            return _visual(b"avc1", format, box(b"avcC", format.extradata))
        case "hevc":
            return _visual(b"hvc1", format, box(b"hvcC", format.extradata))
        case "av1":
            return _visual(b"av01", format, box(b"av1C", format.extradata))
        case "vp9":
            record = vp9_record(format).record()
            return _visual(b"vp09", format, full_box(b"vpcC", 1, 0, record))
        case "aac":
            return _audio(b"mp4a", format, full_box(b"esds", 0, 0, _es(format.extradata)))
        case "opus":
            body = opus.parse_head(format.extradata).box_body()
            return _audio(b"Opus", format, box(b"dOps", body))


def _visual(kind: bytes, format: TrackFormat, config: bytes) -> bytes:
    dpi = 72 << 16
    return box(kind, _VISUAL.pack(1, format.width, format.height, dpi, dpi, 1, 24, -1), config)


def _audio(kind: bytes, format: TrackFormat, config: bytes) -> bytes:
    # The field has 16 bits for the rate; above, the codec's own configuration tells it.
    rate = format.sample_rate if format.sample_rate < 1 << 16 else 0
    return box(kind, _AUDIO.pack(1, format.channels, 16, rate << 16), config)


def _es(audio_specific_config: bytes) -> bytes:
    """ES_Descriptor (ISO/IEC 14496-1, 7.2.6.5) with the config as DecoderSpecificInfo."""
    specific = _descriptor(0x05, audio_specific_config)
    # objectTypeIndication 0x40: 14496-3; streamType 5 (audio), upStream 0, reserved 1;
    # bufferSizeDB, maxBitrate and avgBitrate are not known.
    decoder = _descriptor(0x04, b"\x40\x15" + bytes(11) + specific)
    return _descriptor(0x03, b"\x00\x01\x00" + decoder + _descriptor(0x06, b"\x02"))


def _descriptor(tag: int, body: bytes) -> bytes:
    """A descriptor with its size in the four byte form (14496-1, 8.3.3)."""
    size = len(body)
    return bytes((tag, 0x80 | size >> 21 & 127, 0x80 | size >> 14 & 127,
                  0x80 | size >> 7 & 127, size & 127)) + body  # fmt: skip
