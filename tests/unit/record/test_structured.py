"""Dictionaries of Structured Fields: RFC 9651's examples, what CMCD has, and any text at all."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.core.errors import InputError
from kinolog.record import structured
from kinolog.record.structured import dictionary


def _with(value: object, **params: object) -> dict[str, object]:
    return {"value": value, "params": params}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('en="Applepie", da=:w4ZibGV0w6ZydGU=:', {"en": "Applepie", "da": "w4ZibGV0w6ZydGU="}),
        ("a=?0, b, c; foo=bar", {"a": False, "b": True, "c": _with(True, foo="bar")}),
        ("rating=1.5, feelings=(joy sadness)", {"rating": 1.5, "feelings": ["joy", "sadness"]}),
        (
            "a=(1 2), b=3, c=4;aa=bb, d=(5 6);valid",
            {"a": [1, 2], "b": 3, "c": _with(4, aa="bb"), "d": [5, 6]},
        ),
        ("br=(3000;v 128;a),bs", {"br": [_with(3000, v=True), _with(128, a=True)], "bs": True}),
        (r'cid="a \"b\" \\ c"', {"cid": r'a "b" \ c'}),
        ("a=1,b=2,a=3", {"b": 2, "a": 3}),
        ("at=@1659578233,n=-12,d=-0.5", {"at": 1659578233, "n": -12, "d": -0.5}),
        ("com.example-myKey=x,nor=()", {"com.example-myKey": "x", "nor": []}),
    ],
)
def test_what_it_says(text: str, found: dict[str, Any]) -> None:
    assert dictionary(text) == found


@pytest.mark.parametrize(
    "text",
    [
        *("", "=1", "a=", "a=1,", ",a", "a=1 b=2", "a==1", 'a="x', "a=(1", "a=(1 2", "a=(1,2)"),
        *(
            "a=1.2345",
            "a=1.",
            "a=.5",
            "a=1234567890123456",
            "a=--1",
            "a=?2",
            "a=:%:",
            "a=1;",
            "é=1",
        ),
        *('a="é"', 'a="\\x"', "a=(1)(2)", "a=" + "9" * 4000, "k" * 65, "a=1e5", 'a="a\nb"'),
        *(",".join(f"k{n}" for n in range(65)), "a=(" + "1 " * 17 + ")"),
        *(f'a="{"x" * 1025}"', "a=1" + "".join(f";p{n}" for n in range(17))),
    ],
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InputError):
        dictionary(text)


_KEYS = st.from_regex(r"[a-z*][a-z0-9_.*-]{0,63}", fullmatch=True)
_BARE = st.one_of(
    st.integers(-(10**15) + 1, 10**15 - 1),
    st.booleans(),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200),
)


def _written(value: Any) -> str:
    match value:
        case bool():
            return f"?{int(value)}"
        case int():
            return str(value)
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case list():
            return f"({' '.join(map(_written, value))})"
    raise AssertionError(value)


@given(
    st.dictionaries(_KEYS, st.one_of(_BARE, st.lists(_BARE, max_size=16)), min_size=1, max_size=64)
)
def test_what_is_written_is_read(given: dict[str, Any]) -> None:
    text = ",".join(f"{key}={_written(value)}" for key, value in given.items())
    assert dictionary(text) == given


@given(st.one_of(st.text(max_size=300), st.text('a1=,;()"\\:?@ -.é', max_size=300)))
def test_any_text_is_refused_with_a_sentence_or_fits_json(text: str) -> None:
    said = "-"
    found: dict[str, Any] = {}
    try:
        found = dictionary(text)
    except InputError as error:
        said = str(error)
    assert 0 < len(said) < 200
    assert len(found) <= structured.MOST_KEYS
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("letter", ["(", '"', "a", "\\", "=", ";", " ", "1", ":"])
def test_no_text_takes_long(letter: str) -> None:
    begin = time.perf_counter()
    for text in (f"a={letter * 65_000}", f"a=({letter * 65_000}", letter * 65_000):
        with pytest.raises(InputError):
            dictionary(text)
    assert time.perf_counter() - begin < 1
