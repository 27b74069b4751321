"""LiveStream: the window, its parts, its versions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from kinolog.record.control import Gap, Open, SessionEntry, decode_value
from kinolog.record.log_record import LogRecord
from kinolog.testing.log_script import (
    AUDIO,
    VIDEO,
    Item,
    as_records,
    close_item,
    end_item,
    gap_item,
    session,
)
from kinolog.timeline.live import LiveStream
from kinolog.timeline.reader import StreamReader
from kinolog.timeline.track import Hint, Report, Track, Version

LATER_MS = 1_700_000_100_000


def play(records: Sequence[LogRecord], live: LiveStream | None = None) -> LiveStream:
    live = live or LiveStream()
    reader = StreamReader()
    for record in records:
        for event in reader.feed(record):
            live.apply(event)
    return live


def live_of(*items: Item) -> LiveStream:
    return play(as_records(items))


def version(live: LiveStream, name: str = "v0") -> Version:
    found = live.tracks[name].version
    assert found is not None
    return found


def test_parts_and_segments_are_their_chunks_joined() -> None:
    items = session(epoch=5, seconds=4.5, chunk_frames=2)
    live = live_of(*items)
    for name in ("v0", "a0"):
        for segment in live.tracks[name].segments:
            if not segment.ended:
                continue
            mine = [i for i in items if i.header.track == name and i.header.msn == segment.msn]
            assert segment.body() == b"".join([i.value for i in mine])
            for part in segment.parts:
                expected = b"".join([i.value for i in mine if i.header.part == part.index])
                assert segment.part_body(part.index) == expected
            assert segment.body() is segment.body()
            assert segment.size == len(segment.body())


def test_parts_are_let_go_when_no_longer_listed_and_still_found() -> None:
    live = live_of(*session(epoch=5, seconds=20.1, tracks=(VIDEO,)))
    old, new = live.tracks["v0"].segments[0], live.tracks["v0"].segments[-2]
    bodies = [old.part_body(i) for i in range(len(old.parts))]
    assert old.body() == b"".join(bodies)
    assert [old.part_body(i) for i in range(len(old.parts))] == bodies
    assert not old.parts[0].chunks()
    assert new.parts[0].chunks()


def test_a_part_is_listed_when_it_ends() -> None:
    live, reader = LiveStream(), StreamReader()
    items = session(epoch=5, seconds=1, tracks=(VIDEO,), chunk_frames=1)
    seen = []
    for record in as_records(items):
        for event in reader.feed(record):
            changed = [track.name for track in live.apply(event)]
            seen.append((changed, version(live).tail_parts))
    assert seen[:6] == [(["v0"], 0), *[([], 0)] * 4, (["v0"], 1)]
    assert version(live).last == (0, 4)
    assert version(live).last_whole_msn == -1
    assert version(live).hint == Hint(5, 0, 5)


def test_without_marks_a_part_ends_when_the_next_begins() -> None:
    items = session(epoch=5, seconds=4.2, tracks=(VIDEO,), chunk_frames=1, ends=False)
    live = live_of(*items)
    assert [len(s.parts) for s in live.tracks["v0"].segments] == [10, 10]
    marked = live_of(*session(epoch=5, seconds=4.2, tracks=(VIDEO,)))
    for a, b in zip(live.tracks["v0"].segments, marked.tracks["v0"].segments, strict=False):
        assert [p.duration_ticks for p in a.parts] == [p.duration_ticks for p in b.parts]
    assert version(live).hint == Hint(5, 2, 0)


def test_the_window_is_30_s_in_whole_segments() -> None:
    live = live_of(*session(epoch=5, seconds=61, first_msn=100, tracks=(VIDEO,)))
    segments = live.tracks["v0"].segments
    assert [s.msn for s in segments] == list(range(115, 131))
    assert sum(s.duration_us for s in segments if s.ended) == 30_000_000
    assert [s.msn for s in live.tracks["v0"].retired] == [112, 113, 114]


@pytest.mark.parametrize(("gop_s", "first"), [(40, 20), (200, 0)])
def test_the_window_reaches_back_to_a_keyframe_and_is_bounded(gop_s: int, first: int) -> None:
    track = replace(VIDEO, gop_frames=gop_s * 25)
    live = live_of(*session(epoch=5, seconds=79.1, tracks=(track,)))
    assert live.tracks["v0"].segments[0].msn == first
    longer = live_of(*session(epoch=5, seconds=199.9, tracks=(replace(VIDEO, gop_frames=9999),)))
    ended = [s for s in longer.tracks["v0"].segments if s.ended]
    assert sum(s.duration_us for s in ended) == 120_000_000


def test_a_reconnect_goes_on_with_a_discontinuity() -> None:
    live = live_of(
        *session(epoch=5, seconds=3),
        close_item(5),
        *session(epoch=9, disc=1, first_msn=2, seconds=3, start_ms=LATER_MS),
    )
    segments = live.tracks["v0"].segments
    assert [(s.msn, s.epoch, s.discontinuities, s.ended) for s in segments] == [
        (0, 5, 0, True),
        (1, 5, 0, True),
        (2, 9, 1, True),
        (3, 9, 0, False),
    ]
    assert segments[1].duration_us == 1_000_000
    assert live.init_segment("v0", 5) == live.init_segment("v0", 9) == b"init v0"
    assert live.init_segment("v0", 6) is None


def test_state_follows_close_end_and_open() -> None:
    items = session(epoch=5, seconds=3)
    assert LiveStream().state == "away"
    assert live_of(*items).state == "live"
    away = live_of(*items, close_item(5))
    assert (away.state, version(away).state, version(away).hint) == ("away", "away", None)
    assert version(away).tail_ended
    ended = live_of(*items, close_item(5), end_item(5))
    assert (ended.state, version(ended).state) == ("ended", "ended")
    again = live_of(*items, close_item(5), end_item(5), session(epoch=6, seconds=0)[0])
    assert (again.state, version(again).hint) == ("live", None)


def test_a_hole_makes_a_gap_and_positions_stay() -> None:
    items = session(epoch=5, seconds=4.5, tracks=(VIDEO,))
    lost = [i for i in items if not (i.header.msn == 0 and 3 <= i.header.part <= 5)]
    first, second, _ = live_of(*lost).tracks["v0"].segments
    assert first.gap
    assert not second.gap
    assert [p.gap for p in first.parts] == [False] * 3 + [True] * 7
    assert [p.index for p in first.parts] == list(range(10))
    assert sum(p.duration_ticks for p in first.parts) == first.duration_ticks == 180_000


def test_a_number_never_used_is_a_gap() -> None:
    live = live_of(
        *session(epoch=5, seconds=4),
        close_item(5),
        *session(epoch=9, disc=2, first_msn=4, seconds=3, start_ms=LATER_MS),
    )
    segments = live.tracks["v0"].segments
    assert [(s.msn, s.epoch, s.gap, s.discontinuities) for s in segments] == [
        (0, 5, False, 0),
        (1, 5, False, 0),
        (2, 5, True, 0),
        (3, 5, True, 0),
        (4, 9, False, 2),
        (5, 9, False, 0),
    ]
    assert [s.duration_us for s in segments[2:4]] == [2_000_000] * 2


def test_a_far_number_starts_the_window_anew() -> None:
    live = live_of(
        *session(epoch=5, seconds=4),
        *session(epoch=9, disc=1, first_msn=4000, seconds=3, start_ms=LATER_MS),
    )
    assert [s.msn for s in live.tracks["v0"].segments] == [4000, 4001]
    assert live.find("v0", 9, 4001) is not None
    assert live.find("v0", 5, 1) is not None


def test_find_wants_the_epoch_too() -> None:
    live = live_of(*session(epoch=5, first_msn=3, seconds=4.5))
    for msn in (3, 4, 5):
        found = live.find("v0", 5, msn)
        assert found is not None
        assert found.msn == msn
    assert live.find("v0", 6, 4) is None
    assert live.find("v0", 5, 2) is None
    assert live.find("v0", 5, 6) is None
    assert live.find("x", 5, 4) is None


def test_the_others_are_reported_as_they_were() -> None:
    live, reader = LiveStream(), StreamReader()
    taken = []
    for record in as_records(session(epoch=5, seconds=5)):
        for event in reader.feed(record):
            for track in live.apply(event):
                others = {
                    name: other.version.last
                    for name, other in live.tracks.items()
                    if other is not track and other.version and other.version.segments
                }
                assert track.version is not None
                taken.append((track.version, others))
    assert len(taken) > 40
    for then, others in taken:
        assert then.reports == tuple(Report(n, p.msn, p.part) for n, p in others.items())


def test_a_track_that_went_is_kept_while_its_time_is_listed() -> None:
    first = session(epoch=5, seconds=3)
    only_video = session(
        epoch=9, disc=1, first_msn=2, seconds=3, start_ms=LATER_MS, tracks=(VIDEO,)
    )
    live = live_of(*first, *only_video)
    assert list(live.tracks) == ["v0", "a0"]
    assert live.tracks["a0"].info is None
    assert version(live, "a0").hint is None
    assert version(live).reports == ()
    long = session(
        epoch=12, disc=2, first_msn=4, seconds=70, start_ms=LATER_MS + 5000, tracks=(VIDEO,)
    )
    again = session(
        epoch=13, disc=3, first_msn=39, seconds=1, start_ms=LATER_MS + 90_000, tracks=(VIDEO,)
    )
    live = live_of(*first, *only_video, *long, *again)
    assert list(live.tracks) == ["v0"]
    assert live.init_segment("a0", 5) is None


def test_an_epoch_without_parts_lists_whole_segments() -> None:
    live = live_of(*session(epoch=5, seconds=5, parts=False, tracks=(VIDEO, AUDIO)))
    assert [s.msn for s in live.tracks["v0"].segments] == [0, 1]
    assert version(live).hint is None
    # Audio's second segment ends 11 ms after video's: it was not there yet.
    assert version(live).reports == (Report("a0", 0, -1),)
    assert version(live, "a0").reports == (Report("v0", 1, -1),)
    assert version(live).last_whole_msn == 1


def test_dropped_frames_are_counted() -> None:
    gap = Gap(track="v0", from_dts=0, to_dts=1, frames=25)
    assert live_of(*session(epoch=5, seconds=1), gap_item(5, gap)).dropped_frames == 25


def test_bit_rates_are_those_of_the_window() -> None:
    live = live_of(*session(epoch=5, seconds=5, tracks=(VIDEO,)))
    segments = live.tracks["v0"].segments[:2]
    rates = live.tracks["v0"].bit_rates()
    assert rates == (
        max(s.size * 8 // 2 for s in segments),
        sum(s.size for s in segments) * 8 // 4,
    )
    assert live_of(session(epoch=5, seconds=0)[0]).tracks["v0"].bit_rates() is None


def picture(track: Track) -> list[tuple[object, ...]]:
    found = track.version
    assert found is not None
    listed = [
        (s.msn, s.epoch, s.disc, s.discontinuities * bool(i), s.dts, s.duration_ticks, s.body())
        for i, s in enumerate(found.segments)
        if s.ended
    ]
    return [*listed, found[1:3], found[4:]]


def test_a_window_does_not_depend_on_where_the_edge_began() -> None:
    items = [
        *session(epoch=5, seconds=33),
        close_item(5),
        *session(epoch=9, disc=1, first_msn=17, seconds=47, start_ms=LATER_MS),
    ]
    records = as_records(items)
    old = play(records)
    second = next(r.offset for r in records if r.header.kind == "open" and r.offset)
    in_window = old.tracks["v0"].segments[0].first_offset
    assert second < in_window
    for start in range(1, in_window - 20, 11):
        opened = 0 if start <= second else second
        session_value = decode_value(records[opened].value, Open)
        entry = SessionEntry(records[opened].header.epoch, 0, opened, 0, session_value)
        reader, live = StreamReader(), LiveStream()
        for event in reader.start(entry):
            live.apply(event)
        for record in records[start:]:
            for event in reader.feed(record):
                live.apply(event)
        for name in ("v0", "a0"):
            assert picture(live.tracks[name]) == picture(old.tracks[name])
