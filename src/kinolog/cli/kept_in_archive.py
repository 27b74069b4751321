"""What stays in the archive of what is deleted from Kafka, for the person who deletes it."""

from __future__ import annotations

from kinolog.archive.contents import blocks
from kinolog.core.errors import KinologError
from kinolog.objects.store import open_objects


async def kept_in_archive(archive: str | None, prefix: str, before: str) -> dict[str, str] | None:
    """Where something of a collection or a stream stays, and the command that deletes it there;
    None where nothing does, or no archive is known. `before`: as of `kinolog archive delete`.
    An archive that does not answer is taken to have something."""
    if not archive:
        return None
    try:
        async for _ in blocks(open_objects(archive, make=False), prefix):
            break
        else:
            return None
    except KinologError:
        pass
    return {
        "stream" if "/" in prefix else "collection": prefix,
        "at": archive,
        "delete": f"kinolog archive delete {prefix} --before {before} --at {archive}",
    }


def told(kept: dict[str, str]) -> str:
    """A sentence of it."""
    name = kept.get("stream") or kept["collection"]
    return (
        f"the archive at {kept['at']} keeps what it has of {name}: `{kept['delete']}` deletes it, "
        "but for each stream's newest object"
    )
