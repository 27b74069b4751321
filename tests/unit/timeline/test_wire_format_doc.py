"""docs/wire-format.md: its examples are readable, and it names every field."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from kinolog.record.cmcd import Report
from kinolog.record.control import (
    Close,
    Gap,
    Open,
    OpenTrack,
    SegmentEntry,
    SessionEntry,
    decode_index,
    decode_value,
)
from kinolog.record.header import Header, decode_header
from kinolog.record.mark import Mark
from kinolog.record.registry import (
    CollectionEntry,
    EpochEntry,
    LateMarks,
    Placement,
    StreamEntry,
)

TEXT = (Path(__file__).parents[3] / "docs" / "wire-format.md").read_text()
EXAMPLES = re.findall(r"```json (\w+)\n(.*?)\n```", TEXT, re.DOTALL)
STRUCTS: dict[str, type[msgspec.Struct]] = {
    "open": Open,
    "gap": Gap,
    "close": Close,
    "collection": CollectionEntry,
    "stream": StreamEntry,
    "epoch": EpochEntry,
    "report": Report,
    "mark": Mark,
}


def unknown_fields(data: object, known: object) -> set[str]:
    """Keys of the example that its type did not take."""
    if isinstance(data, dict) and isinstance(known, msgspec.Struct):
        names = set(known.__struct_fields__) | {"entry"}
        below = [unknown_fields(v, getattr(known, k, None)) for k, v in data.items()]
        return (set(data) - names).union(*below)
    if isinstance(data, list) and isinstance(known, list):
        pairs = zip(data, known, strict=True)
        return set().union(*(unknown_fields(a, b) for a, b in pairs))
    return set()


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_examples_are_of_their_types(kind: str, text: str) -> None:
    data = text.encode()
    if kind == "header":
        value: object = decode_header(data)
    elif kind == "index":
        value = decode_index(data)
    else:
        value = decode_value(data, STRUCTS[kind])
    assert unknown_fields(msgspec.json.decode(data), value) == set()


def test_each_kind_has_an_example() -> None:
    assert {kind for kind, _ in EXAMPLES} == {"header", "index", *STRUCTS}


@pytest.mark.parametrize(
    "struct",
    [Header, SegmentEntry, SessionEntry, OpenTrack, Placement, LateMarks, *STRUCTS.values()],
)
def test_every_field_is_named(struct: type[msgspec.Struct]) -> None:
    missing = [
        name
        for name in struct.__struct_fields__
        if f"`{name}`" not in TEXT and f'"{name}":' not in TEXT
    ]
    assert missing == []
