"""Whatever bytes come, RTMP's core raises its own error, tells the peer, and stays small.

The corpus is what real encoders (FFmpeg 8) sent to a server, from handshake to deleteStream.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinolog.core.errors import KinologError, MediaError
from kinolog.ingest.rtmp.address import parse_address
from kinolog.ingest.rtmp.amf0 import decode_all
from kinolog.ingest.rtmp.chunk_reader import ChunkLimits
from kinolog.ingest.rtmp.connection import PublishRequested, RtmpConnection, Unpublished
from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.message import Message
from kinolog.ingest.rtmp.tracks import Tracks
from kinolog.ingest.source import SourceEvent
from kinolog.media.types import Packet

CAPTURES = {
    path.stem: path.read_bytes()
    for path in sorted((Path(__file__).parent / "corpus/rtmp").iterdir())
}
HANDSHAKE = bytes((3,)) + bytes(3072)
LIMITS = ChunkLimits(message_bytes=64 << 10, buffered_bytes=128 << 10, chunk_streams=8)
MAX_HELD = LIMITS.buffered_bytes + 4096 + 18


def ingest(reads: list[bytes]) -> tuple[list[SourceEvent], str | None, bytes]:
    """(source events, the error that ended it, bytes answered), as the session does it."""
    connection = RtmpConnection(LIMITS)
    tracks = Tracks()
    fed: list[SourceEvent] = []
    answered = b""
    failure: str | None = None
    for data in reads:
        try:
            connection.receive_data(data)
        except RtmpError as error:
            failure = str(error)
        try:
            for event in connection.events():
                if isinstance(event, PublishRequested):
                    parse_address(event.app, event.key)
                    tracks = Tracks()
                    connection.accept()
                elif not isinstance(event, Unpublished):
                    tracks.take(event, fed)
        except KinologError as error:
            failure = failure or str(error)
        answered += connection.data_to_send()
        assert connection.buffered_bytes <= MAX_HELD
        if failure is not None:
            break
    return fed, failure, answered


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("name", CAPTURES)
def test_captures_are_taken_whole(name: str) -> None:
    fed, failure, _ = ingest([CAPTURES[name]])
    assert failure is None
    assert sum(isinstance(event, Packet) for event in fed) >= 20


@given(st.sampled_from(sorted(CAPTURES)), st.lists(st.integers(0, 1 << 20), max_size=60))
@settings(max_examples=40)
def test_how_reads_are_cut_changes_nothing(name: str, cuts: list[int]) -> None:
    data = CAPTURES[name]
    whole, _, _ = ingest([data])
    cut, failure, _ = ingest(split(data, cuts))
    assert failure is None
    assert cut == whole


def test_byte_by_byte_changes_nothing() -> None:
    data = CAPTURES["av1"]
    whole = ingest([data])
    assert ingest([data[at : at + 1] for at in range(len(data))])[0] == whole[0]


@given(st.binary(max_size=4096))
@settings(max_examples=150)
def test_random_bytes_from_the_start(data: bytes) -> None:
    fed, _, _ = ingest([data])
    assert fed == []


@given(st.binary(max_size=8192), st.lists(st.integers(0, 8192), max_size=4))
@settings(max_examples=150)
def test_random_bytes_after_the_handshake(data: bytes, cuts: list[int]) -> None:
    fed, failure, answered = ingest(split(HANDSHAKE + data, cuts))
    assert fed == []
    assert failure is None or b"NetConnection.Connect.Rejected" in answered


@given(
    st.sampled_from(sorted(CAPTURES)),
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(1, 255)), min_size=1, max_size=40),
    st.booleans(),
)
@settings(max_examples=200)
def test_flipped_bits(name: str, flips: list[tuple[int, int]], early: bool) -> None:
    data = bytearray(CAPTURES[name])
    # Early flips hit the commands and sequence headers, the rest the chunk headers and media.
    room = min(len(data) - 3073, 1500) if early else len(data) - 3073
    for position, mask in flips:
        data[3073 + position % room] ^= mask
    ingest(split(bytes(data), [4000, 9000]))


@given(st.sampled_from(sorted(CAPTURES)), st.integers(0, 1 << 20))
@settings(max_examples=100)
def test_truncated_captures_give_the_beginning(name: str, size: int) -> None:
    data = CAPTURES[name]
    fed, failure, _ = ingest([data[: size % len(data)]])
    assert failure is None
    assert fed == ingest([data])[0][: len(fed)]


@given(st.sampled_from((8, 9, 18, 22)), st.binary(max_size=200))
@settings(max_examples=300)
def test_random_tag_bodies(type_id: int, body: bytes) -> None:
    with suppress(MediaError):
        Tracks().take(Message(type_id, 1, 0, memoryview(body)), [])


@given(st.binary(min_size=1, max_size=200))
@settings(max_examples=200)
def test_random_enhanced_tags(body: bytes) -> None:
    fed: list[SourceEvent] = []
    tracks = Tracks()
    with suppress(MediaError):
        for prefix in (b"\x90", b"\x80", b"\x96", b"\x97"):
            tracks.take(Message(9, 1, 0, memoryview(prefix + b"hvc1" + body)), fed)
            tracks.take(Message(8, 1, 0, memoryview(prefix + b"Opus" + body)), fed)


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_random_amf0(data: bytes) -> None:
    with suppress(RtmpError):
        decode_all(data)
