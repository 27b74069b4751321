"""Open value: what an epoch's open record says of its tracks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from fractions import Fraction

from kinolog.ingest.services import Request, Services
from kinolog.media.init import init_segment
from kinolog.media.types import TrackFormat
from kinolog.packager.settings import CutSettings
from kinolog.record.control import Open, OpenTrack


def track_names(formats: Sequence[TrackFormat]) -> list[str]:
    """`video`, `audio`, and `video-2`, `audio-2` … for further tracks of a kind."""
    seen: dict[str, int] = {}
    names = []
    for one in formats:
        seen[one.kind] = seen.get(one.kind, 0) + 1
        names.append(one.kind if seen[one.kind] == 1 else f"{one.kind}-{seen[one.kind]}")
    return names


def video_frames(formats: Sequence[TrackFormat]) -> list[Fraction]:
    """Seconds of a frame of the leading video track, where its rate is known."""
    rates = [f.frame_rate for f in formats if f.kind == "video"][:1]
    return [1 / rate for rate in rates if rate]


def audio_frames(formats: Sequence[TrackFormat]) -> list[Fraction]:
    """Seconds of a frame of each AAC track."""
    return [Fraction(1024, f.sample_rate) for f in formats if f.codec == "aac" and f.sample_rate]


async def open_value(
    services: Services,
    request: Request,
    session_id: str,
    formats: Sequence[TrackFormat],
    cut: CutSettings,
    silence: TrackFormat | None = None,
) -> Open:
    """The value of an epoch's open record for these tracks. `silence`: which is the silent one."""
    inits = [await asyncio.to_thread(init_segment, one) for one in formats]
    tracks = [
        OpenTrack(
            name=name,
            kind=fmt.kind,
            codec=init.codec,
            timescale=init.timescale,
            init=init.data,
            width=init.width,
            height=init.height,
            frame_rate=round(float(fmt.frame_rate), 3) if fmt.frame_rate else 0.0,
            sample_rate=init.sample_rate,
            channels=init.channels,
            language=fmt.language,
            silence=fmt is silence,
        )
        for name, fmt, init in zip(track_names(formats), formats, inits, strict=True)
    ]
    return Open(
        session=session_id,
        publisher=request.publisher,
        software=services.software,
        target_ms=cut.target_ms,
        part_ms=cut.part_ms,
        tracks=tracks,
        parts=cut.parts,
        profile=cut.profile,
        end_grace_ms=services.end_grace_ms,
    )
