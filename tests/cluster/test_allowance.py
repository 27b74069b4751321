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

    async def kept(name: str) -> set[tuple[int, str]]:
        """What each partition of a collection's media topics keeps, by Kafka's own settings."""
        admin, found = Admin(kafka), set()
        for one in (await admin.describe()).topics:
            if one.startswith(f"{kafka.prefix}.{name}.") and one.endswith(".media"):
                config = await admin.config(one)
                limit = int(config["retention.bytes"])
                assert int(config["segment.bytes"]) <= limit // 10
                found.add((limit, config["retention.ms"]))
        return found

    async def settled(catalog: Catalog, wanted: dict[str, int]) -> None:
        """Until these collections, and no others, are limited, to so many bytes a partition."""
        changed = asyncio.Event()
        unwatch = catalog.registry.watch(lambda *_: changed.set())

        def limited() -> dict[str, int]:
            entries = catalog.registry.collections.items()
            return {name: entry.retention_bytes for name, entry in entries if entry.demo}

        try:
            async with asyncio.timeout(30):
                while limited() != wanted:
                    await changed.wait()
                    changed.clear()
        finally:
            unwatch()
        for name, share in wanted.items():
            assert await kept(name) == {(share, str(HOUR_MS))}

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
            for name in ("films/one", "films/two"):
                await other.place(StreamName.parse(name))
            await settled(other, {"films": MOST_BYTES // 2})

            # One with topics of its own for each stream; none is in its shared ones.
            await other.create("shows", msgspec.structs.replace(wide, strategy="dedicated"))
            await other.place(StreamName("shows", "one"))
            await settled(other, {"films": MOST_BYTES // 3, "shows": MOST_BYTES // 3})

            # Somebody chose how long these are kept: from the beginning, and by and by.
            await other.create("chosen", msgspec.structs.replace(wide, chosen=True))
            await other.place(StreamName("chosen", "one"))
            await other.alter("shows", retention_ms=2 * HOUR_MS, chosen=True, demo=False)
            await settled(other, {"films": MOST_BYTES // 2})
            assert other.collection("shows").retention_ms == 2 * HOUR_MS
            # What was recorded before is nobody's to delete.
            for name in ("before", "chosen"):
                assert other.collection(name).retention_ms == -1
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
        try:
            # A later run counts what earlier ones made, and nothing that was made between them.
            await other.create("between", wide)
            await mine.registry.catch_up()
            await Allowance(mine, MOST_BYTES // 2, HOUR_MS, pytest.fail).apply()
            await other.registry.catch_up()
            await settled(other, {"films": MOST_BYTES // 4})
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
