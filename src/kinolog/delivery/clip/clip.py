"""Clip: a progressive MP4 of a stretch of a stream: its tables in a spool, its body in the log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kinolog.core.timebase import rescale
from kinolog.delivery.clip.body import Body, Place, Reader
from kinolog.delivery.clip.changes import Change, changes, refuse_codecs
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.lay import At, Piece, TrackLayer
from kinolog.delivery.clip.spool import Spool
from kinolog.media.progressive import Edit, Head, Track, head
from kinolog.media.sample_tables import SampleTables
from kinolog.record.control import OpenTrack

SLICE_BYTES: Final = 256 << 10
"""Of the head, so many bytes are sent at a time."""


class ClipTrack(NamedTuple):
    """A track of a clip, what it is, and what of its composition time is shown at the beginning;
    `heard` is False for one of which nothing is."""

    track: Track
    info: OpenTrack
    media_time: int
    heard: bool


@dataclass(frozen=True)
class Clip:
    """A file, byte by byte: `head`, then the samples. `tag`: an entity tag. `begins_ms`: the date
    of the first frame (Unix ms); `length`: how long it is, in ticks of `timescale`. `tracks`: by
    the numbers that they have in the body. `changes`: where a track has other parameters from then
    on, which not every player goes on at."""

    head: Head
    tracks: Mapping[int, ClipTrack]
    body: Body
    tag: str
    begins_ms: int
    length: int
    timescale: int
    changes: Sequence[Change] = ()

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.length / self.timescale

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return self.head.size + self.body.size

    @property
    def held_bytes(self) -> int:
        """Roughly what it takes of memory."""
        return len(self.head.fixed) + self.body.spool.held_bytes

    @property
    def stored_bytes(self) -> int:
        """What it takes of the disk."""
        return self.body.spool.stored_bytes

    async def read(self, reader: Reader, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of the file."""
        begin = self.head.size
        if start < begin:
            for at in range(start, min(stop, begin), SLICE_BYTES):
                yield self.head.read(at, min(at + SLICE_BYTES, stop, begin))
        if stop > begin:
            async for part in self.body.read(reader, max(0, start - begin), stop - begin):
                yield part


@dataclass
class _Group:
    """Pieces of a track whose samples follow one another in the columns: laid at a time, which
    takes a tenth of one by one."""

    columns: Columns
    at: At
    pieces: list[Piece] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    descriptions: list[int] = field(default_factory=list)

    def goes_on(self, columns: Columns, piece: Piece, at: At) -> bool:
        return columns is self.columns and at == self.at and piece.begin == self.pieces[-1].end


class Composer:
    """Puts a file together, piece by piece; the leading track is the first."""

    def __init__(self, stream: str, spool: Spool, infos: Sequence[Mapping[int, OpenTrack]]) -> None:
        """`infos`: of each track, what it is in each epoch. `stream`: the name in the log."""
        self._body = Body(stream, spool)
        self._spool = spool
        self._infos = infos
        self._layers: dict[int, TrackLayer] = {}
        self._inits: dict[int, list[bytes]] = {}
        self._groups: dict[int, _Group] = {}
        self._epochs: dict[int, dict[int, None]] = {}  # of each track, in order

    def scale(self, track: int, epoch: int) -> int:
        """A track's timescale in the clip; `epoch`: its first, where it has not begun yet."""
        layer = self._layers.get(track)
        return layer.scale if layer is not None else self._infos[track][epoch].timescale

    def add(self, track: int, columns: Columns, piece: Piece, at: At, place: Place) -> None:
        """The next piece of a track; `place`: of its media. It is in the file's tables when
        settle() has been called, before other columns are used."""
        epoch = columns.epoch[piece.segment]
        inits = self._inits.setdefault(track, [])
        self._epochs.setdefault(track, {})[epoch] = None
        init = self._infos[track][epoch].init
        if init not in inits:
            inits.append(init)
        group = self._groups.get(track)
        if group is None or not group.goes_on(columns, piece, at):
            self._settle(track)
            group = self._groups[track] = _Group(columns, at)
        group.pieces.append(piece)
        group.places.append(self._body.size)
        group.descriptions.append(inits.index(init))
        if track not in self._layers:
            scale = self.scale(track, epoch)
            self._layers[track] = TrackLayer(SampleTables(self._spool), scale)
        self._body.add(place, columns, piece, track, inits.index(init))

    def settle(self) -> None:
        """Put what was added into the tables."""
        for track in list(self._groups):
            self._settle(track)

    def _settle(self, track: int) -> None:
        group = self._groups.pop(track, None)
        if group is not None:
            columns, pieces = group.columns, group.pieces
            self._layers[track].add(columns, pieces, group.at, group.places, group.descriptions)

    def done(self, begins_ms: Mapping[int, int], length: int) -> Clip:
        """The file. `begins_ms`: the date of the first frame of each epoch, in order; `length`: in
        ticks of the first track. InputError where a codec becomes another."""
        self.settle()
        scale = self._layers[0].scale
        found: dict[int, ClipTrack] = {}
        changed: list[Change] = []
        sound_enabled = False
        for number, layer in sorted(self._layers.items()):
            layer.finish()
            info = next(iter(self._infos[number].values()))
            heard = not number or layer.ends > layer.media_time
            # One sound at a time: players that know no alternatives play all that are enabled.
            enabled = heard and not (info.kind == "audio" and sound_enabled)
            sound_enabled = sound_enabled or (heard and info.kind == "audio")
            edits = _edits(layer, scale, length) if heard else [Edit(length, -1)]
            track = Track(
                self._inits[number], layer.scale, layer.tables, edits, enabled, layer.late
            )
            found[number] = ClipTrack(track, info, layer.media_time, heard)
            if heard:
                epochs = {epoch: begins_ms[epoch] for epoch in self._epochs[number]}
                changed += changes(self._infos[number], epochs)
        refuse_codecs(changed)
        first_ms = next(iter(begins_ms.values()))
        data = head([one.track for one in found.values() if one.heard], scale, self._body.size,
                    first_ms // 1000)  # fmt: skip
        digest = hashlib.blake2b(data.fixed, digest_size=12)
        digest.update(self._body.fingerprint())
        tag = f'"{digest.hexdigest()}"'
        return Clip(data, found, self._body, tag, first_ms, length, scale, changed)


def _edits(layer: TrackLayer, scale: int, length: int) -> list[Edit]:
    """What is shown of a track: from the clip's beginning to its end, or to the track's."""
    media_time, ends = layer.media_time, layer.ends
    if media_time >= 0:
        lasts = rescale(ends - media_time, layer.scale, scale)
        return [Edit(min(length, lasts), media_time)]
    late = rescale(-media_time, layer.scale, scale)
    lasts = rescale(ends, layer.scale, scale)
    return [Edit(late, -1), Edit(max(1, min(length - late, lasts)), 0)]
