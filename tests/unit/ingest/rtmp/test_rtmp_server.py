"""The listener and its sessions, over loopback, with a publisher made of bytes."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from rtmp_support import MemoryDesk, MemoryPublication, Publisher, in_loop

from kinolog.core.errors import ConfigError, KafkaUnavailable, MediaError, Refused, Replaced
from kinolog.ingest.rtmp import RtmpServer, RtmpSettings
from kinolog.ingest.rtmp.message import AUDIO
from kinolog.ingest.source import SourceEvent
from kinolog.media.types import Packet

LOOPBACK = "127.0.0.1"


class Wire:
    """An encoder's TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.publisher = Publisher()
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, text: bytes) -> bytes:
        """What the server sends up to and with `text`."""
        return await asyncio.wait_for(self.reader.readuntil(text), 10)

    async def to_end(self) -> bytes:
        """What the server sends until it closes."""
        return await asyncio.wait_for(self.reader.read(-1), 10)


@asynccontextmanager
async def connected(server: RtmpServer) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(LOOPBACK, server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def publishing(wire: Wire, desk: MemoryDesk) -> MemoryPublication:
    await wire.send(wire.publisher.publish())
    await wire.until(b"Publishing.")
    return desk.publications["demo/camera"]


async def fed(publication: MemoryPublication, packets: int) -> list[Packet]:
    def got() -> list[Packet]:
        return [event for event in publication.events if isinstance(event, Packet)]

    async with asyncio.timeout(10), publication.fed:
        await publication.fed.wait_for(lambda: len(got()) >= packets)
    return got()


@in_loop
async def test_the_owner_stands_in_the_urls_query() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        await wire.send(wire.publisher.publish(key="camera?owner=ann"))
        await wire.until(b"Publishing.")
    assert desk.owners == ["ann"]


@in_loop
async def test_media_is_fed_and_the_end_told() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        publication = await publishing(wire, desk)
        await wire.send(wire.publisher.headers() + wire.publisher.picture(0, b"pic", keyframe=True))
        assert (await fed(publication, 1))[0].data == b"pic"
        wire.writer.close()
        await asyncio.wait_for(publication.closed.wait(), 10)
    assert publication.reasons == ["the publisher disconnected"]
    assert desk.publishers[0].startswith("rtmp 127.0.0.1:")
    assert desk.publishers[0].endswith(" Test: 1")
    assert desk.senders == ["rtmp 127.0.0.1"], "without the port, which changes"


@in_loop
async def test_stopping_feeds_what_came_and_closes() -> None:
    desk = MemoryDesk()
    async with AsyncExitStack() as stack:
        async with RtmpServer(desk, LOOPBACK, 0) as server:
            wire = await stack.enter_async_context(connected(server))
            publication = await publishing(wire, desk)
        assert publication.reasons == ["the server stopped"]
        assert server.connections == 0
        await wire.to_end()
    async with RtmpServer(desk, LOOPBACK, server.port):
        pass  # the port is free again


@in_loop
async def test_a_publication_can_follow_another_on_one_connection() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        first = await publishing(wire, desk)
        await wire.send(wire.publisher.command("FCUnpublish", 5, None, "camera"))
        await asyncio.wait_for(first.closed.wait(), 10)
        await wire.send(wire.publisher.command("publish", 6, None, "second", "live", stream_id=1))
        await wire.until(b"Publishing.")
        assert set(desk.publications) == {"demo/camera", "demo/second"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Replaced("a newer publisher took demo/camera"), b"NetStream.Publish.BadName"),
        (MediaError("no keyframe in 30 s"), b"NetStream.Publish.Failed"),
        (KafkaUnavailable("no broker answers"), b"NetStream.Publish.Failed"),
        (ZeroDivisionError("a defect"), b"internal error"),
    ],
)
@in_loop
async def test_errors_of_feed_reach_the_publisher(error: Exception, code: bytes) -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        publication = await publishing(wire, desk)
        publication.error = error
        await wire.send(wire.publisher.headers())
        said = await wire.to_end()
        assert code in said
        wire.writer.close()
        await asyncio.wait_for(publication.closed.wait(), 10)
    if code != b"internal error":
        assert str(error).encode() in said
    else:
        assert b"defect" not in said


@pytest.mark.parametrize(
    ("app", "key", "said"),
    [("demo", "a/b", b"a slash too many"), ("demo", "camera", b"wait 10 s")],
)
@in_loop
async def test_refused_at_the_desk(app: str, key: str, said: bytes) -> None:
    desk = MemoryDesk(Refused("demo/camera was just taken: wait 10 s"))
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        await wire.send(wire.publisher.publish(app, key))
        end = await wire.to_end()
        assert b"NetStream.Publish.BadName" in end
        assert said in end


@in_loop
async def test_garbage_ends_its_own_connection_only() -> None:
    desk = MemoryDesk()
    async with (
        RtmpServer(desk, LOOPBACK, 0) as server,
        connected(server) as good,
        connected(server) as bad,
        connected(server) as worse,
    ):
        publication = await publishing(good, desk)
        await worse.send(b"GET / HTTP/1.1\r\n\r\n")
        assert await worse.to_end() == b""
        await bad.send(bad.publisher.greet("other") + b"\xc7" * 100)
        assert b"chunk stream 7 begins with" in await bad.to_end()
        await good.send(good.publisher.headers() + good.publisher.picture(5, b"on"))
        assert (await fed(publication, 1))[0].data == b"on"


class _FailsAtTheEnd(MemoryPublication):
    """Its feed fails once `ended`, its close at once: with errors that nobody foresaw."""

    def __init__(self) -> None:
        super().__init__()
        self.feeding = asyncio.Event()
        self.ended = asyncio.Event()

    async def feed(self, events: Sequence[SourceEvent]) -> None:
        if not events:
            return
        self.feeding.set()
        await self.ended.wait()
        raise ZeroDivisionError("a defect in feed")

    async def close(self, reason: str) -> None:
        raise ZeroDivisionError("a defect in close")


@in_loop
async def test_a_defect_in_one_session_is_not_the_others_concern() -> None:
    desk = MemoryDesk()
    failing = desk.publications["demo/camera"] = _FailsAtTheEnd()
    async with (
        RtmpServer(desk, LOOPBACK, 0) as server,
        connected(server) as bad,
        connected(server) as good,
    ):
        await publishing(bad, desk)
        await bad.send(bad.publisher.headers())
        await good.send(good.publisher.publish("demo", "other"))
        await good.until(b"Publishing.")
        failing.ended.set()
        assert b"internal error" in await bad.to_end()
        await good.send(good.publisher.headers() + good.publisher.picture(5, b"on"))
        assert (await fed(desk.publications["demo/other"], 1))[0].data == b"on"


@in_loop
async def test_a_feed_that_fails_after_the_server_closed_the_socket_ends_quietly() -> None:
    desk = MemoryDesk()
    failing = desk.publications["demo/camera"] = _FailsAtTheEnd()

    async def fail_once_closed(wire: Wire) -> None:
        await wire.to_end()
        failing.ended.set()

    async with RtmpServer(desk, LOOPBACK, 0) as server:
        wire = await asyncio.open_connection(LOOPBACK, server.port)
        encoder = Wire(*wire)
        await publishing(encoder, desk)
        await encoder.send(encoder.publisher.headers())
        await failing.feeding.wait()
        closed = asyncio.create_task(fail_once_closed(encoder))
    await closed
    encoder.writer.close()


@in_loop
async def test_what_came_before_a_violation_is_fed() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        publication = await publishing(wire, desk)
        await wire.send(wire.publisher.headers() + wire.publisher.picture(0, b"last") + b"\xc7" * 4)
        await wire.to_end()
        assert [packet.data for packet in await fed(publication, 1)] == [b"last"]


@in_loop
async def test_a_track_that_is_left_out_is_named_to_the_publisher() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        publication = await publishing(wire, desk)
        await wire.send(wire.publisher.message(AUDIO, b"\xb6speex"))
        await wire.until(b"Speex cannot be carried: the track is left out")
        await wire.send(wire.publisher.headers() + wire.publisher.picture(0, b"pic", keyframe=True))
        assert (await fed(publication, 1))[0].data == b"pic"


@in_loop
async def test_the_silent_are_cut_off() -> None:
    settings = RtmpSettings(publish_deadline=0.05, idle_timeout=0.05, linger_timeout=0.05)
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0, settings=settings) as server:
        async with connected(server) as mute:
            assert await mute.to_end() == b""
        async with connected(server) as idle:
            publication = await publishing(idle, desk)
            assert b"no data for 0.05 s" in await idle.to_end()
            await asyncio.wait_for(publication.closed.wait(), 10)


@in_loop
async def test_who_sent_while_the_server_itself_stood_still_is_not_silent() -> None:
    settings = RtmpSettings(idle_timeout=0.2)
    desk = MemoryDesk()
    async with (
        RtmpServer(desk, LOOPBACK, 0, settings=settings) as server,
        connected(server) as wire,
    ):
        publication = await publishing(wire, desk)
        socket = wire.writer.get_extra_info("socket")
        media = wire.publisher.headers() + wire.publisher.picture(0, b"pic", keyframe=True)
        os.write(socket.fileno(), media)
        time.sleep(0.4)  # noqa: ASYNC251 - the loop is held up, as by a machine that stalls
        assert (await fed(publication, 1))[0].data == b"pic"


@in_loop
async def test_a_silent_one_that_is_replaced_is_told_and_closed_at_once() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        publication = await publishing(wire, desk)
        await wire.send(wire.publisher.headers() + wire.publisher.picture(0, b"pic", keyframe=True))
        await fed(publication, 1)
        (cut_off,) = desk.cut_offs
        assert cut_off is not None
        cut_off(Replaced("a newer publisher took demo/camera"))
        async with asyncio.timeout(1):  # before the linger is over: it may be dead
            await publication.closed.wait()
        assert b"NetStream.Publish.BadName" in await wire.to_end()
        async with asyncio.timeout(5):
            while server.connections:  # noqa: ASYNC110 - the server tells nobody of it
                await asyncio.sleep(0.01)
    (reason,) = publication.reasons
    assert reason.startswith("a newer publisher took demo/camera")


@in_loop
async def test_a_full_publication_stops_the_reading() -> None:
    desk = MemoryDesk()
    settings = RtmpSettings(read_bytes=4096)
    pictures = 64
    async with (
        RtmpServer(desk, LOOPBACK, 0, settings=settings) as server,
        connected(server) as wire,
    ):
        publication = await publishing(wire, desk)
        publication.gate.clear()
        wire.writer.transport.set_write_buffer_limits(high=0)
        await wire.send(wire.publisher.headers())
        picture = wire.publisher.picture(0, bytes(1 << 20))
        sending = asyncio.create_task(wire.send(picture * pictures))
        # More than the kernel's buffers hold: it cannot end while nobody reads.
        await asyncio.wait({sending}, timeout=0.5)
        assert not sending.done()
        publication.gate.set()
        await asyncio.wait_for(sending, 60)
        assert len(await fed(publication, pictures)) == pictures


@in_loop
async def test_the_query_names_the_owner() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        await wire.send(wire.publisher.publish(key="camera?owner=ann&key=SECRET"))
        await wire.until(b"Publishing.")
    assert desk.owners == ["ann"]


@in_loop
async def test_keys_are_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    desk = MemoryDesk(Refused("not now"))
    async with RtmpServer(desk, LOOPBACK, 0) as server, connected(server) as wire:
        await wire.send(wire.publisher.publish(key="camera?key=SECRET"))
        await wire.to_end()
    assert "not now" in caplog.text
    assert "SECRET" not in caplog.text


@in_loop
async def test_connections_are_bounded() -> None:
    desk = MemoryDesk()
    settings = RtmpSettings(max_connections=1)
    async with (
        RtmpServer(desk, LOOPBACK, 0, settings=settings) as server,
        connected(server) as first,
    ):
        await publishing(first, desk)
        async with connected(server) as second:
            assert await second.to_end() == b""
        assert server.connections == 1


@in_loop
async def test_taken_port_is_said() -> None:
    desk = MemoryDesk()
    async with RtmpServer(desk, LOOPBACK, 0) as server:
        with pytest.raises(ConfigError, match="cannot listen for RTMP"):
            async with RtmpServer(desk, LOOPBACK, server.port):
                pass
