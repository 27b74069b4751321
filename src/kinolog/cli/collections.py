"""`kinolog collections`: groups of streams that share retention, replication and rights."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from kinolog.cli.common import KafkaFlags, kafka_of, note, settings_of, show
from kinolog.core.errors import ConfigError
from kinolog.core.units import duration_ms, show_duration, show_size, size_bytes
from kinolog.log.catalog import Catalog
from kinolog.record.control import Profile
from kinolog.record.registry import Compression, Strategy
from kinolog.record.topics import SUFFIXES, collection_base, topic
from kinolog.runtime import roles

app = App(
    name="collections",
    help="""Create, list, alter and delete collections: streams that share topics and rights.

    Try it:

        kinolog collections create cams --retention 7d --replication-factor 3

        kinolog collections alter cams --retention 30d

        kinolog collections list --json
    """,
)
_KAFKA = KafkaFlags()
_Json = Annotated[bool, Parameter(name="--json", negative="")]


@app.command
def create(
    name: str,
    *,
    partitions: int | None = None,
    replication_factor: int | None = None,
    retention: str | None = None,
    retention_size: str | None = None,
    compression: Compression | None = None,
    partition_strategy: Strategy | None = None,
    max_partitions: int | None = None,
    partition_mbps: int | None = None,
    profile: Profile | None = None,
    target: str | None = None,
    part: str | None = None,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Make a collection and its topics.

    Parameters
    ----------
    name
        a-z, 0-9 and -, at most 48.
    partitions
        To begin with. [default: 4]
    replication_factor
        Copies of each record. [default: 3, or the number of brokers]
    retention
        How long video is kept: 90s, 1h, 7d, forever. [default: 24h]
    retention_size
        How much a partition keeps: 500MB, 20GiB, unlimited. [default: unlimited]
    compression
        Of media; video does not compress, so none. [default: none]
    partition_strategy
        balanced, stream (by name), owner (by user), dedicated (topics of its own).
    max_partitions
        `balanced` adds partitions up to this. [default: 48]
    partition_mbps
        `balanced` refuses a new stream once every partition carries this many Mb/s; 0 for no
        limit. [default: 50]
    profile
        Latency: frame, low or standard. [default: low]
    target
        How long a media segment is meant to be: 500ms to 30s. [default: 2s]
    part
        How long a part of it is, 50ms at least: players stay three parts behind. A stream keeps
        both from its first session on, so `alter` changes them for new streams. [default: 200ms]
    """
    settings = settings_of(kafka)

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            catalog = base.catalog
            if name in catalog.registry.collections:
                raise ConfigError(
                    f"collection {name} is there already",
                    hint=f"`kinolog collections alter {name}` changes it",
                )
            wanted = msgspec.structs.replace(
                catalog.defaults(await catalog.brokers()),
                **_given(
                    partitions=partitions,
                    replication_factor=replication_factor,
                    retention_ms=duration_ms(retention) if retention else None,
                    retention_bytes=size_bytes(retention_size) if retention_size else None,
                    compression=compression,
                    strategy=partition_strategy,
                    max_partitions=max_partitions,
                    partition_mbps=partition_mbps,
                    profile=profile,
                    target_ms=duration_ms(target) if target else None,
                    part_ms=duration_ms(part) if part else None,
                ),
            )
            await catalog.create(name, wanted)
            return _row(catalog, name)

    _show_one(roles.run(work()))


@app.command
def alter(
    name: str,
    *,
    partitions: int | None = None,
    retention: str | None = None,
    retention_size: str | None = None,
    compression: Compression | None = None,
    partition_strategy: Strategy | None = None,
    max_partitions: int | None = None,
    partition_mbps: int | None = None,
    profile: Profile | None = None,
    target: str | None = None,
    part: str | None = None,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Change a collection while it runs; see create. Partitions can only grow. Target and part
    duration are for new streams: one that has been published keeps its own."""
    settings = settings_of(kafka)

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            changes = _given(
                partitions=partitions,
                retention_ms=duration_ms(retention) if retention else None,
                retention_bytes=size_bytes(retention_size) if retention_size else None,
                compression=compression,
                strategy=partition_strategy,
                max_partitions=max_partitions,
                partition_mbps=partition_mbps,
                profile=profile,
                target_ms=duration_ms(target) if target else None,
                part_ms=duration_ms(part) if part else None,
            )
            if not changes:
                raise ConfigError("nothing to change", hint="for example --retention 7d")
            await base.catalog.alter(name, **changes)
            return _row(base.catalog, name)

    _show_one(roles.run(work()))


@app.command(name="list")
def list_(*, json: _Json = False, kafka: KafkaFlags = _KAFKA) -> None:
    """List the collections."""
    settings = settings_of(kafka)

    async def ask() -> list[dict[str, Any]]:
        async with roles.backend(kafka_of(settings)) as base:
            return [_row(base.catalog, name) for name in sorted(base.catalog.registry.collections)]

    rows = roles.run(ask())
    if not rows and not json:
        note("no collections yet: publishing makes them, or `kinolog collections create`")
        return
    show(rows, _COLUMNS, as_json=json)


@app.command(name="show")
def show_(name: str, *, json: _Json = False, kafka: KafkaFlags = _KAFKA) -> None:
    """Show one collection, with its topics and streams."""
    settings = settings_of(kafka)

    async def ask() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            base.catalog.collection(name)
            names = sorted(s for s in base.catalog.registry.streams if s.collection == name)
            topics = [topic(collection_base(settings.topic_prefix, name), s) for s in SUFFIXES]
            return _row(base.catalog, name) | {
                "topics": topics,
                "names": [stream.name for stream in names],
            }

    found = roles.run(ask())
    if json:
        show([found], {}, as_json=True)
    else:
        _show_one(found)


@app.command
def delete(
    name: str,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Delete a collection, its streams and all their video.

    Parameters
    ----------
    name
        The collection.
    yes
        Do not ask.
    """
    settings = settings_of(kafka)
    if not yes:
        try:
            answer = input(f"delete collection {name} with all its video? type its name: ")
        except EOFError:
            answer = ""
        if answer.strip() != name:
            raise ConfigError("not deleted", hint="type the name, or pass --yes")

    async def work() -> None:
        async with roles.backend(kafka_of(settings)) as base:
            await base.catalog.delete(name)

    roles.run(work())
    note(f"collection {name} is deleted")


_COLUMNS = {
    "collection": "COLLECTION",
    "streams": "STREAMS",
    "partitions": "PARTITIONS",
    "replication_factor": "REPLICAS",
    "retention": "RETENTION",
    "retention_size": "SIZE LIMIT",
    "compression": "COMPRESSION",
    "strategy": "STRATEGY",
    "profile": "PROFILE",
}


def _given(**changes: Any) -> dict[str, Any]:
    return {key: value for key, value in changes.items() if value is not None}


def _row(catalog: Catalog, name: str) -> dict[str, Any]:
    entry = catalog.collection(name)
    streams: Counter[str] = Counter(stream.collection for stream in catalog.registry.streams)
    return {
        "collection": name,
        "streams": streams[name],
        "partitions": entry.partitions,
        "replication_factor": entry.replication_factor,
        "retention": show_duration(entry.retention_ms),
        "retention_size": show_size(entry.retention_bytes),
        "compression": entry.compression,
        "strategy": entry.strategy,
        "profile": entry.profile,
        "target": show_duration(entry.target_ms),
        "part": show_duration(entry.part_ms),
        "max_partitions": entry.max_partitions,
        "partition_mbps": entry.partition_mbps,
    }


def _show_one(row: dict[str, Any]) -> None:
    width = max(len(key) for key in row)
    for key, value in row.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):<{width}}  {text}")
