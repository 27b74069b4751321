"""`--encode`: any source's video decoded and encoded again, its audio left as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av

from kinolog.core.errors import MediaError
from kinolog.core.timebase import rescale
from kinolog.ingest.encode_video import VideoEncoder, VideoTarget
from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.types import Codec, Packet, TrackFormat

_DECODERS: dict[Codec, str] = {"h264": "h264", "hevc": "hevc", "vp9": "vp9", "av1": "libdav1d"}
_USUAL_RATE = Fraction(30)  # where the source does not tell
MAX_DAMAGED = 300
"""Packets in a row that do not decode, before the source is given up."""


class Encoder:
    """Takes a source's events and gives them back with the video encoded to `target`.

    Each video track has a decoder and an encoder of its own. A new format gets a new decoder; the
    encoder stays unless the picture's size or the course of time changes, then a new Format
    is given out. Times are the pictures', in the timescale of the track's first format. The
    Format comes with the first picture, for only then is the size certain.
    """

    def __init__(self, target: VideoTarget) -> None:
        self._target = target
        self._tracks: dict[int, _Transcoded] = {}

    @property
    def damaged(self) -> int:
        """Packets that did not decode."""
        return sum(track.damaged for track in self._tracks.values())

    def feed(self, events: Sequence[SourceEvent]) -> list[SourceEvent]:
        """What `events` became so far. CPU-bound: call it in a thread (see `encoded`).

        Raises MediaError for video that cannot be decoded or encoded at all.
        """
        out: list[SourceEvent] = []
        for event in events:
            if isinstance(event, Format) and event.format.kind == "video":
                track = self._tracks.get(event.track)
                if track is None:
                    self._tracks[event.track] = _Transcoded(self._target, event)
                else:
                    out += track.change(event.format)
            elif isinstance(event, Packet) and event.track in self._tracks:
                out += self._tracks[event.track].feed(event)
            else:
                out.append(event)
        return out

    def flush(self) -> list[SourceEvent]:
        """The last packets. The encoder cannot be fed afterwards."""
        return [event for track in self._tracks.values() for event in track.flush()]


class _Transcoded:
    """One video track on its way through a decoder and an encoder."""

    def __init__(self, target: VideoTarget, first: Format) -> None:
        self._track = first.track
        self._source = first.format
        self._decoder = _decoder(first.format)
        self._pictures = PictureEncoder(
            target,
            first.track,
            first.format.timescale,
            frame_rate=first.format.frame_rate,
            language=first.format.language,
        )
        self._damaged_in_a_row = 0
        self.damaged = 0

    def change(self, source: TrackFormat) -> list[SourceEvent]:
        """A new format of the source: what the old decoder still held."""
        if source == self._source:
            return []
        out = self._drain()
        self._source = source
        self._pictures.frame_rate = source.frame_rate
        self._decoder = _decoder(source)
        return out

    def feed(self, packet: Packet) -> list[SourceEvent]:
        """The events that one packet of the source leads to."""
        coded = av.Packet(packet.data)
        coded.pts, coded.dts = packet.pts, packet.dts
        coded.duration = packet.duration or 0
        coded.time_base = Fraction(1, self._source.timescale)
        try:
            frames = self._decoder.decode(coded)
        except av.FFmpegError as error:
            self.damaged += 1
            self._damaged_in_a_row += 1
            if self._damaged_in_a_row > MAX_DAMAGED:
                raise MediaError(
                    f"the {self._source.codec} video of track {self._track} does not decode: "
                    f"{error.strerror}"
                ) from error
            return []
        self._damaged_in_a_row = 0
        return [event for frame in frames for event in self._encode(frame)]

    def flush(self) -> list[SourceEvent]:
        """The last packets of decoder and encoder."""
        return self._drain() + self._pictures.flush()

    def _drain(self) -> list[SourceEvent]:
        try:
            frames = self._decoder.decode(None)
        except av.FFmpegError:
            frames = []
        return [event for frame in frames for event in self._encode(frame)]

    def _encode(self, frame: av.VideoFrame) -> list[SourceEvent]:
        timescale = self._source.timescale
        return self._pictures.encode(frame, frame.pts or 0, frame.duration or 0, timescale)


class PictureEncoder:
    """Pictures of any size and format to one track; times in ticks of `timescale`."""

    def __init__(
        self,
        target: VideoTarget,
        track: int,
        timescale: int,
        *,
        frame_rate: Fraction | None,
        language: str = "und",
    ) -> None:
        self.frame_rate = frame_rate
        self._target = target
        self._track = track
        self._timescale = timescale
        self._language = language
        self._encoder: VideoEncoder | None = None
        self._last_pts: int | None = None

    def encode(
        self, frame: av.VideoFrame, pts: int, duration: int, timescale: int
    ) -> list[SourceEvent]:
        """What comes out when a picture goes in, a Format before the first packet of each.
        `pts` and `duration` (0: unknown) are ticks of the `timescale` given here."""
        pts = rescale(pts, timescale, self._timescale)
        duration = rescale(duration, timescale, self._timescale)
        picture = _plain(frame)
        out: list[SourceEvent] = []
        if self._must_open(picture, pts):
            if self._encoder is not None:
                out += self._encoder.flush()
            self._encoder = self._open(picture)
            out.append(Format(self._track, self._encoder.format))
        elif self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        assert self._encoder is not None
        out += self._encoder.encode(picture, pts, duration or None)
        return out

    def flush(self) -> list[SourceEvent]:
        """The last packets; what is encoded after that begins anew."""
        encoder, self._encoder = self._encoder, None
        return [*encoder.flush()] if encoder is not None else []

    def _must_open(self, picture: av.VideoFrame, pts: int) -> bool:
        """At first, for another size, and when time goes back by over a second."""
        if self._encoder is None or self._last_pts is None:
            return True
        format = self._encoder.format
        resized = (picture.width, picture.height) != (format.width, format.height)
        return resized or self._last_pts - pts > self._timescale

    def _open(self, picture: av.VideoFrame) -> VideoEncoder:
        return VideoEncoder(
            self._target,
            track=self._track,
            width=picture.width,
            height=picture.height,
            frame_rate=self.frame_rate or _USUAL_RATE,
            timescale=self._timescale,
            language=self._language,
            colour=(
                int(picture.colorspace),
                int(picture.color_primaries),
                int(picture.color_trc),
            ),
        )


def _decoder(source: TrackFormat) -> av.VideoCodecContext:
    context = av.CodecContext.create(_DECODERS[source.codec], "r")
    assert isinstance(context, av.VideoCodecContext)
    if source.extradata and source.codec != "vp9":
        context.extradata = source.extradata
    context.thread_count = 1
    return context


def _plain(frame: av.VideoFrame) -> av.VideoFrame:
    """The picture as 8-bit 4:2:0 of limited range, with even sides."""
    width, height = frame.width & ~1, frame.height & ~1
    if frame.format.name == "yuv420p" and (width, height) == (frame.width, frame.height):
        return frame
    # RGB (screens, some webcams) needs a matrix: its own, "identity", is not one for 4:2:0.
    matrix = "ITU709" if frame.format.is_rgb else None
    return frame.reformat(width, height, "yuv420p", dst_color_range="MPEG", dst_colorspace=matrix)


async def encoded(
    source: AsyncIterator[Sequence[SourceEvent]], encoder: Encoder
) -> AsyncGenerator[list[SourceEvent], None]:
    """`source` through `encoder`, in a thread of its own, one batch at a time.

    Nothing is queued: the source is asked for more when the last batch has been taken. Close
    the generator (`contextlib.aclosing`) to be rid of the thread at once.
    """
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1, thread_name_prefix="kinolog-encode") as thread:
        async for events in source:
            if out := await loop.run_in_executor(thread, encoder.feed, events):
                yield out
        if out := await loop.run_in_executor(thread, encoder.flush):
            yield out
