"""An allowance keeps what collections may take within its bytes, whoever makes them."""

from __future__ import annotations

import asyncio
import uuid

import msgspec
import pytest

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import HOUR_MS, LEAST_RETENTION_BYTES, Catalog
from kinolog.log.client import KafkaSettings
from kinolog.runtime.allowance import Allowance, share_bytes

MOST_BYTES = 1_800_000_000


@pytest.mark.cluster
def test_collections_that_others_make_come_under_it(one_broker: str) -> None:
    kafka = KafkaSettings(one_broker, prefix=f"t{uuid.uuid4().hex[:10]}")

    async def kept() -> tuple[int, set[str]]:
        """What the media topics may take, by Kafka's own settings, and for how long."""
        admin, total, spans = Admin(kafka), 0, set()
        for name, partitions in (await admin.describe()).topics.items():
            if name.startswith(f"{kafka.prefix}.") and name.endswith(".media"):
                if ".before." in name or ".between." in name:
                    continue
                config = await admin.config(name)
                limit, segment = int(config["retention.bytes"]), int(config["segment.bytes"])
                assert limit < 0 or segment <= limit // 10
                total += (limit if limit > 0 else 1 << 60) * len(partitions)
                spans.add(config["retention.ms"])
        return total, spans

    async def settled(catalog: Catalog, name: str) -> None:
        """Until the collection is there and all of them together may take no more than that."""
        changed = asyncio.Event()
        unwatch = catalog.registry.watch(lambda *_: changed.set())
        try:
            async with asyncio.timeout(30):
                while (await kept())[0] > MOST_BYTES or name not in catalog.registry.collections:
                    await changed.wait()
                    changed.clear()
        finally:
            unwatch()

    async def work() -> None:
        clock = SystemClock()
        mine, other = await Catalog.open(kafka, clock), await Catalog.open(kafka, clock)
        wide = msgspec.structs.replace(other.defaults(1), retention_ms=-1)
        await other.create("before", wide)
        await mine.registry.catch_up()
        allowance = Allowance(mine, MOST_BYTES, HOUR_MS, pytest.fail)
        keeping = asyncio.create_task(allowance.keep())
        try:
            await other.ensure_collection("films")
            await settled(other, "films")
            assert await kept() == (MOST_BYTES, {str(HOUR_MS)})

            # One that is to keep all for ever, with topics of its own for each stream.
            await other.create("archive", msgspec.structs.replace(wide, strategy="dedicated"))
            await other.place(StreamName("archive", "one"))
            await settled(other, "archive")
            total, spans = await kept()
            assert MOST_BYTES - 100 < total <= MOST_BYTES
            assert spans == {str(HOUR_MS)}
            # What was recorded before is nobody's to delete.
            assert other.collection("before").retention_ms == -1
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        try:
            # A later run counts what earlier ones made, and nothing that was made between them.
            await other.create("between", wide)
            await mine.registry.catch_up()
            later = Allowance(mine, MOST_BYTES // 2, HOUR_MS, pytest.fail)
            await later.apply()
            total, spans = await kept()
            assert MOST_BYTES // 2 - 100 < total <= MOST_BYTES // 2
            assert spans == {str(HOUR_MS)}
            for name in ("before", "between"):
                assert mine.collection(name).retention_ms == -1
        finally:
            await mine.close()
            await other.close()

    asyncio.run(work())


def test_the_share_of_a_replica() -> None:
    assert share_bytes({"demo": 12}, MOST_BYTES) == 150_000_000
    assert share_bytes({"demo": 12, "films": 12}, MOST_BYTES) == 75_000_000
    assert share_bytes({}, MOST_BYTES) == MOST_BYTES
    assert share_bytes({"demo": 120}, MOST_BYTES) == LEAST_RETENTION_BYTES
