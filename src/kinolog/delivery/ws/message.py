"""The messages of the WebSocket protocol, both ways. Pure (docs/reference/websocket.md)."""

from __future__ import annotations

import math
import struct
from typing import Any, Final, Literal, NamedTuple

import msgspec

from kinolog.core.errors import InputError
from kinolog.record.control import Open, OpenTrack
from kinolog.timeline.segment import Chunk

VERSION: Final = 1
INIT: Final = 1
CHUNK: Final = 2
INDEPENDENT: Final = 1
DISCONTINUITY: Final = 2
HEAD: Final = struct.Struct(">BBBBIIIQQQQ")
"""version, kind, track, flags; part, chunk, dur; epoch, msn, dts, wall: 48 bytes."""
_FLAGS_AT: Final = 3
_MOST_TEXT: Final = 4096
FASTEST: Final = 64.0
ALL_UP_TO: Final = 4.0
"""At a greater speed only independent chunks of video are sent."""

Speed = float
"""Media seconds a second; infinity: as fast as the client takes it."""


class Item(NamedTuple):
    """A chunk as a binary message, and what of it a viewer's way is decided by. `at_ms` is when
    it was captured (Unix ms), `size` the message's bytes."""

    track: str
    epoch: int
    msn: int
    chunk: int
    at_ms: int
    independent: bool
    data: bytes


def chunk_item(
    number: int, track: OpenTrack, epoch: int, msn: int, chunk: Chunk, payload: bytes
) -> Item:
    """The message of a chunk. `number`: the track's in its epoch."""
    # Every sound can be begun with; of pictures the log tells.
    independent = chunk.independent or track.kind == "audio"
    flags = INDEPENDENT if independent else 0
    head = HEAD.pack(
        VERSION, CHUNK, number, flags, chunk.part, chunk.chunk, chunk.dur,
        epoch, msn, chunk.dts, chunk.wall,
    )  # fmt: skip
    return Item(track.name, epoch, msn, chunk.chunk, chunk.wall, independent, head + payload)


def discontinuous(item: Item) -> bytes:
    """The item's message for a viewer to whom it does not follow what was sent before."""
    data = bytearray(item.data)
    data[_FLAGS_AT] |= DISCONTINUITY
    return bytes(data)


def init_message(number: int, epoch: int, init: bytes) -> bytes:
    """The message of an init segment."""
    return HEAD.pack(VERSION, INIT, number, INDEPENDENT, 0, 0, 0, epoch, 0, 0, 0) + init


def session_of(epoch: int, session: Open) -> dict[str, Any]:
    """An epoch's tracks, and what stays the same in it."""
    return {
        "epoch": epoch,
        "profile": session.profile,
        "target_ms": session.target_ms,
        "part_ms": session.part_ms,
        "tracks": [
            {"number": number, **_track(track)} for number, track in enumerate(session.tracks)
        ],
    }


def text(kind: str, **fields: Any) -> str:
    """A text message of the server."""
    return msgspec.json.encode({"type": kind, **fields}).decode()


def _track(track: OpenTrack) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": track.name,
        "kind": track.kind,
        "codec": track.codec,
        "timescale": track.timescale,
        "language": track.language,
    }
    if track.kind == "video":
        size = {"width": track.width, "height": track.height}
        return told | size | {"frame_rate": track.frame_rate}
    return told | {"sample_rate": track.sample_rate, "channels": track.channels}


class Play(msgspec.Struct, tag="play", tag_field="type"):
    """Play from a time on, or live; `tracks` by name."""

    start: str | float = "live"
    end: str | float = ""
    speed: float | Literal["max"] = 1.0
    tracks: list[str] = []
    id: int = 0


class Seek(msgspec.Struct, tag="seek", tag_field="type"):
    """Go to a time, or live, at the speed and with the tracks as they are."""

    to: str | float
    id: int = 0


class Pause(msgspec.Struct, tag="pause", tag_field="type"):
    """Send nothing more for now."""


class Resume(msgspec.Struct, tag="resume", tag_field="type"):
    """Go on where it was paused."""


class SpeedTo(msgspec.Struct, tag="speed", tag_field="type"):
    """From here on at another speed."""

    speed: float | Literal["max"]


class Window(msgspec.Struct, tag="window", tag_field="type"):
    """Send at most so many bytes of binary messages more than were acknowledged; 0: any number."""

    bytes: int


class Ack(msgspec.Struct, tag="ack", tag_field="type"):
    """So many bytes of binary messages were taken since the connection was opened."""

    bytes: int


Command = Play | Seek | Pause | Resume | SpeedTo | Window | Ack
_decoder: Final = msgspec.json.Decoder(Command)


def parse(message: str) -> Command:
    """What a client wants. InputError where it cannot be understood."""
    if len(message) > _MOST_TEXT:
        raise InputError(f"a message has at most {_MOST_TEXT} characters")
    try:
        command: Command = _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise InputError(f"this is no message of the protocol: {error}") from error
    return command


def speed_of(asked: float | str) -> Speed:
    """The speed that is meant. InputError for one that there is not."""
    if asked == "max":
        return math.inf
    try:
        speed = float(asked)
    except ValueError:
        speed = math.nan
    if not 0 < speed <= FASTEST:
        hint = "pause stands still" if speed == 0 else "for example 1, 0.5, 8, max"
        raise InputError(f"speed is max, or a number up to {FASTEST:g} above 0", hint=hint)
    return speed
