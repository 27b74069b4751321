"""Topic names: `<prefix>.<collection>.<suffix>` and `<prefix>.registry` (DESIGN.md section 3).

A dedicated stream has topics of its own: `<prefix>.<collection>.<name>.<suffix>`.
"""

from __future__ import annotations

from typing import Literal

from kinolog.core.names import StreamName

Suffix = Literal["media", "renditions", "index", "events"]
SUFFIXES: tuple[Suffix, ...] = ("media", "renditions", "index", "events")
DEFAULT_PREFIX = "kinolog"


def registry_topic(prefix: str) -> str:
    """The compacted topic of settings, placements and epochs."""
    return f"{prefix}.registry"


def collection_base(prefix: str, collection: str) -> str:
    """What a collection's topics begin with, without the last dot."""
    return f"{prefix}.{collection}"


def dedicated_base(prefix: str, stream: StreamName) -> str:
    """What the topics of a stream of its own begin with, without the last dot."""
    return f"{prefix}.{stream.collection}.{stream.name}"


def topic(base: str, suffix: Suffix) -> str:
    """One topic of a collection or of a dedicated stream."""
    return f"{base}.{suffix}"
