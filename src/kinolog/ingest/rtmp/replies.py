"""What the server answers to commands (RTMP 1.0, 7.2; Enhanced RTMP v2, NetConnection)."""

from __future__ import annotations

from kinolog.ingest.rtmp.amf0 import Value, encode_all
from kinolog.ingest.rtmp.errors import CONNECT_REJECTED
from kinolog.ingest.rtmp.message import COMMAND_AMF0, Message

# Enhanced RTMP v2, capsEx: multitrack, ModEx, nanosecond timestamp offsets.
_CAPS_EX = 0x02 | 0x04 | 0x08
_CAN_FORWARD = 0x04
VIDEO_FOURCCS = ("avc1", "hvc1", "av01", "vp09")
AUDIO_FOURCCS = ("mp4a", "Opus")

PUBLISH_START = "NetStream.Publish.Start"
UNPUBLISHED = "NetStream.Unpublish.Success"
WARNING = "NetStream.Publish.Warning"


def command(stream_id: int, *values: Value) -> Message:
    """A command message in AMF0: name, transaction id, and what follows (7.1.1)."""
    return Message(COMMAND_AMF0, stream_id, 0, memoryview(encode_all(*values)))


def result(transaction_id: float, *values: Value) -> Message:
    """`_result` of a call; the command object comes first in `values`."""
    return command(0, "_result", transaction_id, *values)


def connected(transaction_id: float) -> Message:
    """The answer to `connect` (7.2.1.1), naming the codecs taken in Enhanced RTMP's way.

    The capabilities stand in both objects, since encoders are known to look in either.
    """
    enhanced: dict[str, Value] = {
        "capsEx": _CAPS_EX,
        "fourCcList": [*VIDEO_FOURCCS, *AUDIO_FOURCCS],
        "videoFourCcInfoMap": dict.fromkeys(VIDEO_FOURCCS, _CAN_FORWARD),
        "audioFourCcInfoMap": dict.fromkeys(AUDIO_FOURCCS, _CAN_FORWARD),
    }
    properties: dict[str, Value] = {"fmsVer": "FMS/3,0,1,123", "capabilities": 31, **enhanced}
    info: dict[str, Value] = {
        "level": "status",
        "code": "NetConnection.Connect.Success",
        "description": "Connected to kinolog.",
        "objectEncoding": 0,
        **enhanced,
    }
    return result(transaction_id, properties, info)


def connect_rejected(transaction_id: float, description: str) -> Message:
    """`_error` for `connect` (7.2.1.1)."""
    return command(
        0, "_error", transaction_id, None, _status("error", CONNECT_REJECTED, description)
    )


def on_status(stream_id: int, level: str, code: str, description: str) -> Message:
    """`onStatus` of a stream (7.2.2); `level` is `status`, `warning` or `error`."""
    return command(stream_id, "onStatus", 0, None, _status(level, code, description))


def _status(level: str, code: str, description: str) -> dict[str, Value]:
    return {"level": level, "code": code, "description": description}
