"""Short clips of every codec, made with PyAV's encoders, and the same packets in other boxes."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from fractions import Fraction

import av
import numpy as np

from kinolog.ingest.scheduling import scheduled_as_before

os.environ.setdefault("SVT_LOG", "0")  # SVT-AV1 writes its settings to stderr otherwise

WIDTH, HEIGHT, RATE = 128, 96, 30
VIDEO = {
    "h264": ("libx264", {"x264-params": "bframes=2:b-adapt=0:scenecut=0:keyint=15:threads=1"}),
    "hevc": (
        "libx265",
        {
            "x265-params": "log-level=none:info=0:pools=none:keyint=15:min-keyint=15"
            ":bframes=2:b-adapt=0:scenecut=0"
        },
    ),
    "av1": ("libsvtav1", {"preset": "12", "g": "15"}),
    "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "15", "threads": "1"}),
}
AUDIO = {"aac": "aac", "opus": "libopus"}


def _picture(number: int, width: int, height: int) -> np.ndarray:
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [(rows * 2 + number * 3) % 256, (columns + number * 5) % 256, (rows + columns) % 256]
    return np.stack(planes, axis=-1).astype(np.uint8)


def _encode_video(out, stream, frames: int):
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(_picture(number, stream.width, stream.height))
        frame = frame.reformat(format="yuv420p")
        frame.pts = number
        yield from stream.encode(frame)
    yield from stream.encode(None)


def _encode_audio(stream, seconds: float):
    rate = stream.rate
    wave = np.sin(np.arange(int(rate * seconds)) * 440 * 2 * np.pi / rate).astype(np.float32)
    wave = np.stack([wave, wave * 0.5]) * 0.5
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="stereo")
    frame.sample_rate, frame.pts = rate, 0
    resampler = av.AudioResampler(
        format=stream.format.name, layout="stereo", rate=rate, frame_size=stream.frame_size
    )
    for part in [*resampler.resample(frame), *resampler.resample(None)]:
        yield from stream.encode(part)
    yield from stream.encode(None)


@functools.cache
def clip(
    video: str | None,
    audio: str | None,
    *,
    frames: int = 40,
    size: tuple[int, int] = (WIDTH, HEIGHT),
    rate: int = 48_000,
) -> bytes:
    """An MP4 with a video and an audio track (either may be None), about 1.3 s long."""
    file = io.BytesIO()
    with scheduled_as_before(), av.open(file, "w", format="mp4") as out:
        packets = []
        if video:
            name, options = VIDEO[video]
            pictures = out.add_stream(name, rate=RATE, options=dict(options))
            pictures.width, pictures.height = size
            pictures.pix_fmt = "yuv420p"
        if audio:
            sound = out.add_stream(AUDIO[audio], rate=rate)
            sound.layout = "stereo"
        if video:
            packets += _encode_video(out, pictures, frames)
        if audio:
            sound.codec_context.open()
            packets += _encode_audio(sound, frames / RATE)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        for packet in packets:
            out.mux(packet)
    return file.getvalue()


def remux(data: bytes, format: str, options: dict[str, str] | None = None) -> bytes:
    """The same packets in another container."""
    file = io.BytesIO()
    with (
        av.open(io.BytesIO(data)) as source,
        av.open(file, "w", format=format, options=options or {}) as out,
    ):
        streams = {s.index: out.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    return file.getvalue()


# FFmpeg's muxer gets the first audio duration wrong when it shifts negative times itself.
FRAGMENTED = {
    "movflags": "empty_moov+default_base_moof+frag_keyframe",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}


def decoded(data: bytes, kind: str) -> list[tuple[Fraction, str]]:
    """(time from the first, digest of the planes) of each frame of the first such track."""
    found = []
    with av.open(io.BytesIO(data), options={"ignore_editlist": "1"}) as source:
        stream = source.streams.get({kind: 0})[0]
        for frame in source.decode(stream):
            digest = hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest()
            found.append((frame.pts * frame.time_base, digest))
    first = found[0][0]
    return [(time - first, digest) for time, digest in found]
