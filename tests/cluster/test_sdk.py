"""The SDK against real Kafka: what was published is what is read, from the moment asked for."""

from __future__ import annotations

import asyncio
import io
import re
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from sdk_streams import START_MS, camera, new_prefix, opened_desk, packets, publish_at, published

import kinolog
from kinolog.core.names import StreamName
from kinolog.log.client import KafkaSettings
from kinolog.media import blockcode
from kinolog.media.cmaf import parse_chunk
from kinolog.testing import read_block_codes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
DEADLINE_S = 60


@pytest.fixture
def cluster(one_broker: str) -> Iterator[kinolog.Connection]:
    with kinolog.connect(one_broker, topic_prefix=new_prefix()) as connection:
        yield connection


@pytest.fixture(scope="module")
def recorded(one_broker: str) -> Iterator[kinolog.Connection]:
    """lab/cam: six seconds, 150 pictures, one session."""
    with kinolog.connect(one_broker, topic_prefix=new_prefix()) as connection:
        published(connection.kafka, "lab/cam", (START_MS, camera()))
        yield connection


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def numbers(found: kinolog.Frames) -> list[int | None]:
    return [blockcode.read(frame.image[:, :, 1]) for frame in found]


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(START_MS / 1000, UTC) + timedelta(seconds=seconds)


def test_chunks_hold_every_packet(recorded: kinolog.Connection) -> None:
    events = camera()
    found = list(recorded.chunks("lab/cam", "earliest", follow=False))
    for number, name in enumerate(["video", "audio"]):
        samples = []
        for chunk in found:
            if chunk.track != name:
                continue
            parsed = parse_chunk(chunk.data)
            offset = parsed.data_offset
            for size in parsed.sizes:
                samples.append(chunk.data[offset : offset + size])
                offset += size
        assert samples == [packet.data for packet in packets(events, number)]
    video = [chunk for chunk in found if chunk.track == "video"]
    assert video[0].independent
    assert abs(video[0].time - at(0)) < timedelta(milliseconds=50)
    seen = read_block_codes(io.BytesIO(video[0].init + b"".join(c.data for c in video)))
    assert [frame.number for frame in seen] == list(range(150))


def test_frames_are_all_there_in_order(recorded: kinolog.Connection) -> None:
    frames = list(recorded.frames("lab/cam", "earliest", follow=False))
    assert [blockcode.read(f.image[:, :, 1]) for f in frames] == list(range(150))
    assert [f.number for f in frames] == list(range(150))
    steps = {round((b.time - a.time).total_seconds(), 3) for a, b in pairwise(frames)}
    assert steps <= {0.039, 0.04, 0.041}
    assert frames[0].image.shape == (180, 320, 3)


def test_from_before_all_time(recorded: kinolog.Connection) -> None:
    everything = [chunk.data for chunk in recorded.chunks("lab/cam", "earliest", follow=False)]
    for start in (0, 5, datetime(1970, 1, 1, tzinfo=UTC)):
        found = recorded.chunks("lab/cam", start, follow=False)
        assert [chunk.data for chunk in found] == everything


def test_frames_begin_and_end_exactly(recorded: kinolog.Connection) -> None:
    every = list(recorded.frames("lab/cam", "earliest", follow=False))
    start, end = every[83].time, every[110].time
    some = list(recorded.frames("lab/cam", start, end, follow=False))
    assert [frame.time for frame in some] == [frame.time for frame in every[83:110]]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(some, every[83:110], strict=True))


def test_fewer_and_smaller_frames(recorded: kinolog.Connection) -> None:
    few = list(
        recorded.frames("lab/cam", "earliest", follow=False, fps=5, size=(160, 90), format="gray")
    )
    assert [blockcode.read(frame.image) for frame in few] == list(range(0, 150, 5))
    assert few[0].image.shape == (90, 160)


def test_over_sessions_and_a_pause(cluster: kinolog.Connection) -> None:
    first = camera("test:320x180@25?seconds=3&bframes=2")
    second = camera("test:192x108@25?seconds=3")
    published(cluster.kafka, "lab/cam", (START_MS, first), (START_MS + 60_000, second))
    frames = list(cluster.frames("lab/cam", "earliest", follow=False))
    assert len({frame.epoch for frame in frames}) == 2
    assert [frame.image.shape[0] for frame in frames] == [180] * 75 + [108] * 75
    # In the pause: what comes after it, and nothing of what was before.
    late = list(cluster.chunks("lab/cam", at(30), follow=False))
    assert {chunk.epoch for chunk in late} == {frames[-1].epoch}
    assert len(list(cluster.frames("lab/cam", at(30), follow=False))) == 75
    assert list(cluster.frames("lab/cam", at(1), at(20)))[-1].epoch == frames[0].epoch


def test_chunks_begin_with_the_keyframe_before(recorded: kinolog.Connection) -> None:
    found = list(recorded.chunks("lab/cam", at(3.5), follow=False))
    video = [chunk for chunk in found if chunk.track == "video"]
    assert video[0].independent
    assert at(2.4) < video[0].time <= at(3.5)
    audio = [chunk for chunk in found if chunk.track == "audio"]
    assert abs(audio[0].time - video[0].time) < timedelta(seconds=0.3)


def test_what_is_not_there(recorded: kinolog.Connection) -> None:
    with pytest.raises(kinolog.NotFound, match="there is no stream lab/none"):
        list(recorded.chunks("lab/none", follow=False))
    with pytest.raises(kinolog.NotFound, match="nothing of lab/cam is kept at"):
        list(recorded.chunks("lab/cam", at(100), follow=False))
    with pytest.raises(kinolog.NotFound, match="no track audio-7"):
        list(recorded.chunks("lab/cam", "earliest", follow=False, tracks=["audio-7"]))
    # Before it began, it begins with its beginning.
    assert len(list(recorded.frames("lab/cam", at(-100), follow=False))) == 150


def test_a_moved_stream_keeps_its_past(cluster: kinolog.Connection) -> None:
    async def publish_and_move() -> None:
        events = camera("test:320x180@25?seconds=2")
        async with opened_desk(cluster.kafka) as (desk, catalog):
            name = StreamName.parse("lab/cam")
            await publish_at(desk, "lab/cam", events, START_MS)
            await catalog.move(name, 2, int(time.time() * 1000))
            await publish_at(desk, "lab/cam", events, START_MS + 10_000)
            await catalog.move(name, 0, int(time.time() * 1000))
            await publish_at(desk, "lab/cam", events, START_MS + 20_000)

    asyncio.run(publish_and_move())
    wait_for(lambda: len(cluster.streams()) == 1)
    frames = list(cluster.frames("lab/cam", "earliest", follow=False))
    assert [blockcode.read(f.image[:, :, 1]) for f in frames] == list(range(50)) * 3
    assert numbers(cluster.frames("lab/cam", at(11), follow=False)) == [
        *range(25, 50), *range(50)
    ]  # fmt: skip


def test_what_was_published_just_now_is_there(one_broker: str) -> None:
    """Also for a connection that is open since before that."""
    events = camera("test:320x180@25?seconds=0.2")

    async def work() -> None:
        connection = kinolog.connect(one_broker, topic_prefix=new_prefix())
        async with connection, opened_desk(connection.kafka) as (desk, _):
            for number in range(10):
                await publish_at(desk, f"lab/now-{number}", events)
                frames = connection.frames(f"lab/now-{number}", "earliest", follow=False)
                async with frames as found:
                    assert len([frame async for frame in found]) == 5

    asyncio.run(work())


def test_a_follower_sees_what_comes_also_elsewhere(cluster: kinolog.Connection) -> None:
    """From the past through the present, over a reconnect and a move, nothing twice or missing."""
    events = camera("test:320x180@25?seconds=2")
    seen: list[int | None] = []
    reached = {count: asyncio.Event() for count in (50, 100, 150)}
    reading: asyncio.Task[None]

    async def work() -> None:
        nonlocal reading
        async with opened_desk(cluster.kafka) as (desk, catalog):
            await publish_at(desk, "lab/cam", events, START_MS)
            reading = asyncio.create_task(read())
            await until(50)
            await publish_at(desk, "lab/cam", events, START_MS + 10_000)
            await until(100)
            await catalog.move(StreamName.parse("lab/cam"), 3, int(time.time() * 1000))
            await publish_at(desk, "lab/cam", events, START_MS + 20_000)
            await until(150)
            reading.cancel()
            await asyncio.wait([reading])

    async def read() -> None:
        async with cluster.frames("lab/cam", "earliest") as frames:
            async for frame in frames:
                seen.append(blockcode.read(frame.image[:, :, 1]))
                if len(seen) in reached:
                    reached[len(seen)].set()

    async def until(count: int) -> None:
        waiting = asyncio.create_task(reached[count].wait())
        await asyncio.wait(
            [waiting, reading], timeout=DEADLINE_S, return_when=asyncio.FIRST_COMPLETED
        )
        waiting.cancel()
        assert reached[count].is_set(), (len(seen), reading)

    asyncio.run(work())
    assert seen == list(range(50)) * 3


def test_publish_frames_and_read_them_back(
    cluster: kinolog.Connection, capfd: pytest.CaptureFixture[str]
) -> None:
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    with cluster.publish("lab/sim", fps=10) as out:
        for number in range(30):
            out.write(np.full((96, 128, 3), colours[number // 10], np.uint8), at(number / 10))
    frames = list(cluster.frames("lab/sim", "earliest", follow=False))
    assert [frame.time for frame in frames] == [at(number / 10) for number in range(30)]
    for number, frame in enumerate(frames):
        assert np.abs(frame.image.mean(axis=(0, 1)) - colours[number // 10]).max() < 8
    (info,) = cluster.streams()
    assert (info.name, info.state) == ("lab/sim", "away")
    assert [(t.name, t.width, t.height) for t in info.tracks] == [("video", 128, 96)]
    assert capfd.readouterr().out == "", "standard output is the program's own"


def test_a_pause_while_publishing_is_a_new_session(cluster: kinolog.Connection) -> None:
    picture = np.zeros((64, 64, 3), np.uint8)
    times = [at(0), at(0.1), at(0.2), at(30), at(30.1)]
    with cluster.publish("lab/sim", fps=10, codec="vp9") as out:
        for time_ in times:
            out.write(picture, time_)
        with pytest.raises(kinolog.InputError, match="not after"):
            out.write(picture, at(3))
        with pytest.raises(kinolog.InputError, match="uint8"):
            out.write(np.zeros((64, 64)))
    frames = list(cluster.frames("lab/sim", "earliest", follow=False))
    assert [frame.time for frame in frames] == times
    assert len({frame.epoch for frame in frames}) == 2


def test_async_publish_and_follow(cluster: kinolog.Connection) -> None:
    async def work() -> list[float]:
        seen: list[float] = []
        async with cluster.publish("lab/sim", fps=10) as out:
            for number in range(3):
                await out.awrite(np.zeros((64, 64, 3), np.uint8), at(number / 10))
            await out.aclose()
            async with asyncio.timeout(DEADLINE_S), cluster.frames("lab/sim", "earliest") as frames:
                async for frame in frames:
                    seen.append((frame.time - at(0)).total_seconds())
                    if len(seen) == 3:
                        break
        return seen

    assert asyncio.run(work()) == [0, 0.1, 0.2]


def test_live_begins_with_the_latest_picture(recorded: kinolog.Connection) -> None:
    assert numbers(recorded.frames("lab/cam", follow=False)) == [149]
    chunks = list(recorded.chunks("lab/cam", follow=False))
    video = [chunk for chunk in chunks if chunk.track == "video"]
    assert video[0].independent
    assert sum(chunk.independent for chunk in video) == 1


def test_what_has_aged_out(cluster: kinolog.Connection) -> None:
    published(cluster.kafka, "lab/cam", (START_MS, camera()))
    every = list(cluster.chunks("lab/cam", "earliest", follow=False))
    admin = AdminClient({"bootstrap.servers": cluster.kafka.bootstrap_servers})
    place = TopicPartition(f"{cluster.kafka.prefix}.lab.media", 0, 1 + len(every) // 2)
    next(iter(admin.delete_records([place]).values())).result(DEADLINE_S)
    kept = list(cluster.chunks("lab/cam", "earliest", follow=False))
    video = [chunk for chunk in kept if chunk.track == "video"]
    assert 0 < len(kept) <= len(every) // 2
    assert video[0].independent
    assert kept[-1] == every[-1]
    with pytest.raises(kinolog.NotFound, match="the oldest is from"):
        list(cluster.chunks("lab/cam", at(1), follow=False))
    assert list(cluster.chunks("lab/cam", at(5.5), follow=False))[-1] == every[-1]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


def test_an_early_end_leaves_nothing(one_broker: str) -> None:
    prefix = new_prefix()
    kafka = KafkaSettings(one_broker, prefix=prefix)
    published(kafka, "lab/cam", (START_MS, camera("test:320x180@25?seconds=2")))
    before = threads() - {"kinolog"}

    def read() -> kinolog.Frames:
        connection = kinolog.connect(one_broker, topic_prefix=prefix)
        return connection.frames("lab/cam", "earliest")

    def mine() -> set[str]:
        return {name for name in threads() - before if name.startswith("kafka")}

    with read() as frames:
        next(frames)
        assert mine()
    assert not mine()
    for frame in read():  # forgotten: closed by the garbage collector
        assert frame.number == 0
        break
    wait_for(lambda: not mine())


def test_no_kafka_there() -> None:
    connection = kinolog.connect("127.0.0.1:1")
    with pytest.raises(kinolog.KafkaUnavailable):
        list(connection.chunks("lab/cam"))


def test_every_snippet_of_the_guide_runs(
    one_broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/sdk.md, from top to bottom, in one namespace, against a stream that exists."""
    guide = (Path(__file__).parents[2] / "docs" / "sdk.md").read_text()
    snippets = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    assert len(snippets) >= 6
    prefix = new_prefix()
    monkeypatch.setenv("KINOLOG_BOOTSTRAP_SERVERS", one_broker)
    monkeypatch.setenv("KINOLOG_TOPIC_PREFIX", prefix)
    monkeypatch.chdir(tmp_path)
    now_ms = int(time.time() * 1000)
    kafka = KafkaSettings(one_broker, prefix=prefix)
    published(kafka, "cams/gate", (now_ms - 30_000, camera("test:320x180@25?seconds=4")))
    space: dict[str, object] = {"BROKERS": one_broker}
    for snippet in snippets:
        exec(compile(snippet, "docs/sdk.md", "exec"), space)
    assert space["seen"] == 20
    pictures = space["pictures"]
    assert isinstance(pictures, list)
    assert len({frame.epoch for frame in pictures}) == 1, "the wait for Kafka is no pause"
