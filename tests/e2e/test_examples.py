"""The examples beside the real thing: reading a live camera, and a stream that an example wrote."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from kit.media import file_packets, make
from kit.readback import KeptEpoch, KeptStream, read_stream
from kit.server import Server, kinolog, run_well, serving, wait_for

from example_kit import installed_kafkajs, kafkajs_example, listed, python_example, run
from kinolog.core.clock import SystemClock
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings

pytestmark = [pytest.mark.cluster, pytest.mark.needs("ffmpeg")]


@pytest.fixture(scope="module")
def server(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serving(one_broker, tmp_path_factory.mktemp("examples")) as running:
        yield running


@pytest.fixture(scope="module")
def kafkajs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_kafkajs(tmp_path_factory.mktemp("kafkajs"))


def digests(stream: KeptStream) -> list[tuple[Any, ...]]:
    """Each chunk that kinolog's own reader finds valid, as `--list` names it."""
    return sorted(
        (h.epoch, h.track, h.msn, h.part, h.chunk, hashlib.sha256(data).hexdigest())
        for epoch in stream.epochs
        for track in epoch.tracks.values()
        for h, data in zip(track.headers, track.chunks, strict=True)
    )


class Follower:
    """A reader with `--list --follow`."""

    def __init__(self, command: list[str]) -> None:
        self.chunks: list[tuple[Any, ...]] = []
        self.process = subprocess.Popen(
            [*command, "--list", "--follow"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
        )

    def read_until(self, done: Callable[[dict[str, Any]], bool]) -> None:
        """Take events until `done` with one."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            row = json.loads(line)
            if row["event"] == "chunk":
                self.chunks.append(tuple(row.values())[1:])
            if done(row):
                return
        raise AssertionError("the follower ended before the session did")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@pytest.mark.slow
def test_a_live_camera_is_read_alike(server: Server, kafkajs: Path) -> None:
    stream = "examples/camera"
    where = (stream, "--bootstrap-servers", server.bootstrap)
    readers = {
        "python": python_example("read_kafka_python.py", *where),
        "kafkajs": kafkajs_example(kafkajs, *where),
    }
    camera = kinolog("publish", "test:320x180@30", stream, "--bootstrap-servers", server.bootstrap)
    with subprocess.Popen(camera, stdin=subprocess.DEVNULL) as publisher:
        wait_for(lambda: shows(server, stream), "the camera's playlist", 60)
        followers = {name: Follower(command) for name, command in readers.items()}
        try:
            for one in followers.values():  # both are reading while the camera goes on
                one.read_until(lambda _, one=one: len(one.chunks) >= 100)
            publisher.send_signal(signal.SIGINT)
            assert publisher.wait(60) == 0
            # A camera that a busy machine holds up opens a new epoch.
            kept = read_stream(server.bootstrap, stream)
            last = {"event": "close", "epoch": kept.epochs[-1].number}
            for one in followers.values():
                one.read_until(last.__eq__)
        finally:
            for one in followers.values():
                one.stop()
            publisher.terminate()

    expected = digests(kept)
    assert {track for _, track, *_ in expected} == {"video", "audio"}
    assert {name: sorted(one.chunks) for name, one in followers.items()} == {
        "python": expected,
        "kafkajs": expected,
    }
    epochs = [epoch.number for epoch in kept.epochs]
    video = [epoch.tracks["video"] for epoch in kept.epochs]
    film = video[0].info.init + b"".join(data for track in video for data in track.chunks)
    for name, command in readers.items():
        seen = listed(command)
        assert sorted(map(tuple, seen["chunks"])) == expected, name
        assert seen["opened"] == seen["closed"] == epochs
        assert not seen["holes"]
        movie = run([*command, "--track", "video"])
        assert movie == film, name
        assert len(file_packets(movie, "video")) == sum(len(track.samples) for track in video)


def shows(server: Server, stream: str) -> bool:
    """Whether the edge has something of the stream."""
    with suppress(httpx.TransportError):
        return httpx.get(server.playlist_url(stream)).status_code == 200
    return False


def only_track(epoch: KeptEpoch) -> list[bytes]:
    return [sample.data for sample in epoch.tracks["video"].samples]


def test_what_the_writer_wrote_is_played(server: Server, tmp_path: Path) -> None:
    stream = "examples/film"
    film = make(
        tmp_path / "film.mp4",
        *("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "50", "-b:v", "500k"),
        *("-pix_fmt", "yuv420p"),
        seconds=9.5, rate="25", size="320x180", audio=False,
    )  # fmt: skip
    packets = file_packets(film, "video")
    asyncio.run(_make_collection(server.bootstrap, "examples"))
    write = python_example(
        "write_kafka_python.py", str(film), stream, "--bootstrap-servers", server.bootstrap
    )
    run_well([*write, "--fast", "--end"])

    epoch = read_stream(server.bootstrap, stream).only()
    assert only_track(epoch) == [packet.data for packet in packets]
    assert played(server, stream) == len(packets)

    # kinolog's own session takes over where the example left off, and the example after it.
    run_well(kinolog("publish", film, stream, "--fast", "--bootstrap-servers", server.bootstrap))
    run_well([*write, "--fast"])
    kept = read_stream(server.bootstrap, stream)
    assert kept.holes == 0
    assert [epoch.closed for epoch in kept.epochs] == ["done", "the source has ended", "done"]
    headers = [epoch.tracks["video"].headers for epoch in kept.epochs]
    assert [{h.disc for h in one} for one in headers] == [{0}, {1}, {2}]
    numbers = sorted({h.msn for one in headers for h in one})
    assert numbers == list(range(len(numbers)))
    assert all(only_track(epoch) == [p.data for p in packets] for epoch in kept.epochs)


def played(server: Server, stream: str) -> int:
    """How many video packets ffprobe reads from the playlist of a stream that has ended."""
    probe = ["ffprobe", "-v", "error", "-count_packets", "-select_streams", "v:0"]
    show = ["-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
    done = run_well([*probe, *show, server.playlist_url(stream)])
    return int(done.split()[0].rstrip(","))


async def _make_collection(bootstrap: str, name: str) -> None:
    catalog = await Catalog.open(KafkaSettings(bootstrap), SystemClock())
    try:
        await catalog.ensure_collection(name)
    finally:
        await catalog.close()


@pytest.mark.slow
def test_a_large_chunk_goes_in_pieces(server: Server, kafkajs: Path, tmp_path: Path) -> None:
    stream = "examples/large"
    film = make(
        tmp_path / "large.mp4",
        *("-vf", "noise=alls=100:allf=t", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "4"),
        *("-g", "5", "-pix_fmt", "yuv420p"),
        seconds=1, rate="10", size="1280x720", audio=False,
    )  # fmt: skip
    packets = file_packets(film, "video")
    assert max(len(packet.data) for packet in packets) > 900_000
    asyncio.run(_make_collection(server.bootstrap, "examples"))
    where = (stream, "--bootstrap-servers", server.bootstrap)
    run_well(python_example("write_kafka_python.py", str(film), *where, "--fast", "--end"))

    kept = read_stream(server.bootstrap, stream)
    assert only_track(kept.only()) == [packet.data for packet in packets]
    for command in (
        python_example("read_kafka_python.py", *where),
        kafkajs_example(kafkajs, *where),
    ):
        assert run(command) == kept.only().tracks["video"].file()


@pytest.mark.slow
def test_a_stream_that_moved_and_came_back_is_read_whole(
    server: Server, kafkajs: Path, tmp_path: Path
) -> None:
    stream = "examples/nomad"
    h264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-pix_fmt", "yuv420p")
    film = make(tmp_path / "short.mp4", *h264, seconds=2, rate="25", size="320x180", audio=False)
    asyncio.run(_make_collection(server.bootstrap, "examples"))
    where = (stream, "--bootstrap-servers", server.bootstrap)
    write = python_example("write_kafka_python.py", str(film), *where, "--fast")
    run_well(write)
    home = read_stream(server.bootstrap, stream).entry.placements[0].partition
    for partition in (home + 1, home):
        run_well(kinolog("streams", "move", stream, str(partition % 4), *where[1:]))
        run_well(write)

    expected = sorted(set(digests(read_stream(server.bootstrap, stream))))
    epochs = sorted({epoch for epoch, *_ in expected})
    assert len(epochs) == 3
    assert sorted({msn for _, _, msn, *_ in expected}) == [0, 1, 2]
    for command in (
        python_example("read_kafka_python.py", *where),
        kafkajs_example(kafkajs, *where),
    ):
        seen = listed(command)
        assert list(map(tuple, seen["chunks"])) == expected
        assert seen["opened"] == seen["closed"] == epochs
        assert not seen["holes"]
