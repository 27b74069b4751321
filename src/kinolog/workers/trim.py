"""A stream's past given up before a moment, where Kafka can: on topics of the stream's own."""

from __future__ import annotations

from typing import NamedTuple

from kinolog.core.errors import ConfigError, NotFound
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.random_reader import RandomReader
from kinolog.log.registry import Registry
from kinolog.log.seek import Seeker, Stretch
from kinolog.record.topics import dedicated_base, topic


class Trimmed(NamedTuple):
    """A media partition whose records below `offset` are deleted, `records` many."""

    topic: str
    partition: int
    offset: int
    records: int


async def trim(
    admin: Admin,
    registry: Registry,
    reader: RandomReader,
    prefix: str,
    name: StreamName,
    before_ms: int,
) -> list[Trimmed]:
    """Delete what a stream has before a capture time (Unix ms), in whole media segments: the one in
    which the moment lies stays, with the keyframe that it needs. `prefix`: of the topics' names.

    Raises ConfigError where other streams' records lie between its own: Kafka deletes the beginning
    of a partition, and no single key.
    """
    entry = registry.streams.get(name)
    if entry is None:
        raise NotFound(f"there is no stream {name}", hint="`kinolog streams` lists them")
    own = dedicated_base(prefix, name)
    shared = sorted({placement.base for placement in entry.placements} - {own})
    if shared:
        raise ConfigError(
            f"{name} shares {topic(shared[0], 'media')} with others: Kafka deletes the start of "
            "a partition, and no single key",
            hint=f"`kinolog collections alter {name.collection} --retention` is for all its "
            "streams; the strategy `dedicated` gives new ones topics of their own",
        )
    done = []
    known = registry.epochs.get(name, {})
    for number, placement in enumerate(entry.placements):
        following = entry.placements[number + 1 :]
        below = following[0].from_epoch if following else float("inf")
        stretch = Stretch(placement.base, placement.partition, placement.from_epoch, below)
        low, high = await reader.bounds(stretch.media, stretch.partition)
        beginning = await Seeker(reader, name.name, stretch, known).in_log_order(before_ms)
        offset = min(max(beginning.offset, low), high)
        if offset > low:
            await admin.delete_records(stretch.media, stretch.partition, offset)
        done.append(Trimmed(stretch.media, stretch.partition, offset, offset - low))
    return done
