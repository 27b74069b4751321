"""What an AAC AudioSpecificConfig and an Opus packet say of rate, channels and frame size."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.ingest.rtmp.errors import RtmpError

OPUS_SAMPLE_RATE = 48_000
_OPUS_MAGIC = b"OpusHead"

# ISO/IEC 14496-3, table 1.18; 15 is the escape to a rate in 24 bits.
_SAMPLE_RATES = (
    96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350,
)  # fmt: skip
# Channels of channelConfiguration 0 to 15, table 1.19; 0 is told by a program config element.
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8, 0, 0, 0, 7, 8, 24, 8, 0)
_OBJECT_SBR = 5
_OBJECT_PS = 29
_LOW_DELAY_OBJECTS = (23, 39)
_SYNC_EXTENSION = 0x2B7
_PS_SYNC_EXTENSION = 0x548
# Opus frame sizes in samples at 48 kHz by configuration number (RFC 6716, table 2).
_OPUS_FRAME_SAMPLES = (
    *(480, 960, 1920, 2880) * 3,
    *(480, 960) * 2,
    *(120, 240, 480, 960) * 4,
)


class AudioConfig(NamedTuple):
    """Output rate in Hz, channels, and samples of a frame at that rate."""

    sample_rate: int
    channels: int
    frame_samples: int


def parse_aac(config: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig (ISO/IEC 14496-3, 1.6.2.1), with SBR and PS where it says so.

    Raises RtmpError for one that is truncated or reserved.
    """
    bits = _Bits(config)
    object_type = _object_type(bits)
    core_rate = sample_rate = _sample_rate(bits)
    channel_configuration = bits.take(4)
    parametric_stereo = object_type == _OBJECT_PS
    if object_type in (_OBJECT_SBR, _OBJECT_PS):
        sample_rate = _sample_rate(bits)
        object_type = _object_type(bits)
    frame_samples = 960 if bits.take(1) else 1024
    if object_type in _LOW_DELAY_OBJECTS:
        frame_samples //= 2
    if bits.take(1):
        bits.take(14)  # coreCoderDelay
    bits.take(1)  # extensionFlag
    channels = _CHANNELS[channel_configuration] or _program_channels(bits)
    if channel_configuration and sample_rate == core_rate and bits.left >= 16:
        # Backward compatible signalling (1.6.6.1).
        if bits.take(11) == _SYNC_EXTENSION and _object_type(bits) == _OBJECT_SBR and bits.take(1):
            sample_rate = _sample_rate(bits)
        if bits.left >= 12 and bits.take(11) == _PS_SYNC_EXTENSION:
            parametric_stereo = bool(bits.take(1))
    if parametric_stereo and channels == 1:
        channels = 2
    return AudioConfig(sample_rate, channels, frame_samples * sample_rate // core_rate)


def parse_opus_head(head: bytes) -> AudioConfig:
    """Read an OpusHead (RFC 7845, 5.1). `frame_samples` is 0: each packet tells its own."""
    if len(head) < 19 or not head.startswith(_OPUS_MAGIC) or not head[9]:
        raise RtmpError("Opus sequence header is not an OpusHead")
    return AudioConfig(OPUS_SAMPLE_RATE, head[9], 0)


def opus_packet_samples(packet: bytes) -> int:
    """Duration of an Opus packet in samples at 48 kHz, from its TOC byte (RFC 6716, 3.1).

    0 for a packet that is empty or longer than the 120 ms that are allowed.
    """
    if not packet:
        return 0
    # Code 3 counts its frames in the second byte (RFC 6716, 3.2.5).
    frames = (1, 2, 2, packet[1] & 0x3F if len(packet) > 1 else 0)[packet[0] & 3]
    samples = frames * _OPUS_FRAME_SAMPLES[packet[0] >> 3]
    return samples if samples <= OPUS_SAMPLE_RATE * 120 // 1000 else 0


class _Bits:
    """Big-endian bits of a few bytes."""

    def __init__(self, data: bytes) -> None:
        self.left = 8 * min(len(data), 64)
        self._value = int.from_bytes(data[:64], "big")

    def take(self, count: int) -> int:
        if count > self.left:
            raise RtmpError("AAC sequence header (AudioSpecificConfig) is truncated")
        self.left -= count
        return self._value >> self.left & (1 << count) - 1


def _object_type(bits: _Bits) -> int:
    object_type = bits.take(5)
    return 32 + bits.take(6) if object_type == 31 else object_type


def _sample_rate(bits: _Bits) -> int:
    index = bits.take(4)
    rate = bits.take(24) if index == 15 else 0
    if index < len(_SAMPLE_RATES):
        rate = _SAMPLE_RATES[index]
    if rate == 0:
        raise RtmpError("AAC sequence header has a reserved sample rate")
    return rate


def _program_channels(bits: _Bits) -> int:
    """Channels that a program_config_element counts (ISO/IEC 14496-3, 4.4.1.1)."""
    bits.take(4 + 2 + 4)  # instance tag, object type, sampling frequency index
    front, side, back = bits.take(4), bits.take(4), bits.take(4)
    lfe = bits.take(2)
    associated, coupled = bits.take(3), bits.take(4)
    for mixdown_bits in (4, 4, 3):
        if bits.take(1):
            bits.take(mixdown_bits)
    channels = lfe
    for _ in range(front + side + back):
        channels += 1 + bits.take(1)
        bits.take(4)
    if channels == 0:
        raise RtmpError("AAC sequence header has no channels")
    bits.take(4 * lfe + 4 * associated + 5 * coupled)
    return channels
