"""StreamReader: which records are valid, and what they mean."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from kinolog.record.control import Gap, Open, SessionEntry, decode_value
from kinolog.record.header import Header
from kinolog.record.log_record import LogRecord
from kinolog.testing.log_script import (
    VIDEO,
    Item,
    as_records,
    close_item,
    end_item,
    gap_item,
    open_item,
    session,
    split_item,
)
from kinolog.timeline.events import ChunkEvent, Closed, Ended, Event, GapEvent, Hole, Opened
from kinolog.timeline.reader import StreamReader

Seen = tuple[int, str, int, int, int, str]


def read(items: Sequence[Item], reader: StreamReader | None = None) -> list[Event]:
    reader = reader or StreamReader()
    return [event for record in as_records(items) for event in reader.feed(record)]


def chunks(events: Sequence[Event]) -> list[Seen]:
    return [
        (h.epoch, h.track, h.msn, h.part, h.chunk, hashlib.sha256(e.payload).hexdigest())
        for e in events
        if isinstance(e, ChunkEvent)
        for h in (e.header,)
    ]


def of(kind: type, events: Sequence[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def plain(items: Sequence[Item]) -> list[Seen]:
    return [
        (h.epoch, h.track, h.msn, h.part, h.chunk, hashlib.sha256(value).hexdigest())
        for h, value in items
        if h.kind == "chunk"
    ]


def test_a_session_comes_out_as_it_went_in() -> None:
    items = [*session(epoch=5, seconds=4.5), close_item(5, "bye"), end_item(5)]
    reader = StreamReader()
    events = read(items, reader)
    assert isinstance(events[0], Opened)
    assert events[0].epoch == 5
    assert events[0].disc is None
    assert [track.name for track in events[0].open.tracks] == ["v0", "a0"]
    assert chunks(events) == plain(items)
    assert events[-2:] == [
        Closed(5, "bye", len(items) - 2),
        Ended(5, len(items) - 1),
    ]
    assert sum(getattr(reader.ignored, f) for f in reader.ignored.__struct_fields__) == 0


def test_zombies_and_void_opens_are_ignored() -> None:
    old, new = session(epoch=5, seconds=3), session(epoch=9, first_msn=2, seconds=3)
    void = session(epoch=9, first_msn=50, seconds=1)[:1] + session(epoch=7, seconds=1)
    items = [*old[:20], *new[:5], *old[20:], close_item(5), end_item(5), *void, *new[5:]]
    reader = StreamReader()
    events = read(items, reader)
    assert chunks(events) == plain([*old[:20], *new])
    assert [e.epoch for e in of(Opened, events) if isinstance(e, Opened)] == [5, 9]
    assert not of(Closed, events)
    assert reader.ignored.void_opens == 2
    assert reader.ignored.zombies == len(old[20:]) + 2 + len(void) - 2


def test_a_fence_ends_what_was_opened_before_it_in_its_place() -> None:
    """The stream has moved away: what an older session still writes here means nothing."""
    old, new = session(epoch=5, seconds=3), session(epoch=9, first_msn=2, seconds=1)
    fence = Item(Header(1, "fence", 8), b"")
    late = Item(Header(1, "fence", 4), b"")
    reader = StreamReader()
    events = read([*old[:20], late, fence, *old[20:], close_item(5), *new], reader)
    assert chunks(events) == plain([*old[:20], *new])
    assert not of(Closed, events)
    assert reader.ignored.zombies == len(old[20:]) + 1


def test_an_unreadable_open_is_void() -> None:
    items = session(epoch=5, seconds=1)
    broken = Item(Header(1, "open", 6), b"{")
    reader = StreamReader()
    assert chunks(read([items[0], broken, *items[1:]], reader)) == plain(items)
    assert reader.ignored.malformed == 1


def test_nothing_comes_before_the_first_open_or_after_a_close() -> None:
    items = session(epoch=5, seconds=1)
    reader = StreamReader()
    assert read(items[1:], reader) == []
    assert reader.ignored.zombies == len(items) - 1
    reader = StreamReader()
    events = read([items[0], close_item(5), *items[1:], close_item(5)], reader)
    assert [type(e) for e in events] == [Opened, Closed]
    assert reader.ignored.after_close == len(items) - 1


def test_pieces_are_joined_and_their_offsets_kept() -> None:
    items = session(epoch=5, seconds=0.5, tracks=(VIDEO,))
    pieces = split_item(items[1], 100)
    assert len(pieces) > 2
    events = read([items[0], *pieces, *items[2:]])
    assert chunks(events) == plain(items)
    chunk = events[1]
    assert isinstance(chunk, ChunkEvent)
    assert chunk.offsets == tuple(range(1, 1 + len(pieces)))
    assert sum(chunk.sizes) == len(items[1].value)
    assert (chunk.first_offset, chunk.last_offset) == (1, len(pieces))
    assert (chunk.header.piece, chunk.header.pieces) == (0, 1)


def test_a_lost_chunk_is_one_hole_before_the_next_chunk() -> None:
    items = session(epoch=5, seconds=4, tracks=(VIDEO,))
    events = read([*items[:4], *items[6:8], *items[9:]])
    assert [type(e) for e in events[:6]] == [Opened, *[ChunkEvent] * 3, Hole, ChunkEvent]
    assert of(Hole, events) == [Hole("v0", 5, 0)]
    assert len(of(ChunkEvent, events)) == len(items) - 4


def test_a_lost_first_chunk_is_a_hole() -> None:
    items = session(epoch=5, seconds=4.5, tracks=(VIDEO,))
    assert of(Hole, read([items[0], *items[2:]])) == [Hole("v0", 5, 0)]


def test_a_lost_piece_is_a_hole() -> None:
    items = session(epoch=5, seconds=5, tracks=(VIDEO,))
    for lost in range(3):
        pieces = split_item(items[10], 300)
        assert len(pieces) == 3
        del pieces[lost]
        events = read([*items[:10], *pieces, *items[11:]])
        assert of(Hole, events) == [Hole("v0", 5, 0)]
        assert chunks(events) == plain([*items[:10], *items[11:]])


def test_half_a_chunk_before_a_close_is_a_hole_and_before_an_open_is_torn() -> None:
    items = session(epoch=5, seconds=1, tracks=(VIDEO,))
    half = split_item(items[-1], 100)[:-1]
    assert of(Hole, read([*items[:-1], *half, close_item(5)])) == [Hole("v0", 5, 0)]
    assert of(Hole, read([*items[:-1], *half, open_item(6)])) == []


def test_gap_records_are_told() -> None:
    gap = Gap(track="v0", from_dts=10, to_dts=20, frames=3, reason="no broker")
    items = [*session(epoch=5, seconds=1), gap_item(5, gap), gap_item(4, gap)]
    assert of(GapEvent, read(items)) == [GapEvent(5, gap, len(items) - 2)]


def test_records_that_make_no_sense_are_counted() -> None:
    items = session(epoch=5, seconds=1, tracks=(VIDEO,))
    header = items[1].header
    bad = [
        Item(Header(1, "chunk", 5, track="other"), b"x"),
        Item(Header(1, "chunk", 5, track="v0", piece=2, pieces=2), b"x"),
        Item(Header(1, "chunk", 5, track="v0", piece=0, pieces=1000), b"x"),
        Item(Header(1, "gap", 5), b"not json"),
    ]
    reader = StreamReader()
    assert chunks(read([items[0], *bad, *items[1:]], reader)) == plain(items)
    assert reader.ignored.malformed == len(bad)
    assert header.chunk == 0


def entry_of(items: Sequence[Item], offset: int = 0, disc: int = 3) -> SessionEntry:
    value = decode_value(items[0].value, Open)
    return SessionEntry(items[0].header.epoch, disc, offset, 0, value)


def test_a_start_in_the_middle_begins_each_track_with_its_next_segment() -> None:
    items = session(epoch=5, seconds=6.5)
    whole = chunks(read(items))
    for start in range(1, len(items)):
        reader = StreamReader()
        events = list(reader.start(entry_of(items)))
        for record in as_records(items)[start:]:
            events += reader.feed(record)
        assert events[0] == Opened(5, 3, decode_value(items[0].value, Open), 0)
        expected = []
        begun = set()
        for item, seen in zip(items[start:], whole[start - 1 :], strict=True):
            if item.header.chunk == 0:
                begun.add(item.header.track)
            if item.header.track in begun:
                expected.append(seen)
        assert chunks(events) == expected
        assert not of(Hole, events)


def test_a_start_at_the_open_itself_passes_nothing_over() -> None:
    items = session(epoch=5, seconds=2.5, tracks=(VIDEO,))
    reader = StreamReader()
    reader.start(entry_of(items))
    events = [e for r in as_records([items[0], *items[2:]]) for e in reader.feed(r)]
    assert events[0] == Hole("v0", 5, 0)
    assert reader.ignored.void_opens == 0


BASE = [
    *session(epoch=100, seconds=2.6),
    *session(epoch=200, disc=1, first_msn=2, seconds=3.1, start_ms=1_700_000_010_000),
    close_item(200),
]


@st.composite
def disturbed(draw: st.DrawFn) -> list[Item]:
    """BASE with pieces, repeats, zombies and void opens, which mean nothing."""
    items: list[Item] = []
    past: list[Item] = []
    newest = -1
    for item in BASE:
        if item.header.kind == "open":
            newest = item.header.epoch
        pieces = [item]
        if item.header.kind == "chunk" and draw(st.integers(0, 9)) == 0:
            pieces = split_item(item, draw(st.integers(60, 400)))
        for piece in pieces:
            items.append(piece)
            past.append(piece)
            match draw(st.integers(0, 19)):
                case 0:
                    items.append(draw(st.sampled_from(past)))  # a repeat, a zombie, a void open
                case 1:
                    items.append(open_item(draw(st.integers(0, newest))))
                case 2:
                    header = Header(1, "chunk", draw(st.integers(201, 300)), track="v0", msn=2)
                    items.append(Item(header, b"of an open that is not there"))
                case 3:
                    items.append(close_item(draw(st.integers(0, newest - 1))))
    return items


@settings(max_examples=60)
@given(disturbed())
def test_splits_repeats_and_zombies_change_nothing(items: list[Item]) -> None:
    events = read(items)
    assert chunks(events) == plain(BASE)
    assert [type(e) for e in events if not isinstance(e, ChunkEvent)] == [Opened, Opened, Closed]


@settings(max_examples=60)
@given(st.lists(st.sampled_from(BASE), max_size=200))
def test_any_order_of_records_is_survived_and_each_chunk_comes_once(items: list[Item]) -> None:
    seen = chunks(read(items))
    assert len(set(seen)) == len(seen)


def test_as_records_counts_offsets_up() -> None:
    records = as_records(BASE[:3], first_offset=7)
    assert [r.offset for r in records] == [7, 8, 9]
    assert all(isinstance(r, LogRecord) for r in records)
