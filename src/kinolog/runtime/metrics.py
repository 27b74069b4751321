"""`/metrics`: what a process tells Prometheus. Anything that has figures is a source of them.

Sources are asked one after another when Prometheus asks, in the event loop; the text is made of
their answers in a thread. Between two scrapes metrics cost nothing but the counting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from kinolog.core.log import get_logger
from kinolog.core.rsgi import HttpProtocol, Scope

Source: TypeAlias = Callable[[], Awaitable[Iterable[Metric]]]
"""Gives its figures as of now."""

_log = get_logger("kinolog.http")


class Metrics:
    """The sources of one process, and the answer that they make together."""

    def __init__(self) -> None:
        self._sources: list[Source] = []
        self._process = ProcessCollector(registry=None)

    def add(self, source: Source) -> None:
        """Ask this one, too, from now on."""
        self._sources.append(source)

    async def answer(self, scope: Scope, protocol: HttpProtocol) -> None:
        """`/metrics`, in the format that is asked for: Prometheus's own, or OpenMetrics."""
        if scope.method not in ("GET", "HEAD"):
            protocol.response_str(405, [("allow", "GET, HEAD")], "only GET and HEAD\n")
            return
        families: list[Metric] = list(self._process.collect())
        for source in self._sources:
            try:
                families.extend(await source())
            except Exception:  # the figures of the others are still worth having
                _log.exception("metrics missing")
        encode, content_type = choose_encoder(scope.headers.get("accept", "")[:1000])
        registry = CollectorRegistry()
        registry.register(_Snapshot(families))
        text = await asyncio.to_thread(encode, registry)
        headers = [("content-type", content_type), ("cache-control", "no-store")]
        if scope.method == "HEAD":
            protocol.response_empty(200, [*headers, ("content-length", str(len(text)))])
        else:
            protocol.response_bytes(200, headers, text)


class _Snapshot(Collector):
    """Metrics that are there already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def of_requests(counted: dict[str, int]) -> Source:
    """A source for requests by route."""

    async def source() -> Iterable[Metric]:
        family = CounterMetricFamily(
            "kinolog_http_requests", "Requests, by the beginning of their path", labels=["route"]
        )
        for route, count in counted.items():
            family.add_metric([route], count)
        return [family]

    return source
