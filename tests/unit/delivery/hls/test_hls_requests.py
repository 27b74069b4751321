"""What players may ask, and what they get."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.delivery.hls.requests import (
    READY,
    Bad,
    Directives,
    parse_directives,
    playlist,
)
from kinolog.delivery.media_requests import Missing, Wait, part, segment
from kinolog.testing.log_script import VIDEO, Item, as_records, close_item, end_item, session
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader
from kinolog.timeline.track import Version


def live_of(*items: Item) -> LiveStream:
    live, reader = LiveStream(), StreamReader()
    for record in as_records(items):
        for event in reader.feed(record):
            live.apply(event)
    return live


def version(live: LiveStream) -> Version:
    found = live.tracks["v0"].version
    assert found is not None
    return found


ITEMS = session(epoch=5, first_msn=10, seconds=4.5, tracks=(VIDEO,))
LIVE = live_of(*ITEMS)  # segments 10 and 11, and parts 0 and 1 of 12
AWAY = live_of(*ITEMS, close_item(5))
ENDED = live_of(*ITEMS, close_item(5), end_item(5))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", Directives()),
        ("CMCD=bl%3D100&token=x", Directives()),
        ("_HLS_msn=12", Directives(12)),
        ("a=b&_HLS_msn=12&_HLS_part=3&_HLS_skip=YES", Directives(12, 3, True)),
        ("_HLS_skip=v2", Directives(skip=True)),
        ("_HLS_other=1", Directives()),
    ],
)
def test_directives(query: str, expected: Directives) -> None:
    assert parse_directives(query) == expected


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_part=3",
        "_HLS_msn=",
        "_HLS_msn=-1",
        "_HLS_msn=1.5",
        "_HLS_msn=x",
        "_HLS_msn=²",
        "_HLS_msn=" + "9" * 40,
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_skip=no",
    ],
)
def test_bad_directives_are_named(query: str) -> None:
    found = parse_directives(query)
    assert isinstance(found, Bad)
    assert "_HLS_" in found.reason


@given(st.text())
def test_any_query_is_answered(text: str) -> None:
    assert isinstance(parse_directives("_HLS_msn=" + text), Directives | Bad)


@pytest.mark.parametrize(
    ("msn", "index", "expected"),
    [
        (None, None, READY),
        (3, None, READY),
        (11, None, READY),
        (11, 9, READY),
        (11, 10, READY),  # past the segment's end: part 0 of 12, which is there
        (12, 1, READY),
        (12, None, Wait(12, None)),
        (12, 2, Wait(12, 2)),
        (12, 10, Wait(12, 10)),
        (13, 0, Wait(13, 0)),
        (14, None, Wait(14, None)),
    ],
)
def test_playlist_requests(msn: int | None, index: int | None, expected: object) -> None:
    assert playlist(Directives(msn, index), version(LIVE)) == expected


@pytest.mark.parametrize(("msn", "index"), [(15, None), (15, 0), (12, 40), (13, 40)])
def test_requests_too_far_ahead_are_refused(msn: int, index: int | None) -> None:
    assert isinstance(playlist(Directives(msn, index), version(LIVE)), Bad)


def test_a_part_past_the_end_of_a_whole_segment_waits_for_the_next() -> None:
    live = live_of(*session(epoch=5, first_msn=10, seconds=4, tracks=(VIDEO,)))
    assert version(live).last == (11, 9)
    wait = playlist(Directives(11, 10), version(live))
    assert isinstance(wait, Wait)
    assert not wait.over(version(live))
    assert wait.over(version(live_of(*ITEMS)))


def test_a_wait_is_over_when_the_part_is_there_and_not_before() -> None:
    live, reader = LiveStream(), StreamReader()
    waits = {msn_part: Wait(*msn_part) for msn_part in [(11, 3), (11, None), (12, 1)]}
    over: dict[object, tuple[int, int]] = {}
    for record in as_records(ITEMS):
        for event in reader.feed(record):
            live.apply(event)
        for key, wait in waits.items():
            if wait.over(version(live)):
                over.setdefault(key, tuple(version(live).last))
    assert over == {(11, 3): (11, 3), (11, None): (11, 9), (12, 1): (12, 1)}


def test_a_plain_request_waits_for_the_first_whole_segment() -> None:
    assert playlist(Directives(), None) == Wait(0, None)
    young = live_of(*session(epoch=5, first_msn=10, seconds=1, tracks=(VIDEO,)))
    wait = playlist(Directives(), version(young))
    assert isinstance(wait, Wait)
    assert not wait.over(version(young))
    assert wait.over(version(LIVE))


def test_an_ended_stream_answers_at_once() -> None:
    assert playlist(Directives(99, 3), version(ENDED)) == READY
    assert playlist(Directives(12, None), version(AWAY)) == READY
    assert playlist(Directives(13, 0), version(AWAY)) == Wait(13, 0)


def test_parts() -> None:
    expected = next(i.value for i in ITEMS if (i.header.msn, i.header.part) == (12, 1))
    assert part(LIVE, "v0", 5, 12, 1) == expected
    assert part(LIVE, "v0", 5, 12, 2) == Wait(12, 2)  # the hinted one
    assert part(LIVE, "v0", 5, 13, 0) == Wait(13, 0)  # another edge may be ahead
    assert part(LIVE, "v0", 6, 13, 0) == Wait(13, 0)
    assert part(LIVE, "v0", 5, 15, 0) is Missing.UNKNOWN
    assert part(LIVE, "v0", 5, 11, 10) is Missing.UNKNOWN
    assert part(LIVE, "v0", 4, 11, 0) is Missing.UNKNOWN
    assert part(LIVE, "v0", 5, 9, 0) is Missing.GONE
    assert part(LIVE, "x", 5, 11, 0) is Missing.UNKNOWN
    assert part(AWAY, "v0", 5, 12, 2) is Missing.UNKNOWN
    assert part(AWAY, "v0", 5, 13, 0) == Wait(13, 0)  # hinted when the publisher left
    assert part(AWAY, "v0", 5, 13, 1) is Missing.UNKNOWN
    assert part(AWAY, "v0", 5, 14, 0) is Missing.UNKNOWN
    assert part(AWAY, "v0", 8, 13, 0) == Wait(13, 0)
    assert part(ENDED, "v0", 5, 13, 0) is Missing.UNKNOWN
    back = live_of(*ITEMS, close_item(5), *session(epoch=6, first_msn=13, tracks=(VIDEO,)))
    assert part(back, "v0", 5, 13, 0) is Missing.UNKNOWN


def test_segments() -> None:
    expected = b"".join([i.value for i in ITEMS if i.header.msn == 11])
    assert segment(LIVE, "v0", 5, 11) == expected
    assert segment(LIVE, "v0", 5, 12) == Wait(12, None)
    assert segment(LIVE, "v0", 5, 13) == Wait(13, None)
    assert segment(LIVE, "v0", 5, 15) is Missing.UNKNOWN
    assert segment(LIVE, "v0", 5, 9) is Missing.GONE
    assert segment(LIVE, "x", 5, 9) is Missing.UNKNOWN
    short = b"".join([i.value for i in ITEMS if i.header.msn == 12])
    assert segment(AWAY, "v0", 5, 12) == short


def test_gaps_are_gone() -> None:
    live = live_of(*ITEMS[:4], *ITEMS[5:])
    assert segment(live, "v0", 5, 10) is Missing.GONE
    assert isinstance(part(live, "v0", 5, 10, 2), bytes)
    assert part(live, "v0", 5, 10, 3) is Missing.GONE
    assert part(live, "v0", 5, 10, 4) is Missing.GONE


def test_an_epoch_without_parts_has_none() -> None:
    live = live_of(*session(epoch=5, first_msn=10, seconds=4.5, parts=False, tracks=(VIDEO,)))
    assert part(live, "v0", 5, 10, 0) is Missing.UNKNOWN
    assert part(live, "v0", 5, 12, 0) is Missing.UNKNOWN
    assert isinstance(segment(live, "v0", 5, 10), bytes)
    assert playlist(Directives(11, None), version(live)) == READY
