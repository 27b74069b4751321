"""Chunks in numbered pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.record.header import MAX_PIECE_BYTES, Header
from kinolog.record.pieces import split

HEADER = Header(v=1, kind="chunk", epoch=5, track="v0", msn=9, part=2, chunk=4, dts=7, ends="part")


def test_what_fits_is_left_alone() -> None:
    payload = bytes(MAX_PIECE_BYTES)
    ((header, piece),) = split(HEADER, payload)
    assert header is HEADER
    assert piece is payload


def test_one_byte_more_makes_two() -> None:
    pieces = split(HEADER, bytes(MAX_PIECE_BYTES + 1))
    assert [len(piece) for _, piece in pieces] == [MAX_PIECE_BYTES, 1]
    assert [(header.piece, header.pieces) for header, _ in pieces] == [(0, 2), (1, 2)]
    assert {header.ends for header, _ in pieces} == {"part"}


@given(st.binary(max_size=200), st.integers(1, 64))
def test_pieces_join_to_the_payload(payload: bytes, max_bytes: int) -> None:
    pieces = split(HEADER, payload, max_bytes)
    assert b"".join(piece for _, piece in pieces) == payload
    assert [header.piece for header, _ in pieces] == list(range(len(pieces)))
    assert {header.pieces for header, _ in pieces} == {len(pieces)}
    assert all(len(piece) <= max_bytes for _, piece in pieces)
    assert {(header.msn, header.part, header.chunk) for header, _ in pieces} == {(9, 2, 4)}


def test_no_bytes_a_piece_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 byte"):
        split(HEADER, b"", 0)
