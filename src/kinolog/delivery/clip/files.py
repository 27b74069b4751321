"""Files: what a clip can be, and what it is called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from kinolog.core.names import StreamName
from kinolog.core.units import show_duration
from kinolog.delivery.clip.clip import Clip
from kinolog.delivery.clip.fragmented import FragmentedClip
from kinolog.delivery.clip.ts import TsClip

__all__ = ["TYPES", "FragmentedClip", "TsClip", "as_file", "file_name"]

TYPES: Final = {"mp4": "video/mp4", "m4s": "video/mp4", "ts": "video/mp2t"}
"""Of what a clip can be, by ending."""


def as_file(clip: Clip, ending: str) -> Clip | FragmentedClip | TsClip:
    """A clip in the format of this ending. InputError where the format cannot carry it."""
    if ending == "m4s":
        return FragmentedClip(clip)
    return TsClip(clip) if ending == "ts" else clip


def file_name(stream: StreamName, clip: Clip, ending: str) -> str:
    """A clip's name for people: what it is of, when it begins, how long it is."""
    begins = datetime.fromtimestamp(clip.begins_ms / 1000, UTC)
    length = show_duration(max(1, round(clip.seconds)) * 1000)
    return f"{stream.name}-{begins:%Y%m%dT%H%M%SZ}-{length}.{ending}"
