"""The rule that says which records of a stream count, by docs/wire-format.md. No Kafka in here."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

Json = dict[str, Any]
NUMBERS = {"disc": 0, "msn": 0, "part": 0, "chunk": 0, "piece": 0, "pieces": 1} | {
    "dts": 0, "dur": 0, "wall": 0,
}  # fmt: skip
DEFAULTS: Json = NUMBERS | {"track": "", "ind": False, "ends": ""}
KINDS = ("open", "chunk", "close", "gap", "end", "fence")
MAX_WALL_MS = 253_402_300_799_999  # the year 9999 ends

# Shapes: a field that is here must be there, and each be of its example's type.
HEADER: Json = {"v": 1, "kind": "", "epoch": 0}
OPEN: Json = {"session": "", "publisher": "", "software": "", "target_ms": 1, "part_ms": 1}
OPEN |= {"tracks": []}
OPEN_DEFAULTS: Json = {"parts": True, "profile": "low", "end_grace_ms": 60_000}
TRACK: Json = {"name": "", "kind": "", "codec": "", "timescale": 1, "init": ""}
TRACK_DEFAULTS: Json = {"width": 0, "height": 0, "frame_rate": 0.0}
TRACK_DEFAULTS |= {"sample_rate": 0, "channels": 0, "language": "und", "silence": False}


class Track:
    """Where a track is: the next chunk of its newest segment, and the pieces held of that."""

    def __init__(self, synced: bool) -> None:
        self.synced = synced  # False until a segment begins, where we started in the middle
        self.msn, self.next_chunk = -1, 0
        self.ended, self.holed = True, False
        self.pieces: list[bytes] = []


class Stream:
    """The rule that says which records of a stream count; takes them in log order."""

    def __init__(self) -> None:
        self.epoch = -1
        self.closed = self.ended = self.fenced = False
        self.tracks: dict[str, Track] = {}

    def open(self, epoch: int, value: Json, *, synced: bool = True) -> Json:
        """A valid open record; or, not synced, a session to begin from in its middle."""
        self.epoch = epoch
        self.closed = self.ended = self.fenced = False
        self.tracks = {track["name"]: Track(synced) for track in value["tracks"]}
        return {"event": "open", "epoch": epoch, "open": value}

    def feed(self, header: Json, value: bytes) -> Iterator[Json]:
        """What a record means: nothing for one that does not count."""
        kind, epoch = header["kind"], header["epoch"]
        if kind == "open":
            if epoch > self.epoch and (opened := read_open(value)):
                yield self.open(epoch, opened)  # any other is void
        elif kind == "fence":
            self.fenced |= epoch > self.epoch  # the stream has moved away from here
        elif epoch != self.epoch or self.fenced:
            return  # a zombie, or the writer of a void open
        elif self.closed and (kind != "end" or self.ended):
            return  # after the close
        elif kind == "chunk":
            track = self.tracks.get(header["track"])
            sensible = min(header[name] for name in NUMBERS) >= 0 and header["wall"] <= MAX_WALL_MS
            if track and sensible:
                yield from self.chunk(header, value, track)
        elif kind in ("close", "end"):
            if kind == "close" and value and not shaped(json.loads(value), {}, {"reason": ""}):
                return
            for name, track in self.tracks.items():
                if track.pieces:  # half a chunk
                    yield from self.hole(name, track)
            self.closed, self.ended = True, kind == "end"
            yield {"event": kind, "epoch": epoch}

    def chunk(self, header: Json, value: bytes, track: Track) -> Iterator[Json]:
        """(msn, chunk, piece) of a track only goes up; what is left out is a hole."""
        name, msn, chunk, piece = (header[key] for key in ("track", "msn", "chunk", "piece"))
        if not piece < header["pieces"] <= 128 or (not track.synced and (chunk or piece)):
            return  # makes no sense, or is the rest of a segment whose beginning we do not have
        track.synced = True
        if msn > track.msn:
            if track.pieces:
                yield from self.hole(name, track)
            track.msn, track.next_chunk, track.ended, track.holed = msn, 0, False, False
        elif msn < track.msn or chunk < track.next_chunk or track.ended:
            return  # a repeat, or of a segment that has ended
        if chunk > track.next_chunk:
            yield from self.hole(name, track)
            track.next_chunk = chunk
        if piece < len(track.pieces):
            return  # a repeat
        if piece > len(track.pieces):
            yield from self.hole(name, track)  # a piece is missing: the chunk is lost
        else:
            track.pieces.append(value)
            if piece + 1 < header["pieces"]:
                return
            data, track.pieces = b"".join(track.pieces), []
            yield {"event": "chunk", "header": header, "data": data}
        track.next_chunk, track.ended = chunk + 1, header["ends"] == "segment"

    def hole(self, name: str, track: Track) -> Iterator[Json]:
        """Something of the segment is missing; told once."""
        track.pieces = []
        if not track.holed:
            track.holed = True
            yield {"event": "hole", "epoch": self.epoch, "track": name, "msn": track.msn}


def shaped(found: Any, required: Json, defaults: Json) -> Json | None:
    """An object with the defaults of what it leaves out; None where a field is missing or of
    another type."""
    if not isinstance(found, dict) or not required.keys() <= found.keys():
        return None
    whole = defaults | found
    for name, example in (required | defaults).items():
        # Exactly: True is no number. Whole numbers serve where fractions do.
        kinds = (int, float) if type(example) is float else (type(example),)
        if type(whole[name]) not in kinds:
            return None
    return whole


def read_header(headers: list[tuple[str, bytes]]) -> Json | None:
    """The `kinolog` header with its defaults; None where there is none that we understand."""
    with suppress(ValueError, KeyError):
        found = json.loads(dict(reversed(headers))["kinolog"])
        header = shaped(found, HEADER, DEFAULTS)
        known = header and header["kind"] in KINDS and header["ends"] in ("", "part", "segment")
        return header if known and header["v"] == 1 else None
    return None


def read_open(value: bytes) -> Json | None:
    """The value of an open record, None where it is not readable."""
    with suppress(ValueError):
        opened = shaped(json.loads(value), OPEN, OPEN_DEFAULTS)
        if not opened or opened["profile"] not in ("frame", "low", "standard"):
            return None
        for track in (shaped(one, TRACK, TRACK_DEFAULTS) for one in opened["tracks"]):
            if not track or track["kind"] not in ("video", "audio") or track["timescale"] < 1:
                return None
            base64.b64decode(track["init"], validate=True)
        return opened if min(opened["target_ms"], opened["part_ms"]) >= 1 else None
    return None


def understood(reader: Stream, header: Json, value: bytes) -> Iterator[Json]:
    """What a record means; nothing where its value is no JSON and should be."""
    with suppress(ValueError):
        yield from reader.feed(header, value)
