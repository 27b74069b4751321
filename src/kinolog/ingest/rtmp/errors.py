"""The one error that the pure RTMP code raises for what a peer sent."""

from __future__ import annotations

from kinolog.core.errors import MediaError

CONNECT_REJECTED = "NetConnection.Connect.Rejected"
BAD_NAME = "NetStream.Publish.BadName"
PUBLISH_FAILED = "NetStream.Publish.Failed"
PLAY_FAILED = "NetStream.Play.Failed"


class RtmpError(MediaError):
    """Bytes that break RTMP, FLV or AMF0, or one of the bounds kept on them.

    The text is for the sender and the log; it never holds a stream key. `code` is what the sender
    is told in `onStatus` (RTMP 1.0, 7.2.2).
    """

    def __init__(self, message: str, *, code: str = PUBLISH_FAILED) -> None:
        super().__init__(message)
        self.code = code
