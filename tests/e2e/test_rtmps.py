"""RTMP over TLS, beside plain RTMP, with the certificate of HTTPS."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from kit.media import FFMPEG, file_packets, make
from kit.publish import PUSH, by_rtmp
from kit.readback import read_stream
from kit.server import HOST, Server, free_ports, kinolog, run, run_well, serving
from kit.tls import certificate

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg", "openssl")]


class Secure(NamedTuple):
    """A server with a certificate, and its port for RTMPS."""

    server: Server
    port: int

    def url(self, stream: str) -> str:
        return f"rtmps://{HOST}:{self.port}/{stream}"


@pytest.fixture(scope="module")
def secure(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secure]:
    folder = tmp_path_factory.mktemp("rtmps")
    (port,) = free_ports(1)
    flags = [*certificate(folder), "--rtmps-port", str(port)]
    with serving(one_broker, folder, *flags) as server:
        yield Secure(server, port)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    x264 = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", "-g", "30", "-pix_fmt", "yuv420p"]
    path = tmp_path_factory.mktemp("media") / "film.mp4"
    return make(path, *x264, "-c:a", "aac", seconds=5, size="320x180")


def assert_whole(secure: Secure, stream: str, path: Path) -> None:
    secure.server.wait_idle()
    epoch = read_stream(secure.server.bootstrap, stream).only()
    for name, track in epoch.tracks.items():
        assert [s.data for s in track.samples] == [p.data for p in file_packets(path, name)]
    assert list(epoch.tracks) == ["video", "audio"]


def test_ffmpeg_publishes_whole(secure: Secure, film: Path) -> None:
    output = ["-c", "copy", "-f", "flv", secure.url("rtmps/ffmpeg")]
    run_well([*FFMPEG, "-i", str(film), *output])
    assert_whole(secure, "rtmps/ffmpeg", film)


@pytest.mark.slow
def test_uploads_that_end_while_the_server_is_busy_are_whole(secure: Secure, film: Path) -> None:
    """ffmpeg sends all in an instant and closes, before the server has read or even begun."""
    streams = [f"rtmps/many{number}" for number in range(8)]
    outputs = [["-c", "copy", "-f", "flv", secure.url(stream)] for stream in streams]
    uploads = [
        subprocess.Popen([*FFMPEG, "-i", str(film), *output], stdin=subprocess.DEVNULL)
        for output in outputs
    ]
    assert [upload.wait(120) for upload in uploads] == [0] * len(streams)
    for stream in streams:
        assert_whole(secure, stream, film)


def test_enhanced_rtmp_publishes_whole(secure: Secure, film: Path) -> None:
    run_well([sys.executable, "-c", PUSH, str(film), secure.url("rtmps/pyav")])
    assert_whole(secure, "rtmps/pyav", film)


def test_plain_rtmp_stays(secure: Secure, film: Path) -> None:
    by_rtmp(secure.server, film, "rtmps/plain")
    assert_whole(secure, "rtmps/plain", film)


def test_the_refused_are_told_why(secure: Secure, film: Path) -> None:
    output = ["-c", "copy", "-f", "flv", secure.url("rtmps/a/b")]
    sent = run([*FFMPEG, "-re", "-i", str(film), *output])
    assert sent.returncode != 0
    assert "a slash too many" in sent.stderr


def test_what_is_no_tls_is_cut_off(secure: Secure, film: Path) -> None:
    with socket.create_connection((HOST, secure.port), timeout=30) as plain:
        plain.sendall(bytes([3]) + bytes(1536))
        while plain.recv(4096):
            pass
    output = ["-c", "copy", "-f", "flv", secure.url("rtmps/after")]
    run_well([*FFMPEG, "-i", str(film), *output])
    assert_whole(secure, "rtmps/after", film)


def test_a_certificate_without_its_key_is_an_error(secure: Secure, tmp_path: Path) -> None:
    _, cert, *_ = certificate(tmp_path)
    ports = [str(port) for port in free_ports(3)]
    flags = ["--http-port", ports[0], "--rtmp-port", ports[1], "--rtmps-port", ports[2]]
    kafka = ["--bootstrap-servers", secure.server.bootstrap]
    done = run(kinolog("serve", "--tls-cert", cert, *flags, *kafka))
    assert done.returncode == 2
    assert "add --tls-key FILE" in done.stderr
    assert "Traceback" not in done.stderr
