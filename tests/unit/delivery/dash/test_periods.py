"""Periods: where a stream is cut for DASH."""

from __future__ import annotations

from kinolog.delivery.dash.periods import Begin, Period, Stretch, joined, periods, unbroken
from kinolog.record.control import OpenTrack
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.window import Run

US = 1_000_000
VIDEO = OpenTrack("video", "video", "avc1.64001f", 90_000, b"v", width=1280, height=720)
AUDIO = OpenTrack("audio", "audio", "mp4a.40.2", 48_000, b"a", sample_rate=48_000, channels=2)


def row(info: OpenTrack, msn: int, at_s: float, epoch: int = 7, flags: int = INDEPENDENT) -> Row:
    """A segment of 2 s."""
    dts, dur = round(at_s * info.timescale), 2 * info.timescale
    return Row(epoch, 0, msn, dts, dur, round(1000 * at_s), msn, msn, 1000, msn, flags)


def run(info: OpenTrack, *rows: Row) -> Run:
    table = Table(rows)
    return Run(table, 0, len(table), rows[0].epoch, rows[0].disc, info.timescale)


def stretches(info: OpenTrack, *rows: Row) -> list[Stretch]:
    return [
        Stretch(info, piece, Begin(piece.first_msn, piece.table.dts[piece.start]))
        for piece in unbroken(run(info, *rows))
    ]


def shape(found: list[Period]) -> list[tuple[int, float, dict[str, tuple[int, int]]]]:
    """(epoch, start in seconds, by track the first and the last number)."""
    return [
        (
            one.epoch,
            one.start_us / US,
            {s.info.name: (s.run.first_msn, s.run.last_msn) for s in one.stretches},
        )
        for one in found
    ]


def test_a_number_that_is_missing_or_a_gap_breaks_off() -> None:
    rows = [row(VIDEO, msn, 2 * msn) for msn in (3, 4, 6, 7, 8)]
    rows[-2] = rows[-2]._replace(flags=GAP)
    found = [(one.first_msn, one.last_msn) for one in unbroken(run(VIDEO, *rows))]
    assert found == [(3, 4), (6, 6), (8, 8)]


def test_runs_of_an_epoch_are_joined() -> None:
    first, second = (row(VIDEO, 1, 2), row(VIDEO, 2, 4)), (row(VIDEO, 3, 6),)
    other = row(VIDEO, 4, 8, epoch=8)
    found = joined([run(VIDEO, *first), run(VIDEO, *second), run(VIDEO, other)])
    assert [list(one) for one in found] == [[*first, *second], [other]]


def test_a_session_is_a_period() -> None:
    older = [stretches(VIDEO, row(VIDEO, 1, 10), row(VIDEO, 2, 12))]
    newer = [
        stretches(VIDEO, row(VIDEO, 3, 60, 8)),
        stretches(AUDIO, row(AUDIO, 3, 60.01, 8)),
    ]
    found = periods({8: newer, 7: older}, 2 * US, growing=True)
    assert shape(found) == [
        (7, 10.0, {"video": (1, 2)}),
        (8, 60.0, {"video": (3, 3), "audio": (3, 3)}),
    ]
    assert [one.whole for one in found] == [True, False]
    assert [one.followed for one in found] == [True, False]


def test_what_follows_a_gap_is_a_period_and_sound_over_the_border_is_in_both() -> None:
    video = stretches(VIDEO, row(VIDEO, 1, 10), row(VIDEO, 2, 12), row(VIDEO, 4, 16))
    audio = stretches(AUDIO, *(row(AUDIO, msn, 8.5 + 2 * msn) for msn in (1, 2, 3, 4)))
    found = periods({7: [video, audio]}, 2 * US, growing=False)
    assert shape(found) == [
        (7, 10.0, {"video": (1, 2), "audio": (1, 3)}),
        (7, 16.0, {"video": (4, 4), "audio": (3, 4)}),
    ]


def test_a_gap_of_the_sound_alone_is_a_border_too() -> None:
    video = stretches(VIDEO, *(row(VIDEO, msn, 10 + 2 * msn) for msn in range(6)))
    audio = stretches(AUDIO, *(row(AUDIO, msn, 10 + 2 * msn) for msn in (0, 1, 4, 5)))
    found = periods({7: [video, audio]}, 2 * US, growing=False)
    assert shape(found) == [
        (7, 10.0, {"video": (0, 3), "audio": (0, 1)}),
        (7, 18.0, {"video": (4, 5), "audio": (4, 5)}),
    ]


def test_the_sound_comes_back_with_the_picture_not_in_a_period_of_its_own() -> None:
    video = stretches(VIDEO, row(VIDEO, 0, 10), row(VIDEO, 2, 14))
    audio = stretches(AUDIO, row(AUDIO, 0, 10), row(AUDIO, 2, 13.99))
    found = periods({7: [video, audio]}, 2 * US, growing=False)
    assert shape(found) == [
        (7, 10.0, {"video": (0, 0), "audio": (0, 0)}),
        (7, 14.0, {"video": (2, 2), "audio": (2, 2)}),
    ]


def test_a_begin_that_left_the_window_is_where_the_period_begins() -> None:
    (one,) = stretches(VIDEO, row(VIDEO, 50, 110), row(VIDEO, 51, 112))
    one = one._replace(begin=Begin(0, 10 * 90_000))
    (found,) = periods({7: [[one]]}, 2 * US, growing=True)
    assert (found.start_us, found.stretches[0].run.first_msn) == (10 * US, 50)
