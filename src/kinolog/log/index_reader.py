"""The newest index entries of a stream, found from the end backwards."""

from __future__ import annotations

from collections.abc import Callable

from kinolog.core.errors import WireError
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexEntry, decode_index

_FIRST_STEP = 256


async def newest_entries(
    reader: RandomReader,
    topic: str,
    partition: int,
    key: str,
    enough: Callable[[list[IndexEntry]], bool],
    lowest: int = 0,
) -> list[IndexEntry]:
    """Entries of one stream in log order, as many from the end as `enough` asks for, all where it
    is never satisfied. Steps back in doubling strides, so the cost follows what is found, not
    the length of the archive."""
    low, end = await reader.bounds(topic, partition)
    low = max(low, lowest)
    found: list[IndexEntry] = []
    step = _FIRST_STEP
    while end > low:
        start = max(low, end - step)
        records = await reader.read_raw(topic, partition, start, end)
        wanted = key.encode()
        older = [_decode(m.value()) for m in records if m.key() == wanted]
        found = [entry for entry in older if entry is not None] + found
        if enough(found):
            break
        end, step = start, step * 2
    return found


def _decode(value: bytes | None) -> IndexEntry | None:
    try:
        return decode_index(value or b"")
    except WireError:
        return None
