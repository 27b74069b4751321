"""Clip: a progressive MP4 of a stretch of a stream: its head in memory, its body in the log."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from kinolog.core.names import StreamName
from kinolog.core.timebase import rescale
from kinolog.delivery.clip.body import Body, Place, Reader
from kinolog.delivery.clip.columns import Columns
from kinolog.delivery.clip.cut import (
    Section,
    TrackCut,
    cut_lead,
    cut_sound,
    lengths,
)
from kinolog.delivery.clip.loader import Loader
from kinolog.media.progressive import Column, Edit, Track, head
from kinolog.record.control import OpenTrack
from kinolog.record.topics import topic

SLICE_BYTES: Final = 256 << 10
"""Of the head, so many bytes are sent at a time."""


@dataclass(frozen=True)
class Clip:
    """A file, byte by byte: `head`, then the samples. `tag`: an entity tag. `begins_ms`: the date
    of the first frame (Unix ms); `seconds`: how long it is."""

    head: bytes
    body: Body
    tag: str
    begins_ms: int
    seconds: float

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return len(self.head) + self.body.size

    @property
    def held_bytes(self) -> int:
        """Roughly what it takes of memory."""
        return len(self.head) + self.body.held_bytes

    async def read(self, reader: Reader, start: int, stop: int) -> AsyncGenerator[bytes, None]:
        """The bytes [start, stop) of the file."""
        begin = len(self.head)
        if start < begin:
            for at in range(start, min(stop, begin), SLICE_BYTES):
                yield self.head[at : min(at + SLICE_BYTES, stop, begin)]
        if stop > begin:
            async for part in self.body.read(reader, max(0, start - begin), stop - begin):
                yield part


@dataclass(frozen=True)
class Loaded:
    """The tracks of a clip, the leading one first, with their columns and what each epoch's are."""

    infos: Sequence[Mapping[int, OpenTrack]]
    columns: Sequence[Columns]
    found: Sequence[Section]


def compose(loader: Loader, stream: StreamName, loaded: Loaded) -> Clip:
    """The file of what was loaded."""
    found = loaded.found
    scales = [{e: info.timescale for e, info in infos.items()} for infos in loaded.infos]
    cuts: list[tuple[int, TrackCut]] = [(0, cut_lead(loaded.columns[0], found, scales[0]))]
    for number in range(1, len(loaded.columns)):
        cut = cut_sound(loaded.columns[number], found, scales[0], scales[number])
        if cut is not None:
            cuts.append((number, cut))
    ordered = sorted(
        (piece.section, piece.starts / cut.timescale, place, index)
        for place, (_, cut) in enumerate(cuts)
        for index, piece in enumerate(cut.pieces)
    )
    body = Body(stream.name)
    places = [np.zeros(len(cut.pieces), np.int64) for _, cut in cuts]
    for _, _, place, index in ordered:
        number, cut = cuts[place]
        columns, piece = loaded.columns[number], cut.pieces[index]
        base, partition = loader.place(columns.epoch[piece.segment])
        places[place][index] = body.size
        body.add(Place(topic(base, "media"), partition), columns, piece)
    scale = cuts[0][1].timescale
    length = lengths(found, scales[0])[-1]
    tracks, sound_enabled = [], False
    for place, (number, cut) in enumerate(cuts):
        infos = loaded.infos[number]
        audio = next(iter(infos.values())).kind == "audio"
        # One sound at a time: players that know no alternatives play all that are enabled.
        enabled = not (audio and sound_enabled)
        sound_enabled = sound_enabled or audio
        columns = loaded.columns[number]
        tracks.append(_track(columns, infos, cut, places[place], (scale, length), enabled))
    begins_ms = _date(loaded.columns[0], found[0], scales[0][found[0].epoch])
    data = head(tracks, scale, body.size, begins_ms // 1000)
    digest = hashlib.blake2b(data, digest_size=12)
    digest.update(body.fingerprint())
    return Clip(data, body, f'"{digest.hexdigest()}"', begins_ms, length / scale)


def _track(
    columns: Columns,
    infos: Mapping[int, OpenTrack],
    cut: TrackCut,
    places: Column,
    movie: tuple[int, int],
    enabled: bool,
) -> Track:
    """`places`: where its pieces begin in the body. `movie`: its timescale and its length."""
    inits: list[bytes] = []
    descriptions = np.zeros(len(cut.pieces), np.int64)
    for index, piece in enumerate(cut.pieces):
        init = infos[columns.epoch[piece.segment]].init
        if init not in inits:
            inits.append(init)
        descriptions[index] = inits.index(init)
    counts = np.array([piece.end - piece.begin for piece in cut.pieces], np.int64)
    sizes = np.frombuffer(columns.size, np.uint32)
    sync = np.frombuffer(columns.sync, np.uint8)
    spans = [(piece.begin, piece.end) for piece in cut.pieces]
    return Track(
        inits=inits,
        timescale=cut.timescale,
        sizes=np.concatenate([sizes[begin:end] for begin, end in spans]),
        durations=cut.durations,
        cts=cut.cts,
        sync=np.concatenate([sync[begin:end] for begin, end in spans]).astype(np.bool_),
        counts=counts,
        descriptions=descriptions,
        places=places,
        edits=_edits(cut, *movie),
        enabled=enabled,
    )


def _edits(cut: TrackCut, scale: int, length: int) -> list[Edit]:
    """What is shown of a track: from the clip's beginning to its end, or to the track's."""
    ends = cut.ends
    if cut.media_time >= 0:
        lasts = rescale(ends - cut.media_time, cut.timescale, scale)
        return [Edit(min(length, lasts), cut.media_time)]
    late = rescale(-cut.media_time, cut.timescale, scale)
    lasts = rescale(ends, cut.timescale, scale)
    return [Edit(late, -1), Edit(max(1, min(length - late, lasts)), 0)]


def _date(lead: Columns, section: Section, timescale: int) -> int:
    """When what a clip shows first was captured, Unix ms."""
    for segment in range(section.first, section.stop):
        begin, end = lead.samples(segment)
        if begin <= section.begin < end or segment == section.stop - 1:
            dts = lead.decode_times(segment, segment + 1)
            least = int((dts + np.array(lead.cts[begin:end], np.int64)).min())
            return lead.wall[segment] + (section.shown - least) * 1000 // timescale
    raise AssertionError("a section has segments")
