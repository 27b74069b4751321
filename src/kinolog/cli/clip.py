"""`kinolog clip`: a stretch of a stream as an MP4 file, exact to the frame."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from cyclopts import Parameter

from kinolog.cli.common import MOMENT, Json, KafkaFlags, kafka_of, note, settings_of
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, InputError, NotFound
from kinolog.core.names import StreamName
from kinolog.core.units import show_size
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.clip.server import file_name
from kinolog.delivery.history import History
from kinolog.delivery.span import moment_ms
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

_KAFKA = KafkaFlags()
_STDOUT = "-"


def clip(
    stream: str,
    /,
    *,
    start: Annotated[str, MOMENT],
    end: Annotated[str, MOMENT] = "now",
    output: Annotated[str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)] = (
        None
    ),
    force: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Cut a clip out of a stream's past: an MP4 that every player opens, not encoded again.

    It has the frames that were captured from --start on and before --end, to the frame, and all
    its sound tracks. What is missing in between is left out. It is read from Kafka, as an edge
    does for clip.mp4.

    Try it:

        kinolog clip demo/camera --start -30s

        kinolog clip cams/gate --start 2026-01-31T09:00:00Z --end 2026-01-31T09:05:00Z -o gate.mp4

        kinolog clip demo/camera --start -1h --end -50m -o - | ffprobe -

    Parameters
    ----------
    stream
        collection/name.
    start
        -10m, 2026-01-31T12:00:00Z, or Unix seconds.
    end
        The same, or now, which waits for the media segment in progress.
    output
        The file; - is standard output. [default: named after the stream and the time]
    force
        Replace a file that is there.
    """
    settings = settings_of(kafka)
    name = StreamName.parse(stream)
    now_ms = SystemClock().unix_ms()
    start_ms, end_ms = (
        moment_ms(flag, text, now_ms) for flag, text in (("--start", start), ("--end", end))
    )
    if end_ms <= start_ms:
        raise ConfigError("--end is not after --start", hint="for example --start -10m --end -5m")
    if output == _STDOUT and sys.stdout.isatty():
        raise ConfigError("video is not written to a terminal", hint="name a file: -o FILE")
    if output not in (None, _STDOUT):
        _check_free(Path(str(output)), force)
    told = roles.run(_until_stopped(_clip(settings, name, (start_ms, end_ms), output, force)))
    if told is None:
        raise KeyboardInterrupt
    if json:
        # What is on standard output with -o - is the clip alone.
        where = sys.stderr if output == _STDOUT else sys.stdout
        where.write(msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n")


def _check_free(path: Path, force: bool) -> None:
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="name a file: -o FILE")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already", hint="--force replaces it")


async def _until_stopped(work: Any) -> dict[str, Any] | None:
    """What the work gives; None after a signal, when it has been given up."""
    task = asyncio.create_task(work)
    stopped = asyncio.create_task(roles.until_signalled())
    await asyncio.wait([task, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        found: dict[str, Any] = task.result()
        return found
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return None


async def _clip(
    settings: Settings, name: StreamName, span: tuple[int, int], output: str | None, force: bool
) -> dict[str, Any]:
    async with roles.backend(kafka_of(settings)) as base:
        registry = base.catalog.registry
        if name not in registry.streams:
            raise NotFound(f"there is no stream {name}", hint="kinolog streams lists them")
        clock = SystemClock()
        history = History(base.reader, registry, clock)
        maker = ClipMaker(base.reader, history, registry, clock)
        try:
            found = await maker.make(name, None, *span)
            path = Path(output if output is not None else file_name(name, found, "mp4"))
            if output != _STDOUT:
                _check_free(path, force)
            with _file(path if output != _STDOUT else None) as file:
                progress = _Progress(str(path) if output != _STDOUT else str(name), found)
                async with aclosing(found.read(base.reader, 0, found.size)) as parts:
                    async for part in parts:
                        await asyncio.to_thread(file.write, part)
                        progress.wrote(len(part))
                file.flush()
            progress.done()
        finally:
            maker.close()
            await history.close()
    return {
        "stream": str(name),
        "file": str(path) if output != _STDOUT else _STDOUT,
        "start_ms": found.begins_ms,
        "seconds": round(found.seconds, 3),
        "bytes": found.size,
    }


@contextlib.contextmanager
def _file(path: Path | None) -> Iterator[BinaryIO]:
    """A file under another name until it is whole; nothing stays of one that is not. Standard
    output without a path."""
    if path is None:
        yield sys.stdout.buffer
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


class _Progress:
    """A line on standard error, again and again on a terminal."""

    def __init__(self, what: str, clip: Clip) -> None:
        self._what = what
        self._clip = clip
        self._bytes = 0
        self._told = time.monotonic()
        self._every_s = 0.2 if sys.stderr.isatty() else 5.0

    def wrote(self, size_bytes: int) -> None:
        """So much more."""
        self._bytes += size_bytes
        if time.monotonic() - self._told < self._every_s:
            return
        self._told = time.monotonic()
        share = 100 * self._bytes // self._clip.size
        end = "\r" if sys.stderr.isatty() else "\n"
        whole = show_size(self._clip.size)
        text = f"{self._what}: {share} % of {whole}"
        print(text, end=end, file=sys.stderr, flush=True)

    def done(self) -> None:
        """The end."""
        note(f"{self._what}: {self._clip.seconds:.3f} s, {show_size(self._clip.size)}")
