"""TS: a clip as an MPEG transport stream, its samples remuxed piece by piece.

A transport stream has no edit list: it begins with the keyframe at or before the clip's beginning,
`preroll_s` earlier, and players show what is between. It ends as clip.mp4 does.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from fractions import Fraction
from typing import Any, Final, cast

import av
from av.error import FFmpegError

from kinolog.core.errors import InputError, MediaError
from kinolog.delivery.clip.body import Part, Reader
from kinolog.delivery.clip.clip import Clip, ClipTrack
from kinolog.media.decoder_config import video_config
from kinolog.media.h264 import parse_avcc
from kinolog.media.hevc import parse_hvcc
from kinolog.media.nal import split_lengths

_CARRIED: Final = ("avc1", "hvc1", "mp4a", "opus")
_START: Final = b"\0\0\0\1"


class TsClip:
    """The file of a clip. InputError where a transport stream cannot carry it."""

    def __init__(self, clip: Clip) -> None:
        self.clip = clip
        self.tag = f'W/"t{clip.tag[1:]}'
        for one in clip.tracks.values():
            if one.heard:
                _check(one)
        # Composition times as far back as the track that is decoded first.
        self.preroll_s = max(
            Fraction(one.media_time, one.track.timescale)
            for one in clip.tracks.values()
            if one.heard
        )

    async def read(self, reader: Reader) -> AsyncGenerator[bytes, None]:
        """All bytes of the file."""
        body = self.clip.body
        muxer = await asyncio.to_thread(_Muxer, self.clip.tracks, self.preroll_s)
        number = 0
        try:
            async with aclosing(body.pieces(reader, 0, body.size)) as pieces:
                async for data in pieces:
                    made = await asyncio.to_thread(muxer.add, body.part(number), data)
                    number += 1
                    if made:
                        yield made
            yield await asyncio.to_thread(muxer.finish)
        finally:
            muxer.close()


def _check(one: ClipTrack) -> None:
    codec = one.info.codec.partition(".")[0].lower()
    if codec not in _CARRIED:
        raise InputError(
            f"a transport stream cannot carry {one.info.codec} ({one.info.name})",
            hint="ask for clip.mp4 or clip.m4s",
        )
    if one.info.kind == "audio" and len(one.track.inits) > 1:
        raise InputError(
            f"the sound {one.info.name} changes its parameters in this range, which a transport "
            "stream cannot tell",
            hint="ask for clip.mp4, or for a part of the range",
        )


class _Sink(io.RawIOBase):
    """Keeps what is written until it is taken."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._held += data
        return len(data)

    def take(self) -> bytes:
        found = bytes(self._held)
        self._held.clear()
        return found


class _Muxer:
    """Packets in, a transport stream out."""

    def __init__(self, tracks: Mapping[int, ClipTrack], preroll_s: Fraction) -> None:
        self._tracks = tracks
        self._sink = _Sink()
        self._out = av.open(cast(Any, self._sink), "w", format="mpegts")
        self._streams: dict[int, Any] = {}
        self._sets: dict[int, list[bytes]] = {}
        self._shifts: dict[int, int] = {}
        for number, one in tracks.items():
            if not one.heard:
                continue
            scale = one.track.timescale
            self._shifts[number] = int((preroll_s - Fraction(one.media_time, scale)) * scale)
            if one.info.kind == "video":
                self._sets[number] = [_parameter_sets(init) for init in one.track.inits]
            with av.open(io.BytesIO(one.track.inits[0])) as template:
                stream = self._out.add_stream_from_template(template.streams[0], opaque=True)
            if one.info.language != "und":
                stream.metadata["language"] = one.info.language
            self._streams[number] = stream

    def add(self, part: Part, data: bytes) -> bytes:
        """The next piece; what has become of those so far. MediaError where it cannot be muxed."""
        stream = self._streams.get(part.track)
        if stream is None:
            return b""
        track = self._tracks[part.track].track
        samples = track.tables.some(part.first, part.stop)
        video = self._sets.get(part.track)
        dts, at = samples.dts + self._shifts[part.track], 0
        try:
            for size, duration, offset, sync in zip(
                samples.sizes.tolist(),
                samples.durations.tolist(),
                samples.offsets.tolist(),
                samples.sync.tolist(),
                strict=True,
            ):
                sample = data[at : at + size]
                if video:
                    sets = video[part.description] if sync else b""
                    sample = sets + _START + _START.join(split_lengths(sample))
                packet = av.Packet(sample)
                packet.stream = stream
                packet.time_base = Fraction(1, track.timescale)
                packet.dts, packet.pts = dts, dts + offset + track.later
                packet.duration = duration
                packet.is_keyframe = sync
                self._out.mux(packet)
                at += size
                dts += duration
        except FFmpegError as error:
            raise MediaError(f"the clip cannot be made a transport stream: {error}") from error
        return self._sink.take()

    def finish(self) -> bytes:
        """The end of the stream."""
        self._out.close()
        return self._sink.take()

    def close(self) -> None:
        """Let go of it, at its end or before."""
        self._out.close()


def _parameter_sets(init: bytes) -> bytes:
    """The parameter sets of a track of H.264 or HEVC, as they stand before a keyframe."""
    codec, extradata = video_config(init)
    config = parse_avcc(extradata) if codec == "h264" else parse_hvcc(extradata)
    units = [unit for sets in config[1:] for unit in sets]
    return b"".join(_START + unit for unit in units)
