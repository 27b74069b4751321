"""`/metrics`: sources put together in the format asked for; one that fails costs no other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

from kinolog.runtime.metrics import Metrics, of_requests


class _Protocol:
    def __init__(self) -> None:
        self.answer: tuple[int, dict[str, str], bytes] = (0, {}, b"")

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answer = (status, dict(headers), body)

    def response_empty(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.answer = (status, dict(headers), b"")

    def response_str(self, status: int, headers: list[tuple[str, str]], body: str) -> None:
        self.answer = (status, dict(headers), body.encode())


async def _odd() -> Iterable[Metric]:
    family = GaugeMetricFamily("odd", "Labels that need escaping", labels=["name"])
    family.add_metric(['a"b\\c\nd'], 1)
    return [family]


async def _broken() -> Iterable[Metric]:
    raise RuntimeError("no figures")


def ask(method: str = "GET", accept: str = "") -> tuple[int, dict[str, str], bytes]:
    metrics = Metrics()
    metrics.add(_broken)
    metrics.add(_odd)
    metrics.add(of_requests({"/media/": 7}))
    protocol: Any = _Protocol()
    scope: Any = SimpleNamespace(method=method, headers={"accept": accept})
    asyncio.run(metrics.answer(scope, protocol))
    answer: tuple[int, dict[str, str], bytes] = protocol.answer
    return answer


@pytest.mark.parametrize(
    ("accept", "parse"), [("", plain), ("application/openmetrics-text; version=1.0.0", openmetrics)]
)
def test_all_that_can_be_told_is_told(accept: str, parse: Any) -> None:
    status, headers, body = ask(accept=accept)
    assert status == 200
    assert ("openmetrics" in headers["content-type"]) == bool(accept)
    samples = {s.name: s for family in parse(body.decode()) for s in family.samples}
    assert samples["odd"].labels == {"name": 'a"b\\c\nd'}
    assert samples["kinolog_http_requests_total"].value == 7
    assert samples["process_resident_memory_bytes"].value > 1e6


def test_head_and_other_methods() -> None:
    status, headers, body = ask("HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 100
    assert ask("POST")[0] == 405
