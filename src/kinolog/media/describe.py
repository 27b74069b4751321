"""Filling in what a track's extradata tells and its container did not."""

from __future__ import annotations

from fractions import Fraction

import msgspec

from kinolog.core.errors import MediaError
from kinolog.media import aac, av1, h264, hevc, opus
from kinolog.media.types import TrackFormat


def describe(format: TrackFormat) -> TrackFormat:
    """`format` with width, height, frame rate, sample rate and channels where it left them out.

    What the container said is kept. MediaError where the extradata is malformed.
    """
    if format.kind == "audio":
        rate, channels = _sound(format)
        return msgspec.structs.replace(
            format,
            sample_rate=format.sample_rate or rate,
            channels=format.channels or channels,
        )
    width, height, frame_rate = _picture(format)
    return msgspec.structs.replace(
        format,
        width=format.width or width,
        height=format.height or height,
        frame_rate=format.frame_rate or frame_rate,
    )


def _sound(format: TrackFormat) -> tuple[int, int]:
    if format.codec == "aac":
        config = aac.parse_config(format.extradata)
        return config.sample_rate, config.channels
    return opus.SAMPLE_RATE, opus.parse_head(format.extradata).channels


def _picture(format: TrackFormat) -> tuple[int, int, Fraction | None]:
    if format.codec == "h264":
        sets = h264.parse_avcc(format.extradata).sps
        if not sets:
            raise MediaError("H.264 configuration without an SPS")
        avc = h264.parse_sps(sets[0])
        return avc.width, avc.height, avc.frame_rate
    if format.codec == "hevc":
        sets = hevc.parse_hvcc(format.extradata).sps
        if not sets:
            raise MediaError("HEVC configuration without an SPS")
        sps = hevc.parse_sps(sets[0])
        return sps.width, sps.height, sps.frame_rate
    if format.codec == "av1":
        seq = av1.parse_record(format.extradata)
        return seq.width, seq.height, seq.frame_rate
    return 0, 0, None
