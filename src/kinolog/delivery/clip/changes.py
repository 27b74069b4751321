"""Changes: at which moments of a clip a track's codec, or its parameters, become others. Pure.

An MP4 track has a sample entry for each set of parameters. FFmpeg goes on at another entry of the
same codec; at one of another codec it breaks, and so do GStreamer and Chromium (measured).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from kinolog.core.errors import InputError
from kinolog.core.units import rfc3339
from kinolog.record.control import OpenTrack

MOST_TOLD: Final = 16
"""Moments that a sentence or a header has: a range may have thousands."""


class Change(NamedTuple):
    """From `at_ms` (Unix ms, of the first frame behind it) on, the track `name` has another codec
    (RFC 6381), or other parameters of the same."""

    at_ms: int
    name: str
    before: str
    after: str

    @property
    def of_codec(self) -> bool:
        """Whether it is not of the same codec any more."""
        return _family(self.before) != _family(self.after)


def _family(codec: str) -> str:
    """What has the same decoder, by the first words of its name: avc1, vp09, mp4a.40."""
    words = codec.lower().split(".")
    return ".".join(words[:2] if words[0] == "mp4a" else words[:1])


def changes(infos: Mapping[int, OpenTrack], begins_ms: Mapping[int, int]) -> list[Change]:
    """Those of a track. `infos`: what it is in each epoch; `begins_ms`: when each epoch that a clip
    has something of begins in it, in the clip's order."""
    found: list[Change] = []
    before: OpenTrack | None = None
    for epoch, at_ms in begins_ms.items():
        info = infos[epoch]
        if before is not None and info.init != before.init:
            found.append(Change(at_ms, info.name, before.codec, info.codec))
        before = info
    return found


def refuse_codecs(found: Sequence[Change]) -> None:
    """InputError where a codec becomes another: it says at which moments."""
    of_codec = [one for one in found if one.of_codec]
    if not of_codec:
        return
    told = [
        f"at {rfc3339(one.at_ms)} from {one.before} to {one.after}" for one in of_codec[:MOST_TOLD]
    ]
    if len(of_codec) > MOST_TOLD:
        told.append(f"and {len(of_codec) - MOST_TOLD} times more")
    raise InputError(
        f"the codec of {of_codec[0].name} changes in this range, which no player takes in one "
        f"file: {', '.join(told)}",
        hint="ask for the parts before and after such a moment: it can be an end and a start",
    )


def moments(found: Iterable[Change]) -> list[str]:
    """When something changes, RFC 3339: each moment once, the first MOST_TOLD."""
    return [rfc3339(at_ms) for at_ms in sorted({one.at_ms for one in found})[:MOST_TOLD]]
