"""Indexer: the entries of finished segments, the same whoever makes them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from kinolog.media.cmaf import parse_chunk
from kinolog.record.control import SegmentEntry, decode_index, encode_value
from kinolog.testing.log_script import (
    AUDIO,
    VIDEO,
    Item,
    as_records,
    close_item,
    session,
    split_item,
)
from kinolog.timeline.indexer import Indexer
from kinolog.timeline.reader import StreamReader


def index(items: Sequence[Item], first_offset: int = 0) -> list[SegmentEntry]:
    reader, indexer = StreamReader(), Indexer()
    return [
        entry
        for record in as_records(items, first_offset)
        for event in reader.feed(record)
        for entry in indexer.apply(event)
    ]


def test_an_entry_holds_the_segments_sample_table() -> None:
    items = session(epoch=5, disc=2, first_msn=7, seconds=4.3, chunk_frames=3)
    entries = [e for e in index(items) if e.track == "v0"]
    assert [e.msn for e in entries] == [7, 8]
    entry = entries[0]
    records = [
        (offset, item)
        for offset, item in enumerate(items)
        if item.header.track == "v0" and item.header.msn == 7
    ]
    assert list(accumulate(entry.offsets)) == [offset for offset, _ in records]
    assert entry.sizes == [len(item.value) for _, item in records]
    parsed = [parse_chunk(item.value) for _, item in records]
    assert entry.chunk_samples == [len(p.sizes) for p in parsed]
    assert entry.mdat == [p.data_offset for p in parsed]
    assert entry.sample_sizes == [size for p in parsed for size in p.sizes]
    assert entry.sample_durations == [3600] * 50
    assert entry.sample_cts == [0] * 50
    assert entry.sync == [0]
    assert (entry.dts, entry.dur, entry.parts) == (records[0][1].header.dts, 180_000, 10)
    assert (entry.epoch, entry.disc, entry.wall) == (5, 2, records[0][1].header.wall)
    assert entry.ind
    assert entry.whole
    assert decode_index(encode_value(entry)) == entry


def test_pieces_count_as_records() -> None:
    items = session(epoch=5, seconds=2.1, tracks=(AUDIO,))
    pieces = split_item(items[1], 150)
    whole, split = index(items)[0], index([items[0], *pieces, *items[2:]])[0]
    assert len(split.offsets) == len(split.sizes) == len(whole.offsets) + len(pieces) - 1
    assert sum(split.sizes) == sum(whole.sizes)
    assert split.sample_sizes == whole.sample_sizes
    assert split.mdat == whole.mdat


def test_the_next_segment_a_close_and_an_open_finish_a_segment() -> None:
    items = session(epoch=5, seconds=4.3, tracks=(VIDEO,), ends=False)
    assert [e.msn for e in index(items)] == [0, 1]
    for last in (close_item(5), session(epoch=6, seconds=0)[0]):
        entries = index([*items, last])
        assert [(e.msn, e.whole, e.parts) for e in entries] == [
            (0, True, 10),
            (1, True, 10),
            (2, True, 1),
        ]


def test_a_hole_makes_a_segment_not_whole() -> None:
    items = session(epoch=5, seconds=4.3, tracks=(VIDEO,))
    for lost in (1, 4, 10):  # first, middle, last chunk of the first segment
        entries = index(items[:lost] + items[lost + 1 :])
        assert [e.whole for e in entries] == [lost == 10, True]


def test_bytes_that_are_no_chunk_make_a_segment_not_whole() -> None:
    items = session(epoch=5, seconds=2.1, tracks=(VIDEO,))
    items[2] = Item(items[2].header, b"garbage")
    (entry,) = index(items)
    assert not entry.whole
    assert entry.chunk_samples[1] == 0
    assert len(entry.offsets) == 10


def test_a_rebuild_gives_the_same_entries_save_offsets() -> None:
    items = [
        *session(epoch=5, seconds=5.1),
        *session(epoch=8, disc=1, first_msn=3, seconds=4.5, start_ms=1_700_000_020_000),
        close_item(8),
    ]
    here, there = index(items), index(items, first_offset=900)
    assert len(here) == 3 + 3 + 3 + 3
    for a, b in zip(here, there, strict=True):
        assert b.offsets[0] - a.offsets[0] == 900
        a.offsets[0] = b.offsets[0] = 0
        assert a == b


def test_an_indexer_that_starts_in_the_middle_goes_on_with_the_same_entries() -> None:
    items = session(epoch=5, seconds=9)
    records = as_records(items)
    all_entries = index(items)
    reader, indexer = StreamReader(), Indexer()
    reader.feed(records[0])
    late = [
        entry
        for record in records[40:]
        if record.header.msn >= 2
        for event in reader.feed(record)
        for entry in indexer.apply(event)
    ]
    assert late == [entry for entry in all_entries if entry.msn >= 2]
