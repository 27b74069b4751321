"""Names of collections and streams: `collection/name`, each `[a-z0-9-]{1,48}`.

No dots, so that a Kafka ACL on a topic prefix means one collection (DESIGN.md section 3).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from kinolog.core.errors import NameError_

_PART = re.compile(r"[a-z0-9-]{1,48}")
_RULE = "names are 1 to 48 of a-z, 0-9 and '-'"


class StreamName(NamedTuple):
    """A named broadcast. `str()` gives `collection/name`."""

    collection: str
    name: str

    def __str__(self) -> str:
        return f"{self.collection}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> StreamName:
        """`collection/name`, else NameError_ with a text that says what is wrong."""
        parts = text.split("/")
        if len(parts) != 2:
            what = "a slash too many" if len(parts) > 2 else "no collection"
            raise NameError_(
                f"stream name {text[:120]!r} has {what}",
                hint="write it as collection/name, for example demo/camera",
            )
        return cls(check_part(parts[0], "collection"), check_part(parts[1], "stream"))


def check_part(text: str, what: str) -> str:
    """`text` itself if it is a valid name of a collection or stream, else NameError_."""
    if not _PART.fullmatch(text):
        raise NameError_(f"{what} name {text[:120]!r} is not valid", hint=_RULE)
    return text
