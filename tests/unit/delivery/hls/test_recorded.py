"""Playlists of what was recorded: exact texts."""

from __future__ import annotations

from kinolog.delivery.hls.recorded import closed_head, lines, unbroken
from kinolog.record.page import GAP, INDEPENDENT
from kinolog.record.table import Row, Table
from kinolog.timeline.measure import expected, independent, rates
from kinolog.timeline.window import Run, Session, runs

SECOND = 90_000
SESSIONS = {7: Session(SECOND), 8: Session(SECOND)}


def row(msn: int, epoch: int = 7, disc: int = 0, flags: int = INDEPENDENT) -> Row:
    wall = 1_700_000_000_000 + 2000 * msn
    return Row(epoch, disc, msn, msn * 2 * SECOND, 2 * SECOND, wall, msn, msn, 250_000, msn, flags)


def of(*rows: Row) -> list[Run]:
    return list(runs([Table(rows)], SESSIONS, 0))


def text(found: list[Run], *, closed: bool = True) -> str:
    return "".join(lines("video", found, 2000, closed=closed))


def test_a_range_over_two_sessions() -> None:
    found = of(row(30), row(31), row(32), row(33, 8, 1), row(34, 8, 1, GAP))
    head = closed_head(found, 2000, found[0].wall + 500)
    assert head + text(found) == (
        "#EXTM3U\n"
        "#EXT-X-VERSION:9\n"
        "#EXT-X-TARGETDURATION:2\n"
        "#EXT-X-PLAYLIST-TYPE:VOD\n"
        "#EXT-X-MEDIA-SEQUENCE:0\n"
        "#EXT-X-INDEPENDENT-SEGMENTS\n"
        "#EXT-X-START:TIME-OFFSET=0.500000,PRECISE=YES\n"
        '#EXT-X-MAP:URI="video/7/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:20.000Z\n"
        "#EXTINF:2.000000,\n"
        "video/7/30.m4s\n"
        "#EXTINF:2.000000,\n"
        "video/7/31.m4s\n"
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:24.000Z\n"
        "#EXTINF:2.000000,\n"
        "video/7/32.m4s\n"
        "#EXT-X-DISCONTINUITY\n"
        '#EXT-X-MAP:URI="video/8/init.mp4"\n'
        "#EXT-X-PROGRAM-DATE-TIME:2023-11-14T22:14:26.000Z\n"
        "#EXTINF:2.000000,\n"
        "video/8/33.m4s\n"
        "#EXT-X-GAP\n"
        "#EXTINF:2.000000,\n"
        "video/8/34.m4s\n"
    )


def test_numbers_that_were_not_used_are_gaps() -> None:
    made = text(of(row(40), row(43)))
    assert made.count("#EXT-X-GAP\n#EXTINF:2.000000,\n") == 2
    assert made.count("#EXTINF") == 4
    assert "video/7/41.m4s" in made
    assert "#EXT-X-DISCONTINUITY" not in made


def test_a_growing_list_uses_every_number_over_sessions_too() -> None:
    made = text(of(row(40), row(43, 8, 3)), closed=False)
    assert made.count("#EXTINF") == 4
    assert made.count("#EXT-X-DISCONTINUITY\n") == 3
    assert "#EXT-X-GAP" not in text(of(row(40), row(43, 8, 3)))


def test_a_closed_list_jumps_over_what_no_list_could_hold() -> None:
    found = of(row(40), row(400_000))
    assert text(found).count("#EXTINF") == 2
    assert text(found).count("#EXT-X-DISCONTINUITY") == 1
    assert [run.first_msn for run in unbroken(found, 400_001)] == [400_000]
    assert [run.first_msn for run in unbroken(of(row(40), row(42)), 43)] == [40, 42]


def test_dates_stand_where_numbers_are_divided_by_32() -> None:
    made = text(of(*(row(msn) for msn in range(30, 100))))
    dated = [one.split("/")[-1] for one in made.split("#EXT-X-PROGRAM-DATE-TIME")[1:]]
    assert len(dated) == 4  # the first, 32, 64, 96


def test_dates_stand_where_they_have_parted_from_the_media() -> None:
    """As where ingest slews them by a millisecond a second."""
    slewed = [row(msn) for msn in range(1, 11)]
    slewed = [one._replace(wall=one.wall + 2 * n) for n, one in enumerate(slewed)]
    jitter = [row(msn) for msn in range(11, 32)]
    jitter = [one._replace(wall=one.wall + 16 + n % 3) for n, one in enumerate(jitter)]
    made = text(of(*slewed, *jitter))
    pieces = made.split("#EXT-X-PROGRAM-DATE-TIME")[1:]
    dated = [one.split("video/7/")[1].split(".")[0] for one in pieces]
    assert dated == ["1", "3", "5", "7", "9"]


def test_rates_and_independence() -> None:
    assert rates(of(row(1), row(2)), 2000) == (1_000_000, 1_000_000)
    assert rates([], 2000) is None
    assert independent(of(row(1), row(2, flags=GAP)))
    assert not independent(of(row(1), row(2, flags=0)))


def test_what_is_to_come_is_as_long_as_in_the_gop_before() -> None:
    def run_of(*lengths: tuple[int, int]) -> Run:
        rows = [row(n, flags=flags)._replace(dur=dur) for n, (dur, flags) in enumerate(lengths)]
        return of(*rows)[0]

    key, other, short = (222, INDEPENDENT), (222, 0), (12, 0)
    gop = (key, other, other, short)
    assert expected(run_of(*gop, *gop[:2]), 180, 4) == [222, 12, 222, 222]
    assert expected(run_of(*gop, *gop), 180, 2) == expected(run_of(*gop, *gop, *gop), 180, 2)
    assert expected(run_of(*gop, key), 180, 3) == [222, 222, 12]
    assert expected(run_of(*gop), 180, 2) == [180, 180]  # one GOP tells nothing
    assert expected(run_of(key, key, key), 180, 2) == [180, 180]
