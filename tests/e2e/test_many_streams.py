"""Many publishers at once: 30 streams of 1 Mb/s into three brokers, each read back whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kit.media import file_packets
from kit.readback import read_stream
from kit.server import serving

from kinolog.cluster import Cluster

pytestmark = [pytest.mark.needs("ffmpeg"), pytest.mark.cluster, pytest.mark.alone]

_RATE = 30
_AUDIO_RATE = 48_000


def _film(path: Path, seconds: int) -> Path:
    subprocess.run(
        [
            *("ffmpeg", "-loglevel", "error", "-nostdin", "-y"),
            *("-f", "lavfi", "-i", f"testsrc2=size=640x360:rate={_RATE}"),
            *("-f", "lavfi", "-i", f"sine=frequency=440:sample_rate={_AUDIO_RATE}"),
            *("-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-g", "60"),
            *("-b:v", "900k", "-minrate", "900k", "-maxrate", "900k", "-bufsize", "900k"),
            *("-nal-hrd", "cbr", "-c:a", "aac", "-b:a", "96k", str(path)),
        ],
        check=True,
    )
    return path


def _publish_all(film: Path, rtmp_urls: list[str], deadline_s: float) -> None:
    senders = [
        subprocess.Popen(
            [
                *("ffmpeg", "-loglevel", "error", "-nostdin", "-re", "-i", str(film)),
                *("-c", "copy", "-f", "flv", url),
            ],
            stdin=subprocess.DEVNULL,
        )
        for url in rtmp_urls
    ]
    try:
        codes = [sender.wait(deadline_s) for sender in senders]
    finally:
        for sender in senders:
            sender.kill()
            sender.wait()
    assert codes == [0] * len(rtmp_urls)


@pytest.mark.parametrize(
    ("streams", "seconds"),
    [
        pytest.param(6, 10, id="6-for-10-s"),
        pytest.param(
            30, 120, id="30-for-2-min", marks=[pytest.mark.slow, pytest.mark.timeout(900)]
        ),
    ],
)
def test_each_of_many_streams_is_read_back_whole(
    healthy_cluster3: Cluster, tmp_path: Path, streams: int, seconds: int
) -> None:
    film = _film(tmp_path / "film.mp4", seconds)
    collection = f"many{streams}"
    names = [f"{collection}/cam{number}" for number in range(streams)]
    servers = healthy_cluster3.bootstrap_servers
    with serving(servers, tmp_path / "ingest", verb="ingest") as ingest:
        process = psutil.Process(ingest.process.pid)
        before = sum(process.cpu_times()[:2])
        _publish_all(film, [ingest.rtmp_url(name) for name in names], seconds * 2 + 120)
        ingest.wait_idle()
        cpu_s = sum(process.cpu_times()[:2]) - before
        memory = process.memory_info().rss
    share = cpu_s / seconds / streams
    print(
        f"{streams} streams for {seconds} s: {share:.2%} of a core a stream, "
        f"{memory / 1e6:.0f} MB in all",
        file=sys.stderr,
    )
    wanted = {kind: [p.data for p in file_packets(film, kind)] for kind in ("video", "audio")}
    assert len(wanted["video"]) == seconds * _RATE
    for name in names:
        epoch = read_stream(servers, name).only()
        for kind, packets in wanted.items():
            assert [sample.data for sample in epoch.tracks[kind].samples] == packets, name
