"""The multivariant playlist: the renditions of a stream, from its session and its window."""

from __future__ import annotations

from collections.abc import Sequence

from kinolog.delivery.hls.playlist import independent
from kinolog.record.control import OpenTrack
from kinolog.timeline.live import LiveStream

_GROUP = "audio"


def multivariant(live: LiveStream, *, complete: bool = True) -> bytes | None:
    """The playlist at `index.m3u8`; None while there is nothing yet to say.

    None too, with `complete`, while the first part of a track of the session is waited for;
    without `complete` such a track is left out, as one that is silent always is. BANDWIDTH is the
    peak of the segments in the window.
    """
    if live.open is None:
        return None
    rates: dict[str, tuple[int, int]] = {}
    for info in live.open.tracks:
        track = live.tracks[info.name]
        found = track.bit_rates()
        if found is not None:
            rates[info.name] = found
        elif complete and not track.silent:
            return None
    tracks = [info for info in live.open.tracks if info.name in rates]
    if not tracks:
        return None
    return _render(live, tracks, rates).encode()


def _render(
    live: LiveStream, tracks: Sequence[OpenTrack], rates: dict[str, tuple[int, int]]
) -> str:
    video = [info for info in tracks if info.kind == "video"]
    audio = [info for info in tracks if info.kind == "audio"]
    lines = ["#EXTM3U", "#EXT-X-VERSION:9"]
    versions = [live.tracks[info.name].version for info in tracks]
    if all(version is not None and independent(version) for version in versions):
        lines.append("#EXT-X-INDEPENDENT-SEGMENTS")
    grouped = bool(video and audio) or len(audio) > 1
    if grouped:
        lines += _media(audio)
    audio_peak = max([rates[info.name][0] for info in audio], default=0)
    audio_average = max([rates[info.name][1] for info in audio], default=0)
    audio_codecs = list(dict.fromkeys(info.codec for info in audio))
    for info in video or audio[:1]:
        peak, average = rates[info.name]
        codecs = [info.codec, *audio_codecs] if info.kind == "video" else audio_codecs
        attributes = [
            f"BANDWIDTH={peak + audio_peak if video else audio_peak}",
            f"AVERAGE-BANDWIDTH={average + audio_average if video else audio_average}",
            f'CODECS="{",".join(codecs)}"',
        ]
        if info.width and info.height:
            attributes.append(f"RESOLUTION={info.width}x{info.height}")
        if info.frame_rate > 0:
            attributes.append(f"FRAME-RATE={info.frame_rate:.3f}")
        if grouped:
            attributes.append(f'AUDIO="{_GROUP}"')
        lines += [f"#EXT-X-STREAM-INF:{','.join(attributes)}", f"{info.name}.m3u8"]
    return "\n".join(lines) + "\n"


def _media(audio: Sequence[OpenTrack]) -> list[str]:
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
        attributes.append(f'URI="{info.name}.m3u8"')
        lines.append(f"#EXT-X-MEDIA:{','.join(attributes)}")
    return lines
