"""A channel of a stream that has moved: its places' pasts join in the order of epochs."""

from __future__ import annotations

import itertools
from typing import Literal

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.delivery.media_files import nothing_kept
from kinolog.record.control import Open, OpenTrack, decode_value, encode_value
from kinolog.record.header import VERSION, Header
from kinolog.record.log_record import LogRecord
from kinolog.record.registry import EpochEntry
from kinolog.timeline.places import MOST_WAIT_S

HOME, AWAY = ("kinolog.demo.media", 0), ("kinolog.demo.media", 1)
TICKS = 180_000


def opening(epoch: int, offset: int) -> LogRecord:
    track = OpenTrack(
        name="video", kind="video", codec="avc1.42C00D", timescale=90_000, init=b"init"
    )
    value = Open(
        session=str(epoch), publisher="t", software="t", target_ms=2000, part_ms=200, tracks=[track]
    )
    header = Header(v=VERSION, kind="open", epoch=epoch)
    return LogRecord(offset, epoch, "cam", header, encode_value(value))


def segment(epoch: int, msn: int, offset: int) -> LogRecord:
    header = Header(
        v=VERSION,
        kind="chunk",
        epoch=epoch,
        track="video",
        disc=epoch,
        msn=msn,
        dts=msn * TICKS,
        dur=TICKS,
        ind=True,
        ends="segment",
        wall=msn * 2000,
    )
    return LogRecord(offset, msn * 2000, "cam", header, b"media %d" % msn)


def closing(epoch: int, offset: int) -> LogRecord:
    return LogRecord(offset, 0, "cam", Header(v=VERSION, kind="close", epoch=epoch), b"")


def fence(epoch: int, offset: int) -> LogRecord:
    return LogRecord(offset, 0, "cam", Header(v=VERSION, kind="fence", epoch=epoch), b"")


def session(epoch: int, first_msn: int, offset: int) -> list[LogRecord]:
    return [
        opening(epoch, offset),
        segment(epoch, first_msn, offset + 1),
        segment(epoch, first_msn + 1, offset + 2),
        closing(epoch, offset + 3),
    ]


THERE_AND_BACK = {
    HOME: [*session(1, 0, 10), fence(2, 14), *session(3, 4, 15)],
    AWAY: [*session(2, 2, 5), fence(3, 9)],
}


def listed(channel: Channel) -> list[tuple[int, int]]:
    version = channel.live.tracks["video"].version
    assert version is not None
    return [(item.msn, item.epoch) for item in version.segments]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_stream_that_moved_there_and_back_is_whole(newest_first: bool) -> None:
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    pasts = THERE_AND_BACK
    if newest_first:
        pasts = dict(reversed(pasts.items()))
    for place in pasts:
        channel.hold(place)
    channel.release(pasts)
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)]


def test_what_the_tail_brought_meanwhile_has_its_place_too() -> None:
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    channel.hold(HOME)
    channel.hold(AWAY)
    for record in session(2, 2, 5):
        channel.take(AWAY, record)
    channel.release({AWAY: [], HOME: [*session(1, 0, 10), fence(2, 14)]})
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]
    channel.take(AWAY, fence(3, 9))
    for record in session(3, 4, 20):
        channel.take(HOME, record)
    assert listed(channel)[-2:] == [(4, 3), (5, 3)]


def test_a_zombie_in_the_former_place_changes_nothing() -> None:
    """An ingest that was stopped writes to where the stream was, after it has moved."""
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    channel.hold(HOME)
    channel.hold(AWAY)
    home = [opening(1, 10), segment(1, 0, 11), segment(1, 1, 12), fence(2, 13)]
    channel.release({AWAY: session(2, 2, 5), HOME: home})
    channel.take(HOME, segment(1, 2, 14))
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]


@pytest.mark.parametrize("state", ["away", "ended"])
def test_a_session_whose_close_was_deleted_is_over_until_the_next(
    state: Literal["away", "ended"],
) -> None:
    value = decode_value(opening(1, 10).value, Open)
    entry = EpochEntry(1, 0, 10, HOME[1], "kinolog.demo", 0, value, state=state, close_offset=13)
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    channel.hold(HOME)
    channel.begin(entry)
    channel.release({HOME: []})
    assert (channel.live.state, nothing_kept(channel)) == ("live", False)
    channel.stop(entry)
    assert (channel.live.state, nothing_kept(channel)) == (state, True)
    channel.take(HOME, segment(1, 2, 14))  # of a zombie
    assert nothing_kept(channel)
    channel.take(HOME, opening(2, 15))
    assert (channel.live.state, nothing_kept(channel)) == ("live", False)
    channel.take(HOME, segment(2, 2, 16))
    assert listed(channel) == [(2, 2)]


def following(*places: tuple[str, int]) -> Channel:
    """A channel that has joined its places before anything was written."""
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    for place in places:
        channel.hold(place)
    channel.release({place: [] for place in places})
    return channel


MOVED = {
    HOME: [opening(1, 10), segment(1, 0, 11), segment(1, 1, 12), fence(2, 13), segment(1, 2, 14)],
    AWAY: session(2, 2, 5),
}


@pytest.mark.parametrize("ahead", range(1, len(MOVED[HOME])))
def test_the_end_of_a_session_is_not_lost_when_the_next_place_is_read_first(ahead: int) -> None:
    """Whatever of the former place comes after the new one's, up to the fence it counts."""
    channel = following(HOME, AWAY)
    home = MOVED[HOME]
    for record in home[:ahead]:
        channel.take(HOME, record)
    for record in MOVED[AWAY]:
        channel.take(AWAY, record)
    for record in home[ahead:]:
        channel.take(HOME, record)
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_a_place_that_is_added_waits_for_the_former_too() -> None:
    channel = following(HOME)
    for record in MOVED[HOME][:2]:
        channel.take(HOME, record)
    channel.hold(AWAY)
    channel.release({AWAY: MOVED[AWAY]})
    assert listed(channel) == [(0, 1)]
    for record in MOVED[HOME][2:]:
        channel.take(HOME, record)
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]


def test_there_and_back_in_any_order_of_arrival() -> None:
    home, away = THERE_AND_BACK[HOME], THERE_AND_BACK[AWAY]
    for first, second in itertools.product(range(1, len(home) + 1), range(len(away) + 1)):
        channel = following(HOME, AWAY)
        for place, records in (
            (HOME, home[:first]),
            (AWAY, away[:second]),
            (HOME, home[first:]),
            (AWAY, away[second:]),
        ):
            for record in records:
                channel.take(place, record)
        assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3)]


def test_a_fence_that_never_comes_is_not_waited_for_for_ever() -> None:
    channel = following(HOME, AWAY)
    for record in MOVED[HOME][:2]:
        channel.take(HOME, record)
    before_s = SystemClock().monotonic()
    for record in MOVED[AWAY]:
        channel.take(AWAY, record)
    channel.go_on(before_s + MOST_WAIT_S - 0.1)
    assert listed(channel) == [(0, 1)]
    channel.go_on(SystemClock().monotonic() + MOST_WAIT_S)
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]
    assert [item.gap for item in channel.live.tracks["video"].segments] == [
        False,
        True,
        False,
        False,
    ]
    for record in session(3, 4, 20):
        channel.take(AWAY, record)
    assert listed(channel)[-1] == (5, 3)
