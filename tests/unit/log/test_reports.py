"""Reports while Kafka is away, or refuses: bounded, counted, and not asked for again and again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kinolog.core.errors import KafkaRefused, KafkaUnavailable, KinologError
from kinolog.log.client import KafkaSettings
from kinolog.log.reports import MOST_WAITING, ReportLog
from kinolog.record.cmcd import Report

REPORT = Report("cams/gate", 1, {"sid": "s", "e": "t", "ts": 1})


class _Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def unix_ms(self) -> int:
        return 1


class _Catalog:
    """Fails in one way at each question."""

    def __init__(self, error: KinologError) -> None:
        self.error = error
        self.asked = 0
        self.gate = asyncio.Event()

    async def ensure_reports(self, collection: str) -> bool:
        self.asked += 1
        await self.gate.wait()
        raise self.error


async def _settled(log: ReportLog, dropped: int) -> None:
    async with asyncio.timeout(10):
        while log.dropped < dropped:  # noqa: ASYNC110 - nothing tells of it but the count
            await asyncio.sleep(0)


def _log(catalog: Any, clock: Any) -> ReportLog:
    return ReportLog(KafkaSettings("127.0.0.1:1"), catalog, clock)


def test_what_waits_is_bounded_and_given_up() -> None:
    async def work() -> None:
        clock, catalog = _Clock(), _Catalog(KafkaUnavailable("away"))
        log = _log(catalog, clock)
        for _ in range(MOST_WAITING + 10):
            log.put(REPORT)
        assert log.dropped == 10
        catalog.gate.set()
        await _settled(log, MOST_WAITING + 10)
        assert catalog.asked == 1
        log.put(REPORT)
        await _settled(log, MOST_WAITING + 11)
        assert catalog.asked == 1  # not so soon again
        clock.now_s += 16
        log.put(REPORT)
        await _settled(log, MOST_WAITING + 12)
        assert catalog.asked == 2
        assert log.refusal("cams") == ""
        await log.close()

    asyncio.run(work())


@pytest.mark.parametrize("collection", ["cams", "other"])
def test_who_has_no_right_says_so_for_a_while(collection: str) -> None:
    async def work() -> None:
        clock, catalog = _Clock(), _Catalog(KafkaRefused("Kafka refused: no right"))
        catalog.gate.set()
        log = _log(catalog, clock)
        log.put(REPORT)
        await _settled(log, 1)
        assert ("no right" in log.refusal(collection)) == (collection == "cams")
        clock.now_s += 61
        assert log.refusal(collection) == ""
        await log.close()

    asyncio.run(work())
