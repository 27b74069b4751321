"""Anything FFmpeg opens, as events of ingest/source.py.

    async with aclosing(demux(source, format=..., options=...)) as batches:
        async for events in batches:            # list[SourceEvent], never empty
            await publication.feed(events)

`source` is a URL, path or device for FFmpeg, or a PushedBytes (demux_pushed.py) for a body that
somebody sends: MPEG-TS, Matroska/WebM, fragmented MP4 or FLV. Expect, Skipped and the formats
that the container tells come first; then packets in the container's order. Time stamps may be
negative (audio priming). Neither paces nor loops.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial

import av
from av.container import InputContainer
from av.stream import Discard, Stream

from kinolog.core.errors import MediaError, UnsupportedCodec
from kinolog.ingest.demux_errors import no_media, redacted, translated
from kinolog.ingest.demux_handover import Handover, Stopped
from kinolog.ingest.demux_pushed import PushedBytes
from kinolog.ingest.demux_track import Track, codec_name, is_picture, open_track
from kinolog.ingest.encode_video import VideoTarget
from kinolog.ingest.source import Expect, Format, Skipped, SourceEvent

__all__ = ["PushedBytes", "demux"]

TIMEOUT_S = 10.0
_JOIN_S = 1.0
# Measured: a pushed MPEG-TS opens in 69 ms rather than 734 ms.
_PUSHED_OPTIONS = {
    "probesize": "200000",
    "analyzeduration": "300000",
    "fpsprobesize": "0",
    "max_streams": "32",
    # What strangers send must not make FFmpeg open files or URLs: no playlists, no references.
    "format_whitelist": "mpegts,mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,flv",
    "protocol_whitelist": "",
}
# Demuxers of text art, which by a name's ending or a size take any bytes for pictures.
_TEXT_ART = frozenset({"bin", "xbin", "adf", "idf", "tty"})
_RTSP_OPTIONS = {"rtsp_transport": "tcp"}
# Playlists list the same programme in several qualities: the best is taken.
_LADDERS = frozenset({"hls", "dash", "applehttp"})


async def demux(
    source: str | PushedBytes,
    *,
    format: str | None = None,
    options: Mapping[str, str] | None = None,
    encode: VideoTarget | None = None,
    transcode_audio: bool = True,
    timeout_s: float = TIMEOUT_S,
) -> AsyncGenerator[list[SourceEvent], None]:
    """Batches of events of `source` until it ends.

    `format`: FFmpeg's name of the demuxer, where it cannot tell by itself (`v4l2`, `mpegts`).
    `options`: FFmpeg's own, before ours. `encode`: what all video is encoded to.
    `transcode_audio`: whether sound that kinolog does not carry is made AAC, or skipped.
    `timeout_s`: how long opening a URL, and each read from it, may take. Closing the generator
    ends the reading thread: at once for pushed bytes, else at its next packet or when `timeout_s`
    is over.

    Raises MediaError (UnsupportedCodec when no track can be carried) for what cannot be used,
    Unavailable for a source that does not answer, and what a PushedBytes was aborted with.
    """
    handover = Handover()
    opener = partial(open_track, encode=encode, transcode_audio=transcode_audio)
    reader = _Reader(source, format, dict(options or {}), opener, timeout_s, handover)
    thread = threading.Thread(target=reader.run, name="kinolog-demux", daemon=True)
    thread.start()
    try:
        while events := await handover.get():
            yield events
    finally:
        handover.stop()
        if isinstance(source, PushedBytes):
            source.close()
        await _join(thread)


async def _join(thread: threading.Thread) -> None:
    """Give the thread a moment: it owns the container and closes it, late if a read is stuck."""
    if thread.is_alive():
        await asyncio.shield(asyncio.to_thread(thread.join, _JOIN_S))


class _Reader:
    """The blocking side: one container, opened, read and closed in one thread."""

    def __init__(
        self,
        source: str | PushedBytes,
        format: str | None,
        options: dict[str, str],
        open_track: Callable[[Stream, str], Track | None],
        timeout_s: float,
        handover: Handover,
    ) -> None:
        self._source = source
        self._format = format
        self._options = options
        self._open_track = open_track
        self._timeout_s = timeout_s
        self._handover = handover
        self._name = "what was sent" if isinstance(source, PushedBytes) else redacted(source)
        self._tracks: dict[int, Track] = {}
        self._formats = 0
        self._reading = self._read_any = False

    def run(self) -> None:
        """Read to the end; the end or the error goes through the hand-over."""
        error: BaseException | None = None
        try:
            with self._open() as container:
                self._begin(container)
                self._read(container)
            if not self._formats:
                raise MediaError(f"{self._name}: no track told how to decode it")
        except Stopped:
            pass
        except Exception as caught:
            pushed = isinstance(self._source, PushedBytes)
            # Of an MP4 whose index comes last FFmpeg has seen all, and cannot go back.
            reading = self._reading and (self._read_any or not pushed)
            error = translated(caught, self._name, pushed=pushed, reading=reading)
            error.__cause__ = caught if error is not caught else None
        if isinstance(self._source, PushedBytes):
            self._source.close(error)
        self._handover.end(error)

    def _open(self) -> InputContainer:
        defaults: dict[str, str] = {"fflags": "+genpts"}
        if isinstance(self._source, PushedBytes):
            # Its reads have a deadline of their own.
            return av.open(
                self._source, "r", self._format, {**defaults, **_PUSHED_OPTIONS, **self._options}
            )
        if self._source.startswith(("rtsp://", "rtsps://")):
            defaults |= _RTSP_OPTIONS
        return av.open(
            self._source,
            "r",
            self._format,
            {**defaults, **self._options},
            timeout=(self._timeout_s, self._timeout_s),
        )

    def _begin(self, container: InputContainer) -> None:
        name = container.format.name
        if self._format is None and name in _TEXT_ART:
            raise no_media(self._name)
        skipped: list[SourceEvent] = []
        for stream in _chosen(container):
            track = self._open_track(stream, name)
            if track is not None:
                self._tracks[stream.index] = track
            else:
                skipped.append(Skipped(stream.index, codec_name(stream)))
        for stream in container.streams:
            if stream.index not in self._tracks:
                stream.discard = Discard.all
        if not self._tracks:
            raise self._nothing_usable(skipped)
        first: list[SourceEvent] = [Expect(len(self._tracks) + len(skipped)), *skipped]
        for opened in self._tracks.values():
            first += opened.start()
        self._put(first)

    def _nothing_usable(self, skipped: list[SourceEvent]) -> MediaError:
        if not skipped:
            return MediaError(f"{self._name}: no video or audio in it")
        codecs = ", ".join(item.codec for item in skipped if isinstance(item, Skipped))
        return UnsupportedCodec(
            f"{self._name}: {codecs} cannot be carried",
            hint="send H.264, HEVC, VP9 or AV1, and AAC or Opus; "
            "`kinolog publish --encode h264` makes H.264 of other video",
        )

    def _read(self, container: InputContainer) -> None:
        streams = [container.streams[index] for index in self._tracks]
        # Elsewhere a packet is called corrupt where only something before it was lost.
        told_if_cut = "mov" in container.format.name.split(",")
        self._reading = True
        for packet in container.demux(streams):
            if self._handover.stopped:
                raise Stopped
            self._read_any = True
            if told_if_cut and packet.is_corrupt:
                raise MediaError("the last sample is not all there")
            if packet.size:
                self._put(self._tracks[packet.stream_index].take(packet))
        for track in self._tracks.values():
            self._put(track.finish())
        self._reading = False

    def _put(self, events: Sequence[SourceEvent]) -> None:
        if events:
            self._formats += sum(isinstance(event, Format) for event in events)
            self._handover.put(events)


def _chosen(container: InputContainer) -> list[Stream]:
    """The streams to carry or name as skipped; of a ladder, the best of each kind."""
    found = [stream for stream in container.streams if not is_picture(stream)]
    if _LADDERS.isdisjoint(container.format.name.split(",")):
        return found
    best = [container.streams.best("video"), container.streams.best("audio")]
    return [stream for stream in best if stream is not None]
