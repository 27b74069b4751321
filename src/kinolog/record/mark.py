"""Marks: timed metadata of a stream, as JSON in its events topic (docs/wire-format.md)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from kinolog.core.errors import InputError, WireError
from kinolog.core.json import decoded
from kinolog.record.registry import LateMarks

MOST_TEXT: Final = 200
MOST_DATA_BYTES: Final = 8192
LONGEST_MS: Final = 7 * 86_400_000
MOST_LATE: Final = 32
"""Stretches of late marks that a stream's registry entry has."""
_HOUR_MS: Final = 3_600_000
_ROOM: Final = 2_000
"""So many offsets a stretch of late marks has room for: who marks a recording that is days old
writes many of them in a row, and the registry only at the first."""
_ID: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_KIND: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}")
_NOTHING: Final = msgspec.Raw()


class Mark(msgspec.Struct, omit_defaults=True):
    """Something that was seen, or is to be found again, at a moment of a stream.

    `at` and `end` are capture times, Unix ms; `end` is 0 for what has no length. `kind` says what
    sort of mark it is (`detection`, `marker`), `text` what a person reads, `data` is JSON of the
    writer's own. Of several with one `id` the last that was written counts. `of`: `created_ms` of
    the stream's registry entry; 0 for any stream of that name.
    """

    id: str
    at: int
    kind: str
    end: int = 0
    text: str = ""
    data: msgspec.Raw = _NOTHING
    of: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def check_mark(mark: Mark) -> Mark:
    """`mark` itself, if it is within the bounds; else InputError that says what is not."""
    if not _ID.fullmatch(mark.id):
        raise InputError("a mark's id is 1 to 64 of letters, digits and . _ : -")
    if not _KIND.fullmatch(mark.kind):
        raise InputError(
            "a mark's kind is 1 to 32 of letters, digits and . _ -", hint="for example detection"
        )
    if len(mark.text) > MOST_TEXT or not mark.text.isprintable():
        raise InputError(f"a mark's text is one line of at most {MOST_TEXT} characters")
    if len(bytes(mark.data)) > MOST_DATA_BYTES:
        raise InputError(f"a mark's data is at most {MOST_DATA_BYTES} bytes of JSON")
    if mark.end and not mark.at <= mark.end <= mark.at + LONGEST_MS:
        raise InputError("a mark's end is not before its beginning, and at most a week after it")
    return mark


def encode_mark(mark: Mark) -> bytes:
    """The value of a record of the events topic."""
    if not bytes(mark.data):
        # Left out only where it is the very default.
        mark = msgspec.structs.replace(mark, data=_NOTHING)
    return _encode(mark)


def decode_mark(value: bytes) -> Mark:
    """The mark in a record's value. WireError where it is none, or beyond the bounds."""
    try:
        return check_mark(decoded(_decode, value, "mark is not readable"))
    except InputError as error:
        raise WireError(str(error)) from error


def newest_by_id(marks: Iterable[Mark]) -> list[Mark]:
    """Marks in the order of their times, given in the order of the log: a repeated ID replaces."""
    return sorted({mark.id: mark for mark in marks}.values(), key=lambda mark: (mark.at, mark.id))


def late_with(
    known: Sequence[LateMarks], base: str, partition: int, at_ms: int, offset: int
) -> list[LateMarks] | None:
    """The stretches that tell where late marks are, with one more; None where they tell already.
    At most MOST_LATE: those nearest to each other become one."""
    for one in known:
        here = (one.base, one.partition) == (base, partition)
        if here and one.from_ms <= at_ms < one.to_ms and one.first <= offset < one.below:
            return None
    hour = at_ms // _HOUR_MS * _HOUR_MS
    new = LateMarks(base, partition, hour, hour + _HOUR_MS, offset, offset + _ROOM)
    found = sorted([*known, new], key=lambda one: (one.base, one.partition, one.from_ms))
    while len(found) > MOST_LATE:
        pairs = range(len(found) - 1)
        nearest = min(pairs, key=lambda n: _apart(found[n], found[n + 1]))
        found[nearest : nearest + 2] = [_union(found[nearest], found[nearest + 1])]
    return found


def _apart(one: LateMarks, other: LateMarks) -> float:
    if (one.base, one.partition) != (other.base, other.partition):
        return float("inf")
    both = _union(one, other)
    return (both.to_ms - both.from_ms) / _HOUR_MS + (both.below - both.first) / _ROOM


def _union(one: LateMarks, other: LateMarks) -> LateMarks:
    return LateMarks(
        one.base,
        one.partition,
        min(one.from_ms, other.from_ms),
        max(one.to_ms, other.to_ms),
        min(one.first, other.first),
        max(one.below, other.below),
    )
