"""Pruning: the registry forgets epochs whose media the retention has taken.

An entry holds its init segments, and every process reads all entries: a camera that reconnects
once a minute would leave half a million a year.
"""

from __future__ import annotations

from collections.abc import Mapping

from kinolog.core.errors import ArchiveUnavailable
from kinolog.core.log import get_logger
from kinolog.core.names import StreamName
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.record.registry import EpochEntry
from kinolog.record.topics import topic

_log = get_logger("kinolog.registry")
MOST_AT_ONCE = 10
"""Each is a transaction. A session adds one epoch, so that as many a session are soon enough."""


async def prune(registry: Registry, reader: RandomReader, stream: StreamName) -> list[int]:
    """Delete the oldest such epochs of a stream, at most MOST_AT_ONCE; which they were. None where
    the collection has an archive that the reader does not know: their media are kept there.

    Raises what Kafka's absence raises; what is left is found the next time.
    """
    collection = registry.collections.get(stream.collection)
    if collection is not None and collection.archived and not reader.tiered:
        return []
    known = dict(registry.epochs.get(stream, {}))
    successors = _successors(known)
    starts: dict[tuple[str, int], int] = {}
    gone: list[int] = []
    for number in sorted(successors):
        entry = known[number]
        place = entry.base, entry.partition
        if place not in starts:
            try:
                starts[place] = await reader.kept_from(
                    topic(entry.base, "media"), entry.partition, stream.name
                )
            except ArchiveUnavailable as error:
                _log.warning("no epochs are forgotten", stream=str(stream), error=str(error))
                return []
        if successors[number].open_offset <= starts[place]:
            gone.append(number)
        if len(gone) == MOST_AT_ONCE:
            break
    for number in gone:
        await registry.change_epoch(stream, number, lambda _: None)
    return gone


def _successors(known: Mapping[int, EpochEntry]) -> dict[int, EpochEntry]:
    """Of each epoch the next in its place, whose open record ends it. The last of a place has
    none, and the newest of all is the last of one."""
    found: dict[int, EpochEntry] = {}
    next_in: dict[tuple[str, int], EpochEntry] = {}
    for number in sorted(known, reverse=True):
        entry = known[number]
        place = entry.base, entry.partition
        if place in next_in:
            found[number] = next_in[place]
        next_in[place] = entry
    return found
