"""Marks over HTTP: what is read of a request, what is shown, how much is taken."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.delivery.marks import (
    BURST,
    MOST_KEPT_BYTES,
    RATE_HZ,
    MarkServer,
    joined,
    read_marks,
)
from kinolog.delivery.rate import Buckets, Rate
from kinolog.log.marks import Found
from kinolog.record.mark import Mark

NOW_MS = 1_767_225_600_000


def test_times_are_those_of_urls() -> None:
    marks = read_marks(
        b'[{"at":"-10s","end":"-5s","text":"a"},{"at":1767225000.25,"kind":"x","id":"1"},'
        b'{"at":"2026-01-01T00:00:00+00:00"}]',
        NOW_MS,
    )
    assert [(mark.at, mark.end) for mark in marks] == [
        (NOW_MS - 10_000, NOW_MS - 5_000),
        (1_767_225_000_250, 0),
        (NOW_MS, 0),
    ]
    assert [mark.kind for mark in marks] == ["marker", "x", "marker"]
    assert marks[1].id == "1"
    assert len({mark.id for mark in marks}) == 3


def test_one_alone_and_its_data_as_they_are() -> None:
    (mark,) = read_marks(b'{"at":"now","data":{"big":123456789012345678901234567890}}', NOW_MS)
    assert bytes(mark.data) == b'{"big":123456789012345678901234567890}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"at":"soon"}',
        b'{"at":"2199-01-01T00:00:00Z"}',
        b'{"at":null}',
        b'{"at":1e999}',
        b'{"at":"-10s","end":"-20s"}',
        b'{"at":"now","colour":"red"}',
        b'{"at":"now","text":"\xff"}',
        b'{"at":"now","kind":"a b"}',
        b'{"at":"now","id":""}',
        b'{"at":"now","id":null}',
        b'{"at":"now","data":' + b"[" * 200_000,
        b"[" + b",".join([b'{"at":"now"}'] * 101) + b"]",
    ],
)
def test_what_is_no_mark_is_the_senders_fault(body: bytes) -> None:
    with pytest.raises(InputError):
        read_marks(body, NOW_MS)


def test_near_marks_are_shown_as_one() -> None:
    marks = [Mark(str(at), NOW_MS + at, "k", text=f"at {at}") for at in (0, 400, 999, 1000, 1500)]
    assert len(joined(marks, 0)) == 5
    first, second = joined(marks, 1000)
    assert (first["count"], first["last"]) == (3, "2026-01-01T00:00:00.999Z")
    assert (second["at"], second["count"]) == ("2026-01-01T00:00:01.000Z", 2)


def test_what_is_shown_as_one_says_what_is_in_it_most_frequent_first() -> None:
    texts = ["dog", "cat", "dog", "", *"abcd"]
    marks = [Mark(str(n), NOW_MS + n, "kind", text=text) for n, text in enumerate(texts)]
    (one,) = joined(marks, 1000)
    assert one["count"] == len(texts)
    assert list(one["words"].items()) == [("dog", 2), ("cat", 1), ("kind", 1), ("a", 1), ("b", 1)]


def test_an_allowance_comes_back_with_time() -> None:
    buckets = Buckets(Rate(RATE_HZ, BURST))
    taken = [buckets.allow("cams/gate", 100, 0.0) for _ in range(BURST // 100)]
    assert all(taken)
    assert not buckets.allow("cams/gate", 1, 0.0)
    assert not buckets.allow("cams/gate", 100, 0.5)
    assert buckets.allow("cams/gate", RATE_HZ // 2, 1.0)
    assert buckets.allow("cams/gate", BURST, 1000.0)
    assert not buckets.allow("cams/gate", 1, 1000.0)


class Reader:
    """Gives marks of so many bytes, and counts how often it is asked."""

    def __init__(self, size_bytes: int) -> None:
        self.asked = 0
        data = msgspec.Raw(b'"' + b"x" * 8000 + b'"')
        self._marks = [Mark(str(n), NOW_MS, "k", data=data) for n in range(size_bytes // 8000)]

    async def between(self, *_: Any) -> Found:
        self.asked += 1
        return Found(self._marks, True)


async def given(server: MarkServer, query: str) -> bytes:
    bodies: list[bytes] = []
    scope: Any = SimpleNamespace(
        method="GET", path="/media/a/b/events", query_string=query, headers={}
    )
    protocol: Any = SimpleNamespace(response_bytes=lambda _, __, body: bodies.append(body))
    channel: Any = SimpleNamespace(name=StreamName("a", "b"))
    assert await server.answer(scope, protocol, channel, "events")
    (body,) = bodies
    return body


def test_an_answer_is_made_once_for_all_who_ask_the_same() -> None:
    async def go() -> None:
        reader = Reader(16_000)
        server = MarkServer(cast(Any, reader), None, SystemClock())
        bodies = await asyncio.gather(*(given(server, "start=-1h") for _ in range(10)))
        told = json.loads(bodies[0])
        assert (told["stream"], told["complete"], len(told["marks"])) == ("a/b", True, 2)
        assert told["now"].endswith("Z")
        assert told["resolution_s"] == 0
        assert told["takes"] is False
        assert reader.asked == 1
        await server.close()

    asyncio.run(go())


def test_who_asks_for_one_after_another_is_always_answered() -> None:
    """What is kept for others who ask the same is let go for it."""

    async def go() -> None:
        server = MarkServer(cast(Any, Reader(100)), None, SystemClock())
        for n in range(1, 100):
            assert json.loads(await given(server, f"start=-{n}h"))["complete"]
        assert len(server._kept) <= 32
        await server.close()

    asyncio.run(go())


def test_so_many_bytes_of_answers_are_kept() -> None:
    async def go() -> None:
        reader = Reader(MOST_KEPT_BYTES // 4)
        server = MarkServer(cast(Any, reader), None, SystemClock())
        queries = [f"start=-{n}h" for n in range(1, 9)]
        assert all([len(await given(server, query)) > 3_900_000 for query in queries])
        kept = [task.result() for _, task in server._kept.values()]
        assert 0 < sum(map(len, kept)) <= MOST_KEPT_BYTES
        # The newest are kept.
        assert list(server._kept)[-1][1] == queries[-1]
        await server.close()

    asyncio.run(go())
