"""Live video on Apache Kafka: the log is the stream.

    import kinolog

    for frame in kinolog.frames("cams/gate", start="-10m", fps=5): ...
    for chunk in kinolog.chunks("cams/gate"): ...
    with kinolog.publish("lab/sim", fps=25) as out: out.write(picture)

docs/sdk.md says more.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kinolog.core.errors import (
        InputError,
        KafkaRefused,
        KafkaUnavailable,
        KinologError,
        NotFound,
        Refused,
    )
    from kinolog.sdk.chunk import Chunk
    from kinolog.sdk.chunks import Chunks, chunks
    from kinolog.sdk.connection import Connection, connect
    from kinolog.sdk.frames import Frame, Frames, frames
    from kinolog.sdk.marks import Mark, mark, marks
    from kinolog.sdk.publish import Publisher, publish
    from kinolog.sdk.streams import StreamInfo, TrackInfo, astreams, streams

__version__ = "0.1.0"

__all__ = [
    "Chunk",
    "Chunks",
    "Connection",
    "Frame",
    "Frames",
    "InputError",
    "KafkaRefused",
    "KafkaUnavailable",
    "KinologError",
    "Mark",
    "NotFound",
    "Publisher",
    "Refused",
    "StreamInfo",
    "TrackInfo",
    "__version__",
    "astreams",
    "chunks",
    "connect",
    "frames",
    "mark",
    "marks",
    "publish",
    "streams",
]

# Loaded when first used, so that `import kinolog` stays fast.
_HOMES = {
    "kinolog.core.errors": (
        "InputError", "KafkaRefused", "KafkaUnavailable", "KinologError", "NotFound", "Refused",
    ),
    "kinolog.sdk.chunk": ("Chunk",),
    "kinolog.sdk.chunks": ("Chunks", "chunks"),
    "kinolog.sdk.connection": ("Connection", "connect"),
    "kinolog.sdk.frames": ("Frame", "Frames", "frames"),
    "kinolog.sdk.marks": ("Mark", "mark", "marks"),
    "kinolog.sdk.publish": ("Publisher", "publish"),
    "kinolog.sdk.streams": ("StreamInfo", "TrackInfo", "astreams", "streams"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'kinolog' has no attribute {name!r}")
    found = getattr(import_module(home), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
