"""Opus: OpusHead (RFC 7845, 5.1), its box dOps, and packet durations (RFC 6716, 3.1)."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.core.errors import MediaError

SAMPLE_RATE = 48_000
_MAGIC = b"OpusHead"


class OpusConfig(NamedTuple):
    """OpusHead: `pre_skip` in samples of 48 kHz, `gain` in Q7.8 dB, `mapping` with its counts."""

    channels: int
    pre_skip: int
    input_rate: int
    gain: int
    family: int
    mapping: bytes

    def box_body(self) -> bytes:
        """OpusSpecificBox (Encapsulation of Opus in ISO BMFF 0.6.8, 4.3.2), big-endian."""
        return b"".join(
            (
                bytes((0, self.channels)),
                self.pre_skip.to_bytes(2, "big"),
                self.input_rate.to_bytes(4, "big"),
                self.gain.to_bytes(2, "big", signed=True),
                bytes((self.family,)),
                self.mapping,
            )
        )

    def head(self) -> bytes:
        """OpusHead with its magic, little-endian."""
        return b"".join(
            (
                _MAGIC,
                bytes((1, self.channels)),
                self.pre_skip.to_bytes(2, "little"),
                self.input_rate.to_bytes(4, "little"),
                self.gain.to_bytes(2, "little", signed=True),
                bytes((self.family,)),
                self.mapping,
            )
        )


def parse_head(head: bytes) -> OpusConfig:
    """An OpusHead. MediaError for one without its magic, of another version, or cut short."""
    if head[:8] != _MAGIC or len(head) < 19 or head[8] >> 4:
        raise MediaError("not an OpusHead")
    channels, family = head[9], head[18]
    mapping = head[19 : 21 + channels] if family else b""
    if not channels or (family and len(mapping) != 2 + channels):
        raise MediaError("OpusHead has no valid channel mapping")
    if not family and channels > 2:
        raise MediaError("OpusHead of mapping family 0 has at most two channels")
    return OpusConfig(
        channels,
        int.from_bytes(head[10:12], "little"),
        int.from_bytes(head[12:16], "little"),
        int.from_bytes(head[16:18], "little", signed=True),
        family,
        mapping,
    )


def default_head(channels: int) -> bytes:
    """An OpusHead for one or two channels, for sources that carry none (MPEG-TS, RTP)."""
    return OpusConfig(channels, 0, SAMPLE_RATE, 0, 0, b"").head()


def packet_samples(packet: bytes) -> int:
    """Duration of a packet in samples of 48 kHz, from its TOC byte (RFC 6716, 3.1 and 3.2)."""
    if not packet:
        raise MediaError("empty Opus packet")
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:  # SILK
        frame = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:  # hybrid
        frame = (480, 960)[config & 1]
    else:  # CELT
        frame = 120 << (config & 3)
    if code == 3:
        if len(packet) < 2:
            raise MediaError("Opus packet of code 3 without its frame count")
        count = packet[1] & 63
    else:
        count = 1 if code == 0 else 2
    if not count or frame * count > 5760:  # 120 ms
        raise MediaError("Opus packet longer than 120 ms, or empty")
    return frame * count
