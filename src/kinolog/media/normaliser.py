"""The right conversion for a track: normaliser(template) -> Normaliser (samples.py)."""

from __future__ import annotations

from kinolog.core.errors import MediaError
from kinolog.media.nal_samples import NalSamples
from kinolog.media.samples import AacSamples, Av1Samples, Normaliser, OpusSamples, Vp9Samples
from kinolog.media.types import TrackFormat


def normaliser(template: TrackFormat, *, open_gop: bool = True) -> Normaliser:
    """The conversion for a track of which the source told `template`.

    `template.extradata` is what the source has, in any of its forms: empty, Annex B parameter
    sets, or the ISO BMFF record; it also says how the packets are framed. `open_gop`: count
    pictures where decoding may start but for leading pictures as keyframes.
    """
    match template.codec:
        case "h264" | "hevc":
            return NalSamples(template, open_gop=open_gop)
        case "av1":
            return Av1Samples(template)
        case "vp9":
            return Vp9Samples(template)
        case "aac":
            return AacSamples(template)
        case "opus":
            return OpusSamples(template)
    raise MediaError(f"no samples of {template.codec}")
