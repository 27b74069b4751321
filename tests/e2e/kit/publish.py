"""Ways to publish a file: by the system's ffmpeg over RTMP or HTTP, and by `kinolog publish`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from kit.media import FFMPEG, FRAGMENTED
from kit.server import Server, kinolog, run_well

Way = Callable[[Server, Path, str], None]

HTTP_FORMATS = {
    "ts": ["-f", "mpegts"],
    "fmp4": [*FRAGMENTED, "-f", "mp4"],
    "mkv": ["-f", "matroska"],
    "webm": ["-f", "webm"],
    "flv": ["-f", "flv"],
}

# In a process of its own, since PyAV keeps the GIL while it opens a network output.
PUSH = """
import sys, av
with av.open(sys.argv[1]) as source, av.open(sys.argv[2], "w", format="flv") as sink:
    streams = {s.index: sink.add_stream_from_template(s, opaque=True) for s in source.streams}
    for packet in source.demux():
        if packet.dts is not None:
            packet.stream = streams[packet.stream_index]
            sink.mux(packet)
"""


def by_rtmp(server: Server, path: Path, stream: str) -> None:
    """The system's ffmpeg, as fast as it goes."""
    url = server.rtmp_url(stream)
    run_well([*FFMPEG, "-i", str(path), "-map", "0", "-c", "copy", "-f", "flv", url])


def by_enhanced_rtmp(server: Server, path: Path, stream: str) -> None:
    """PyAV's FFmpeg 8, which speaks Enhanced RTMP."""
    run_well([sys.executable, "-c", PUSH, str(path), server.rtmp_url(stream)])


def by_http(form: str, *options: str) -> Way:
    """The system's ffmpeg sends a body of this form by PUT, as fast as it goes."""

    def publish(server: Server, path: Path, stream: str) -> None:
        output = [*options, *HTTP_FORMATS[form], "-method", "PUT", server.ingest_url(stream)]
        run_well([*FFMPEG, "-i", str(path), "-map", "0", "-c", "copy", *output])

    return publish


def by_file(server: Server, path: Path, stream: str) -> None:
    """`kinolog publish FILE --fast`."""
    run_well(kinolog("publish", path, stream, "--fast", "--bootstrap-servers", server.bootstrap))
