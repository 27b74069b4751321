"""Marker: the object that says that a place is an archive.

A directory that is not mounted looks like an archive that has nothing. Without its marker nobody
concludes from what is not there.
"""

from __future__ import annotations

from typing import Final

from kinolog.core.errors import NotFound
from kinolog.objects.store import Objects

PATH: Final = "kinolog-archive.json"
_BYTES: Final = b'{"kinolog":"archive","blocks":"kinoblk1"}\n'


async def mark(objects: Objects) -> bool:
    """Make a place an archive; False where it is one."""
    return await objects.create(PATH, _BYTES)


async def is_marked(objects: Objects) -> bool:
    """Whether a place is an archive."""
    try:
        return await objects.size(PATH) > 0
    except NotFound:
        return False
