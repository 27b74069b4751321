"""`kinolog collections`: groups of streams that share retention, replication and rights."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from kinolog.cli.common import Json, KafkaFlags, kafka_of, note, settings_of, show
from kinolog.cli.kept_in_archive import kept_in_archive, told
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.errors import ConfigError
from kinolog.core.units import duration_ms, show_duration, show_size, size_bytes
from kinolog.log.catalog import DEFAULT_RETENTION_MS, Catalog
from kinolog.record.control import Profile
from kinolog.record.registry import CollectionEntry, Compression, Strategy
from kinolog.record.topics import SUFFIXES, collection_base, topic
from kinolog.runtime import roles

app = App(
    name="collections",
    default_parameter=PARAMETERS,
    help="""Create, list, alter and delete collections: streams that share topics and rights.

    Try it:

        kinolog collections create cams --retention 7d --replication-factor 3

        kinolog collections alter cams --retention 30d

        kinolog collections list --json
    """,
)
_KAFKA = KafkaFlags()


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFlags:
    """What can be chosen, and changed later."""

    partitions: int | None = None
    """How many; they can only grow. [default of a new one: 4]"""
    retention: str | None = None
    """How long video is kept: 90s, 1h, 7d, forever. [default of a new one: 24h]"""
    retention_size: str | None = None
    """How much a partition keeps: 500MB, 20GiB, unlimited; 40MiB at least, since Kafka deletes
    whole log segments. [default of a new one: unlimited]"""
    compression: Compression | None = None
    """Of media; video does not compress, so none. [default of a new one: none]"""
    partition_strategy: Strategy | None = None
    """Which partition a new stream gets: balanced, stream (by name), owner (by user), dedicated
    (topics of its own). [default of a new one: balanced]"""
    max_partitions: int | None = None
    """The most partitions; `balanced` adds some up to this. [default of a new one: 48]"""
    partition_mbps: int | None = None
    """`balanced` refuses a new stream once every partition carries this many Mb/s; 0 for no limit.
    [default of a new one: 50]"""
    profile: Profile | None = None
    """Latency of new streams: frame, low or standard. [default of a new one: low]"""
    target: str | None = None
    """How long a media segment is meant to be: 500ms to 30s. A stream keeps target and part from
    its first session on: a change is for new streams. [default of a new one: 2s]"""
    part: str | None = None
    """How long a part of it is, 50ms at least: players stay three parts behind. It gets up to a
    tenth longer, to suit every usual frame rate. [default of a new one: 200ms]"""
    archived: Annotated[bool | None, Parameter(negative="--no-archived")] = None
    """Its sessions stay known when Kafka has deleted their media; `worker archive` says so by
    itself. [default of a new one: no]"""

    def given(self) -> dict[str, Any]:
        """The fields of the registry's entry that were given."""
        entry = {
            "partitions": self.partitions,
            "retention_ms": duration_ms(self.retention) if self.retention else None,
            "retention_bytes": size_bytes(self.retention_size) if self.retention_size else None,
            "compression": self.compression,
            "strategy": self.partition_strategy,
            "max_partitions": self.max_partitions,
            "partition_mbps": self.partition_mbps,
            "profile": self.profile,
            "target_ms": duration_ms(self.target) if self.target else None,
            "part_ms": duration_ms(self.part) if self.part else None,
            "archived": self.archived,
            "chosen": True if self.retention or self.retention_size else None,
        }
        return {key: value for key, value in entry.items() if value is not None}


_FLAGS = CollectionFlags()


@app.command
def create(
    name: str,
    /,
    *,
    replication_factor: int | None = None,
    flags: CollectionFlags = _FLAGS,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Make a collection and its topics.

    Try it:

        kinolog collections create cams --retention 7d --replication-factor 3

        kinolog collections create shows --partition-strategy dedicated --json

    Parameters
    ----------
    name
        a-z, 0-9 and -, at most 48.
    replication_factor
        Copies of each record; with fewer than 3, the death of a broker can stop writing.
        [default: 3, or the number of brokers]
    """
    settings = settings_of(kafka)
    wanted = flags.given()

    async def work() -> dict[str, Any]:
        few_brokers = replication_factor is not None
        async with roles.backend(kafka_of(settings), few_brokers=few_brokers) as base:
            catalog = base.catalog
            if name in catalog.registry.collections:
                raise ConfigError(
                    f"collection {name} is there already",
                    hint=f"`kinolog collections alter {name}` changes it",
                )
            replicas = (
                await catalog.replicas() if replication_factor is None else replication_factor
            )
            defaults = catalog.defaults(replicas)
            await catalog.create(name, msgspec.structs.replace(defaults, **wanted))
            return _row(catalog, name)

    _show_one(roles.run(work()), as_json=json)


@app.command
def alter(
    name: str,
    /,
    *,
    flags: CollectionFlags = _FLAGS,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Change a collection while it runs; what is not given stays.

    Try it:

        kinolog collections alter cams --retention 30d

    Parameters
    ----------
    name
        The collection.
    """
    settings = settings_of(kafka)
    changes = flags.given()
    if not changes:
        raise ConfigError("nothing to change", hint="for example --retention 7d")

    async def work() -> dict[str, Any]:
        async with roles.backend(kafka_of(settings)) as base:
            await base.catalog.alter(name, **with_limits(base.catalog.collection(name), changes))
            return _row(base.catalog, name)

    _show_one(roles.run(work()), as_json=json)


def with_limits(entry: CollectionEntry, changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, and what goes with them: where somebody chooses one of the limits that the demo
    has lowered, the other is as if there had been no demo."""
    if not (entry.demo and "chosen" in changes):
        return changes
    return {
        "demo": False,
        "retention_ms": DEFAULT_RETENTION_MS,
        "retention_bytes": -1,
        **changes,
    }


@app.command(name="list")
def list_(*, json: Json = False, kafka: KafkaFlags = _KAFKA) -> None:
    """List the collections.

    Try it:

        kinolog collections list --json
    """
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
def show_(name: str, /, *, json: Json = False, kafka: KafkaFlags = _KAFKA) -> None:
    """Show one collection, with its topics and streams.

    Try it:

        kinolog collections show cams

    Parameters
    ----------
    name
        The collection.
    """
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

    _show_one(roles.run(ask()), as_json=json)


@app.command
def delete(
    name: str,
    /,
    *,
    yes: Annotated[bool, Parameter(negative="")] = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Delete a collection, its streams and all their video.

    Try it:

        kinolog collections delete cams

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

    async def work() -> dict[str, str] | None:
        async with roles.backend(kafka_of(settings)) as base:
            await base.catalog.delete(name)
        return await kept_in_archive(settings.archive, name, "now")

    kept = roles.run(work())
    note(f"collection {name} is deleted")
    if kept is not None:
        note(told(kept))


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


def _show_one(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show([row], {}, as_json=True)
        return
    width = max(len(key) for key in row)
    for key, value in row.items():
        text = ", ".join(value) if isinstance(value, list) else value
        print(f"{key.replace('_', ' '):<{width}}  {text}")
