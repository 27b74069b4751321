"""An allowance: the log of all collections together kept within so many bytes of disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from kinolog.core.errors import KinologError
from kinolog.core.log import get_logger
from kinolog.log.catalog import LEAST_RETENTION_BYTES, Catalog

_AGAIN_S = 5.0
_log = get_logger("kinolog")


class Allowance:
    """Lowers the limits of each collection that is made from now on, whoever makes it, and marks
    it (`demo`); and of those that are marked already. Others keep what they have, and so do those
    whose limits somebody chose.

    What media topics may keep is split evenly over the replicas of partitions that have streams.
    `tell` is told where there are too many of them for that: none keeps less than
    LEAST_RETENTION_BYTES.
    """

    def __init__(
        self,
        catalog: Catalog,
        most_bytes: int,
        most_ms: int,
        tell: Callable[[str], None],
    ) -> None:
        self._catalog = catalog
        collections = catalog.registry.collections
        self._others = frozenset(name for name, entry in collections.items() if not entry.demo)
        self._most_bytes = most_bytes
        self._most_ms = most_ms
        self._tell = tell
        self._told_bytes = most_bytes

    async def keep(self) -> None:
        """Go on until cancelled."""
        changed = asyncio.Event()
        changed.set()
        unwatch = self._catalog.registry.watch(lambda *_: changed.set())
        try:
            while True:
                await changed.wait()
                changed.clear()
                try:
                    await self.apply()
                except KinologError as error:
                    _log.warning("limits not set", error=str(error))
                    await asyncio.sleep(_AGAIN_S)
                    changed.set()
        finally:
            unwatch()

    async def apply(self) -> None:
        """Bring the limits of each collection down to its part. Nothing is raised but to an even
        share, and nothing is written where that is what they are."""
        replicas = {
            name: self._catalog.media_replicas(name)
            for name, entry in self._catalog.registry.collections.items()
            if not entry.deleting and not entry.chosen and name not in self._others
        }
        share = share_bytes(replicas, self._most_bytes)
        for name in replicas:
            entry = self._catalog.collection(name)
            kept_ms = entry.retention_ms if entry.retention_ms > 0 else self._most_ms
            limits = {
                "demo": True,
                "retention_bytes": share,
                "retention_ms": min(kept_ms, self._most_ms),
            }
            if any(getattr(entry, key) != value for key, value in limits.items()):
                await self._catalog.alter(name, **limits)
        needed = share * sum(replicas.values())
        if needed > self._told_bytes:
            self._told_bytes = needed
            self._tell(
                f"{len(replicas)} collections may take {needed / 1e9:.1f} GB: "
                "`kinolog collections delete` those that are not needed"
            )


def share_bytes(replicas: Mapping[str, int], most_bytes: int) -> int:
    """What each replica of a media partition may keep, given how many each collection has."""
    return max(LEAST_RETENTION_BYTES, most_bytes // max(1, sum(replicas.values())))
