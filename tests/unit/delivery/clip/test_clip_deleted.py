"""Clips of which media were deleted since they were made: what is left of them is another clip."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import KafkaUnavailable, NotFound
from kinolog.core.names import StreamName
from kinolog.delivery.clip.body import Lost
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.clip.server import ClipServer
from kinolog.delivery.pour import SMALL_BYTES

STREAM = StreamName("cams", "gate")
CHANNEL: Any = SimpleNamespace(name=STREAM)


class _Clip:
    """`deleted`: its beginning is."""

    begins_ms = 1_700_000_000_000
    seconds = 10.0
    changes = ()
    held_bytes = stored_bytes = 0

    def __init__(self, number: int, log: Log) -> None:
        self.number = number
        self.tag = f'"{number}"'
        self.size = log.size
        self.deleted = False
        self._log = log

    async def read(self, _: Any, start: int, stop: int) -> AsyncIterator[bytes]:
        lost, self._log.lost = self._log.lost > 0, max(0, self._log.lost - 1)
        self.deleted |= lost and not self._log.holes
        if lost or (self.deleted and not start):
            raise Lost("the clip's media are not kept any more")
        yield b"%d" % self.number * (stop - start)


class Log:
    """Makes clips of what it has. `lost`: so many are read in vain: media of them are deleted, or,
    with `holes`, missing amid what is kept."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.lost = 0
        self.holes = False
        self.made: list[_Clip] = []
        self.looked = 0

    async def make(self, stream: StreamName, channel: Any, start_ms: int, end_ms: int) -> Any:
        self.made.append(_Clip(len(self.made), self))
        return self.made[-1]

    async def is_kept(self, stream: StreamName, clip: Any) -> bool:
        return not clip.deleted

    def look_again(self, stream: StreamName) -> None:
        self.looked += 1


class Protocol:
    """Remembers the answer."""

    status = 0
    body = b""

    def response_bytes(self, status: int, _: Any, body: bytes) -> None:
        self.status, self.body = status, body

    def response_empty(self, status: int, _: Any) -> None:
        self.status = status

    def response_file(self, status: int, _: Any, path: str) -> None:
        self.status = status

    async def client_disconnect(self) -> None:
        await asyncio.Event().wait()


def get(clips: ClipServer, *, method: str = "GET", **headers: str) -> Protocol:
    protocol: Any = Protocol()
    scope: Any = SimpleNamespace(
        method=method, query_string="start=10&end=20", headers={"range": None, **headers}
    )
    assert asyncio.run(clips.answer(scope, protocol, CHANNEL, "clip.mp4"))
    found: Protocol = protocol
    return found


def server(log: Any) -> ClipServer:
    return ClipServer(log, log, SystemClock())


def test_a_clip_is_made_anew_where_its_media_are_deleted() -> None:
    log = Log()
    clips = server(log)
    assert [get(clips).body for _ in range(2)] == [b"0" * 10] * 2
    log.made[0].deleted = True
    for _ in range(2):
        found = get(clips)
        assert (found.status, found.body) == (200, b"1" * 10)
    assert len(log.made) == 2


@pytest.mark.parametrize("headers", [{"range": "bytes=0-3"}, {"if-none-match": '"0"'}, {}])
def test_nothing_is_said_of_a_file_that_cannot_be_had(headers: dict[str, str]) -> None:
    log = Log()
    clips = server(log)
    get(clips)
    log.made[0].deleted = True
    get(clips, method="HEAD", **headers)
    assert len(log.made) == 2


def test_who_reads_on_in_a_file_gets_more_of_it() -> None:
    log = Log()
    clips = server(log)
    get(clips)
    log.made[0].deleted = True
    found = get(clips, range="bytes=6-")
    assert (found.status, found.body) == (206, b"0000")
    assert len(log.made) == 1


def test_what_was_deleted_meanwhile_is_seen_as_it_is_read() -> None:
    log = Log()
    clips = server(log)
    log.lost = 1
    found = get(clips)
    assert (found.status, found.body) == (200, b"1" * 10)
    assert log.looked == 1
    log.lost = 2
    with pytest.raises(Lost):
        get(clips)
    assert get(clips).status == 200


def test_what_another_clip_would_lack_too_is_not_made_again() -> None:
    log = Log()
    clips = server(log)
    log.holes = True
    for times in (1, 2):
        log.lost = 1
        with pytest.raises(Lost):
            get(clips)
        assert log.looked == times
    assert len(log.made) == 1


def test_a_later_range_is_of_no_other_file() -> None:
    log = Log()
    clips = server(log)
    get(clips)
    log.lost = 1
    with pytest.raises(Lost):
        get(clips, range="bytes=6-")
    assert len(log.made) == 1


def test_a_clip_that_broke_off_is_not_kept() -> None:
    log = Log(SMALL_BYTES + 1)
    clips = server(log)
    log.lost = 1
    get(clips)
    asyncio.run(clips.clip(CHANNEL, 10_000, 20_000))
    assert len(log.made) == 2


def test_a_clip_of_which_nothing_is_left_is_not_found() -> None:
    log = Log()
    clips = server(log)
    get(clips)
    log.made[0].deleted = True

    async def make(*_: Any) -> Any:
        raise NotFound("nothing is kept")

    log.make = make  # type: ignore[method-assign]
    for _ in range(2):
        with pytest.raises(NotFound):
            get(clips)


def test_media_are_kept_from_the_log_start_of_their_own_place_on() -> None:
    lows = {("a.media", 0): 100, ("b.media", 1): 7}

    class Kept:
        async def low(self, stream: StreamName, media: str, partition: int) -> int:
            assert stream == STREAM
            if not lows:
                raise KafkaUnavailable("away")
            return lows[media, partition]

    history: Any = Kept()
    nothing: Any = None
    maker = ClipMaker(nothing, history, nothing, SystemClock())
    clip: Any = SimpleNamespace(body=SimpleNamespace(oldest={("a.media", 0): 100}))

    def is_kept() -> bool:
        return asyncio.run(maker.is_kept(STREAM, clip))

    try:
        assert is_kept()
        clip.body.oldest["b.media", 1] = 7
        assert is_kept()
        lows["b.media", 1] = 8
        assert not is_kept()
        lows.clear()
        assert is_kept()
    finally:
        maker.close()
