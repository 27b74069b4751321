"""Made-up logs: the records of a stream's sessions, for tests that need no camera and no Kafka.

    items = session(epoch=1000, disc=0, first_msn=0, seconds=8.0)
    records = as_records(items)

Chunks are real CMAF, but what is in their samples is noise that depends on track and DTS alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from kinolog.media.cmaf import Sample, chunk
from kinolog.record.control import Close, Gap, Open, OpenTrack, encode_value
from kinolog.record.header import VERSION, Ends, Header
from kinolog.record.log_record import LogRecord
from kinolog.record.pieces import split

START_MS = 1_700_000_000_000


class Item(NamedTuple):
    """A record before it has an offset."""

    header: Header
    value: bytes


@dataclass(frozen=True, slots=True)
class ScriptTrack:
    """A track of a made-up session: frames of `frame_ticks`, a keyframe every `gop_frames`."""

    info: OpenTrack
    frame_ticks: int
    part_frames: int
    segment_frames: int
    gop_frames: int
    frame_bytes: int = 40


VIDEO = ScriptTrack(
    OpenTrack(
        name="v0", kind="video", codec="avc1.64001f", timescale=90_000, init=b"init v0",
        width=1280, height=720, frame_rate=25.0,
    ),
    frame_ticks=3600, part_frames=5, segment_frames=50, gop_frames=50, frame_bytes=120,
)  # fmt: skip
AUDIO = ScriptTrack(
    OpenTrack(
        name="a0", kind="audio", codec="mp4a.40.2", timescale=48_000, init=b"init a0",
        sample_rate=48_000, channels=2, language="eng",
    ),
    frame_ticks=1024, part_frames=9, segment_frames=94, gop_frames=1,
)  # fmt: skip


def open_item(
    epoch: int,
    tracks: Sequence[ScriptTrack] = (VIDEO, AUDIO),
    *,
    parts: bool = True,
    session: str = "",
) -> Item:
    """An open record."""
    value = Open(
        session=session or f"s{epoch}",
        publisher="script",
        software="kinolog test",
        target_ms=2000,
        part_ms=200,
        tracks=[track.info for track in tracks],
        parts=parts,
    )
    return Item(Header(VERSION, "open", epoch), encode_value(value))


def close_item(epoch: int, reason: str = "") -> Item:
    """A close record."""
    return Item(Header(VERSION, "close", epoch), encode_value(Close(reason)))


def end_item(epoch: int) -> Item:
    """An end record."""
    return Item(Header(VERSION, "end", epoch), b"{}")


def fence_item(epoch: int) -> Item:
    """A fence record."""
    return Item(Header(VERSION, "fence", epoch), b"")


def gap_item(epoch: int, gap: Gap) -> Item:
    """A gap record."""
    return Item(Header(VERSION, "gap", epoch), encode_value(gap))


def session(
    *,
    epoch: int,
    disc: int = 0,
    first_msn: int = 0,
    seconds: float = 8.0,
    start_ms: int = START_MS,
    tracks: Sequence[ScriptTrack] = (VIDEO, AUDIO),
    chunk_frames: int = 0,
    ends: bool = True,
    parts: bool = True,
) -> list[Item]:
    """An open record and `seconds` of chunks of its tracks, by time; the last part is unfinished.

    `chunk_frames`: frames a chunk (0: a part a chunk). `ends` False: no chunk is marked as a last
    one, as when nobody knows it in time (profile `frame`).
    """
    timed: list[tuple[float, int, Item]] = []
    for order, track in enumerate(tracks):
        size = chunk_frames or track.part_frames
        made = _chunks(
            track,
            epoch=epoch,
            disc=disc,
            first_msn=first_msn,
            seconds=seconds,
            start_ms=start_ms,
            chunk_frames=size,
            ends=ends,
            parts=parts,
        )
        for item in made:
            end = (item.header.dts + item.header.dur) / track.info.timescale
            timed.append((end, order, item))
    timed.sort(key=lambda entry: entry[:2])
    return [open_item(epoch, tracks, parts=parts), *(item for _, _, item in timed)]


def split_item(item: Item, piece_bytes: int) -> list[Item]:
    """A chunk in pieces."""
    return [Item(h, bytes(v)) for h, v in split(item.header, item.value, piece_bytes)]


def as_records(
    items: Iterable[Item], first_offset: int = 0, key: str = "camera"
) -> list[LogRecord]:
    """The items at successive log offsets."""
    return [
        LogRecord(first_offset + i, item.header.wall, key, item.header, item.value)
        for i, item in enumerate(items)
    ]


def with_track(track: ScriptTrack, **changes: str | int | float) -> ScriptTrack:
    """The track with other properties in its open record."""
    return replace(track, info=msgspec.structs.replace(track.info, **changes))


def _chunks(
    track: ScriptTrack,
    *,
    epoch: int,
    disc: int,
    first_msn: int,
    seconds: float,
    start_ms: int,
    chunk_frames: int,
    ends: bool,
    parts: bool,
) -> list[Item]:
    timescale = track.info.timescale
    start = start_ms * timescale // 1000
    items: list[Item] = []
    total = int(seconds * timescale) // track.frame_ticks
    frame = 0
    msn, number = first_msn, 0
    while frame < total:
        in_segment = frame % track.segment_frames
        if not in_segment and frame:
            msn, number = msn + 1, 0
        part, in_part = divmod(in_segment, track.part_frames)
        count = min(chunk_frames, track.part_frames - in_part, track.segment_frames - in_segment)
        if frame + count > total:
            break
        dts = start + frame * track.frame_ticks
        mark: Ends = ""
        if in_segment + count == track.segment_frames:
            mark = "segment"
        elif in_part + count == track.part_frames and parts:
            mark = "part"
        samples = [_sample(track, frame + i, dts + i * track.frame_ticks) for i in range(count)]
        header = Header(
            VERSION, "chunk", epoch, track=track.info.name, disc=disc, msn=msn,
            part=part if parts else 0, chunk=number, dts=dts, dur=count * track.frame_ticks,
            ind=samples[0].sync, ends=mark if ends else "",
            wall=start_ms + frame * track.frame_ticks * 1000 // timescale,
        )  # fmt: skip
        items.append(Item(header, chunk(len(items) + 1, dts, samples)))
        frame += count
        number += 1
    return items


def _sample(track: ScriptTrack, frame: int, dts: int) -> Sample:
    sync = frame % track.gop_frames == 0
    noise = hashlib.shake_128(f"{track.info.name} {dts}".encode())
    size = track.frame_bytes * (4 if sync and track.gop_frames > 1 else 1)
    return Sample(noise.digest(size), track.frame_ticks, 0, sync)
