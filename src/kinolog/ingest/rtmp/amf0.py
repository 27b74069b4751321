"""AMF0 values (Action Message Format 0, Adobe 2007), decoded with bounds and encoded.

Python values: float for Number, bool, str, dict for Object and ECMA Array, list for Strict Array,
None for Null, Undefined and Unsupported, float milliseconds for Date.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from kinolog.ingest.rtmp.errors import RtmpError

Value: TypeAlias = "float | bool | str | Mapping[str, Value] | Sequence[Value] | None"

MAX_DEPTH = 12
MAX_VALUES = 4096

_OBJECT_END = b"\x00\x00\x09"
_DOUBLE = struct.Struct(">d")


def decode_all(data: bytes) -> list[Value]:
    """Every value in `data`, one after the other, as commands and data messages hold them.

    Raises RtmpError for a truncated or unknown value, nesting deeper than MAX_DEPTH, or more
    than MAX_VALUES values.
    """
    decoder = _Decoder(data)
    values: list[Value] = []
    while decoder.at < len(data):
        values.append(decoder.value(0))
    return values


def encode_all(*values: Value) -> bytes:
    """The values one after the other; numbers as doubles, mappings as Objects (section 2.5)."""
    out = bytearray()
    for value in values:
        _encode(out, value)
    return bytes(out)


class _Decoder:
    """A position in AMF0 bytes. Section numbers are those of the AMF0 specification."""

    def __init__(self, data: bytes) -> None:
        self.at = 0
        self._data = data
        self._values = 0

    def value(self, depth: int) -> Value:
        self._values += 1
        if depth > MAX_DEPTH or self._values > MAX_VALUES:
            raise RtmpError("AMF0 value is nested too deep or too large")
        marker = self._take(1)[0]
        if marker == 0x00:
            return self._number()
        if marker == 0x01:
            return self._take(1) != b"\x00"
        if marker == 0x02:
            return self._string(2)
        if marker == 0x03:
            return self._properties(depth)
        if marker in (0x05, 0x06, 0x0D):
            return None
        if marker == 0x08:
            # 2.10: the count is only a hint, the end marker counts.
            self._take(4)
            return self._properties(depth)
        if marker == 0x0A:
            return self._strict_array(depth)
        if marker == 0x0B:
            date_ms = self._number()
            self._take(2)  # time zone, "should not be filled in" (2.13)
            return date_ms
        if marker in (0x0C, 0x0F):
            return self._string(4)
        if marker == 0x10:
            self._string(2)  # class name (2.18)
            return self._properties(depth)
        raise RtmpError(f"AMF0 type {marker:#04x} is not supported")

    def _take(self, size: int) -> bytes:
        end = self.at + size
        taken = self._data[self.at : end]
        if len(taken) != size:
            raise RtmpError("AMF0 value is truncated")
        self.at = end
        return taken

    def _number(self) -> float:
        number: float = _DOUBLE.unpack(self._take(8))[0]
        return number

    def _string(self, length_bytes: int) -> str:
        size = int.from_bytes(self._take(length_bytes), "big")
        return self._take(size).decode("utf-8", "replace")

    def _properties(self, depth: int) -> dict[str, Value]:
        properties: dict[str, Value] = {}
        while True:
            if self._data.startswith(_OBJECT_END, self.at):
                self.at += 3
                return properties
            if properties and self.at == len(self._data):
                # Encoders are known to leave out the end marker of the last ECMA array.
                return properties
            name = self._string(2)
            properties[name] = self.value(depth + 1)

    def _strict_array(self, depth: int) -> list[Value]:
        count = int.from_bytes(self._take(4), "big")
        if count > MAX_VALUES:
            raise RtmpError("AMF0 array is too long")
        return [self.value(depth + 1) for _ in range(count)]


def _encode(out: bytearray, value: Value) -> None:
    if value is None:
        out += b"\x05"
    elif isinstance(value, bool):
        out += b"\x01\x01" if value else b"\x01\x00"
    elif isinstance(value, (int, float)):
        out += b"\x00" + _DOUBLE.pack(value)
    elif isinstance(value, str):
        _encode_string(out, value)
    elif isinstance(value, Mapping):
        out += b"\x03"
        for name, item in value.items():
            encoded = name.encode()
            out += len(encoded).to_bytes(2, "big") + encoded
            _encode(out, item)
        out += _OBJECT_END
    else:
        out += b"\x0a" + len(value).to_bytes(4, "big")
        for item in value:
            _encode(out, item)


def _encode_string(out: bytearray, value: str) -> None:
    encoded = value.encode()
    if len(encoded) < 0x10000:
        out += b"\x02" + len(encoded).to_bytes(2, "big") + encoded
    else:
        out += b"\x0c" + len(encoded).to_bytes(4, "big") + encoded
