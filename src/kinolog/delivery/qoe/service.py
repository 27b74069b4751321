"""An edge's part in quality of experience, put together: reports in, figures out."""

from __future__ import annotations

from kinolog.core.clock import Clock
from kinolog.delivery.hub import Hub
from kinolog.delivery.qoe.board import Board
from kinolog.delivery.qoe.metrics import QoeMetrics
from kinolog.delivery.qoe.server import QoeServer
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.log.reports import ReportLog, ReportTail
from kinolog.timeline.audience import WINDOW_MS


class Qoe:
    """Writes what players report to this edge, and follows what they report to any."""

    def __init__(
        self,
        settings: KafkaSettings,
        catalog: Catalog,
        reader: RandomReader,
        hub: Hub,
        clock: Clock,
    ) -> None:
        registry = catalog.registry
        board = Board(clock)
        self._log = ReportLog(settings, catalog, clock)
        self._tail = ReportTail(settings, catalog, reader, clock, board.take, WINDOW_MS)
        self._log.on_topic = self._tail.look
        self.server = QoeServer(self._log, board, lambda name: name in registry.streams, clock)

        def states() -> list[str]:
            newest = map(registry.newest_epoch, registry.streams)
            return [one.state if one is not None else "away" for one in newest]

        self.metrics = QoeMetrics(
            board,
            self.server.counts,
            self._log,
            self._tail,
            states,
            lambda: len(hub.channels),
        )

    async def close(self) -> None:
        """Leave what waits to Kafka, and follow no more."""
        await self._log.close()
        await self._tail.close()
