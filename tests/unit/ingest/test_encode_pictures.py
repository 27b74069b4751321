"""Pictures of other formats, encoded: what a player makes of them."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest

from kinolog.ingest.encode import PictureEncoder
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.source import Format
from kinolog.media.types import Packet

COLOUR = (200, 30, 60)


@pytest.mark.parametrize("codec", ["h264", "vp9", "av1"])
def test_a_screen_keeps_its_colours(codec: str) -> None:
    """RGB that says that it is RGB, as a screen's or a webcam's does."""
    frame = av.VideoFrame.from_ndarray(np.full((64, 64, 3), COLOUR, np.uint8), format="rgb24")
    frame.colorspace, frame.color_range = 0, 2  # identity, full (ISO/IEC 23091-2)
    encoder = PictureEncoder(VideoTarget(codec), 0, 90_000, frame_rate=Fraction(30))  # type: ignore[arg-type]
    events = [*encoder.encode(frame, 0, 3000, 90_000), *encoder.flush()]
    described = next(event.format for event in events if isinstance(event, Format))
    decoder = av.CodecContext.create({"av1": "libdav1d"}.get(codec, codec), "r")
    assert isinstance(decoder, av.VideoCodecContext)
    if described.extradata:
        decoder.extradata = described.extradata
    packets = [av.Packet(event.data) for event in events if isinstance(event, Packet)]
    pictures = [f for packet in [*packets, None] for f in decoder.decode(packet)]
    assert pictures
    assert pictures[0].colorspace == 1
    shown = pictures[0].to_ndarray(format="rgb24")[32, 32]
    assert np.abs(shown.astype(int) - COLOUR).max() < 12, shown
