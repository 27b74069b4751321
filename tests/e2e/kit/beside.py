"""A good stream that is published beside whatever else is done to a server, and then counted."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import sys

from kinolog.ingest.ack_log import read_ack_log
from kinolog.testing import compare, read_block_codes
from kit.readback import read_stream
from kit.server import HOST, Server, wait_for

_RATE = 15
# Goes on until SIGTERM; prints the numbers of the pictures that it has sent. In a process of its
# own and at its own pace, as an encoder is; a number is the picture's time in frames.
_CAMERA = """
import asyncio, json, signal, sys
from contextlib import aclosing
from kinolog.core.clock import SystemClock
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.source import Format
from kinolog.media.cmaf import Sample, chunk
from kinolog.media.init import init_segment
from kinolog.media.types import Packet

host, port, path, rate = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    reader, writer = await asyncio.open_connection(host, port)
    head = f"PUT {path} HTTP/1.1\\r\\nHost: kinolog\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
    writer.write(head.encode())
    sent, ticks = [], 0
    camera = SyntheticCamera(f"test:320x180@{rate}?audio=0")
    async with aclosing(camera.run(SystemClock())) as batches:
        async for batch in batches:
            for event in batch:
                if isinstance(event, Format):
                    data, ticks = init_segment(event.format).data, event.format.timescale
                elif isinstance(event, Packet):
                    cts = event.pts - event.dts
                    sample = Sample(event.data, ticks // rate, cts, event.keyframe)
                    data = chunk(len(sent) + 1, event.dts, [sample])
                    sent.append(round(event.pts * rate / ticks))
                else:
                    continue
                writer.write(b"%x\\r\\n%b\\r\\n" % (len(data), data))
            await writer.drain()
            if stop.is_set():
                break
    writer.write(b"0\\r\\n\\r\\n")
    await writer.drain()
    status = (await reader.readline()).decode()
    assert " 201 " in status, status
    print(json.dumps(sent))

asyncio.run(main())
"""


class Beside:
    """Publishes from now on, by HTTP."""

    def __init__(self, server: Server, stream: str) -> None:
        self._server = server
        self._stream = stream
        where = [HOST, str(server.http_port), f"/ingest/{stream}", str(_RATE)]
        command = [sys.executable, "-c", _CAMERA, *where]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            wait_for(self._begun, "the good stream")
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise

    def _begun(self) -> bool:
        acks = self._server.ack_log
        return acks.exists() and any(line.stream == self._stream for line in read_ack_log(acks))

    def stop_and_count(self) -> str:
        """End it; every picture sent must be in the log, once and in order, and acknowledged."""
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=60)
        assert self._process.returncode == 0
        sent = json.loads(said)
        epoch = read_stream(self._server.bootstrap, self._stream).only()
        kept = epoch.tracks["video"]
        acked = [a.offset for a in read_ack_log(self._server.ack_log) if a.stream == self._stream]
        assert len(acked) == len(kept.headers)
        assert acked == sorted(acked)
        report = compare(sent, read_block_codes(io.BytesIO(kept.file())))
        assert report.clean, str(report)
        return f"beside: {report}"
