"""What the follower notes of a stream's records, and the latency that is reckoned from it."""

from __future__ import annotations

import pytest

from kinolog.bench.follower import Follower, Place
from kinolog.bench.latency import (
    STAGES,
    Buffered,
    Capture,
    Playback,
    acknowledged,
    by_stage,
    by_the_log,
    by_the_sender,
    live_latency,
    on_schedule,
    play_back,
)
from kinolog.ingest.ack_log import AckLine
from kinolog.record.control import Open, decode_value
from kinolog.record.registry import EpochEntry
from kinolog.testing.log_script import (
    AUDIO,
    START_MS,
    VIDEO,
    Item,
    as_records,
    close_item,
    session,
)

START = START_MS / 1000
FRAME = 0.04  # the script's video has 25 frames a second, five a part, ten parts a segment


def follow(*items: Item, entry: EpochEntry | None = None, key: str = "camera") -> Follower:
    """A follower that reads record n at second n."""
    follower = Follower("camera", entry)
    for record in as_records(items, key=key):
        follower.take([record], float(record.offset))
    return follower


@pytest.mark.parametrize("chunk_frames", [0, 2])
def test_parts_and_their_times(chunk_frames: int) -> None:
    items = session(epoch=7, seconds=4.0, chunk_frames=chunk_frames)
    parts = follow(*items).parts
    assert len(parts) == 20
    for place, part in parts.items():
        begins = START + place.msn * 2.0 + place.part * 0.2
        assert part.first == pytest.approx(begins)
        assert part.last == pytest.approx(begins + 4 * FRAME)
        assert part.independent == (place.part == 0)
        last = max(
            (number, item.header)
            for number, item in enumerate(items)
            if (item.header.track, item.header.msn, item.header.part) == ("v0", *place[1:])
        )
        assert (part.readable, part.last_chunk) == (last[0], last[1].chunk)


def test_a_part_without_a_mark_ends_where_the_next_begins() -> None:
    items = session(epoch=7, seconds=4.0, chunk_frames=1, ends=False, tracks=[VIDEO])
    marked = follow(*session(epoch=7, seconds=4.0, chunk_frames=1, tracks=[VIDEO])).parts
    unmarked = follow(*items, close_item(7)).parts
    assert unmarked.keys() == marked.keys()
    for place, part in unmarked.items():
        assert (part.first, part.last) == (marked[place].first, marked[place].last)
        assert part.readable == marked[place].readable + 1


def test_other_streams_and_other_tracks_are_passed_over() -> None:
    assert follow(*session(epoch=7, seconds=4.0), key="other").parts == {}
    assert follow(*session(epoch=7, seconds=4.0, tracks=[AUDIO])).parts == {}


def test_a_new_epoch_goes_on() -> None:
    later_ms = START_MS + 9_000
    follower = follow(
        *session(epoch=7, seconds=4.5, chunk_frames=2),
        *session(epoch=9, disc=1, first_msn=3, seconds=4.0, start_ms=later_ms),
    )
    assert {place.epoch for place in follower.parts} == {7, 9}
    assert follower.newest == Place(9, 4, 9)
    assert follower.zero == {7: START_MS * 90, 9: later_ms * 90}
    # The last part of the first session was cut short, by the second one's open.
    assert follower.parts[Place(7, 2, 2)].last == pytest.approx(START + 4.4 + FRAME)


def test_it_starts_in_the_middle_of_a_session() -> None:
    items = session(epoch=7, seconds=6.0)
    value = decode_value(items[0].value, Open)
    entry = EpochEntry(
        epoch=7, disc=0, open_offset=0, partition=0, base="b", wall=START_MS, open=value
    )
    middle = [item for item in items[1:] if item.header.msn or item.header.part > 3]
    follower = follow(*middle, entry=entry)
    assert min(follower.parts) == Place(7, 1, 0)
    assert follower.newest == Place(7, 2, 9)


def test_stages_by_the_log() -> None:
    follower = follow(*session(epoch=7, seconds=4.0))
    place, part = Place(7, 1, 3), follower.parts[Place(7, 1, 3)]
    heard = {place: part.last + 0.5, Place(7, 99, 0): 1.0}
    acked = {(7, 1, part.last_chunk): part.last + 0.25}
    stages = by_stage(follower.parts, heard, acked, by_the_log)
    assert list(stages) == list(STAGES)
    assert stages["last_frame_to_acknowledged_s"] == pytest.approx([0.25])
    assert stages["acknowledged_to_client_s"] == pytest.approx([0.25])
    assert stages["last_frame_to_readable_s"] == pytest.approx([part.readable - part.last])
    assert stages["last_frame_to_client_s"] == pytest.approx([0.5])
    assert stages["first_frame_to_client_s"] == pytest.approx([0.5 + 4 * FRAME])


def test_stages_without_an_ack_log() -> None:
    follower = follow(*session(epoch=7, seconds=4.0))
    heard = {Place(7, 1, 3): 1.0}
    stages = by_stage(follower.parts, heard, {}, by_the_log)
    assert stages["last_frame_to_acknowledged_s"] == stages["acknowledged_to_client_s"] == []
    assert len(stages["last_frame_to_client_s"]) == 1


def test_the_sender_knows_when_each_picture_was_captured() -> None:
    follower = follow(*session(epoch=7, seconds=4.0), *session(epoch=9, first_msn=2, seconds=4.0))
    times = [1000.0 + number * FRAME + (number % 3) / 500 for number in range(73)]
    captured = by_the_sender(times, follower.zero, 25)
    known = captured(Place(7, 1, 3), follower.parts[Place(7, 1, 3)])
    assert known == Capture(times[65], times[69])
    late, later = Place(7, 1, 5), Place(9, 2, 0)
    assert captured(late, follower.parts[late]) is None, "sent, but not noted"
    assert captured(later, follower.parts[later]) is None, "of a later epoch"


def test_pictures_are_due_evenly_and_never_after_they_were_sent() -> None:
    sent = [100.0 + number / 25 + late for number, late in enumerate([0.3, 0.1, 0.2, 0.1])]
    due = on_schedule(sent, 25)
    assert due == pytest.approx([100.1, 100.14, 100.18, 100.22])
    assert on_schedule([], 25) == []


def test_acknowledgements_of_the_stream_that_is_meant() -> None:
    def line(stream: str, track: str, chunk: int, acked_us: int) -> AckLine:
        return AckLine(stream, 7, track, 1, 0, chunk, 0, 0, 0, acked_us)

    lines = [
        line("a/b", "video", 0, 1_500_000),
        line("a/c", "video", 1, 1_600_000),
        line("a/b", "audio", 2, 1_700_000),
        line("a/b", "video", 3, 0),  # of a version that did not tell
    ]
    assert acknowledged(lines, "a/b") == {(7, 1, 0): 1.5}


JOINED = 101.05


def _parts(count: int) -> list[Buffered]:
    """Parts of 0.2 s from second 100 on, each here 0.05 s after its end; those that were there
    when the player joined, the first five, just then."""
    ends = [100 + 0.2 * (number + 1) for number in range(count)]
    return [Buffered(end - 0.2, end, max(JOINED, end + 0.05)) for end in ends]


def _shown(parts: list[Buffered]) -> Playback:
    """By a player that holds three parts back from the fifth one's end."""
    return play_back(parts, start=101.0 - 0.6, need_s=0.2)


def test_live_latency_is_the_hold_back_and_what_a_part_takes() -> None:
    seen = _shown(_parts(20))
    assert seen.live_s == pytest.approx([0.65] * 18), "the first two lie before its start"
    assert (seen.stalls, seen.stalled_s) == (0, 0.0)


def test_what_joining_takes_is_latency() -> None:
    late = [p._replace(came=max(p.came, 101.2)) for p in _parts(20)]
    assert _shown(late).live_s == pytest.approx([0.8] * 18)


def test_a_late_part_stalls_it_and_what_is_missed_is_not_caught_up() -> None:
    parts = _parts(20)
    seen = _shown([*parts[:10], *(p._replace(came=p.came + 1) for p in parts[10:])])
    assert seen.stalls == 1
    # It shows 102.0, the end of what it has, at 102.65; the next part comes at 103.25.
    assert seen.stalled_s == pytest.approx(0.6)
    assert seen.live_s[-1] == pytest.approx(0.65 + 0.6)


def test_it_leaps_over_what_was_never_captured() -> None:
    parts = _parts(20)
    later = [Buffered(*(time + 5 for time in part)) for part in parts[10:]]
    seen = _shown([*parts[:10], *later])
    assert seen.stalls == 1
    assert seen.live_s[-1] == pytest.approx(0.25), "it goes on with the first part that comes"


def test_viewers_join_at_any_time_between_two_parts() -> None:
    parts = [part for part in _parts(40) if part.came > JOINED]
    found = live_latency(parts, hold_back_s=0.6, need_s=0.2)
    # Right when a part comes 0.65 s, just before the next one 0.2 s more.
    assert found == pytest.approx([0.65, 0.7, 0.75, 0.8] * (len(found) // 4))
    assert len(found) == 4 * (len(parts) - 3), "all but the first two and the last have a hold-back"


def test_a_viewer_of_nothing() -> None:
    assert live_latency([], hold_back_s=0.6, need_s=0.2) == []
    assert live_latency(_parts(2), hold_back_s=0.6, need_s=0.2) == []


def test_nothing_heard_is_nothing_seen() -> None:
    assert play_back([], start=0.0, need_s=0.2).live_s == []
