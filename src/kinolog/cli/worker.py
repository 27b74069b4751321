"""`kinolog worker`: what runs beside the servers."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Annotated

import msgspec
from cyclopts import App, Parameter

from kinolog.cli.common import Json, KafkaFlags, kafka_of, note, settings_of
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, KinologError
from kinolog.core.units import duration_ms, show_size, show_time, size_bytes
from kinolog.log.group import Member
from kinolog.objects.store import HINT, Objects, open_objects
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings
from kinolog.workers.archive import Archive, Made

_AGAIN_S = 5.0
_LEAST_MS, _MOST_MS = 2_000, 24 * 3_600_000
_LEAST_BYTES, _MOST_BYTES = 1_000_000, 1 << 30

app = App(
    name="worker",
    default_parameter=PARAMETERS,
    help="""Run what works beside the servers.

    Try it:

        kinolog worker archive cams --to s3://archive/kinolog
    """,
)
_KAFKA = KafkaFlags()


@app.command
def archive(
    collection: str,
    /,
    *more: str,
    to: str | None = None,
    group: str = "kinolog-archive",
    stretch: str = "10m",
    object_size: str = "64MiB",
    once: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Write the finished media segments of collections, and their index, to object storage.

    Run as many as you like: they share the partitions. Edges that are told of the place by
    `--archive` serve from there what Kafka does not have any more.

    Try it:

        kinolog worker archive cams --to s3://archive/kinolog

        kinolog worker archive cams shows --to /srv/archive --once --json

    Parameters
    ----------
    collection
        Whose streams.
    more
        Other collections.
    to
        A directory, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix. [default: the
        setting archive]
    group
        The consumer group: workers of one group share the work. Each place wants its own.
    stretch
        An object has at most the segments of so long: 2s to 24h, by the clock, and a quarter of the
        collection's retention.
    object_size
        It ends before that once it has so much: 1MB to 1GiB. A worker holds some of them in memory.
    once
        Catch up and exit; what of a stream that is being published fills no object yet, is left.
    """
    settings = settings_of(kafka, log_level="info", archive=to)
    if not settings.archive:
        raise ConfigError("no place for the archive is named", hint=f"--to: {HINT}")
    stretch_ms, most_bytes = duration_ms(stretch), size_bytes(object_size)
    if not _LEAST_MS <= stretch_ms <= _MOST_MS:
        raise ConfigError(f"--stretch {stretch} is not between 2s and 24h")
    if not _LEAST_BYTES <= most_bytes <= _MOST_BYTES:
        raise ConfigError(f"--object-size {object_size} is not between 1MB and 1GiB")
    teller = _Teller(as_json=json)
    finished = roles.run(
        _archive(
            settings,
            open_objects(settings.archive),
            [collection, *more],
            group,
            (stretch_ms, most_bytes),
            once,
            teller,
        )
    )
    if once and not finished:
        note("the other members of the group have all partitions: nothing was left to do")
    teller.sum_up()


async def _archive(
    settings: Settings,
    objects: Objects,
    collections: list[str],
    group: str,
    bounds: tuple[int, int],
    once: bool,
    teller: _Teller,
) -> bool:
    async with roles.backend(kafka_of(settings)) as base:

        async def run() -> bool:
            member = Member(base.kafka, group)
            try:
                worker = Archive(
                    base.catalog, base.reader, objects, SystemClock(), base.kafka.prefix, *bounds
                )
                finished = await worker.run(member, collections, teller, once=once)
                if worker.left_out:
                    raise KinologError(
                        f"not archived: {', '.join(sorted(worker.left_out))}",
                        hint="the lines above say why",
                    )
                return finished
            finally:
                await member.close()

        async def keep_on() -> bool:
            while True:
                try:
                    return await run()
                except KinologError as error:
                    if once or not error.retriable:
                        raise
                    # From where the group is: what was read since is read again.
                    note(f"kinolog: {error}; again in {_AGAIN_S:.0f} s")
                    await asyncio.sleep(_AGAIN_S)

        work = asyncio.create_task(keep_on())
        stopped = asyncio.create_task(roles.until_signalled())
        try:
            await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else True
        finally:
            for task in (work, stopped):
                task.cancel()
            await asyncio.wait([work, stopped])


@dataclass
class _Teller:
    """A line for each object, and a sum at the end."""

    as_json: bool
    objects: int = 0
    segments: int = 0
    size: int = 0
    lost: int = 0

    def __call__(self, made: Made) -> None:
        self.objects += 1
        self.segments += made.segments
        self.size += made.size
        self.lost += made.lost
        if self.as_json:
            sys.stdout.write(msgspec.json.encode(made._asdict()).decode() + "\n")
            sys.stdout.flush()
        else:
            note(
                f"{made.stream}: {show_time(made.wall)} to {show_time(made.until)}, "
                f"{made.segments} segments, {show_size(made.size)}"
            )
        if made.lost:
            note(
                f"{made.stream}: {made.lost} segments were deleted by Kafka before they were "
                "archived: the retention is too short for this worker"
            )

    def sum_up(self) -> None:
        """Tell what was done in all."""
        note(f"{self.objects} objects, {self.segments} segments, {show_size(self.size)} archived")
