"""`kinolog streams`: what there is to watch; delete and move streams."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App

from kinolog.cli.common import MOMENT, Json, KafkaFlags, kafka_of, note, settings_of, show
from kinolog.cli.kept_in_archive import kept_in_archive, told
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.core.units import show_time
from kinolog.delivery.pulse import Pulse
from kinolog.delivery.span import moment_ms
from kinolog.log.admin import Admin
from kinolog.log.registry import Registry
from kinolog.record.topics import topic
from kinolog.runtime import roles
from kinolog.workers.trim import Trimmed
from kinolog.workers.trim import trim as trim_stream

app = App(
    name="streams",
    default_parameter=PARAMETERS,
    help="""List, delete, move and trim streams.

    Try it:

        kinolog streams

        kinolog streams --json

        kinolog streams delete demo/camera

        kinolog streams move demo/camera 3

        kinolog streams trim cams/gate --before -2d
    """,
)
_KAFKA = KafkaFlags()


@app.default
@app.command(name="list")
def streams(*, json: Json = False, kafka: KafkaFlags = _KAFKA) -> None:
    """List the streams, as `kinolog streams` alone does.

    Try it:

        kinolog streams list
    """
    settings = settings_of(kafka)

    async def ask() -> list[dict[str, Any]]:
        async with roles.backend(kafka_of(settings)) as base:
            registry = base.catalog.registry
            pulse = Pulse(base.reader, SystemClock())
            epochs = [registry.newest_epoch(name) for name in registry.streams]
            await pulse.look((e.base, e.partition) for e in epochs if e and e.state == "live")
            rows = [_row(registry, pulse, name) for name in sorted(registry.streams)]
            await pulse.close()
            return rows

    rows = roles.run(ask())
    if not rows and not json:
        note("no streams yet: `kinolog publish test: demo/camera` makes one")
        return
    columns = {
        "stream": "STREAM",
        "state": "STATE",
        "since": "SINCE",
        "video": "VIDEO",
        "audio": "AUDIO",
        "partition": "PARTITION",
    }
    show(rows, columns, as_json=json)


@app.command
def delete(stream: str, /, *, kafka: KafkaFlags = _KAFKA) -> None:
    """Forget a stream. Its records go with its own topics, else with retention.

    Try it:

        kinolog streams delete demo/camera

    Parameters
    ----------
    stream
        collection/name.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)

    async def work() -> tuple[list[str], dict[str, str] | None]:
        async with roles.backend(kafka_of(settings)) as base:
            left = await base.catalog.delete_stream(name)
        return left, await kept_in_archive(settings.archive, str(name), "now")

    left, kept = roles.run(work())
    note(f"{name} is forgotten")
    for one in left:
        note(f"its records stay in {one} until retention takes them: Kafka deletes no single key")
    if kept is not None:
        note(told(kept))


@app.command
def trim(
    stream: str,
    /,
    *,
    before: Annotated[str, MOMENT],
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Delete what a stream has before a moment, where its topics are its own.

    The media segment in which the moment lies stays. Viewers who are in what is deleted go on at
    the beginning of what is left.

    Try it:

        kinolog streams trim cams/gate --before -2d

    Parameters
    ----------
    stream
        collection/name, of a collection with the strategy `dedicated`.
    before
        -2h, 2026-01-31T12:00:00Z, or Unix seconds.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)
    before_ms = moment_ms("--before", before, SystemClock().unix_ms())

    async def work() -> tuple[list[Trimmed], dict[str, str] | None]:
        async with roles.backend(kafka_of(settings)) as base:
            registry, prefix = base.catalog.registry, base.kafka.prefix
            admin = Admin(base.kafka)
            done = await trim_stream(admin, registry, base.reader, prefix, name, before_ms)
        return done, await kept_in_archive(settings.archive, str(name), show_time(before_ms))

    done, kept = roles.run(work())
    if json:
        show([one._asdict() | {"archive": kept} for one in done], {}, as_json=True)
        return
    for one in done:
        note(
            f"{name}: {one.records} records deleted of {one.topic}/{one.partition}, "
            f"which begins at offset {one.offset} now"
        )
    if kept is not None:
        note(told(kept))


@app.command
def move(stream: str, partition: int, /, *, kafka: KafkaFlags = _KAFKA) -> None:
    """Place a stream in another partition, from its next session on.

    Try it:

        kinolog streams move demo/camera 3

    Parameters
    ----------
    stream
        collection/name.
    partition
        Number of the partition, from 0.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)

    async def work() -> None:
        async with roles.backend(kafka_of(settings)) as base:
            await base.catalog.move(name, partition, SystemClock().unix_ms())

    roles.run(work())
    note(f"{name}: partition {partition} from the next session on")


def _row(registry: Registry, pulse: Pulse, name: StreamName) -> dict[str, Any]:
    entry = registry.streams[name]
    epoch = registry.newest_epoch(name)
    tracks = epoch.open.tracks if epoch is not None else []
    placement = entry.placements[-1]
    return {
        "stream": str(name),
        "state": pulse.state(epoch, name.name) if epoch is not None else "new",
        "since": show_time(epoch.wall) if epoch is not None and epoch.wall else "",
        "video": ", ".join(f"{t.codec} {t.width}x{t.height}" for t in tracks if t.kind == "video"),
        "audio": ", ".join(f"{t.codec} {t.language}" for t in tracks if t.kind == "audio"),
        "partition": f"{topic(placement.base, 'media')}/{placement.partition}",
        "epoch": epoch.epoch if epoch is not None else 0,
    }
