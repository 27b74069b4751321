"""Absent: media segments that the index lists and nobody has, neither Kafka nor the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

MOST_LOST: Final = 1_000
"""Stretches of lost segments that are remembered of a stream, the newest; some 30 bytes each."""


class Lost(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Media segments of a track in an epoch, with numbers from `first` to `last`, that Kafka had
    deleted before they were archived."""

    track: str
    epoch: int
    first: int
    last: int


class Absent(NamedTuple):
    """What of a stream's media in a place is nowhere. `below`: Kafka's log start offset, from which
    on all is there. `newest`: by track, epoch and number of the newest segment that was archived,
    or found to be lost. `lost`: those that were."""

    below: int
    newest: Mapping[str, tuple[int, int]]
    lost: Sequence[Lost]

    def among(self, track: str, first: int, below_msn: int, epoch: int, offset: int) -> bool:
        """Whether there may be any among the segments with numbers in [first, below_msn), up to an
        epoch, the first of which begins at this media log offset."""
        if offset >= self.below:
            return False
        return (epoch, below_msn - 1) > self.newest.get(track, (-1, -1)) or any(
            one.track == track and one.first < below_msn and one.last >= first for one in self.lost
        )


def add_lost(lost: list[Lost], track: str, epoch: int, msn: int) -> None:
    """Put one more to those that are lost, in the order of a track's numbers; what follows one is
    put to it."""
    for at in range(len(lost) - 1, -1, -1):
        one = lost[at]
        if one.track == track:
            if one.epoch == epoch and one.last == msn - 1:
                lost[at] = Lost(track, epoch, one.first, msn)
                return
            break
    lost.append(Lost(track, epoch, msn, msn))
    del lost[:-MOST_LOST]
