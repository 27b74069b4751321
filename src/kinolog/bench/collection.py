"""A collection that exists for a measurement only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kinolog.core.clock import SystemClock
from kinolog.log.catalog import HOUR_MS, Catalog
from kinolog.record.registry import CollectionEntry

_PARTITIONS = 3
_KEPT_BYTES = 300_000_000


@asynccontextmanager
async def scratch_collection(catalog: Catalog, replication_factor: int) -> AsyncIterator[str]:
    """The name of a new collection; it and its streams are deleted at the end.

    Raises ConfigError where there are fewer brokers than replicas.
    """
    now_ms = SystemClock().unix_ms()
    wanted = CollectionEntry(
        partitions=_PARTITIONS,
        replication_factor=replication_factor,
        retention_ms=HOUR_MS,
        retention_bytes=_KEPT_BYTES,
        partition_mbps=0,
        created_ms=now_ms,
    )
    name = f"bench-{now_ms}"
    await catalog.create(name, wanted)
    try:
        yield name
    finally:
        await catalog.delete(name)
