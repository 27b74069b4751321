"""The chunk stream: every header form, any split, and the bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.ingest.rtmp.chunk_reader import ChunkLimits, ChunkReader
from kinolog.ingest.rtmp.chunk_writer import ChunkWriter
from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.message import AUDIO, SET_CHUNK_SIZE, VIDEO, Message, control, uint32

MESSAGES = st.lists(
    st.tuples(
        st.sampled_from((2, 3, 4, 63, 64, 319, 320, 65599)),
        st.builds(
            Message,
            st.sampled_from((AUDIO, VIDEO, 18, 20)),
            st.sampled_from((0, 1, 7)),
            st.one_of(
                st.integers(0, 100), st.sampled_from((0xFFFFFE, 0xFFFFFF, 0x1000000, 0xFFFFFFFF))
            ),
            st.binary(max_size=600).map(memoryview),
        ),
    ),
    max_size=12,
)


def read(*pieces: bytes, limits: ChunkLimits | None = None) -> list[Message]:
    reader = ChunkReader(limits)
    messages: list[Message] = []
    for piece in pieces:
        reader.receive(piece, messages)
    return messages


@given(MESSAGES, st.integers(128, 700), st.lists(st.integers(0, 1 << 14), max_size=20))
def test_written_messages_are_read_however_cut(
    sent: list[tuple[int, Message]], chunk_size: int, cuts: list[int]
) -> None:
    writer = ChunkWriter()
    data = writer.write(2, uint32(SET_CHUNK_SIZE, chunk_size))
    data += b"".join(writer.write(csid, message) for csid, message in sent)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    assert read(*(data[a:b] for a, b in pairwise(edges))) == [message for _, message in sent]


def test_each_header_form() -> None:
    full = bytes.fromhex("04 0003e8 000002 08 01000000 aaaa")
    no_stream = bytes.fromhex("44 000014 000001 08 bb")
    delta_only = bytes.fromhex("84 000015 cc")
    nothing = bytes.fromhex("c4 dd")
    got = read(full + no_stream + delta_only + nothing)
    assert [(m.timestamp, bytes(m.payload).hex(), m.stream_id) for m in got] == [
        (1000, "aaaa", 1),
        (1020, "bb", 1),
        (1041, "cc", 1),
        (1062, "dd", 1),
    ]


def test_type_3_after_type_0_repeats_its_timestamp_as_delta() -> None:
    # RTMP 1.0, 5.3.1.2.4
    got = read(bytes.fromhex("04 00000a 000001 08 01000000 aa c4 bb"))
    assert [m.timestamp for m in got] == [10, 20]


@pytest.mark.parametrize("repeated", [True, False])
def test_extended_timestamp_in_type_3_chunks_may_be_left_out(repeated: bool) -> None:
    extended = bytes.fromhex("01000000")
    first = bytes.fromhex("04 ffffff 0000c8 09 01000000") + extended + b"a" * 128
    rest = b"\xc4" + (extended if repeated else b"") + b"b" * 72
    got = read(first + rest)
    assert [(m.timestamp, bytes(m.payload)) for m in got] == [(0x01000000, b"a" * 128 + b"b" * 72)]


def test_deltas_wrap_at_32_bits() -> None:
    got = read(bytes.fromhex("04 ffffff 000001 08 01000000 fffffff0 aa 84 000020 bb"))
    assert [m.timestamp for m in got] == [0xFFFFFFF0, 0x10]


def test_interleaved_messages_of_two_chunk_streams() -> None:
    video = bytes.fromhex("06 000000 000082 09 01000000") + b"v" * 128
    audio = bytes.fromhex("04 000000 000002 08 01000000") + b"aa"
    got = read(video + audio + b"\xc6vv")
    assert [(m.type_id, len(m.payload)) for m in got] == [(AUDIO, 2), (VIDEO, 130)]


def test_abort_discards_the_unfinished_message() -> None:
    begun = bytes.fromhex("06 000000 000100 09 01000000") + b"x" * 128
    abort = ChunkWriter().write(2, control(2, (6).to_bytes(4, "big")))
    again = bytes.fromhex("06 000001 000001 09 01000000") + b"y"
    reader = ChunkReader()
    messages: list[Message] = []
    reader.receive(begun, messages)
    assert reader.buffered_bytes == 128
    reader.receive(abort, messages)
    assert reader.buffered_bytes == 0
    reader.receive(again, messages)
    assert [bytes(m.payload) for m in messages] == [b"y"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (bytes.fromhex("02 000000 000004 01 00000000 00000000"), "chunk size 0"),
        (bytes.fromhex("02 000000 000004 01 00000000 0000007f"), "chunk size 127"),
        (bytes.fromhex("02 000000 000004 01 00000000 80000000"), "chunk size"),
        (bytes.fromhex("02 000000 000002 01 00000000 0000"), "too short"),
        (b"\x84\x00\x00\x00", "begins with a type 2"),
        (b"\xc4", "begins with a type 3"),
        (bytes.fromhex("04 000000 ffffff 09 01000000"), "too long"),
        (bytes.fromhex("04 000000 000100 09 01000000") + bytes(128) + b"\x84\0\0\0", "before"),
    ],
)
def test_violations_raise(data: bytes, said: str) -> None:
    with pytest.raises(RtmpError, match=said):
        read(data, limits=ChunkLimits(message_bytes=1 << 20))


def test_chunk_streams_and_unfinished_bytes_are_bounded() -> None:
    begun = bytes.fromhex("000000 000400 09 01000000") + bytes(128)
    limits = ChunkLimits(buffered_bytes=500, chunk_streams=3)
    with pytest.raises(RtmpError, match="unfinished"):
        read(b"\x04" + begun + (b"\xc4" + bytes(128)) * 3, limits=limits)
    with pytest.raises(RtmpError, match="too many chunk streams"):
        read(
            *(bytes((csid,)) + begun for csid in range(3, 7)),
            limits=limits._replace(buffered_bytes=1 << 20),
        )


def test_what_came_before_a_violation_is_given() -> None:
    messages: list[Message] = []
    good = bytes.fromhex("04 000000 000001 08 01000000 aa")
    with pytest.raises(RtmpError):
        ChunkReader().receive(good + b"\xc7", messages)
    assert len(messages) == 1
