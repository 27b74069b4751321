"""The multivariant playlist: the renditions of a stream, from its session and its window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from kinolog.delivery.hls.playlist import independent
from kinolog.record.control import OpenTrack
from kinolog.timeline.live import LiveStream

_GROUP = "audio"


class Rendition(NamedTuple):
    """A track as it is listed. `peak`, `average`: bits per second; `codecs`: all that it has."""

    info: OpenTrack
    peak: int
    average: int
    codecs: tuple[str, ...]


def multivariant(live: LiveStream, *, complete: bool = True, query: str = "") -> bytes | None:
    """The playlist at `index.m3u8`; None while there is nothing yet to say.

    None too, with `complete`, while the first part of a track of the session is waited for;
    without `complete` such a track is left out, as one that is silent always is. BANDWIDTH is the
    peak of the segments in the window. `query`: of the URIs of the media playlists.
    """
    if live.open is None:
        return None
    listed: list[Rendition] = []
    for info in live.open.tracks:
        track = live.tracks[info.name]
        found = track.bit_rates()
        if found is not None:
            listed.append(Rendition(info, *found, (info.codec,)))
        elif complete and not track.silent:
            return None
    if not listed:
        return None
    versions = [live.tracks[one.info.name].version for one in listed]
    decodable = all(version is not None and independent(version) for version in versions)
    return render(listed, decodable, query).encode()


def render(listed: Sequence[Rendition], decodable: bool, query: str = "") -> str:
    """The playlist of some tracks. `decodable`: each segment of each can be decoded by itself."""
    video = [one for one in listed if one.info.kind == "video"]
    audio = [one for one in listed if one.info.kind == "audio"]
    suffix = f"?{query}" if query else ""
    lines = ["#EXTM3U", "#EXT-X-VERSION:9"]
    if decodable:
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    grouped = bool(video and audio) or len(audio) > 1
    if grouped:
        lines += _media([one.info for one in audio], suffix)
    audio_peak = max([one.peak for one in audio], default=0)
    audio_average = max([one.average for one in audio], default=0)
    audio_codecs = list(dict.fromkeys(codec for one in audio for codec in one.codecs))
    for one in video or audio[:1]:
        info = one.info
        codecs = [*one.codecs, *audio_codecs] if info.kind == "video" else audio_codecs
        attributes = [
            f"BANDWIDTH={one.peak + audio_peak if video else audio_peak}",
            f"AVERAGE-BANDWIDTH={one.average + audio_average if video else audio_average}",
            f'CODECS="{",".join(codecs)}"',
        ]
        if info.width and info.height:
            attributes.append(f"RESOLUTION={info.width}x{info.height}")
        if info.frame_rate > 0:
            attributes.append(f"FRAME-RATE={info.frame_rate:.3f}")
        if grouped:
            attributes.append(f'AUDIO="{_GROUP}"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{info.name}.m3u8{suffix}"]
    return "\n".join(lines) + "\n"


def _media(audio: Sequence[OpenTrack], suffix: str) -> list[str]:
    """EXT-X-MEDIA of each audio track; the first is the default. Names are unique in the group."""
    lines = []
    seen: set[str] = set()
    for index, info in enumerate(audio):
        known = info.language not in ("", "und")
        name = info.language if known and info.language not in seen else info.name
        seen.add(name)
        attributes = [f'TYPE=AUDIO,GROUP-ID="{_GROUP}",NAME="{name}"']
        if known:
            attributes.append(f'LANGUAGE="{info.language}"')
        attributes.append(f"DEFAULT={'NO' if index else 'YES'},AUTOSELECT=YES")
        if info.channels:
            attributes.append(f'CHANNELS="{info.channels}"')
        attributes.append(f'URI="{info.name}.m3u8{suffix}"')
        lines.append(f"#EXT-X-MEDIA:{','.join(attributes)}")
    return lines
