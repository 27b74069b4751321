"""`kinolog archive`: what is in an archive, and giving up what is old."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import App, Parameter

from kinolog.archive.contents import Contents, contents, old_blocks
from kinolog.cli.common import MOMENT, Json, note, settings_of, show
from kinolog.cli.parameters import PARAMETERS
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError
from kinolog.core.names import StreamName, check_part
from kinolog.core.units import show_size, show_time
from kinolog.delivery.span import moment_ms
from kinolog.objects.store import HINT, Objects, open_objects
from kinolog.runtime import roles

app = App(
    name="archive",
    default_parameter=PARAMETERS,
    help="""List what is in an archive, and delete what is old.

    Try it:

        kinolog archive list --at s3://archive/kinolog
    """,
)
At = Annotated[str | None, Parameter(name="--at")]


@app.command(name="list")
def list_(name: str = "", /, *, at: At = None, json: Json = False) -> None:
    """Show the streams of an archive: from when to when, how many objects, how much.

    Try it:

        kinolog archive list --at /srv/archive

        kinolog archive list cams/door --at s3://archive/kinolog --json

    Parameters
    ----------
    name
        A collection, or a stream. [default: all]
    at
        Where the archive is. [default: the setting archive]
    """
    objects = _objects(at)
    found = roles.run(contents(objects, _prefix(name)))
    show(
        [_row(one, as_json=json) for one in found],
        {
            "stream": "STREAM",
            "start": "FROM",
            "end": "TO",
            "objects": "OBJECTS",
            "bytes": "SIZE",
            "state": "",
        },
        as_json=json,
    )


@app.command
def delete(
    name: str,
    /,
    *,
    before: Annotated[str, MOMENT],
    at: At = None,
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> None:
    """Delete what an archive has of a collection or a stream before a moment, in whole objects.

    The newest object of a stream stays: it says where the archive goes on.

    Try it:

        kinolog archive delete cams --before -90d --at s3://archive/kinolog --dry-run

    Parameters
    ----------
    name
        A collection, or a stream.
    before
        -90d, 2026-01-31T12:00:00Z, or Unix seconds.
    at
        Where the archive is. [default: the setting archive]
    dry_run
        Only tell what would be deleted.
    """
    before_ms = moment_ms("--before", before, SystemClock().unix_ms())
    objects = _objects(at)

    async def work() -> dict[str, Any]:
        found = await old_blocks(objects, _prefix(name), before_ms)
        for one in found if not dry_run else ():
            await objects.delete(one.path)
        return {"objects": len(found), "bytes": sum(one.size for one in found)}

    done = roles.run(work())
    if json:
        show([done], {}, as_json=True)
    else:
        verb = "would be deleted" if dry_run else "deleted"
        note(f"{done['objects']} objects, {show_size(done['bytes'])} {verb}")


def _objects(at: str | None) -> Objects:
    settings = settings_of(None, archive=at)
    if not settings.archive:
        raise ConfigError("no archive is named", hint=f"--at: {HINT}")
    objects = open_objects(settings.archive, make=False)
    objects.check()
    return objects


def _prefix(name: str) -> str:
    if "/" in name:
        stream = StreamName.parse(name)
        return f"{stream.collection}/{stream.name}"
    return check_part(name, "collection") if name else ""


def _row(one: Contents, *, as_json: bool) -> dict[str, Any]:
    return {
        "stream": str(one.book.stream),
        "start": show_time(one.first_ms),
        "end": show_time(one.last_ms),
        "objects": one.objects,
        "bytes": one.size if as_json else show_size(one.size),
        "state": "made anew since" if one.gone else "",
    }
