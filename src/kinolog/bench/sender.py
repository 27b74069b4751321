"""A publisher that costs next to nothing: a clip, encoded once, sent by RTMP again and again."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from kinolog.core.errors import Unavailable
from kinolog.ingest.camera import AUDIO_TRACK, VIDEO_TRACK, SyntheticCamera
from kinolog.ingest.encode_video import VideoEncoder, VideoTarget
from kinolog.ingest.source import Format, SourceEvent
from kinolog.media.types import Packet
from kinolog.testing import record

FRAME_RATE = 30
CLIP_S = 4
_TIMESCALE = 90_000
_GRAIN = 4  # pixels: side of the squares that the pictures are made of
_CLOSE_S = 20.0


@dataclass(frozen=True, slots=True)
class ClipPacket:
    """A packet of the clip: its stream's number, and when it is due after the clip's start."""

    stream: int
    dts_ms: int
    keyframe: bool
    data: bytes


class Clip:
    """Four seconds of H.264, a keyframe a second, at a bit rate that is kept; AAC if wanted.

    The pictures are noise, so that the encoder uses what it is given. Safe to send from any
    number of threads.
    """

    def __init__(self, width: int, height: int, bitrate_bps: int, *, audio: bool) -> None:
        events: list[SourceEvent] = list(_pictures(width, height, bitrate_bps))
        if audio:
            events += _sound()
        self._file = av.open(io.BytesIO(record(events)), "r")
        self.templates = list(self._file.streams)
        packets = [packet for packet in self._file.demux() if packet.dts is not None]
        video = next(stream.index for stream in self.templates if stream.type == "video")
        start = min(_ms(p) for p in packets if p.stream.index == video)
        # The sound's first packets lie before the picture's: priming, which need not be heard.
        self.packets = [
            ClipPacket(p.stream.index, _ms(p) - start, p.is_keyframe, bytes(p))
            for p in packets
            if start <= _ms(p) < start + CLIP_S * 1000
        ]
        self.video = video
        self.size_bytes = sum(len(packet.data) for packet in self.packets)

    @property
    def megabits_s(self) -> float:
        """Payload, Mb/s."""
        return self.size_bytes * 8 / CLIP_S / 1e6


class Sender:
    """Publishes a clip to one RTMP address from a thread of its own, until it is stopped.

    `captured` has the Unix time (s) at which each picture, counted from the first, was handed to
    the connection: the moment at which a camera's encoder lets go of it.
    """

    def __init__(self, clip: Clip, url: str, *, delay_s: float = 0.0) -> None:
        self.captured: list[float] = []
        self._clip = clip
        self._url = url
        self._delay_s = delay_s
        self._stop = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="kinolog-sender", daemon=True)

    def start(self) -> None:
        """Connect, after the delay, and send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more; the connection is being closed."""
        self._stop.set()

    def join(self) -> None:
        """Wait until the connection is closed. Raises what `check` raises."""
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            raise Unavailable(f"{self._url} does not let go of its publisher")
        self.check()

    def check(self) -> None:
        """Raises Unavailable where sending has failed."""
        if self._failure is not None:
            raise Unavailable(f"sending to {self._url} failed: {self._failure}")

    def _run(self) -> None:
        try:
            if not self._stop.wait(self._delay_s):
                self._send()
        except (av.FFmpegError, OSError) as error:
            self._failure = error

    def _send(self) -> None:
        options = {"flvflags": "no_duration_filesize"}
        with av.open(self._url, "w", format="flv", options=options) as sink:
            outputs = [sink.add_stream_from_template(t, opaque=True) for t in self._clip.templates]
            sink.start_encoding()  # connects, so that the first picture need not wait for it
            begun = time.monotonic()
            shift_ms = 0
            while True:
                for packet in self._clip.packets:
                    due_ms = packet.dts_ms + shift_ms
                    if self._stop.wait(max(0.0, begun + due_ms / 1000 - time.monotonic())):
                        return
                    out = av.Packet(packet.data)
                    out.pts = out.dts = due_ms
                    out.time_base = Fraction(1, 1000)
                    out.is_keyframe = packet.keyframe
                    out.stream = outputs[packet.stream]
                    if packet.stream == self._clip.video:
                        self.captured.append(time.time())
                    sink.mux(out)
                shift_ms += CLIP_S * 1000


def _pictures(width: int, height: int, bitrate_bps: int) -> list[SourceEvent]:
    """A clip of noise, the same at each call."""
    encoder = VideoEncoder(
        VideoTarget("h264", bitrate_bps),
        track=VIDEO_TRACK,
        width=width,
        height=height,
        frame_rate=Fraction(FRAME_RATE),
        timescale=_TIMESCALE,
    )
    random = np.random.default_rng(1)
    step = _TIMESCALE // FRAME_RATE
    packets: list[Packet] = []
    for index in range(CLIP_S * FRAME_RATE):
        grains = random.integers(
            0, 256, (height * 3 // 2 // _GRAIN + 1, width // _GRAIN + 1), np.uint8
        )
        picture = np.kron(grains, np.ones((_GRAIN, _GRAIN), np.uint8))
        frame = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(picture[: height * 3 // 2, :width]), format="yuv420p"
        )
        packets += encoder.encode(frame, index * step, step)
    return [Format(VIDEO_TRACK, encoder.format), *packets, *encoder.flush()]


def _sound() -> list[SourceEvent]:
    """The synthetic camera's sound."""
    camera = SyntheticCamera(f"test:160x90@10?seconds={CLIP_S}")
    return [
        event
        for batch in camera.events(0)
        for event in batch
        if isinstance(event, Format | Packet) and event.track == AUDIO_TRACK
    ]


def _ms(packet: av.Packet[av.stream.Stream]) -> int:
    assert packet.dts is not None
    assert packet.time_base is not None
    return round(packet.dts * packet.time_base * 1000)
