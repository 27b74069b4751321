"""What a change of the registry leaves behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import threading

import msgspec
import psutil
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings

pytestmark = pytest.mark.cluster

CHANGES = 12


def test_changes_leave_no_threads_behind(one_broker: str) -> None:
    """Each change has a producer of its own, with threads and sockets; cyclic collection, which
    would free it some time, is off here."""
    settings = KafkaSettings(one_broker, prefix="threads")

    async def work() -> tuple[int, int]:
        catalog = await Catalog.open(settings, SystemClock())
        await catalog.ensure_collection("cams")
        stream = StreamName("cams", "one")
        await catalog.place(stream)
        process = psutil.Process()
        before = process.num_threads()
        for number in range(CHANGES):
            await catalog.registry.change_stream(
                stream, lambda e, n=number: e and msgspec.structs.replace(e, bit_rate=n)
            )
        for closing in threading.enumerate():
            if closing.name == "kafka-close":
                await asyncio.to_thread(closing.join, 30)
        after = process.num_threads()
        await catalog.close()
        return before, after

    gc.disable()
    try:
        before, after = asyncio.run(work())
    finally:
        gc.enable()
    print(f"{before} threads before {CHANGES} changes, {after} after")
    assert after < before + CHANGES
