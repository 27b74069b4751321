"""NAL unit length fields made four bytes, as kinolog's packets have them (ISO/IEC 14496-15)."""

from __future__ import annotations

from kinolog.ingest.rtmp.errors import RtmpError

# Where lengthSizeMinusOne (two bits) stands in the decoder configuration records.
_POSITIONS = {"h264": 4, "hevc": 21}
_MIN_RECORD_BYTES = {"h264": 7, "hevc": 23}


def normal_record(codec: str, record: bytes) -> tuple[bytes, int]:
    """(the configuration record saying four byte lengths, the length bytes the source uses).

    Raises RtmpError for a record that is too short, not version 1, or has lengths of 3 bytes.
    """
    position = _POSITIONS[codec]
    if len(record) < _MIN_RECORD_BYTES[codec] or record[0] > 1:
        raise RtmpError(f"{codec} sequence header is not a decoder configuration record")
    length_bytes = (record[position] & 3) + 1
    if length_bytes == 3:
        raise RtmpError(f"{codec} sequence header says NAL unit lengths of 3 bytes")
    if length_bytes == 4:
        return record, 4
    normal = bytearray(record)
    normal[position] |= 3
    return bytes(normal), length_bytes


def widen(data: memoryview, length_bytes: int) -> bytes:
    """An access unit with lengths of 1 or 2 bytes, with four; RtmpError if a unit is cut off."""
    out = bytearray()
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + length_bytes], "big")
        at += length_bytes
        unit = data[at : at + size]
        if len(unit) < size:
            raise RtmpError("NAL unit is truncated")
        out += size.to_bytes(4, "big") + unit
        at += size
    return bytes(out)
