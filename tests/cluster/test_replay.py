"""After a failed delivery the log decides what is replayed (docs/adr/0002), on real brokers."""

from __future__ import annotations

import asyncio
import ctypes
import io
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, Message

from example_kit import installed_kafkajs, kafkajs_example, python_example, run
from failover_kit import (
    assert_nothing_lost,
    judge,
    media_numbers,
    new_name,
    numbers_of,
    pause_all,
    read_back,
    resume_all,
)
from kinolog import connect
from kinolog.cluster import Cluster
from kinolog.core.clock import SystemClock
from kinolog.core.errors import Replaced
from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLog, read_ack_log
from kinolog.ingest.camera import SyntheticCamera
from kinolog.ingest.desk import LocalDesk, Ticket
from kinolog.ingest.services import Services
from kinolog.ingest.source import SourceEvent
from kinolog.log.client import KafkaSettings
from kinolog.log.writer import LogWriter
from kinolog.media import blockcode
from kinolog.runtime.roles import Backend, backend
from kinolog.testing import read_block_codes

pytestmark = pytest.mark.cluster

FRAMES = 240
CAMERA = f"test:320x180@30?seconds={FRAMES // 30}"


def camera_batches(url: str = CAMERA) -> list[list[SourceEvent]]:
    return list(SyntheticCamera(url).events(1_900_000_000_000))


class Ingest:
    """A desk of its own: writer, ack log, backend."""

    def __init__(self, base: Backend, writer: LogWriter, desk: LocalDesk, acks: Path) -> None:
        self.base, self.writer, self.desk, self.acks = base, writer, desk, acks


@asynccontextmanager
async def ingest(
    bootstrap: str, acks: Path, *, delivery_timeout_ms: int = 60_000
) -> AsyncIterator[Ingest]:
    kafka = KafkaSettings(bootstrap)
    async with backend(kafka) as base:
        writer = LogWriter(kafka, delivery_timeout_ms=delivery_timeout_ms)
        log = AckLog(acks)
        desk = LocalDesk(
            Services(base.catalog, writer, base.reader, SystemClock(), log, end_grace_ms=600_000)
        )
        try:
            yield Ingest(base, writer, desk, acks)
        finally:
            await desk.close()
            await writer.close()
            log.close()


async def until(condition: Callable[[], bool], timeout_s: float = 30) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event to tell of it
            await asyncio.sleep(0.01)


async def feed(ticket: Ticket, batches: Sequence[list[SourceEvent]]) -> None:
    for batch in batches:
        await ticket.feed(batch)


def test_what_a_paused_cluster_did_not_take_is_replayed(
    healthy_cluster3: Cluster, tmp_path: Path
) -> None:
    """The delivery timeout passes while all brokers are stopped, with requests under way: those
    land when they go on, or do not; what is read back is each frame once, in order."""
    cluster = healthy_cluster3
    name = StreamName(new_name("replay"), "cam")
    batches = camera_batches()

    async def work() -> None:
        async with ingest(
            cluster.bootstrap_servers, tmp_path / "acks", delivery_timeout_ms=3000
        ) as here:
            ticket = await here.desk.publish(name, publisher="test", live=False)
            await feed(ticket, batches[:100])
            await until(lambda: ticket.session.unacked_bytes == 0)
            pause_all(cluster)
            try:
                await feed(ticket, batches[100:200])
                assert ticket.session.unacked_bytes > 0
                failed = here.writer.generation
                rest = asyncio.create_task(_feed_slowly(ticket, batches[200:], here, failed))
                await until(lambda: here.writer.generation > failed)
            finally:
                resume_all(cluster)
            await rest
            await ticket.close("done")
            found = await read_back(here.base, name)
            assert_nothing_lost(here.acks, found)
            assert len(found.opens) > 1, "no new epoch: nothing failed"
            assert numbers_of(found.codes()) == list(range(FRAMES))
            numbers = media_numbers(found)
            assert numbers == list(range(numbers[-1] + 1))
            discs = [chunk.header.disc for chunk in found.of("video")]
            assert discs == sorted(discs)
            assert discs[-1] > discs[0]

    asyncio.run(work())


async def _feed_slowly(
    ticket: Ticket, batches: Sequence[list[SourceEvent]], here: Ingest, failed: int
) -> None:
    """As a live source would: slowly until the failure is noticed, then the rest."""
    left = list(batches)
    while left:
        await ticket.feed(left.pop(0))
        if here.writer.generation == failed:
            await asyncio.sleep(0.1)


def test_a_fatal_error_of_the_producer_costs_no_frame(
    healthy_cluster3: Cluster, tmp_path: Path
) -> None:
    """Two sessions share the producer that breaks: both go on under new opens; so does a third
    that comes after another fatal error, with nothing under way to notice it by."""
    cluster = healthy_cluster3
    collection = new_name("fatal")
    names = [StreamName(collection, f"cam{number}") for number in range(3)]
    batches = camera_batches()

    async def work() -> None:
        async with ingest(cluster.bootstrap_servers, tmp_path / "acks") as here:
            tickets = [
                await here.desk.publish(name, publisher="test", live=False) for name in names[:2]
            ]
            # What is under way is not answered, so that both have something to replay.
            for ticket in tickets:
                await feed(ticket, batches[:100])
            pause_all(cluster)
            try:
                for ticket in tickets:
                    await feed(ticket, batches[100:120])
                    assert ticket.session.unacked_bytes > 0
                break_producer(here.writer)
                rest = [asyncio.create_task(feed(ticket, batches[120:])) for ticket in tickets]
                await until(lambda: all(failed(ticket) for ticket in tickets))
            finally:
                resume_all(cluster)
            await asyncio.gather(*rest)
            for ticket in tickets:
                await ticket.close("done")
            assert here.writer.generation == 1
            break_producer(here.writer)
            await until(lambda: here.writer.broken)
            late = await here.desk.publish(names[2], publisher="test", live=False)
            await feed(late, batches)
            await late.close("done")
            assert here.writer.generation == 2

            acks = {name: tmp_path / f"acks-{name.name}" for name in names}
            for name, path in acks.items():
                lines = here.acks.read_bytes().splitlines(keepends=True)
                path.write_bytes(b"".join(li for li in lines if f'"{name}"'.encode() in li))
                found = await read_back(here.base, name)
                assert_nothing_lost(path, found)
                assert numbers_of(found.codes()) == list(range(FRAMES))
                assert len(found.opens) == (1 if name == names[2] else 2)

    asyncio.run(work())


def test_a_session_that_fails_after_a_newer_one_began_does_not_take_the_stream_back(
    healthy_cluster3: Cluster, tmp_path: Path
) -> None:
    cluster = healthy_cluster3
    name = StreamName(new_name("takeover"), "cam")
    batches = camera_batches()

    async def work() -> None:
        servers = cluster.bootstrap_servers
        async with ingest(servers, tmp_path / "a") as old, ingest(servers, tmp_path / "b") as new:
            older = await old.desk.publish(name, publisher="old", live=False)
            await feed(older, batches[:90])
            await until(lambda: older.session.unacked_bytes == 0)
            await old.desk.close()  # hears no more of the registry, as a process that was stopped
            newer = await new.desk.publish(name, publisher="new", live=False)
            await feed(newer, batches[:90])
            break_producer(old.writer)
            with pytest.raises(Replaced):
                await feed(older, batches[90:])
            with pytest.raises(Replaced):
                await older.feed(batches[90])
            await older.close("replaced")
            await feed(newer, batches[90:])
            epoch = newer.session.epoch
            await newer.close("done")
            found = await read_back(new.base, name)
            assert [opened.open.publisher for opened in found.opens] == ["old", "new"]
            of_newer = [c for c in found.chunks if c.header.epoch == epoch]
            assert of_newer[-1] is found.chunks[-1]

    asyncio.run(work())


@pytest.mark.parametrize("told", [True, False], ids=["registry-told", "same-process"])
def test_what_lands_behind_a_newer_open_is_not_listed(
    one_broker: str, tmp_path: Path, told: bool
) -> None:
    """The half-dead connection of an encoder that came back sends what it held under a void epoch,
    at another ingest, or at the same one before the registry is told of the newer."""
    name = StreamName(new_name("behind"), "cam")
    batches = camera_batches()

    async def work() -> None:
        async with (
            ingest(one_broker, tmp_path / "a") as old,
            ingest(one_broker, tmp_path / "b") as b,
        ):
            new = b if told else old
            older = await old.desk.publish(name, publisher="old", live=False)
            await feed(older, batches[:95])
            await until(lambda: older.session.unacked_bytes == 0)
            newer = await new.desk.publish(name, publisher="new", live=False)
            if not told:
                newer.session._opener.announcer.announce = lambda _: None  # type: ignore[method-assign]
            await feed(newer, batches[:90])
            if told:
                await until(lambda: older.session._failure is not None)
            await older.close("gone")
            await newer.close("done")
            found = await read_back(new.base, name)
            assert found.ignored.zombies > 1, "only the close record: this shows nothing"
            assert not judge(read_ack_log(old.acks), found).lost

    asyncio.run(work())


def test_every_reader_decodes_on_over_a_replay(one_broker: str, tmp_path: Path) -> None:
    """The epoch that replays begins amid a group of pictures, here the only one."""
    name = StreamName(new_name("amid"), "cam")

    async def work() -> None:
        async with ingest(one_broker, tmp_path / "acks") as here:
            ticket = await here.desk.publish(name, publisher="test", live=False)
            for number, batch in enumerate(camera_batches(f"{CAMERA}&gop=10&bframes=2")):
                await ticket.feed(batch)
                if number == 100:
                    # What has landed is not replayed: the keyframe, at the least.
                    await until(lambda: bool(read_ack_log(here.acks)))
                    break_producer(here.writer)
            await ticket.close("done")
            found = await read_back(here.base, name)
            assert len(found.opens) == 2
            assert [c.header.epoch for c in found.of("video") if c.header.ind] == [
                found.opens[0].epoch
            ]

    asyncio.run(work())
    where = (str(name), "--bootstrap-servers", one_broker)
    play = [sys.executable, "-m", "kinolog", "play", *where, "--from", "earliest", "--no-follow"]
    for command in (
        python_example("read_kafka_python.py", *where),
        kafkajs_example(installed_kafkajs(tmp_path), *where),
        [*play, "--track", "video"],
    ):
        assert numbers_of(read_block_codes(io.BytesIO(run(command)))) == list(range(FRAMES))
    with connect(one_broker) as connection:
        frames = list(connection.frames(str(name), "earliest", follow=False))
        seen = [blockcode.read(frame.image[:, :, 1]) for frame in frames]
        assert seen == list(range(FRAMES))
        assert len({frame.epoch for frame in frames}) == 2
        # Begun within the replay, it is decoded from the keyframe of the epoch before.
        later = list(connection.frames(str(name), frames[200].time, follow=False))
        assert [blockcode.read(frame.image[:, :, 1]) for frame in later] == seen[200:]


def test_silence_goes_on_over_a_replay(one_broker: str, tmp_path: Path) -> None:
    """A session without sound after one with: what is added is each frame once, too."""
    name = StreamName(new_name("quiet"), "cam")

    async def work() -> None:
        async with ingest(one_broker, tmp_path / "acks") as here:
            # Fed at once, its second of media is over before the next session begins none the less.
            earlier_ms = round(1000 * time.time()) - 60_000
            first = await here.desk.publish(name, publisher="test", live=False, at_ms=earlier_ms)
            await feed(first, camera_batches()[:30])
            await first.close("done")
            ticket = await here.desk.publish(name, publisher="test", live=False)
            batches = camera_batches(f"{CAMERA}&audio=0")
            # Some of it is in the log before the failure, else all of it is the replay's.
            await feed(ticket, batches[:60])
            await until(lambda: ticket.session.unacked_bytes == 0)
            await feed(ticket, batches[60:120])
            break_producer(here.writer)
            await feed(ticket, batches[120:])
            await ticket.close("done")
            found = await read_back(here.base, name)
            assert_nothing_lost(here.acks, found)
            assert len(found.opens) == 3
            assert [opened.open.tracks[1].silence for opened in found.opens] == [False, True, True]
            begun = found.opens[1].epoch
            quiet = [c.header for c in found.of("audio") if c.header.epoch >= begun]
            seen = [c.header for c in found.of("video") if c.header.epoch >= begun]
            assert {h.epoch for h in quiet} == {opened.epoch for opened in found.opens[1:]}
            assert all(a.dts + a.dur == b.dts for a, b in pairwise(quiet))
            seen_s = (seen[-1].dts + seen[-1].dur - seen[0].dts) / 90_000
            heard_s = (quiet[-1].dts + quiet[-1].dur - quiet[0].dts) / 48_000
            assert 0 <= heard_s - seen_s < 2 * 1024 / 48_000

    asyncio.run(work())


class _Unplaced:
    """A delivered message whose offset the client does not know: so it reports a record that was
    sent again after a leader's death and was there already (rare, hence made here)."""

    def __init__(self, message: Message) -> None:
        self._message = message

    def offset(self) -> None:
        return None

    def __getattr__(self, name: str) -> object:
        return getattr(self._message, name)


class _Forgetful(deque[Any]):
    """Delivery reports, every seventh without an offset."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[int] = []
        self._seen = 0

    def append(self, report: Any) -> None:
        tell, error, message = report
        self._seen += 1
        if error is None and self._seen % 7 == 0:
            self.forgotten.append(message.offset())
            message = _Unplaced(message)
        super().append((tell, error, message))


def test_an_acknowledgement_without_an_offset_is_looked_up_in_the_log(
    one_broker: str, tmp_path: Path
) -> None:
    name = StreamName(new_name("unplaced"), "cam")

    async def work() -> None:
        async with ingest(one_broker, tmp_path / "acks") as here:
            here.writer._done = reports = _Forgetful()
            ticket = await here.desk.publish(name, publisher="test", live=False)
            await feed(ticket, camera_batches())
            await ticket.close("done")
            found = await read_back(here.base, name)
            assert_nothing_lost(here.acks, found)
            assert len(found.opens) == 1
            assert numbers_of(found.codes()) == list(range(FRAMES))
            told = [line.offset for line in read_ack_log(here.acks)]
            assert told == sorted(told)
            assert set(told) & set(reports.forgotten), "none of them was a chunk"

    asyncio.run(work())


def failed(ticket: Ticket) -> bool:
    """Whether the session knows that something was not delivered."""
    epoch = ticket.session._epoch
    return epoch is not None and epoch.outbox.failure is not None


def break_producer(writer: LogWriter) -> None:
    """librdkafka's own hook for tests: `rd_kafka_test_fatal_error` on the client's handle, which
    is the first field of its Python object."""
    (library,) = Path(confluent_kafka.__file__).parent.parent.glob(
        "confluent_kafka.libs/librdkafka-*.so*"
    )
    producer = writer._producer
    handle = ctypes.c_void_p.from_address(id(producer) + object.__basicsize__)
    inject = ctypes.CDLL(str(library)).rd_kafka_test_fatal_error
    inject.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p]
    inject(handle, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, b"injected by a test")
