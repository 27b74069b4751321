"""The edge's figures for Prometheus: viewers and how they fare, streams, bytes.

Labels are names of streams (those with most viewers: board.MOST_STREAMS), kinds of players, and
what is fixed here; never anything that one viewer alone has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from kinolog.delivery import answers
from kinolog.delivery.qoe.board import Board, Overview
from kinolog.delivery.qoe.server import Counts
from kinolog.log.reports import ReportLog, ReportTail
from kinolog.timeline.audience import Figures, Spread

_PLAIN: tuple[tuple[str, str, Callable[[Figures], float]], ...] = (
    ("viewers", "Viewers now", lambda f: f.viewers),
    ("viewers_stalled", "Viewers who wait for the buffer now", lambda f: f.stalled),
    ("viewers_paused", "Viewers who have paused", lambda f: f.paused),
    ("rebuffer_ratio", "Time waited, of time played and waited", lambda f: f.rebuffer_ratio),
    ("stalls", "Stalls within five minutes", lambda f: f.stalls),
    ("player_errors", "Errors of players within five minutes", lambda f: f.errors),
    ("dropped_frames", "Frames dropped by sessions of five minutes", lambda f: f.dropped_frames),
)
_SPREADS: tuple[tuple[str, str, float, Callable[[Figures], Spread | None]], ...] = (
    ("startup_seconds", "From starting to playing", 1e-3, lambda f: f.startup_ms),
    ("latency_seconds", "Behind live", 1e-3, lambda f: f.latency_ms),
    ("bitrate_bps", "Bit rate that is played", 1e3, lambda f: f.bitrate_kbps),
)


class QoeMetrics:
    """A source for runtime/metrics.py."""

    def __init__(
        self,
        board: Board,
        counts: Counts,
        log: ReportLog,
        tail: ReportTail,
        streams: Callable[[], Iterable[str]],
        followed: Callable[[], int],
    ) -> None:
        self._board = board
        self._counts = counts
        self._log = log
        self._tail = tail
        self._streams = streams
        self._followed = followed

    async def __call__(self) -> Iterable[Metric]:
        """The figures as of now."""
        overview = await self._board.overview()
        return [*of_viewers(overview), *self._of_reports(), *self._of_streams()]

    def _of_reports(self) -> Iterable[Metric]:
        reports = CounterMetricFamily(
            "kinolog_cmcd_reports", "Reports that players sent to this edge", labels=["outcome"]
        )
        counts = self._counts
        for outcome, count in (
            ("taken", counts.taken),
            ("refused", counts.refused),
            ("limited", counts.limited),
        ):
            reports.add_metric([outcome], count)
        yield reports
        for name, help_text, count in (
            ("written", "Reports of this edge that Kafka has", self._log.written),
            ("dropped", "Reports given up: Kafka did not take them", self._log.dropped),
            ("read", "Reports read from Kafka, of all edges", self._tail.read),
            ("sessions_forgotten", "Sessions given up for want of room", self._forgotten),
        ):
            yield CounterMetricFamily(f"kinolog_cmcd_{name}", help_text, value=count)

    @property
    def _forgotten(self) -> int:
        return self._board.audience.forgotten

    def _of_streams(self) -> Iterable[Metric]:
        states = GaugeMetricFamily("kinolog_streams", "Streams, by state", labels=["state"])
        for state, count in sorted(Counter(self._streams()).items()):
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily(
            "kinolog_streams_followed", "Streams that this edge follows", value=self._followed()
        )
        yield CounterMetricFamily(
            "kinolog_http_body_bytes",
            "Bytes of playlists, manifests, media and pictures handed to the HTTP server",
            value=answers.SENT.body_bytes,
        )


def of_viewers(overview: Overview) -> Iterable[Metric]:
    """Figures by stream, and of all."""
    yield GaugeMetricFamily("kinolog_viewers", "Viewers of all streams now", value=overview.viewers)
    players = GaugeMetricFamily(
        "kinolog_viewers_by_player", "Viewers now, by kind of player", labels=["player"]
    )
    for player, count in overview.players.items():
        players.add_metric([player], count)
    yield players
    for name, help_text, get in _PLAIN:
        plain = GaugeMetricFamily(f"kinolog_stream_{name}", help_text, labels=["stream"])
        for stream, figures in overview.listed:
            plain.add_metric([stream], get(figures))
        yield plain
    for name, help_text, unit, spread_of in _SPREADS:
        spreads = GaugeMetricFamily(
            f"kinolog_stream_{name}", help_text, labels=["stream", "quantile"]
        )
        for stream, figures in overview.listed:
            spread = spread_of(figures)
            if spread is not None:
                for quantile, value in (
                    ("0.5", spread.p50),
                    ("0.95", spread.p95),
                    ("0.99", spread.p99),
                ):
                    spreads.add_metric([stream, quantile], round(value * unit, 6))
        yield spreads
