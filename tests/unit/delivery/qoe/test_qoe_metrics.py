"""Figures for Prometheus, as its own parser reads them; how many there may be."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from kinolog.core.clock import SystemClock
from kinolog.delivery.qoe.board import MOST_STREAMS, Board, Overview
from kinolog.delivery.qoe.metrics import of_viewers
from kinolog.record.cmcd import Report


class _Fixed(Collector):
    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


def scraped(overview: Overview) -> dict[str, dict[tuple[str, ...], float]]:
    registry = CollectorRegistry()
    registry.register(_Fixed(list(of_viewers(overview))))
    text = generate_latest(registry).decode()
    assert "sid-" not in text
    return {
        family.name: {tuple(s.labels.values()): s.value for s in family.samples}
        for family in text_string_to_metric_families(text)
    }


def board(streams: int) -> Board:
    clock = SystemClock()
    found = Board(clock)
    now_ms = clock.unix_ms()
    keys = {"e": "t", "ts": now_ms, "sta": "p", "ltc": 1500, "msd": 300, "br": [800], "sf": "h"}
    for n in range(streams):
        watched = [Report(f"c/s{n:03d}", now_ms, keys | {"sid": f"sid-{m}"}) for m in range(n + 1)]
        found.take(watched)
    return found


def test_streams_with_most_viewers_are_told_one_by_one() -> None:
    streams = MOST_STREAMS + 20
    overview = asyncio.run(board(streams).overview())
    assert overview.left_out == 20
    found = scraped(overview)
    viewers = found["kinolog_stream_viewers"]
    assert len(viewers) == MOST_STREAMS
    assert viewers[f"c/s{streams - 1:03d}",] == streams
    assert ("c/s019",) not in viewers
    assert found["kinolog_viewers"][()] == streams * (streams + 1) / 2
    assert found["kinolog_viewers_by_player"]["hls",] == streams * (streams + 1) / 2
    assert found["kinolog_stream_latency_seconds"]["0.99", "c/s119"] == 1.5
    assert found["kinolog_stream_startup_seconds"]["0.5", "c/s119"] == 0.3
    assert found["kinolog_stream_bitrate_bps"]["0.5", "c/s119"] == 800_000


def test_many_sessions_are_counted_in_a_thread_once_for_all_who_ask() -> None:
    async def work() -> None:
        crowded = board(600)
        one, other = await asyncio.gather(crowded.of("c/s599"), crowded.of("c/s599"))
        assert one.viewers == 600
        assert one is other
        assert await crowded.of("c/s598") is not one

    asyncio.run(work())


def test_an_overview_is_made_once_a_second() -> None:
    async def work() -> None:
        found = board(3)
        first = await found.overview()
        assert await found.overview() is first

    asyncio.run(work())


def test_nobody_watches() -> None:
    found = scraped(asyncio.run(board(0).overview()))
    assert found["kinolog_viewers"] == {(): 0}
