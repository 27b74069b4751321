"""`kinolog clips`: those that are kept."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cyclopts import App, Parameter

from kinolog.cli.common import Json, note, settings_of, show
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.errors import ConfigError, InputError
from kinolog.core.names import StreamName
from kinolog.core.units import show_size
from kinolog.delivery.clip.kept_server import told
from kinolog.delivery.clip.shelf import Card, Shelf, clip_name, needs_place
from kinolog.objects.store import open_objects
from kinolog.runtime import roles
from kinolog.runtime.settings import Settings

app = App(
    name="clips",
    default_parameter=PARAMETERS,
    help="""List, fetch, name and delete clips that are kept.

    They are made with kinolog clip --keep, or by an edge; they stay when retention has taken what
    they were cut from. Nothing of Kafka is asked.

    Try it:

        kinolog clips list cams/gate --clips ./kept

        kinolog clips get cams/gate CLIP -o gate.mp4

        kinolog clips rename cams/gate CLIP 'the red car'

        kinolog clips delete cams/gate CLIP
    """,
)
_STDOUT = "-"


def shelf_of(settings: Settings) -> Shelf:
    """The clips of the place that is set. ConfigError where none is."""
    if not settings.clips:
        raise needs_place()
    return Shelf(open_objects(settings.clips))


def check_free(path: Path, force: bool) -> None:
    """ConfigError where a file may not be written."""
    if path.is_dir():
        raise ConfigError(f"{path} is a folder", hint="name a file: -o FILE")
    if path.exists() and not force:
        raise ConfigError(f"{path} is there already", hint="--force replaces it")


def show_kept(clips: list[dict[str, Any]], *, as_json: bool) -> None:
    """A table of clips, or JSON."""
    rows = clips if as_json else [one | {"size": show_size(one["bytes"])} for one in clips]
    columns = {
        "id": "CLIP",
        "name": "NAME",
        "format": "FORMAT",
        "begins": "BEGINS",
        "seconds": "SECONDS",
        "size": "SIZE",
    }
    show(rows, columns, as_json=as_json)


@app.command(name="list")
def list_(stream: str, /, *, clips: str | None = None, json: Json = False) -> None:
    """List a stream's kept clips, the newest first.

    Try it:

        kinolog clips list cams/gate

        kinolog clips list cams/gate --json

    Parameters
    ----------
    stream
        collection/name.
    clips
        Where clips are kept: a directory, s3://bucket/prefix … [default: KINOLOG_CLIPS]
    """
    shelf, name = shelf_of(settings_of(None, clips=clips)), StreamName.parse(stream)

    async def work() -> list[Card]:
        found: list[Card] = []
        after = ""
        while True:
            cards, after = await shelf.listed(name, after)
            found += cards
            if not after:
                return found

    rows = [told(card) for card in roles.run(work())]
    if not rows and not json:
        note(f"no clips of {name} are kept: `kinolog clip {name} --start -30s --keep` keeps one")
        return
    show_kept(rows, as_json=json)


@app.command
def get(
    stream: str,
    clip: str,
    /,
    *,
    output: Annotated[str | None, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)] = (
        None
    ),
    force: Annotated[bool, Parameter(negative="")] = False,
    clips: str | None = None,
    json: Json = False,
) -> None:
    """Fetch a kept clip's file.

    Try it:

        kinolog clips get cams/gate CLIP -o gate.mp4

    Parameters
    ----------
    stream
        collection/name.
    clip
        As kinolog clips list shows it.
    output
        The file; - is standard output. [default: the clip and its format]
    force
        Replace a file that is there.
    clips
        Where clips are kept: a directory, s3://bucket/prefix … [default: KINOLOG_CLIPS]
    """
    shelf, name = shelf_of(settings_of(None, clips=clips)), StreamName.parse(stream)
    if output == _STDOUT and sys.stdout.isatty():
        raise ConfigError("video is not written to a terminal", hint="name a file: -o FILE")

    async def work() -> dict[str, Any]:
        card = await shelf.card(name, clip)
        if output == _STDOUT:
            async with aclosing(shelf.read(card, 0, card.bytes)) as parts:
                async for part in parts:
                    await asyncio.to_thread(sys.stdout.buffer.write, part)
            sys.stdout.buffer.flush()
            return told(card) | {"file": _STDOUT}
        path = Path(output if output is not None else f"{card.id}.{card.format}")
        check_free(path, force)
        partial = path.with_name(f".{path.name}.part")
        try:
            with partial.open("wb") as file:
                async with aclosing(shelf.read(card, 0, card.bytes)) as parts:
                    async for part in parts:
                        await asyncio.to_thread(file.write, part)
            partial.replace(path)
        except OSError as error:
            raise InputError(f"cannot write {path}: {error.strerror}") from error
        finally:
            partial.unlink(missing_ok=True)
        note(f"{path}: {card.seconds:.3f} s, {show_size(card.bytes)}")
        return told(card) | {"file": str(path)}

    done = roles.run(work())
    if json:
        where = sys.stderr if output == _STDOUT else sys.stdout
        where.write(msgspec.json.format(msgspec.json.encode(done), indent=2).decode() + "\n")


@app.command
def rename(
    stream: str, clip: str, name: str, /, *, clips: str | None = None, json: Json = False
) -> None:
    """Give a kept clip another name.

    Try it:

        kinolog clips rename cams/gate CLIP 'the red car'

    Parameters
    ----------
    stream
        collection/name.
    clip
        As kinolog clips list shows it.
    name
        1 to 100 characters.
    clips
        Where clips are kept: a directory, s3://bucket/prefix … [default: KINOLOG_CLIPS]
    """
    shelf, of = shelf_of(settings_of(None, clips=clips)), StreamName.parse(stream)
    title = clip_name(name)

    async def work() -> Card:
        return await shelf.rename(of, clip, title)

    show_kept([told(roles.run(work()))], as_json=json)


@app.command
def delete(stream: str, clip: str, /, *, clips: str | None = None) -> None:
    """Delete a kept clip. Copies in caches stay until these let go of them.

    Try it:

        kinolog clips delete cams/gate CLIP

    Parameters
    ----------
    stream
        collection/name.
    clip
        As kinolog clips list shows it.
    clips
        Where clips are kept: a directory, s3://bucket/prefix … [default: KINOLOG_CLIPS]
    """
    shelf, name = shelf_of(settings_of(None, clips=clips)), StreamName.parse(stream)

    async def work() -> None:
        await shelf.delete(name, clip)

    roles.run(work())
    note(f"{clip} of {name} is deleted")
