"""Media segments over HTTP while they grow, without a server: what is sent, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.core.rsgi import Headers, ViewerGone
from kinolog.delivery.channel import Channel
from kinolog.delivery.media_files import MediaFiles
from kinolog.record.log_record import LogRecord
from kinolog.testing.log_script import as_records, close_item, session

PLACE = ("demo.media", 0)
RECORDS = as_records([*session(epoch=5, seconds=3.1, chunk_frames=1), close_item(5)])
SEGMENT = b"".join(
    r.value for r in RECORDS if (r.header.track, r.header.msn) == ("v0", 1) and r.value
)


class NoPast:
    """A log that has nothing older."""

    async def segment(self, name: object) -> None:
        """No segment."""

    def init_segment(self, *name: object) -> None:
        """No init segment."""


class Asked:
    """A request, and what it was answered with."""

    def __init__(self, rest: str, *, method: str = "GET", gone_after: int = 1 << 30) -> None:
        self.rest = rest
        self.method = method
        self.headers: dict[str, str] = {}
        self.status = 0
        self.said: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self._gone_after = gone_after

    def response_stream(self, status: int, headers: Headers) -> Asked:
        self.status, self.said = status, dict(headers)
        return self

    async def send_bytes(self, data: bytes) -> None:
        if len(self.pieces) >= self._gone_after:
            raise ViewerGone
        self.pieces.append(bytes(data))

    def response_bytes(self, status: int, headers: Headers, body: bytes) -> None:
        self.status, self.said, self.pieces = status, dict(headers), [body]

    def response_empty(self, status: int, headers: Headers) -> None:
        self.status, self.said = status, dict(headers)

    def response_str(self, status: int, headers: Headers, body: str) -> None:
        self.response_bytes(status, headers, body.encode())


class LaterClock(SystemClock):
    """The time of day and the other, so much later."""

    later_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.later_s

    def unix_ms(self) -> int:
        return super().unix_ms() + int(1000 * self.later_s)


class Scene:
    """A channel that is fed record by record, and requests of it."""

    def __init__(self) -> None:
        self.clock = LaterClock()
        self.channel = Channel(StreamName("demo", "cam"), self.clock)
        self.files = MediaFiles(NoPast(), self.clock)  # type: ignore[arg-type]
        self.left = iter(RECORDS)

    async def feed_up_to(self, track: str, msn: int, chunk: int) -> None:
        """The log up to this chunk; what waits for it has its turn."""
        for record in self.left:
            await self.feed([record])
            header = record.header
            if (header.track, header.msn, header.chunk) == (track, msn, chunk):
                return

    async def feed(self, records: Iterable[LogRecord]) -> None:
        for record in records:
            self.channel.take(PLACE, record)
            await settled()

    def ask(self, asked: Asked) -> asyncio.Task[bool]:
        answering: Coroutine[Any, Any, bool] = self.files.answer(
            asked,  # type: ignore[arg-type]
            asked,  # type: ignore[arg-type]
            self.channel,
            asked.rest,
        )
        return asyncio.create_task(answering)


async def settled() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


def test_it_is_sent_chunk_by_chunk_from_before_it_began_to_its_end() -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked("v0/5/1.m4s")
        await scene.feed_up_to("v0", 0, 20)
        task = scene.ask(asked)
        await settled()
        assert asked.status == 0  # the segment before is in progress
        await scene.feed_up_to("v0", 1, 0)
        assert (asked.status, len(asked.pieces)) == (200, 1)
        await scene.feed_up_to("v0", 1, 7)
        assert len(asked.pieces) == 8
        late = Asked("v0/5/1.m4s")
        late_task = scene.ask(late)
        await settled()
        assert b"".join(late.pieces) == b"".join(asked.pieces)
        assert not task.done()
        await scene.feed(scene.left)
        assert await task
        assert await late_task
        assert b"".join(asked.pieces) == b"".join(late.pieces) == SEGMENT
        assert asked.said["cache-control"] == "public, max-age=1"

    asyncio.run(work())


def test_a_hole_ends_it_with_the_last_chunk_before() -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked("v0/5/1.m4s")
        await scene.feed_up_to("v0", 1, 5)
        task = scene.ask(asked)
        await settled()
        before = b"".join(asked.pieces)
        lost = next(r for r in scene.left if r.header.track == "v0")
        await scene.feed(scene.left)
        assert await task
        assert b"".join(asked.pieces) == before
        assert lost.value not in before
        again = Asked("v0/5/1.m4s")
        assert await scene.ask(again)
        assert again.status == 404

    asyncio.run(work())


def test_a_viewer_that_leaves_is_no_error_and_leaves_nothing_behind() -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked("v0/5/1.m4s", gone_after=3)
        await scene.feed_up_to("v0", 1, 10)
        assert await scene.ask(asked)
        assert len(asked.pieces) == 3
        assert not scene.channel.busy

    asyncio.run(work())


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_a_length_that_was_asked_for_is_waited_for(method: str) -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked("v0/5/1.m4s", method=method)
        if method == "GET":
            asked.headers["range"] = "bytes=0-9"
        await scene.feed_up_to("v0", 1, 5)
        task = scene.ask(asked)
        await settled()
        assert asked.status == 0
        await scene.feed(scene.left)
        assert await task
        if method == "HEAD":
            assert asked.said["content-length"] == str(len(SEGMENT))
        else:
            assert (asked.status, asked.pieces) == (206, [SEGMENT[:10]])

    asyncio.run(work())


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("v0/5/2.m4s", 200),
        ("v0/5/99.m4s", 200),
        ("a0/5/2.m4s", 200),
        ("v0/5/999999999.m4s", 404),
        ("v0/5/2.1.m4s", 404),
        ("v0/4/2.m4s", 404),
        ("v0/6/9.m4s", 404),
        ("x/5/2.m4s", 404),
    ],
)
def test_numbers_behind_the_last_of_a_session_that_is_over_are_empty(
    rest: str, status: int
) -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked(rest)
        await scene.feed(scene.left)
        assert await scene.ask(asked)
        assert asked.status == status
        assert (b"".join(asked.pieces) == b"") == (status == 200)

    asyncio.run(work())


def test_the_part_that_was_hinted_at_a_close_is_held_as_long_as_a_playlist() -> None:
    async def work() -> None:
        scene, asked, later = Scene(), Asked("v0/5/2.0.m4s"), Asked("v0/5/2.0.m4s")
        await scene.feed(scene.left)
        task = scene.ask(asked)
        await settled()
        assert asked.status == 0
        scene.clock.later_s = 6.5  # three target durations are 6 s
        scene.channel.expire(scene.clock.monotonic())
        assert await task
        assert asked.status == 404
        task = scene.ask(later)
        await settled()
        assert later.status == 0
        await scene.feed(as_records(session(epoch=9, first_msn=2, seconds=1.0)))
        assert await task
        assert later.status == 404

    asyncio.run(work())


def test_who_waits_for_the_next_segment_when_the_session_ends_gets_an_empty_one() -> None:
    async def work() -> None:
        scene, asked = Scene(), Asked("v0/5/2.m4s")
        await scene.feed_up_to("v0", 1, 5)
        task = scene.ask(asked)
        await scene.feed(scene.left)
        assert await task
        assert (asked.status, asked.pieces) == (200, [b""])

    asyncio.run(work())


def test_of_a_session_that_has_left_off_there_is_what_came() -> None:
    """Nothing in the log says that it is over: what is in progress ends, what would be due is
    empty, for as long as a cache may need to hear of more."""

    async def work() -> None:
        scene, reading, waiting = Scene(), Asked("v0/5/1.m4s"), Asked("v0/5/2.m4s")
        await scene.feed_up_to("v0", 1, 5)
        tasks = [scene.ask(reading), scene.ask(waiting)]
        await settled()
        assert (reading.status, waiting.status) == (200, 0)
        scene.clock.later_s = 6.5  # three target durations are 6 s
        scene.channel.expire(scene.clock.monotonic())
        await settled()
        assert [task.done() for task in tasks] == [True, True]
        assert (waiting.status, waiting.pieces) == (200, [b""])
        for rest, status in (("v0/5/1.m4s", 200), ("v0/5/4.m4s", 200), ("v0/6/2.m4s", 0)):
            late = Asked(rest)
            task = scene.ask(late)
            await settled()
            assert late.status == status
            if status:
                assert late.said["cache-control"] == "public, max-age=1"
                assert b"".join(late.pieces) == (b"".join(reading.pieces) if "/1." in rest else b"")
            else:
                task.cancel()  # of a session of which another edge may know
        early = Asked("v0/5/999999999.m4s")
        assert await scene.ask(early)
        assert early.status == 404
        await scene.feed(scene.left)  # it was not over
        again = Asked("v0/5/1.m4s")
        assert await scene.ask(again)
        assert b"".join(again.pieces) == SEGMENT

    asyncio.run(work())
