"""An encoder that reconnects, as OBS does: `live_encoder.py FILE RTMP_URL`.

Sends a file's packets by RTMP, each when it is due by the clock. When the connection breaks it
tries again at once and for ever, and goes on with the first keyframe that is due then; what was
due meanwhile is gone, as with a camera. Prints a line at each connection: seconds since the start.
"""

from __future__ import annotations

import contextlib
import sys
import time

import av

TRY_EVERY_S = 0.1


def main(path: str, url: str) -> None:
    source = av.open(path)
    packets = [packet for packet in source.demux() if packet.dts is not None]
    starts = {packet: float(packet.dts * packet.time_base) for packet in packets}
    begun = time.monotonic() - min(starts.values())
    at = 0
    while at < len(packets):
        while at < len(packets) and not _resumes(packets[at], starts, time.monotonic() - begun):
            at += 1
        try:
            at = _send(source, packets, starts, at, url, begun)
        except (av.FFmpegError, OSError):
            time.sleep(TRY_EVERY_S)


def _resumes(packet: av.Packet, starts: dict[av.Packet, float], now_s: float) -> bool:
    """Whether to begin here: a keyframe of the video that is not late (by over half a second)."""
    return packet.stream.type == "video" and packet.is_keyframe and starts[packet] > now_s - 0.5


def _send(
    source: av.container.InputContainer,
    packets: list[av.Packet],
    starts: dict[av.Packet, float],
    at: int,
    url: str,
    begun: float,
) -> int:
    """Send from a packet on; the number after the last. Raises where the connection breaks."""
    sink = av.open(url, "w", format="flv", options={"flvflags": "no_duration_filesize"})
    try:
        outputs = {s.index: sink.add_stream_from_template(s, opaque=True) for s in source.streams}
        for number in range(at, len(packets)):
            time.sleep(max(0.0, begun + starts[packets[number]] - time.monotonic()))
            copy = av.Packet(bytes(packets[number]))
            original = packets[number]
            copy.pts, copy.dts, copy.time_base = original.pts, original.dts, original.time_base
            copy.duration, copy.is_keyframe = original.duration, original.is_keyframe
            copy.stream = outputs[original.stream.index]
            sink.mux(copy)
            if number == at:
                print(f"{time.monotonic() - begun:.3f}", flush=True)
    except BaseException:
        with contextlib.suppress(av.FFmpegError, OSError):
            sink.close()
        raise
    sink.close()
    return len(packets)


if __name__ == "__main__":
    main(*sys.argv[1:])
