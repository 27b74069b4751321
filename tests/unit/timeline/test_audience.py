"""Sessions and figures: who watches, how long it waited, and what it all may cost."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinolog.record.cmcd import Report
from kinolog.timeline.audience import (
    MOST_PLAYERS,
    SILENT_MS,
    WINDOW_MS,
    Audience,
    Figures,
    figures_of,
    spread,
)

NOW = 1_795_700_000_000


def heard(
    audience: Audience, sid: str, *reports: tuple[int, dict[str, Any]], skew_ms: int = 0
) -> None:
    """Reports at so many ms after NOW; the player's clock is off by `skew_ms`."""
    for at, keys in reports:
        ts = NOW + at + skew_ms
        audience.take(Report("a/b", NOW + at, {"e": "ps", "sid": sid, "ts": ts, **keys}))


def figures(audience: Audience, after_ms: int) -> Figures:
    return figures_of(audience.sessions("a/b"), NOW + after_ms)


@pytest.mark.parametrize("skew_ms", [0, -3_600_000, 86_400_000])
def test_a_session_with_a_stall(skew_ms: int) -> None:
    audience = Audience()
    heard(
        audience,
        "one",
        (0, {"sta": "s", "sf": "d"}),
        (700, {"sta": "p"}),
        (10_700, {"sta": "r"}),
        (13_200, {"sta": "p"}),
        (20_700, {"sta": "p", "ltc": 900, "br": [500, 1500], "e": "t"}),
        skew_ms=skew_ms,
    )
    found = figures(audience, 21_000)
    assert found.startup_ms is not None
    assert found.latency_ms is not None
    assert found.bitrate_kbps is not None
    assert (found.startup_ms.p50, found.latency_ms.p95, found.bitrate_kbps.p50) == (700, 900, 1500)
    assert (found.played_s, found.stalled_s, found.stalls) == (17.5, 2.5, 1)
    assert found.rebuffer_ratio == 0.125
    assert found.players == {"dash": 1}


@pytest.mark.parametrize(
    ("told", "startup_ms"),
    [
        ([(0, {"sta": "s", "msd": 2}), (700, {"sta": "p"})], 700),  # dash.js
        ([(0, {}), (800, {"msd": 650})], 650),  # Shaka, compiled
        ([(0, {"sta": "s"}), (500, {"sta": "r"}), (700, {"sta": "p"})], 700),
        ([(0, {"sta": "d"}), (5000, {"sta": "s"}), (5700, {"sta": "p"})], 700),
        ([(0, {"sta": "s"}), (700, {"sta": "p"}), (900, {"sta": "s"}), (990, {"sta": "p"})], 700),
    ],
)
def test_what_a_start_took(told: list[tuple[int, dict[str, Any]]], startup_ms: int) -> None:
    audience = Audience()
    heard(audience, "one", *told)
    found = figures(audience, 6000)
    assert found.startup_ms is not None
    assert (found.startup_ms.p50, found.stalls, found.stalled_s) == (startup_ms, 0, 0)


def test_requests_for_media_tell_figures_and_no_states() -> None:
    """Their time is the edge's, which no player's clock need agree with."""
    audience = Audience()
    heard(audience, "one", (0, {"sta": "p"}), skew_ms=-3_600_000)
    audience.take(Report("a/b", NOW + 5000, {"sid": "one", "bs": True, "ltc": 1200, "br": 900}))
    heard(audience, "one", (10_000, {"sta": "p"}), skew_ms=-3_600_000)
    found = figures(audience, 10_000)
    assert found.latency_ms is not None
    assert (found.played_s, found.stalls, found.latency_ms.p50) == (10.0, 1, 1200)


@pytest.mark.parametrize(("asked", "kbps"), [("av", 900), ("vavva", 900), ("aa", 30), ("-a", 500)])
def test_the_bit_rate_is_that_of_the_pictures_where_there_are_any(asked: str, kbps: int) -> None:
    """A request says what it asks for, and that thing's bit rate."""
    told: dict[str, dict[str, Any]] = {
        "a": {"ot": "a", "br": 30},
        "v": {"ot": "v", "br": 900},
        "-": {"br": [500, 30]},
    }
    audience = Audience()
    for kind in asked:
        audience.take(Report("a/b", NOW, {"sid": "one", **told[kind]}))
    found = figures(audience, 0).bitrate_kbps
    assert found is not None
    assert found.p50 == kbps


def test_a_pause_and_a_seek_are_neither_played_nor_waited() -> None:
    audience = Audience()
    states = ["p", "a", "p", "k", "p", "w", "p"]
    heard(audience, "one", *((n * 1000, {"sta": sta}) for n, sta in enumerate(states)))
    found = figures(audience, 7000)
    assert (found.played_s, found.stalled_s, found.stalls) == (3.0, 0.0, 0)


def test_reports_that_come_late_or_twice_change_nothing() -> None:
    audience = Audience()
    told = [(0, {"sta": "p"}), (5000, {"sta": "r"}), (6000, {"sta": "p"})]
    heard(audience, "one", *told)
    before = figures(audience, 6000)
    heard(audience, "one", told[2], told[0], told[1])
    assert figures(audience, 6000) == before


def test_a_laptop_that_slept_played_nothing_meanwhile() -> None:
    audience = Audience()
    heard(audience, "one", (0, {"sta": "p"}), (200_000, {"sta": "p"}))
    assert figures(audience, 200_000).played_s == 0


@pytest.mark.parametrize("state", ["e", "f", "q"])
def test_who_says_that_it_leaves_has_left(state: str) -> None:
    audience = Audience()
    heard(audience, "one", (0, {"sta": "p"}), (1000, {"sta": state}))
    found = figures(audience, 1000)
    assert (found.viewers, found.sessions) == (0, 1)


def test_who_falls_silent_has_left_after_a_while() -> None:
    audience = Audience()
    heard(audience, "one", (0, {"sta": "p"}))
    assert figures(audience, SILENT_MS).viewers == 1
    assert figures(audience, SILENT_MS + 1).viewers == 0


def test_who_reports_often_is_missed_sooner() -> None:
    audience = Audience()
    heard(audience, "one", *((n * 4000, {"sta": "p", "e": "t"}) for n in range(3)))
    assert figures(audience, 8000 + 15_000).viewers == 1
    assert figures(audience, 8000 + 15_001).viewers == 0


def test_what_is_older_than_the_window_counts_no_more() -> None:
    audience = Audience()
    step = 30_000
    heard(audience, "one", *((n * step, {"sta": "p"}) for n in range(40)))
    found = figures(audience, 39 * step)
    assert WINDOW_MS / 1000 <= found.played_s <= WINDOW_MS / 1000 + 2 * step / 1000
    audience.sweep(NOW + 39 * step + WINDOW_MS)
    assert len(audience) == 0
    assert audience.streams == []


def test_memory_is_bounded_by_who_was_heard_last() -> None:
    audience = Audience(most_sessions=10)
    for n in range(25):
        heard(audience, f"s{n}", (n, {"sta": "p"}))
    heard(audience, "s15", (30, {"sta": "p"}))
    heard(audience, "new", (31, {"sta": "p"}))
    assert len(audience) == 10
    assert audience.forgotten == 16
    assert figures(audience, 40).viewers == 10


def test_kinds_of_players_are_bounded() -> None:
    audience = Audience()
    for n in range(MOST_PLAYERS + 20):
        heard(audience, f"s{n}", (0, {"sta": "p", "kinolog-player": f"p{n}"}))
    heard(audience, "odd", (0, {"sta": "p", "kinolog-player": 'x"} evil', "sf": "h"}))
    found = figures(audience, 0)
    assert len(found.players) <= MOST_PLAYERS + 1
    assert sum(found.players.values()) == MOST_PLAYERS + 21


def test_percentiles_are_of_nearest_rank() -> None:
    found = spread([float(n) for n in range(1, 101)])
    assert found is not None
    assert (found.count, found.p50, found.p95, found.p99) == (100, 50, 95, 99)
    assert spread([]) is None


_KEYS = st.fixed_dictionaries(
    {},
    optional={
        "sta": st.sampled_from("spkrawefqdz"),
        "e": st.sampled_from(["t", "ps", "e", "bc"]),
        "msd": st.integers(0, 10**14),
        "ltc": st.integers(0, 10**14),
        "dfa": st.integers(0, 10**14),
        "kinolog-ltc": st.one_of(st.text(max_size=4), st.integers(), st.lists(st.integers())),
        "kinolog-player": st.one_of(st.text(max_size=30), st.integers()),
        "br": st.lists(st.integers(0, 10**6), max_size=4),
    },
)


@given(
    st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 10**15 - 1), st.sampled_from("xyz"), _KEYS),
        max_size=60,
    )
)
def test_any_reports_give_figures_that_can_be(
    said: list[tuple[int, int, str, dict[str, Any]]],
) -> None:
    audience = Audience(most_sessions=2)
    for at, ts, sid, keys in said:
        audience.take(Report("a/b", NOW + at, {"sid": sid, "ts": ts, **keys}))
    found = figures(audience, 10**6)
    assert 0 <= found.viewers <= found.sessions <= 2
    assert found.paused + found.stalled <= found.viewers
    assert 0 <= found.rebuffer_ratio <= 1
    assert found.played_s >= 0
    assert sum(found.players.values()) == found.viewers
