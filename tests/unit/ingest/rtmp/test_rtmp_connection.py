"""The server's side of the protocol, driven by bytes."""

from __future__ import annotations

import pytest
from rtmp_support import HANDSHAKE, Publisher, answers

from kinolog.ingest.rtmp.amf0 import decode_all, encode_all
from kinolog.ingest.rtmp.chunk_writer import ChunkWriter
from kinolog.ingest.rtmp.connection import PublishRequested, RtmpConnection, Unpublished
from kinolog.ingest.rtmp.errors import RtmpError
from kinolog.ingest.rtmp.message import Message, uint32, user_control


def commands(data: bytes) -> list[list[object]]:
    return [list(decode_all(bytes(m.payload))) for m in answers(data) if m.type_id == 20]


def codes(data: bytes) -> list[object]:
    """The status codes in what a server sent."""
    infos = [values[-1] for values in commands(data)]
    return [info["code"] for info in infos if isinstance(info, dict) and "code" in info]


def test_simple_handshake_echoes_c1() -> None:
    connection = RtmpConnection()
    c1 = bytes(4) + b"\x09\x00\x7c\x02" + b"r" * 1528  # a digest publisher's version bytes
    connection.receive_data(b"\x03" + c1)
    sent = connection.data_to_send()
    assert sent == b"\x03" + bytes(1536) + c1


@pytest.mark.parametrize(("first", "said"), [(b"GET / HTTP", "handshake"), (b"\x06", "RTMPE")])
def test_what_is_not_rtmp_is_refused(first: bytes, said: str) -> None:
    connection = RtmpConnection()
    with pytest.raises(RtmpError, match=said):
        connection.receive_data(first)
    assert connection.data_to_send() == b""
    connection.receive_data(b"more")  # taken no more
    assert connection.events() == []


def test_publish_as_ffmpeg_does() -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(
        publisher.greet()
        + publisher.command("releaseStream", 2, None, "camera")
        + publisher.command("FCPublish", 3, None, "camera")
        + publisher.command("createStream", 4, None)
        + publisher.command("_checkbw", 5, None)
        + publisher.command("publish", 6, None, "camera?key=s", "live", stream_id=1)
    )
    assert connection.events() == [PublishRequested("demo", "camera?key=s", "Test: 1")]
    connection.accept()
    sent = connection.data_to_send()
    assert [m.type_id for m in answers(sent) if m.type_id != 20] == [5, 6, 4]
    assert codes(sent) == [
        "NetConnection.Connect.Success",
        "NetStream.Publish.Start",  # onFCPublish
        "NetStream.Publish.Start",
    ]
    assert ["_result", 4.0, None, 1.0] in commands(sent)
    connected = commands(sent)[0][2]
    assert isinstance(connected, dict)
    assert {"hvc1", "av01", "vp09"} <= set(connected["fourCcList"])


def test_amf3_commands_are_read() -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(HANDSHAKE)
    connection.receive_data(publisher.command("connect", 1, {"app": "a"}, type_id=17))
    assert codes(connection.data_to_send()) == ["NetConnection.Connect.Success"]


@pytest.mark.parametrize("command", ["FCUnpublish", "deleteStream", "closeStream"])
def test_end_of_publication(command: str) -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(publisher.publish())
    connection.receive_data(publisher.command(command, 7, None, 1, stream_id=1))
    connection.receive_data(publisher.picture(0, b"late"))
    assert connection.events()[1:] == [Unpublished(command)]


@pytest.mark.parametrize(
    ("values", "code", "said"),
    [
        (("play", 4, None, "camera"), "NetStream.Play.Failed", "does not play"),
        (("publish", 4, None, "other"), "NetStream.Publish.BadName", "publish twice"),
        (("connect", 4, {"app": "x"}), "NetStream.Publish.Failed", "connect twice"),
    ],
)
def test_commands_that_end_the_connection(values: tuple[object, ...], code: str, said: str) -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(publisher.publish())
    with pytest.raises(RtmpError, match=said):
        connection.receive_data(publisher.command(*values, stream_id=1))  # type: ignore[arg-type]
    assert connection.failed
    assert codes(connection.data_to_send())[-1] == code


def test_publish_before_connect_is_rejected() -> None:
    connection = RtmpConnection()
    with pytest.raises(RtmpError, match="before connect"):
        connection.receive_data(HANDSHAKE + Publisher().command("publish", 1, None, "x"))
    assert codes(connection.data_to_send()) == ["NetConnection.Connect.Rejected"]


def test_streams_and_command_sizes_are_bounded() -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(publisher.greet())
    with pytest.raises(RtmpError, match="too many streams"):
        connection.receive_data(publisher.command("createStream", 2, None) * 100)
    connection = RtmpConnection()
    with pytest.raises(RtmpError, match="too long"):
        connection.receive_data(HANDSHAKE + Publisher().command("connect", 1, "x" * 70_000))


def test_little_is_held_of_a_peer_that_does_not_publish() -> None:
    picture = Publisher().picture(0, bytes(1 << 20), keyframe=True)
    for start in (HANDSHAKE, Publisher().greet()):
        connection = RtmpConnection()
        connection.receive_data(start)
        connection.receive_data(picture[: 64 << 10])
        assert connection.buffered_bytes <= 64 << 10
        with pytest.raises(RtmpError, match="before publish"):
            connection.receive_data(picture[64 << 10 : 80 << 10])
    publisher = Publisher()
    connection = RtmpConnection()
    data = publisher.publish() + publisher.picture(0, bytes(1 << 20), keyframe=True)
    for at in range(0, len(data), 200_000):  # publish and the beginning of a picture in one read
        connection.receive_data(data[at : at + 200_000])
    assert len(connection.events()) == 2


def test_pings_are_answered_and_bytes_acknowledged() -> None:
    publisher = Publisher()
    writer = ChunkWriter()
    connection = RtmpConnection()
    connection.receive_data(publisher.publish())
    connection.data_to_send()
    before = len(publisher.publish())
    connection.receive_data(writer.write(2, uint32(5, 5000)))
    connection.receive_data(writer.write(2, user_control(6, 1234)))
    connection.receive_data(publisher.picture(0, bytes(9000)))
    connection.acknowledge()
    replies: list[Message] = []
    from kinolog.ingest.rtmp.chunk_reader import ChunkReader

    sent = connection.data_to_send()
    # Sent after type 0 headers on the same chunk stream: give the reader one to build on.
    ChunkReader().receive(bytes.fromhex("02 000000 000000 04 00000000") + sent, replies)
    pong, ack = replies[1], replies[2]
    assert bytes(pong.payload) == b"\x00\x07" + (1234).to_bytes(4, "big")
    assert ack.type_id == 3
    assert int.from_bytes(ack.payload, "big") > before + 9000


def test_aggregates_are_split_and_their_times_moved() -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(publisher.publish())
    connection.events()

    def tag(type_id: int, time_ms: int, body: bytes) -> bytes:
        head = bytes((type_id,)) + len(body).to_bytes(3, "big")
        times = (time_ms & 0xFFFFFF).to_bytes(3, "big") + bytes((time_ms >> 24,))
        return head + times + bytes(3) + body + (11 + len(body)).to_bytes(4, "big")

    body = tag(9, 0x1000000, b"v") + tag(8, 0x1000021, b"a")
    connection.receive_data(publisher.message(22, body, 500))
    events = [event for event in connection.events() if isinstance(event, Message)]
    assert [(e.type_id, e.timestamp, bytes(e.payload)) for e in events] == [
        (9, 500, b"v"),
        (8, 533, b"a"),
    ]
    with pytest.raises(RtmpError, match="aggregate"):
        connection.receive_data(publisher.message(22, body[:-5], 600))


def test_amf3_data_messages_become_amf0_ones() -> None:
    publisher = Publisher()
    connection = RtmpConnection()
    connection.receive_data(publisher.publish())
    connection.events()
    connection.receive_data(publisher.message(15, b"\x00" + encode_all("onMetaData", {})))
    (event,) = connection.events()
    assert isinstance(event, Message)
    assert (event.type_id, bytes(event.payload)) == (18, encode_all("onMetaData", {}))
