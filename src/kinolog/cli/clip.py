"""`kinolog clip`: a stretch of a stream as a file, exact to the frame."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import msgspec
from cyclopts import Parameter

from kinolog.cli.clips import check_free, shelf_of, show_kept
from kinolog.cli.common import MOMENT, Json, KafkaFlags, kafka_of, note, settings_of
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError, InputError, NotFound
from kinolog.core.names import StreamName
from kinolog.core.units import show_size
from kinolog.delivery.clip.changes import moments
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.files import TYPES, FragmentedClip, TsClip, as_file, file_name
from kinolog.delivery.clip.keeper import Keeper
from kinolog.delivery.clip.kept_server import told as card_told
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.clip.shelf import Wish, clip_name
from kinolog.delivery.history import History
from kinolog.delivery.span import moment_ms
from kinolog.log.random_reader import RandomReader
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

_KAFKA = KafkaFlags()
_STDOUT = "-"
_EVERY_S = 5.0


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
    keep: Annotated[bool, Parameter(negative="")] = False,
    name: str = "",
    clips: str | None = None,
    archive: str | None = None,
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

        kinolog clip demo/camera --start -30s --keep --name 'what was that' --clips ./kept

    Parameters
    ----------
    stream
        collection/name.
    start
        -10m, 2026-01-31T12:00:00Z, or Unix seconds.
    end
        The same, or now, which waits for the media segment in progress.
    output
        The file; - is standard output. One that ends in .ts is an MPEG transport stream, which
        begins with the keyframe before --start; in .m4s, a fragmented MP4.
        [default: named after the stream and the time]
    force
        Replace a file that is there.
    keep
        Keep it beside the stream instead: kinolog clips lists it, and any edge serves it, whatever
        retention takes. With -o, only the ending counts: it says the format.
    name
        Of a clip that is kept, for people. [default: after the stream and the time]
    clips
        Where clips are kept: a directory, s3://bucket/prefix … [default: KINOLOG_CLIPS]
    archive
        Where `kinolog worker archive` writes: what Kafka has deleted is read from there.
    """
    settings = settings_of(kafka, clips=clips, archive=archive)
    ending_of(output)  # an error before anything is read
    stream_name = StreamName.parse(stream)
    now_ms = SystemClock().unix_ms()
    start_ms, end_ms = (
        moment_ms(flag, text, now_ms) for flag, text in (("--start", start), ("--end", end))
    )
    if end_ms <= start_ms:
        raise ConfigError("--end is not after --start", hint="for example --start -10m --end -5m")
    if keep or name:
        if not keep:
            raise ConfigError("--name is for a clip that is kept", hint="add --keep")
        title = clip_name(name) if name else ""
        wish = Wish(stream_name, start_ms, end_ms, ending_of(output))
        kept = roles.run(_until_stopped(_keep(settings, wish, title)))
        if kept is None:
            note("broken off: nothing is kept")
            raise KeyboardInterrupt
        show_kept([kept], as_json=json)
        return
    if output == _STDOUT and sys.stdout.isatty():
        raise ConfigError("video is not written to a terminal", hint="name a file: -o FILE")
    if output not in (None, _STDOUT):
        check_free(Path(str(output)), force)
    work = _clip(settings, stream_name, (start_ms, end_ms), output, force)
    done = roles.run(_until_stopped(work))
    if done is None:
        note("broken off" if output == _STDOUT else "broken off: no file is left")
        raise KeyboardInterrupt
    if json:
        # What is on standard output with -o - is the clip alone.
        where = sys.stderr if output == _STDOUT else sys.stdout
        where.write(msgspec.json.format(msgspec.json.encode(done), indent=2).decode() + "\n")


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
    async with roles.backend(kafka_of(settings), archive=settings.archive) as base:
        registry = base.catalog.registry
        if name not in registry.streams:
            raise NotFound(f"there is no stream {name}", hint="kinolog streams lists them")
        clock = SystemClock()
        history = History(base.reader, registry, clock)
        maker = ClipMaker(base.reader, history, registry, clock)
        try:
            found = await maker.make(name, None, *span)
            path = Path(output if output is not None else file_name(name, found, "mp4"))
            whole = as_file(found, ending_of(output))
            if output != _STDOUT:
                check_free(path, force)
            with _file(path if output != _STDOUT else None) as file:
                progress = _Progress(str(path) if output != _STDOUT else str(name), found)
                async with aclosing(_parts(whole, base.reader)) as parts:
                    async for part in parts:
                        await asyncio.to_thread(file.write, part)
                        progress.wrote(len(part))
                file.flush()
            progress.done()
            told = moments(found.changes)
            if told:
                note(f"its codec parameters change, where some players stop: at {', '.join(told)}")
        finally:
            maker.close()
            await history.close()
    return {
        "stream": str(name),
        "file": str(path) if output != _STDOUT else _STDOUT,
        "start_ms": found.begins_ms,
        "seconds": round(found.seconds, 3),
        "bytes": progress.bytes,
        "changes": told,
    }


def _parts(
    whole: Clip | FragmentedClip | TsClip, reader: RandomReader
) -> AsyncGenerator[bytes, None]:
    if isinstance(whole, TsClip):
        return whole.read(reader)
    return whole.read(reader, 0, whole.size)


def ending_of(output: str | None) -> str:
    """What a file of this name is to be: one of TYPES; an MP4 where it does not say. ConfigError
    where it says something else."""
    suffix = Path(output or "").suffix.lower()
    ending = suffix.removeprefix(".") or "mp4"
    if ending not in TYPES:
        known = ", ".join(f".{one}" for one in TYPES)
        raise ConfigError(f"a clip is not written as {suffix}", hint=f"end the name in {known}")
    return ending


async def _keep(settings: Settings, wish: Wish, name: str) -> dict[str, Any]:
    shelf = shelf_of(settings)
    id = await shelf.id_of(wish)
    with contextlib.suppress(NotFound):
        return card_told(await shelf.card(wish.stream, id))
    async with roles.backend(kafka_of(settings), archive=settings.archive) as base:
        registry = base.catalog.registry
        if wish.stream not in registry.streams:
            raise NotFound(f"there is no stream {wish.stream}", hint="kinolog streams lists them")
        clock = SystemClock()
        history = History(base.reader, registry, clock)
        maker = ClipMaker(base.reader, history, registry, clock)
        keeper = Keeper(shelf, base.reader, clock)

        async def make() -> Clip:
            return await maker.make(wish.stream, None, wish.start_ms, wish.end_ms)

        try:
            by = f"kinolog clip, {getpass.getuser()}"
            task = await keeper.keep(wish, id, name, by, make)
            while not (await asyncio.wait([task], timeout=_EVERY_S))[0]:
                progress = await keeper.progress(wish.stream, id)
                if progress is not None and progress.of:
                    share = min(99, 100 * progress.bytes // progress.of)
                    note(f"{wish.stream}: {share} % of {show_size(progress.of)}")
            return card_told(task.result())
        finally:
            await keeper.close()
            maker.close()
            await history.close()


@contextlib.contextmanager
def _file(path: Path | None) -> Iterator[BinaryIO]:
    """A file under another name until it is whole; nothing stays of one that is not. A device or a
    pipe is written to as it is. Standard output without a path."""
    if path is None:
        yield sys.stdout.buffer
        return
    path = Path(os.path.realpath(path))  # what a link names, not the link
    if path.is_symlink():
        raise InputError(f"cannot write {path}: it is one of links that name one another")
    whole = path.is_file() or not path.exists()
    partial = path.with_name(f".kinolog-{os.getpid()}.part") if whole else path
    try:
        with partial.open("wb") as file:
            yield file
        if whole:
            partial.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from error
    finally:
        if whole:
            partial.unlink(missing_ok=True)


class _Progress:
    """A line on standard error, again and again on a terminal."""

    def __init__(self, what: str, clip: Clip) -> None:
        self._what = what
        self._clip = clip
        self.bytes = 0
        self._told = time.monotonic()
        self._every_s = 0.2 if sys.stderr.isatty() else 5.0

    def wrote(self, size_bytes: int) -> None:
        """So much more."""
        self.bytes += size_bytes
        if time.monotonic() - self._told < self._every_s:
            return
        self._told = time.monotonic()
        # Other formats are a little smaller or larger than the MP4.
        share = min(99, 100 * self.bytes // self._clip.size)
        end = "\r" if sys.stderr.isatty() else "\n"
        whole = show_size(self._clip.size)
        text = f"{self._what}: {share} % of {whole}"
        print(text, end=end, file=sys.stderr, flush=True)

    def done(self) -> None:
        """The end."""
        note(f"{self._what}: {self._clip.seconds:.3f} s, {show_size(self.bytes)}")
