"""Viewers that ask and never read, beside one that plays: they cost a bounded amount, and end."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import h2.config
import h2.connection
import httpx
import psutil
import pytest
from hls_stage import Playlist, Stage, fetch, stage, until
from kit.server import HOST, Server, serving

from kinolog.runtime.http import STUCK_S

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(280),
    pytest.mark.alone,
    pytest.mark.slow,
]

STREAM = "hls/stuck"
CONNECTIONS, PIPELINED = 150, 40
H2_CONNECTIONS, H2_STREAMS = 2, 120
PART_S, NORMAL_GAP_S = 0.2, 1.0
A_CONNECTION = 64 << 10
SLACK = 48 << 20


class Viewer(threading.Thread):
    """Plays as an LL-HLS player does: blocking reloads, and each new part as it is listed."""

    def __init__(self, base: str) -> None:
        super().__init__(daemon=True)
        self.base = base
        self.got: list[tuple[float, str]] = []
        self.problems: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        with httpx.Client(timeout=30) as client:
            playlist = fetch(client, f"{self.base}video.m3u8")
            seen = set(parts_of(playlist))
            while not self.over.is_set():
                msn, part = playlist.next
                url = f"{self.base}video.m3u8?_HLS_msn={msn}&_HLS_part={part}"
                playlist = fetch(client, url)
                for uri in parts_of(playlist):
                    if uri in seen:
                        continue
                    seen.add(uri)
                    answer = client.get(self.base + uri)
                    self.got.append((time.monotonic(), uri))
                    if answer.status_code != 200:
                        self.problems.append(f"{uri}: {answer.status_code}")

    def longest_gap_s(self, since: float, until_: float) -> float:
        moments = [since, *(at for at, _ in self.got if since < at < until_), until_]
        return max(b - a for a, b in itertools.pairwise(moments))


def parts_of(playlist: Playlist) -> list[str]:
    listed = [*playlist.segments, *([playlist.growing] if playlist.growing else [])]
    return [uri for segment in listed for uri, _, _ in segment.parts]


@pytest.fixture
def live(one_broker: str, tmp_path: Path) -> Iterator[tuple[Stage, Server]]:
    with stage(one_broker, tmp_path) as found:
        prefix = ("--topic-prefix", found.prefix)
        with serving(one_broker, tmp_path / "edge", *prefix, verb="edge") as edge:
            # Bodies that no socket's buffers swallow whole.
            found.start("publish", "test:1280x720@30", STREAM)
            yield found, edge


def deaf_socket(edge: Server) -> socket.socket:
    """A connection that takes next to nothing before its window is shut."""
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect((HOST, edge.http_port))
    return one


def ask_and_never_read(edge: Server, path: str) -> socket.socket:
    one = deaf_socket(edge)
    request = f"GET {path} HTTP/1.1\r\nhost: {HOST}\r\n\r\n".encode()
    one.sendall(request * PIPELINED)
    return one


def ask_by_http2_and_never_read(edge: Server, path: str) -> socket.socket:
    one = deaf_socket(edge)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    headers = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", HOST)]
    for number in range(H2_STREAMS):
        client.send_headers(1 + 2 * number, headers, end_stream=True)
    with contextlib.suppress(ConnectionError):  # so many streams at once are not allowed
        one.sendall(client.data_to_send())
    return one


def test_viewers_that_never_read_cost_a_bounded_amount_and_slow_nobody(
    live: tuple[Stage, Server], capsys: pytest.CaptureFixture[str]
) -> None:
    _, edge = live
    base = f"{edge.http}/media/{STREAM}/"
    with httpx.Client(timeout=30) as client:
        until(lambda: client.get(f"{base}video.m3u8").text.count("#EXTINF") > 3, "some segments")
        newest = fetch(client, f"{base}video.m3u8").segments[-1].uri
        body_bytes = len(client.get(base + newest).content)
    viewer = Viewer(base)
    viewer.start()
    until(lambda: len(viewer.got) > 50, "parts, with nobody else there")
    alone_s = viewer.longest_gap_s(viewer.got[0][0], viewer.got[-1][0])
    connections = psutil.Process(edge.process.pid).net_connections
    rss_before, most, open_before = edge.rss_bytes, 0, len(connections())

    path = f"/media/{STREAM}/{newest}"
    began, parts_before = time.monotonic(), len(viewer.got)
    deaf = [ask_and_never_read(edge, path) for _ in range(CONNECTIONS)]
    deaf += [ask_by_http2_and_never_read(edge, path) for _ in range(H2_CONNECTIONS)]

    def gone() -> bool:
        nonlocal most
        most = max(most, edge.rss_bytes - rss_before)
        return len(connections()) <= open_before

    try:
        # Who takes nothing is cut off; the kernel looks at longer and longer intervals.
        until(gone, "the end of those that never read", 4 * STUCK_S)
        ended = time.monotonic()
    finally:
        for one in deaf:
            one.close()
    viewer.over.set()
    viewer.join(30)

    bodies = CONNECTIONS + H2_CONNECTIONS * 100
    bound = bodies * (body_bytes + A_CONNECTION) + SLACK
    beside_s = viewer.longest_gap_s(began, ended)
    with capsys.disabled():
        print(
            f"\n{CONNECTIONS} connections of {PIPELINED} requests, {H2_CONNECTIONS} of HTTP/2 of "
            f"{H2_STREAMS}, for {body_bytes >> 10} KiB each, never read: {most >> 20} MiB at most "
            f"(bound {bound >> 20}, all bodies {len(deaf) * PIPELINED * body_bytes >> 20}), cut "
            f"off after {ended - began:.0f} s; longest gap between parts {alone_s:.2f} s before, "
            f"{beside_s:.2f} s beside them"
        )
    assert most > 50 * body_bytes, "nothing was stuck: this shows nothing"
    assert most < bound
    assert not viewer.problems
    seconds = ended - began
    assert len(viewer.got) - parts_before > seconds / PART_S * 0.8
    assert beside_s < NORMAL_GAP_S
