"""FLV video tag bodies: legacy (FLV 10.1, E.4.3), codec id 12, and Enhanced RTMP."""

from __future__ import annotations

from collections.abc import Iterator

from kinolog.ingest.rtmp import enhanced
from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.unit import Step, Unit

_FOURCCS = {"avc1": "h264", "hvc1": "hevc", "av01": "av1", "vp09": "vp9"}
# Codec id 12 is what Chinese CDNs used for HEVC before Enhanced RTMP; its tags look like AVC's.
_NAL_CODECS = {7: "h264", 12: "hevc"}
_OTHER_CODECS = {
    2: "Sorenson H.263", 3: "Screen video", 4: "VP6", 5: "VP6 with alpha", 6: "Screen video 2",
    8: "H.263", 9: "MPEG-4 Part 2", 13: "AV1 (legacy id 13)",
}  # fmt: skip

_COMMAND_FRAME = 5
_KEYFRAMES = (1, 4)
_TRUNCATED = "video tag is truncated"
# AVCPacketType, and codec id 12's.
_STEPS = (Step.CONFIG, Step.FRAME, Step.OTHER)


def parse_video(payload: memoryview) -> Iterator[Unit]:
    """The units of a video tag's body; none for an empty one and for seek commands.

    Raises RtmpError for a truncated tag and for a sequence start in MPEG-2 TS form.
    """
    if not payload:
        return
    first = payload[0]
    frame_type = first >> 4 & 0x07
    if first & 0x80:
        yield from _enhanced(payload, frame_type)
        return
    if frame_type == _COMMAND_FRAME:
        return
    codec_id = first & 0x0F
    codec = _NAL_CODECS.get(codec_id)
    if codec is None:
        name = _OTHER_CODECS.get(codec_id, f"video codec id {codec_id}")
        yield Unit(0, name, Step.FRAME, payload[1:], 0, False)
        return
    if len(payload) < 5:
        raise RtmpError(_TRUNCATED)
    packet_type = payload[1]
    step = _STEPS[packet_type] if packet_type < 3 else Step.OTHER
    keyframe = frame_type in _KEYFRAMES
    yield Unit(0, codec, step, payload[5:], _signed_24(payload[2:5]), keyframe)


def _enhanced(payload: memoryview, frame_type: int) -> Iterator[Unit]:
    keyframe = frame_type in _KEYFRAMES
    if frame_type == _COMMAND_FRAME and payload[0] & 0x0F != enhanced.METADATA:
        return
    for part in enhanced.parts("video", payload):
        codec = _FOURCCS.get(part.fourcc, part.fourcc)
        body = part.body
        step = Step.OTHER
        composition_ms = 0
        if part.packet_type == enhanced.SEQUENCE_START:
            step = Step.CONFIG
        elif part.packet_type == enhanced.CODED_FRAMES_X:
            step = Step.FRAME
        elif part.packet_type == enhanced.CODED_FRAMES:
            step = Step.FRAME
            if codec in ("h264", "hevc"):
                if len(body) < 3:
                    raise RtmpError(_TRUNCATED)
                composition_ms = _signed_24(body[:3])
                body = body[3:]
        elif part.packet_type == enhanced.MPEG2TS_SEQUENCE_START:
            raise RtmpError(
                "Enhanced RTMP sequence start in MPEG-2 TS form is not supported: "
                "send the codec's configuration record"
            )
        yield Unit(part.track_id, codec, step, body, composition_ms, keyframe, part.nanoseconds)


def _signed_24(data: memoryview) -> int:
    return int.from_bytes(data, "big", signed=True)
