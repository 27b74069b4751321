"""What one FLV tag body holds, whichever of its three syntaxes it uses."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Step(Enum):
    """What the body of a unit is."""

    CONFIG = "sequence header"
    FRAME = "coded frame"
    OTHER = "end of sequence, metadata"


class Unit(NamedTuple):
    """One part of a tag. `codec` is kinolog's name, or for those it does not carry, FLV's.

    `channels` is what a legacy audio tag says, 0 where the tag does not.
    """

    track: int
    codec: str
    step: Step
    body: memoryview
    composition_ms: int = 0
    keyframe: bool = True
    nanoseconds: int = 0
    channels: int = 0
