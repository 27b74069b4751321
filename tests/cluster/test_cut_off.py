"""A publisher whose connection hangs is cut off as soon as another takes its stream over."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from failover_kit import judge, new_name, stream_of
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import read_ack_log

sys.path.insert(0, str(Path(__file__).parents[1] / "e2e"))
from kit.server import HOST, Server, serving, wait_for

pytestmark = pytest.mark.cluster

CORPUS = Path(__file__).parents[1] / "fuzz/corpus"
PATIENCE_S = 5.0
"""Far below the 30 s after which a silent publisher is cut off in any case."""


PREFIX = new_name("cut-off")
"""The capture says where it publishes, and other tests publish it, too."""


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    prefix = ("--topic-prefix", PREFIX)
    with serving(one_broker, tmp_path_factory.mktemp("cut-off"), *prefix) as running:
        yield running


def rtmp(server: Server) -> tuple[int, bytes, str]:
    """A port, what an encoder sends there before it falls silent, and the stream's name."""
    capture = (CORPUS / "rtmp/h264-aac.bin").read_bytes()
    return server.rtmp_port, capture[: len(capture) * 9 // 10], "demo/camera"


def http(server: Server) -> tuple[int, bytes, str]:
    body = (CORPUS / "http/h264-aac.ts").read_bytes()
    head = b"PUT /ingest/cut/http HTTP/1.1\r\nHost: kinolog\r\nContent-Length: 1000000\r\n\r\n"
    return server.http_port, head + body, "cut/http"


@pytest.mark.parametrize("protocol", [rtmp, http])
def test_one_that_hangs_is_disconnected_when_it_is_replaced(protocol, server: Server) -> None:
    port, sent, name = protocol(server)
    with socket.create_connection((HOST, port), PATIENCE_S) as older:
        older.sendall(sent)
        wait_for(lambda: any(a.stream == name for a in read_ack_log(server.ack_log)), "a chunk")
        begun = time.monotonic()
        body = (CORPUS / "http/h264-aac.mp4").read_bytes()
        answer = httpx.put(server.ingest_url(name), content=body, timeout=60)
        assert answer.status_code == 201
        said = b""
        while piece := older.recv(65536):
            said += piece
        print(f"{name}: disconnected after {time.monotonic() - begun:.2f} s")
    assert b"replaced by a newer publisher" in said
    server.wait_idle()
    found = stream_of(server.bootstrap, StreamName.parse(name), PREFIX)
    assert [opened.open.publisher.split()[0] for opened in found.opens] == [
        protocol.__name__,
        "http",
    ]
    acked = [line for line in read_ack_log(server.ack_log) if line.stream == name]
    assert not judge(acked, found).lost
