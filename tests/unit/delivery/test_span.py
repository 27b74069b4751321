"""What a URL's query asks for, and what it cannot mean."""

from __future__ import annotations

import pytest

from kinolog.core.errors import InputError
from kinolog.core.names import StreamName
from kinolog.delivery.span import Span, asks_for_span, is_relative, nothing_between, parse_span

NOW = 1_700_000_000_000


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("", None),
        ("CMCD=x&token=y", None),
        ("restart=1", None),
        ("start=-10m", Span(NOW - 600_000)),
        ("start=-10m&end=-5m", Span(NOW - 600_000, NOW - 300_000)),
        ("start=-10m&end=now", Span(NOW - 600_000, NOW)),
        ("start=1699999000.5&_HLS_msn=3", Span(1_699_999_000_500)),
        ("start=2023-11-14T22:00:00Z", Span(1_699_999_200_000)),
        ("start=2023-11-14T23%3A00%3A00%2B01:00", Span(1_699_999_200_000)),
        ("dvr=2h", Span(dvr_ms=7_200_000)),
    ],
)
def test_what_it_asks_for(query: str, span: Span | None) -> None:
    assert parse_span(query, NOW) == span


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("end=-5m", "end needs a start"),
        ("start=-5m&end=-10m", "not after"),
        ("start=-5m&end=-5m", "not after"),
        ("start=1700000100", "future"),
        ("start=-5m&end=1700000100", "future"),
        ("start=yesterday", "start: 'yesterday' is not a time"),
        ("start=", "not a time"),
        ("start=nan", "not a time"),
        ("start=1e400", "not a time"),
        ("start=-1700000001s", "between 1970 and 2199"),
        ("start=2023-11-14T22:00:00", "no time zone"),
        ("start=-5m&start=-6m", "twice"),
        ("dvr=2h&start=-5m", "neither"),
        ("dvr=forever", "length"),
        ("dvr=0s", "length"),
        ("dvr=-5m", "not a duration"),
        ("start=-5m&end=%FF%FE", "not a time"),
    ],
)
def test_what_cannot_be_meant_is_said(query: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_span(query, NOW)


@pytest.mark.parametrize("query", ["start=-10m", "start=-2h&end=-1h", "dvr=90s"])
def test_its_query_means_the_same(query: str) -> None:
    span = parse_span(query, NOW)
    assert span is not None
    assert asks_for_span(span.query)
    assert not is_relative(span.query)
    assert parse_span(span.query, NOW + 5000) == span


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "shown"),
    [
        (0, 86_400_000, "between 1970-01-01T00:00:00Z and 1970-01-02T00:00:00Z"),
        (1_250, 1_750, "between 1970-01-01T00:00:01.250Z and 1970-01-01T00:00:01.750Z"),
    ],
)
def test_what_is_not_kept_is_named_by_two_times_that_differ(
    start_ms: int, end_ms: int, shown: str
) -> None:
    assert shown in str(nothing_between(StreamName("cams", "gate"), start_ms, end_ms))
