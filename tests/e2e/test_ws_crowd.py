"""Many WebSockets of one stream, and some that never read: what they cost, and whom."""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from hls_stage import Stage, stage, until
from kit.server import Server, serving
from ws_watch import Watch, check_against, discontinuities, in_the_log

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

STREAM = "ws/crowd"
DEAF = 20
CROWD = 50
SECONDS = 10
A_SOCKET = 5 << 20
SLACK = 40 << 20


@pytest.fixture
def live(one_broker: str, tmp_path: Path) -> Iterator[tuple[Stage, Server]]:
    with stage(one_broker, tmp_path) as found:
        found.start("publish", "test:1280x720@30?bitrate=4M", STREAM, "--profile", "frame")
        prefix = ("--topic-prefix", found.prefix)
        with serving(one_broker, tmp_path / "edge", *prefix, verb="edge") as edge:
            url = f"{edge.http}/media/{STREAM}/video.m3u8"
            until(lambda: httpx.get(url, timeout=30).status_code == 200, "a playlist")
            yield found, edge


class Reader(threading.Thread):
    """A viewer who takes all, and notes when."""

    def __init__(self, edge: Server) -> None:
        super().__init__(daemon=True)
        self.watch = Watch(edge.http, STREAM)
        self.came_s: list[float] = []
        self.over = threading.Event()

    def run(self) -> None:
        with self.watch:
            while not self.over.is_set():
                count = len(self.watch.seen.chunks)
                self.watch.until(lambda seen, count=count: len(seen.chunks) > count)
                self.came_s.append(time.monotonic())

    def longest_gap_s(self) -> float:
        return max(b - a for a, b in itertools.pairwise(self.came_s))


def test_sockets_that_never_read_cost_a_bounded_amount(live: tuple[Stage, Server]) -> None:
    found, edge = live
    reader = Reader(edge)
    reader.start()
    until(lambda: len(reader.came_s) > 200, "chunks, with nobody else there")
    alone_s, before_bytes = reader.longest_gap_s(), edge.rss_bytes
    with ExitStack() as stack:
        deaf = [
            stack.enter_context(Watch(edge.http, STREAM, receive_bytes=4096)) for _ in range(DEAF)
        ]
        slow = stack.enter_context(Watch(edge.http, STREAM, receive_bytes=1 << 18))
        begun, most_bytes, size = time.monotonic(), 0, reader.watch.seen.size
        del reader.came_s[:-1]

        def enough() -> bool:
            nonlocal most_bytes
            most_bytes = max(most_bytes, edge.rss_bytes - before_bytes)
            return time.monotonic() - begun > 2 * SECONDS

        until(enough, "some time")
        came_bytes = reader.watch.seen.size - size
        print(
            f"{DEAF} sockets that read nothing of {came_bytes >> 10} KiB each: "
            f"{most_bytes >> 20} MiB; longest gap of another {alone_s:.2f} s before, "
            f"{reader.longest_gap_s():.2f} s beside them"
        )
        assert most_bytes < len(deaf) * A_SOCKET + SLACK
        assert most_bytes < len(deaf) * came_bytes * 0.7, "all that came is kept"
        # One reads at last: it goes on with a picture of now.
        seen = slow.until(lambda seen: seen.told("skipped") and len(seen.of("video")) > 300)
        cuts = list(discontinuities(seen.of("video")))
        assert len(cuts) >= 2
        assert all(seen.of("video")[index].independent for index in cuts)
        places = [one.place for one in seen.of("video")]
        assert places == sorted(set(places))
        assert seen.told("skipped")[0]["chunks"] > 0
        reader.over.set()
        reader.join(30)
        check_against(in_the_log(found, STREAM)["video"], reader.watch.seen.of("video"))
        # The edge ends though they are there: the fixture looks.
        begun = time.monotonic()
        edge.stop()
        assert time.monotonic() - begun < 15


def drain(watches: list[Watch], seconds: float) -> int:
    """Read from all, and throw it away; how many bytes that were."""
    sockets = [watch.socket.raw for watch in watches]
    end, count = time.monotonic() + seconds, 0
    while (left_s := end - time.monotonic()) > 0:
        for one in select.select(sockets, [], [], left_s)[0]:
            count += len(one.recv(1 << 16))
    return count


def test_a_crowd_costs_little(live: tuple[Stage, Server]) -> None:
    _, edge = live
    process = psutil.Process(edge.process.pid)

    def cpu_s(watches: list[Watch]) -> tuple[float, int]:
        drain(watches, 3)
        before = sum(process.cpu_times()[:2])
        count = drain(watches, SECONDS)
        return sum(process.cpu_times()[:2]) - before, count

    with ExitStack() as stack:
        one = [stack.enter_context(Watch(edge.http, STREAM))]
        alone_s, _ = cpu_s(one)
        crowd = one + [
            stack.enter_context(Watch(edge.http, STREAM)) for _ in range(CROWD - len(one))
        ]
        crowd_s, count = cpu_s(crowd)
    each_ms = (crowd_s - alone_s) * 1000 / (CROWD - 1) / SECONDS
    print(
        f"{CROWD} sockets, {count * 8 / SECONDS / 1e6:.0f} Mb/s in all: {crowd_s / SECONDS:.2f} of "
        f"a core; one alone {alone_s / SECONDS:.2f}: {each_ms:.1f} ms of CPU a viewer-second"
    )
    assert each_ms < 20
