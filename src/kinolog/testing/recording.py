"""A source's events as a file that any player opens."""

from __future__ import annotations

import io
from collections.abc import Iterable
from itertools import pairwise

import av

from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.cmaf import Sample, chunk
from kinolog.media.init import init_segment
from kinolog.media.types import Packet, TrackFormat

_LEAD_SECONDS = 1  # added to all times: a track may begin before zero


def record(events: Iterable[SourceEvent]) -> bytes:
    """The events' tracks, each of one format, as a Matroska file; times begin 1 s late.

    Raises ValueError for a track whose format changes.
    """
    formats: dict[int, TrackFormat] = {}
    packets: dict[int, list[Packet]] = {}
    for event in events:
        if isinstance(event, Format):
            if formats.setdefault(event.track, event.format) != event.format:
                raise ValueError(f"the format of track {event.track} changes")
        elif isinstance(event, Packet):
            packets.setdefault(event.track, []).append(event)
    return _joined([_track(formats[track], packets[track]) for track in sorted(packets)])


def _track(format: TrackFormat, packets: list[Packet]) -> bytes:
    """One track as fragmented MP4."""
    ends = [later.dts - packet.dts for packet, later in pairwise(packets)]
    ends.append(packets[-1].duration or (ends[-1] if ends else 1))
    samples = [
        Sample(packet.data, duration, packet.pts - packet.dts, packet.keyframe)
        for packet, duration in zip(packets, ends, strict=True)
    ]
    start = packets[0].dts + _LEAD_SECONDS * format.timescale
    return init_segment(format).data + chunk(1, start, samples)


def _joined(tracks: list[bytes]) -> bytes:
    """Several one-track files as one."""
    out = io.BytesIO()
    with av.open(out, "w", format="matroska") as target:
        opened = [av.open(io.BytesIO(track), "r") for track in tracks]
        try:
            # opaque: FFmpeg's AV1 decoder has no encoder of its name to make a stream by
            streams = [
                target.add_stream_from_template(track.streams[0], opaque=True) for track in opened
            ]
            found = [
                (packet, stream)
                for track, stream in zip(opened, streams, strict=True)
                for packet in track.demux()
                if packet.dts is not None
            ]
            found.sort(key=lambda pair: (pair[0].dts or 0) * (pair[0].time_base or 0))
            for packet, stream in found:
                packet.stream = stream
                target.mux(packet)
        finally:
            for track in opened:
                track.close()
    return out.getvalue()
