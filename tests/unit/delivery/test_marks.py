"""Marks over HTTP: what is read of a request, what is shown, how much is taken."""

from __future__ import annotations

import pytest

from kinolog.core.errors import InputError
from kinolog.delivery.marks import BURST, RATE_HZ, Allowance, joined, read_marks
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
    allowance = Allowance()
    taken = [allowance.take(100, 0.0) for _ in range(BURST // 100)]
    assert all(taken)
    assert not allowance.take(1, 0.0)
    assert not allowance.take(100, 0.5)
    assert allowance.take(RATE_HZ // 2, 1.0)
    assert allowance.take(BURST, 1000.0)
    assert not allowance.take(1, 1000.0)
