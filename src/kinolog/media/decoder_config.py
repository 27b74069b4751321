"""What a decoder must be told, read from an init segment's sample entry."""

from __future__ import annotations

from typing import Final, NamedTuple

from kinolog.core.errors import UnsupportedCodec
from kinolog.media.boxes import boxes, find
from kinolog.media.types import Codec

_STSD: Final = b"moov/trak/mdia/minf/stbl/stsd"
_VISUAL_BYTES = 78  # SampleEntry and VisualSampleEntry fields before its boxes (14496-12, 12.1.3)
_ENTRIES: Final[dict[bytes, tuple[Codec, bytes]]] = {
    b"avc1": ("h264", b"avcC"),
    b"hvc1": ("hevc", b"hvcC"),
    b"av01": ("av1", b"av1C"),
    b"vp09": ("vp9", b"vpcC"),
}


class DecoderConfig(NamedTuple):
    """A video codec and its configuration record, as FFmpeg calls it: extradata."""

    codec: Codec
    extradata: bytes


def video_config(init: bytes) -> DecoderConfig:
    """The decoder configuration of a video init segment. MediaError where it is malformed,
    UnsupportedCodec where its sample entry is of no video codec that kinolog carries."""
    stsd = find(init, _STSD)
    entry = next(boxes(init, stsd.body + 8, stsd.end), None)
    if entry is None or entry.type not in _ENTRIES:
        what = entry.type.decode("latin-1") if entry is not None else "nothing"
        raise UnsupportedCodec(f"the track's samples are {what!r}, which is no known video")
    codec, kind = _ENTRIES[entry.type]
    config = find(init, kind, entry.body + _VISUAL_BYTES, entry.end)
    # A FullBox in VP9 alone; its decoder needs nothing of it.
    return DecoderConfig(codec, b"" if codec == "vp9" else init[config.body : config.end])
