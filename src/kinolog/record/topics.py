"""Topic names: `<prefix>.<collection>.<suffix>` and `<prefix>.registry` (DESIGN.md section 3).

A dedicated stream has topics of its own: `<prefix>.<collection>.<name>.<suffix>`. What players
report is in one topic a collection, `<prefix>.<collection>.qoe`.
"""

from __future__ import annotations

import re
from typing import Literal

from kinolog.core.names import StreamName

Suffix = Literal["media", "renditions", "index", "events"]
SUFFIXES: tuple[Suffix, ...] = ("media", "renditions", "index", "events")
DEFAULT_PREFIX = "kinolog"
# Kafka's names have at most 249 characters; ours add up to 109 to the prefix.
_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,140}")


def check_prefix(text: str) -> str:
    """`text` itself if topics' names may begin with it, else ValueError."""
    if not _PREFIX.fullmatch(text):
        raise ValueError(f"{text[:160]!r} is not 1 to 140 of letters, digits, '.', '_' and '-'")
    return text


def registry_topic(prefix: str) -> str:
    """The compacted topic of settings, placements and epochs."""
    return f"{prefix}.registry"


def qoe_topic(prefix: str, collection: str) -> str:
    """The topic of what players report of a collection's streams."""
    return f"{prefix}.{collection}.qoe"


def collection_base(prefix: str, collection: str) -> str:
    """What a collection's topics begin with, without the last dot."""
    return f"{prefix}.{collection}"


def dedicated_base(prefix: str, stream: StreamName) -> str:
    """What the topics of a stream of its own begin with, without the last dot."""
    return f"{prefix}.{stream.collection}.{stream.name}"


def topic(base: str, suffix: Suffix) -> str:
    """One topic of a collection or of a dedicated stream."""
    return f"{base}.{suffix}"
