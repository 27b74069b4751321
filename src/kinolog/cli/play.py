"""`kinolog play`: a stream as fragmented MP4, for ffplay, ffprobe, GStreamer, or a file."""

from __future__ import annotations

import asyncio
import contextlib
import select
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, BinaryIO

from cyclopts import Parameter

from kinolog.cli.common import MOMENT, KafkaFlags, kafka_of, note, settings_of
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, InputError
from kinolog.core.names import StreamName
from kinolog.core.units import show_size
from kinolog.delivery.pulse import Pulse
from kinolog.log.history import Archive
from kinolog.runtime import roles
from kinolog.runtime.roles import Backend
from kinolog.runtime.settings import Settings
from kinolog.sdk.chunk import Chunk
from kinolog.sdk.chunks import wish_of
from kinolog.sdk.flow import Item, Mark, Wish, flow
from kinolog.sdk.movie import Movie

_KAFKA = KafkaFlags()
_QUIET_S = 2.0
_TELL_S = 10.0
_LOOK_S = 0.5


def play(
    stream: str,
    /,
    *,
    from_: Annotated[str, Parameter(name="--from"), MOMENT] = "live",
    to: Annotated[str | None, MOMENT] = None,
    follow: bool = True,
    track: tuple[str, ...] = (),
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    keep_times: Annotated[bool, Parameter(negative="")] = False,
    across: Annotated[bool, Parameter(negative="")] = False,
    archive: str | None = None,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Write a stream as fragmented MP4 to standard output.

    All its tracks, chunks in the order of the log, from a keyframe at or before --from. Time
    begins near zero. A new session of the publisher goes on in the same file when its tracks are
    the same; otherwise the file ends there with a note, for players cannot change decoders
    within one (--across writes the new tracks' headers and goes on).

    Try it:

        kinolog play demo/camera | ffplay -

        kinolog play demo/camera --from -10m --no-follow | ffprobe -count_packets -show_streams -

        kinolog play cams/gate --from 2026-01-31T09:00:00Z --to 2026-01-31T09:05:00Z -o gate.mp4

        kinolog play demo/camera --track video | gst-launch-1.0 fdsrc ! qtdemux ! fakesink

    Parameters
    ----------
    stream
        collection/name.
    from_
        live, earliest, -10m, 2026-01-31T12:00:00Z, or Unix seconds.
    to
        Leave out what was captured then or later.
    follow
        Go on with what is published from now on.
    track
        Only this track; may be repeated: video, audio, audio-2 …
    output
        Write to a file instead.
    keep_times
        Time stamps are capture times (Unix), not from zero.
    across
        Go on, with new headers, where the tracks change.
    archive
        Where `kinolog worker archive` writes: what Kafka has deleted is read from there.
    """
    settings = settings_of(kafka, archive=archive)
    if output is None and sys.stdout.isatty():
        raise ConfigError(
            "video is not written to a terminal",
            hint=f"pipe it: kinolog play {stream} | ffplay -    or name a file: -o FILE",
        )
    wish = wish_of(stream, from_, to, follow=follow, tracks=track or None)
    movie = Movie(keep_times=keep_times, across=across)
    with contextlib.closing(_Output(output)) as out:
        roles.run(_play(settings, wish, movie, out, output))


class _Output:
    """Standard output, or a file: what was there before is replaced once there is a beginning.

    Raises InputError where the file cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._begun = False
        self._new = path is not None and not path.exists()
        with self._errors():
            self._file: BinaryIO = sys.stdout.buffer if path is None else path.open("ab")

    def write(self, data: bytes) -> None:
        """Write and flush."""
        with self._errors():
            if self._path is not None and not self._begun:
                self._file.truncate(0)
            self._begun = True
            self._file.write(data)
            self._file.flush()

    def close(self) -> None:
        """Close the file, and leave none that is empty; standard output stays open."""
        if self._path is not None:
            self._file.close()
            if self._new and not self._begun:
                self._path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._path is None:
                raise
            raise InputError(f"cannot write {self._path}: {error.strerror}") from error


async def _play(
    settings: Settings, wish: Wish, movie: Movie, out: _Output, path: Path | None
) -> None:
    async with roles.backend(kafka_of(settings), archive=settings.archive) as base:
        archive = Archive(base.kafka, base.catalog.registry, base.reader, SystemClock())
        progress, wait = _Progress(path), _Wait()
        task = asyncio.create_task(_copy(flow(archive, wish), movie, out, progress, wait))
        telling = asyncio.create_task(_tell_of_absence(base, wish.name, wait))
        ends = [
            asyncio.create_task(roles.until_signalled()),
            asyncio.create_task(_reader_left(sys.stdout.fileno() if path is None else None)),
        ]
        await asyncio.wait([task, *ends], return_when=asyncio.FIRST_COMPLETED)
        for one in (task, telling, *ends):
            one.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if ends[1].done() and not ends[1].cancelled():
            raise BrokenPipeError
    if movie.ended_by:
        note(f"{wish.name}: {movie.ended_by}")
    progress.done()


async def _copy(
    items: AsyncGenerator[list[Item], None],
    movie: Movie,
    out: _Output,
    progress: _Progress,
    wait: _Wait,
) -> None:
    async with aclosing(items) as batches:
        async for batch in batches:
            wait.ended()
            data = b"".join(movie.add(item) for item in batch)
            if data:
                await asyncio.to_thread(out.write, data)
                progress.wrote(len(data))
            if movie.over:
                return
            wait.began(batch)
    if data := movie.finish():
        await asyncio.to_thread(out.write, data)
        progress.wrote(len(data))


async def _tell_of_absence(base: Backend, name: StreamName, wait: _Wait) -> None:
    """Tell the person, once an absence, that the stream is away and waited for."""
    registry, pulse = base.catalog.registry, Pulse(base.reader, SystemClock())
    try:
        while True:
            await asyncio.sleep(_LOOK_S)
            if wait.told or wait.lasts_s < _QUIET_S:
                continue
            epoch = registry.newest_epoch(name)
            if epoch is not None:
                await pulse.look([(epoch.base, epoch.partition)])
            live = epoch is not None and pulse.state(epoch, name.name) == "live"
            if not live and wait.lasts_s >= _QUIET_S:
                wait.told = True
                note(f"{name} is away: waiting for it; --no-follow ends at the present")
    finally:
        await pulse.close()


async def _reader_left(pipe: int | None) -> None:
    """Returns when nobody reads the pipe any more, also while there is nothing to write."""
    poller = select.poll()
    if pipe is not None:
        poller.register(pipe, 0)  # errors and hang-ups are told unasked
    while not poller.poll(0):  # noqa: ASYNC110 - a pipe tells nobody that its reader left
        await asyncio.sleep(_LOOK_S)


class _Wait:
    """The time for which the log has given nothing; none before its present is reached."""

    def __init__(self) -> None:
        self.told = False
        self._present = False
        self._since: float | None = None

    @property
    def lasts_s(self) -> float:
        """Seconds; 0 while something is written, which may take the player long."""
        return time.monotonic() - self._since if self._since is not None else 0.0

    def began(self, batch: list[Item]) -> None:
        """That batch is written."""
        self._present = self._present or Mark.PRESENT in batch
        self._since = time.monotonic() if self._present else None
        self.told = self.told and not any(isinstance(item, Chunk) for item in batch)

    def ended(self) -> None:
        """There is a batch to write."""
        self._since = None


class _Progress:
    """A line on standard error for a file that takes longer than two seconds."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._begun = self._told = time.monotonic()
        self._bytes = 0
        self._every_s = 0.5 if sys.stderr.isatty() else _TELL_S

    def wrote(self, size_bytes: int) -> None:
        """So much more."""
        self._bytes += size_bytes
        now = time.monotonic()
        if self._path is None or now - self._begun < _QUIET_S or now - self._told < self._every_s:
            return
        self._told = now
        end = "\r" if sys.stderr.isatty() else "\n"
        print(f"{self._path}: {show_size(self._bytes)}", end=end, file=sys.stderr, flush=True)

    def done(self) -> None:
        """The end."""
        if self._path is not None and time.monotonic() - self._begun >= _QUIET_S:
            note(f"{self._path}: {show_size(self._bytes)} written")
