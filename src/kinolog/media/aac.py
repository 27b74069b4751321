"""AAC: AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1) and ADTS (1.A.2)."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.core.errors import MediaError
from kinolog.media.bits import BitReader

_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}
_SBR, _PS = 5, 29
# GASpecificConfig follows these object types (4.4.1)
_GA_TYPES = frozenset({1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23})


class AacConfig(NamedTuple):
    """What a decoder puts out: `object_type` as signalled first (2 LC, 5 SBR, 29 PS),
    `sample_rate` in Hz (of SBR where it is signalled), `channels` (0 where a program config
    element tells), `frame_samples` at that rate."""

    object_type: int
    sample_rate: int
    channels: int
    frame_samples: int


class AdtsHeader(NamedTuple):
    """An ADTS header: sizes in bytes, header included in `frame_bytes`."""

    object_type: int
    rate_index: int
    channel_config: int
    header_bytes: int
    frame_bytes: int
    raw_blocks: int

    def config(self) -> bytes:
        """The AudioSpecificConfig of two bytes that says the same."""
        packed = self.object_type << 11 | self.rate_index << 7 | self.channel_config << 3
        return packed.to_bytes(2, "big")


def parse_config(config: bytes) -> AacConfig:
    """An AudioSpecificConfig. MediaError for one cut short or with reserved values."""
    bits = BitReader(config, "AudioSpecificConfig")
    first = core = _object_type(bits)
    rate = _rate(bits)
    channel_config = bits.u(4)
    output_rate = rate
    if first in (_SBR, _PS):
        output_rate = _rate(bits)
        core = _object_type(bits)
        if core == 22:
            bits.skip(4)
    short = core in _GA_TYPES and bits.bits_left > 0 and bits.flag()
    frame_samples = (960 if short else 1024) * max(1, output_rate // rate)
    channels = 2 if first == _PS else _CHANNELS.get(channel_config, 0)
    return AacConfig(first, output_rate, channels, frame_samples)


def _object_type(bits: BitReader) -> int:
    kind = bits.u(5)
    return 32 + bits.u(6) if kind == 31 else kind


def _rate(bits: BitReader) -> int:
    index = bits.u(4)
    known = _RATES[index] if index < len(_RATES) else 0
    rate = bits.u(24) if index == 15 else known
    if not rate:
        raise MediaError("AudioSpecificConfig has no valid sample rate")
    return rate


def is_adts(data: bytes) -> bool:
    """Whether `data` begins with an ADTS header (sync word and layer 0)."""
    return len(data) >= 7 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0


def parse_adts(data: bytes) -> AdtsHeader:
    """The ADTS header at the start of `data` (adts_fixed_header and adts_variable_header)."""
    if not is_adts(data):
        raise MediaError("not an ADTS frame")
    header_bytes = 7 if data[1] & 1 else 9
    rate_index = data[2] >> 2 & 15
    channels = (data[2] & 1) << 2 | data[3] >> 6
    frame_bytes = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    if rate_index >= len(_RATES) or frame_bytes < header_bytes:
        raise MediaError("ADTS header with reserved values")
    blocks = (data[6] & 3) + 1
    return AdtsHeader((data[2] >> 6) + 1, rate_index, channels, header_bytes, frame_bytes, blocks)


def strip_adts(data: bytes) -> tuple[AdtsHeader, list[bytes]]:
    """The raw frames of `data`, which holds whole ADTS frames, and the first one's header.

    MediaError for a cut frame, and for several raw blocks in one frame (never seen in
    transport streams, and MP4 wants each alone).
    """
    first = parse_adts(data)
    header, frames, at = first, [], 0
    while True:
        if header.raw_blocks != 1:
            raise MediaError("ADTS frame with several raw data blocks")
        end = at + header.frame_bytes
        if end > len(data):
            raise MediaError("ADTS frame is cut short")
        frames.append(data[at + header.header_bytes : end])
        at = end
        if at == len(data):
            return first, frames
        header = parse_adts(data[at : at + 9])
