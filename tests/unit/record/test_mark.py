"""Marks as records: what is one, and where late ones are."""

from __future__ import annotations

import msgspec
import pytest

from kinolog.core.errors import InputError, WireError
from kinolog.record.mark import (
    MOST_LATE,
    Mark,
    check_mark,
    decode_mark,
    encode_mark,
    late_with,
    newest_by_id,
)
from kinolog.record.registry import LateMarks

HOUR_MS = 3_600_000


def test_a_mark_is_what_was_written() -> None:
    mark = Mark("a", 1767225606400, "detection", 1767225610000, "wer da", msgspec.Raw(b"[1]"), 7)
    assert encode_mark(mark) == (
        b'{"id":"a","at":1767225606400,"kind":"detection","end":1767225610000,"text":"wer da",'
        b'"data":[1],"of":7}'
    )
    assert decode_mark(encode_mark(mark)) == mark


def test_what_has_its_default_is_left_out() -> None:
    for data in ({}, {"data": msgspec.Raw()}, {"data": msgspec.Raw(b"")}):
        assert encode_mark(Mark("a", 1, "k", **data)) == b'{"id":"a","at":1,"kind":"k"}'
    assert decode_mark(b'{"id":"a","at":1,"kind":"k","new":[]}') == Mark("a", 1, "k")


@pytest.mark.parametrize(
    "mark",
    [
        Mark("", 1, "k"),
        Mark("a b", 1, "k"),
        Mark("a" * 65, 1, "k"),
        Mark("a", 1, ""),
        Mark("a", 1, "k", text="x" * 201),
        Mark("a", 1, "k", text="two\nlines"),
        Mark("a", 2, "k", end=1),
        Mark("a", 1, "k", end=8 * 86_400_000),
        Mark("a", 1, "k", data=msgspec.Raw(b'"' + b"x" * 8192 + b'"')),
    ],
)
def test_bounds(mark: Mark) -> None:
    with pytest.raises(InputError):
        check_mark(mark)
    with pytest.raises(WireError):
        decode_mark(encode_mark(mark))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"[]",
        b'{"id":"a","at":"1","kind":"k"}',
        b'{"id":1',
        b"[" * 100_000,
        b'{"id":"a","at":1,"kind":"k","text":"\xff"}',
        b'{"id":"a","at":1,"kind":"k","data":"\xff"}',
    ],
)
def test_what_is_no_mark(value: bytes) -> None:
    with pytest.raises(WireError):
        decode_mark(value)


def test_what_is_written_again_replaces_and_all_is_in_order() -> None:
    first, other, again = Mark("a", 5, "k"), Mark("b", 3, "k"), Mark("a", 1, "better")
    assert newest_by_id([first, other, again]) == [again, other]


def test_a_late_mark_is_told_of_once() -> None:
    told = late_with([], "base", 1, HOUR_MS + 5, 100)
    assert told == [LateMarks("base", 1, HOUR_MS, 2 * HOUR_MS, 100, 2100)]
    assert late_with(told, "base", 1, HOUR_MS, 2099) is None
    for place in (
        ("base", 1, HOUR_MS - 1, 150),
        ("base", 1, HOUR_MS, 2100),
        ("base", 2, HOUR_MS, 150),
        ("other", 1, HOUR_MS, 150),
    ):
        assert len(late_with(told, *place) or []) == 2


def test_late_marks_stay_told_of_however_many() -> None:
    told: list[LateMarks] = []
    placed = [(n * 7919 % 1000 * HOUR_MS, n * 3000) for n in range(200)]
    for at_ms, offset in placed:
        told = late_with(told, "base", 0, at_ms, offset) or told
    assert len(told) == MOST_LATE
    assert all(late_with(told, "base", 0, at_ms, offset) is None for at_ms, offset in placed)
