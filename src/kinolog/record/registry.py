"""Registry entries: JSON under `collection`, `collection/stream`, `collection/stream/epoch`."""

from __future__ import annotations

from typing import Literal

import msgspec

from kinolog.record.control import Open, Profile
from kinolog.record.page import Where

Strategy = Literal["balanced", "stream", "owner", "dedicated"]
State = Literal["live", "away", "ended"]
Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]


class CollectionEntry(msgspec.Struct, omit_defaults=True):
    """Settings that the streams of a collection share. Times in ms; -1 means no limit.

    `partition_mbps`: strategy `balanced` places no new stream where there is so much already,
    in Mb/s; 0 means no limit. `archived`: media are kept in an archive when Kafka has lost them, so
    that who does not know the archive deletes no epochs. `demo`: made while `kinolog demo` ran,
    which holds its limits down. `chosen`: somebody chose its limits, so that it does not.
    """

    partitions: int
    replication_factor: int
    retention_ms: int
    retention_bytes: int = -1
    compression: Compression = "none"
    strategy: Strategy = "balanced"
    max_partitions: int = 48
    partition_mbps: int = 50
    target_ms: int = 2000
    part_ms: int = 200
    profile: Profile = "low"
    created_ms: int = 0
    deleting: bool = False
    demo: bool = False
    chosen: bool = False
    archived: bool = False


class Placement(msgspec.Struct, omit_defaults=True):
    """Where a stream's records are from an epoch on. `base` is the topics' name without suffix."""

    base: str
    partition: int
    from_epoch: int = 0


class LateMarks(msgspec.Struct, omit_defaults=True):
    """Where marks are that were written long after their time: those of [from_ms, to_ms) (Unix ms)
    at offsets [first, below) of the events topic of `base`, among others."""

    base: str
    partition: int
    from_ms: int
    to_ms: int
    first: int
    below: int


class StreamEntry(msgspec.Struct, omit_defaults=True):
    """A stream: its placements (oldest first), its fixed durations, the MSNs set aside for it.

    `part_ms` and `target_ms` are 0 until the first session decides them; `msn_floor` is the first
    MSN that no session may have used (invariant 6). `bit_rate`: of its media, in bits/s, as a
    session measured it near its start; 0 where none has. `late`: where its late marks are.
    """

    placements: list[Placement]
    owner: str = ""
    target_ms: int = 0
    part_ms: int = 0
    msn_floor: int = 0
    created_ms: int = 0
    bit_rate: int = 0
    late: list[LateMarks] = []


class EpochEntry(msgspec.Struct, omit_defaults=True):
    """An epoch of a stream: where its open record is, the record's value, how it stands.

    `state` is what ingest last said: an ingest that was killed leaves it at `live`.

    `close_offset`: the media offset of its close record; -1 while it is not over, or nobody said.
    `end_offset`: that of its end record, which many records of neighbours may lie before; -1 while
    there is none, or where an older writer put it into `close_offset`. `close_index`: the index
    offset of an entry that was acknowledged before that close, so that who opens later has the
    session entry behind it. `pages`: where the stream's tracks are in the index, once all of the
    epoch is there. `made`: when that index was last made again (Unix ms); 0: it was not, since.
    """

    epoch: int
    disc: int
    open_offset: int
    partition: int
    base: str
    wall: int
    open: Open
    ingest: str = ""
    state: State = "live"
    close_offset: int = -1
    close_index: int = -1
    end_offset: int = -1
    pages: dict[str, Where] = {}
    made: int = 0


def collection_key(collection: str) -> str:
    """Registry key of a collection."""
    return collection


def stream_key(collection: str, name: str) -> str:
    """Registry key of a stream."""
    return f"{collection}/{name}"


def epoch_key(collection: str, name: str, epoch: int) -> str:
    """Registry key of an epoch."""
    return f"{collection}/{name}/{epoch}"
