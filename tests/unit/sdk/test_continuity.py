"""Which chunks can be decoded after the one before, by docs/wire-format.md."""

from __future__ import annotations

import msgspec

from kinolog.record.control import Open, decode_value
from kinolog.record.header import VERSION, Header
from kinolog.sdk.continuity import Continuity
from kinolog.testing.log_script import AUDIO, VIDEO, open_item


def opened(session: str, *, video_init: bytes = b"init v0") -> Open:
    value = decode_value(open_item(1, (VIDEO, AUDIO), session=session).value, Open)
    value.tracks[0] = msgspec.structs.replace(value.tracks[0], init=video_init)
    return value


def follows(continuity: Continuity, msn: int, chunk: int, track: str = "v0") -> bool:
    return continuity.follows(Header(VERSION, "chunk", 1, track=track, msn=msn, chunk=chunk))


def begun() -> Continuity:
    """A session of which each track has a chunk."""
    continuity = Continuity()
    assert not continuity.opened(opened("s"))
    assert not follows(continuity, 4, 0)
    assert not follows(continuity, 4, 0, "a0")
    return continuity


def test_within_an_epoch() -> None:
    continuity = begun()
    assert follows(continuity, 4, 1)
    assert follows(continuity, 5, 0)
    assert follows(continuity, 9, 0), "a pause is no hole"


def test_after_holes() -> None:
    continuity = begun()
    continuity.hole("v0")
    assert not follows(continuity, 4, 2)
    assert follows(continuity, 4, 3)
    assert not follows(continuity, 4, 5), "the second hole of a segment, which is not told"
    assert not follows(continuity, 5, 1)
    assert follows(continuity, 4, 1, "a0")


def test_another_epoch_of_the_same_session_goes_on() -> None:
    continuity = begun()
    assert continuity.opened(opened("s"))
    assert follows(continuity, 5, 0)
    continuity.hole("a0")
    assert continuity.opened(opened("s"))
    assert not follows(continuity, 5, 0, "a0"), "what waits for a keyframe still does"


def test_another_session_or_track_begins_anew() -> None:
    continuity = begun()
    assert not continuity.opened(opened("t"))
    assert not follows(continuity, 5, 0)
    assert not continuity.opened(opened("t", video_init=b"other"))
    assert not follows(continuity, 6, 0)
    assert not follows(continuity, 6, 0, "a0"), "the other session had no sound yet"
    assert continuity.opened(opened("t", video_init=b"other"))
    assert follows(continuity, 7, 0, "a0")
