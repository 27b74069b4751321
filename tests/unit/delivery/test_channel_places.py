"""A channel of a stream that has moved: its places' pasts join in the order of epochs."""

from __future__ import annotations

import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.channel import Channel
from kinolog.record.control import Open, OpenTrack, encode_value
from kinolog.record.header import VERSION, Header
from kinolog.record.log_record import LogRecord

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


def session(epoch: int, first_msn: int, offset: int) -> list[LogRecord]:
    return [
        opening(epoch, offset),
        segment(epoch, first_msn, offset + 1),
        segment(epoch, first_msn + 1, offset + 2),
        closing(epoch, offset + 3),
    ]


def listed(channel: Channel) -> list[tuple[int, int]]:
    version = channel.live.tracks["video"].version
    assert version is not None
    return [(item.msn, item.epoch) for item in version.segments]


@pytest.mark.parametrize("newest_first", [False, True])
def test_a_stream_that_moved_there_and_back_is_whole(newest_first: bool) -> None:
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    pasts = {HOME: [*session(1, 0, 10), *session(3, 4, 20)], AWAY: session(2, 2, 5)}
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
    channel.release({AWAY: [], HOME: session(1, 0, 10)})
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]
    for record in session(3, 4, 20):
        channel.take(HOME, record)
    assert listed(channel)[-2:] == [(4, 3), (5, 3)]


def test_a_zombie_in_the_former_place_changes_nothing() -> None:
    """An ingest that was stopped writes to where the stream was, after it has moved."""
    channel = Channel(StreamName("demo", "cam"), SystemClock())
    channel.hold(HOME)
    channel.hold(AWAY)
    home = [opening(1, 10), segment(1, 0, 11), segment(1, 1, 12)]
    channel.release({AWAY: session(2, 2, 5), HOME: home})
    channel.take(HOME, segment(1, 2, 13))
    assert listed(channel) == [(0, 1), (1, 1), (2, 2), (3, 2)]
