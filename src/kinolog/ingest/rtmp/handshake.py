"""The server's side of the RTMP handshake (RTMP 1.0, 5.2), the simple form.

Publishers that offer the digest form in C1 (ffmpeg, OBS) accept the plain echo when the version
bytes of S1 are zero, so C1 is echoed and C2 is not judged.
"""

from __future__ import annotations

from kinolog.ingest.rtmp.errors import RtmpError

VERSION = 3
SIZE = 1536
_RTMPE_VERSIONS = (6, 8, 9)


class Handshake:
    """C0, C1 and C2 in; S0, S1 and S2 out."""

    def __init__(self) -> None:
        self.done = False
        self._held = bytearray()
        self._answered = False

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take bytes; give (answer to send, bytes after the handshake).

        Raises RtmpError when the first byte is not RTMP's version 3.
        """
        self._held += data
        answer = b""
        if self._held and self._held[0] != VERSION:
            raise RtmpError(_not_version_3(self._held[0]))
        if not self._answered and len(self._held) >= 1 + SIZE:
            c1 = bytes(self._held[1 : 1 + SIZE])
            # S1: time 0, four zero bytes, filler (5.2.3); S2: C1 again (5.2.4).
            answer = bytes((VERSION,)) + bytes(SIZE) + c1
            self._answered = True
        if len(self._held) < 1 + 2 * SIZE:
            return answer, b""
        rest = bytes(self._held[1 + 2 * SIZE :])
        self._held = bytearray()
        self.done = True
        return answer, rest


def _not_version_3(version: int) -> str:
    if version in _RTMPE_VERSIONS:
        return "encrypted RTMPE is not supported: publish to rtmp:// or rtmps://"
    return f"the connection does not begin with an RTMP handshake (first byte {version:#04x})"
