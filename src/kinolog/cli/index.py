"""`kinolog index`: make the index of a collection again."""

from __future__ import annotations

import sys
import time

import msgspec
from cyclopts import App

from kinolog.cli.common import Json, KafkaFlags, kafka_of, note, settings_of
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.clock import SystemClock
from kinolog.log.admin import Admin
from kinolog.log.writer import LogWriter
from kinolog.runtime import roles
from kinolog.workers.rebuild import Done, Rebuild

_EVERY_S = 2.0

app = App(
    name="index",
    default_parameter=PARAMETERS,
    help="""Make the index of a collection again, from its media.

    The index says where in the log each moment of a stream is. Ingest writes it; it is only ever
    to be made again where its topic was lost, damaged, or mirrored with other offsets.

    Try it:

        kinolog index rebuild demo
    """,
)
_KAFKA = KafkaFlags()


@app.command
def rebuild(
    collection: str,
    /,
    *,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Delete the index of COLLECTION and make it again; its streams must not be published.

    Until it is done, the past of its streams is not found. A rebuild that was broken off is begun
    again by the same command.

    Try it:

        kinolog index rebuild demo

    Parameters
    ----------
    collection
        Whose index.
    """
    settings = settings_of(kafka)
    progress = _Progress(collection)

    async def work() -> Done:
        async with roles.backend(kafka_of(settings)) as base:
            writer = LogWriter(base.kafka)
            try:
                admin = Admin(base.kafka)
                worker = Rebuild(admin, base.catalog, base.reader, writer, SystemClock())
                return await worker.collection(collection, progress)
            finally:
                await writer.close()

    try:
        done = roles.run(work())
    except KeyboardInterrupt:
        if progress.begun:
            note(
                f"broken off: of the past of {collection} only a part is found now; "
                f"`kinolog index rebuild {collection}` begins again"
            )
        raise
    if json:
        sys.stdout.write(msgspec.json.encode(done).decode() + "\n")
    else:
        note(
            f"{collection}: {done.read} media records read; {done.sessions} sessions, "
            f"{done.segments} segments and {done.pages} pages written"
        )


class _Progress:
    """A line every few seconds."""

    def __init__(self, collection: str) -> None:
        self._collection = collection
        self.begun = False
        self._begun_s = self._told_s = time.monotonic()

    def __call__(self, done: Done) -> None:
        self.begun = True
        now_s = time.monotonic()
        if now_s - self._told_s < _EVERY_S or not done.read:
            return
        self._told_s = now_s
        left_s = (now_s - self._begun_s) * (done.total - done.read) / done.read
        note(
            f"{self._collection}: {100 * done.read / done.total:.0f} % of {done.total} media "
            f"records, {left_s:.0f} s left"
        )
