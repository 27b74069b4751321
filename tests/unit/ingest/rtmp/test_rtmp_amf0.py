"""AMF0 decoding and encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.ingest.rtmp.amf0 import MAX_DEPTH, decode_all, encode_all
from kinolog.ingest.rtmp.errors import RtmpError

VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=9), inner)
    ),
    max_leaves=20,
)


@given(st.lists(VALUES, max_size=4))
def test_round_trip(values: list[object]) -> None:
    assert decode_all(encode_all(*values)) == values  # type: ignore[arg-type]


def test_long_string() -> None:
    text = "x" * 70_000
    assert encode_all(text)[0] == 0x0C
    assert decode_all(encode_all(text)) == [text]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\x08\x00\x00\x00\x01\x00\x01a\x01\x01\x00\x00\x09", {"a": True}),
        (b"\x08\x00\x00\x00\x09\x00\x01a\x05", {"a": None}),  # end marker left out
        (b"\x0b" + bytes(8) + b"\x00\x3c", 0.0),
        (b"\x06", None),
        (b"\x0d", None),
        (b"\x0f\x00\x00\x00\x02<a", "<a"),
        (b"\x10\x00\x01C\x00\x01a\x05\x00\x00\x09", {"a": None}),
    ],
)
def test_forms_that_are_only_received(data: bytes, value: object) -> None:
    assert decode_all(data) == [value]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x00",
        b"\x02\x00\x05abc",
        b"\x03\x00\x01a",
        b"\x11\x01",
        b"\x07\x00\x01",
        b"\x0a\xff\xff\xff\xff",
        b"\x0a\x00\x00\x00\x01" * (MAX_DEPTH + 2) + b"\x05",
        b"\x05" * 5000,
    ],
)
def test_malformed_and_excessive_values_raise(data: bytes) -> None:
    with pytest.raises(RtmpError):
        decode_all(data)
