"""The media topic is made again, by hand, by a mirror, from a backup: the registry's offsets are of
another log. Streams are published again, and an edge that ran all the time shows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import pytest
from desk_kit import VIDEO, Desk, opened, video

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.delivery.hub import Hub
from kinolog.ingest.past import Place
from kinolog.ingest.source import Expect, Format
from kinolog.log.admin import Admin, TopicSpec
from kinolog.log.catalog import topic_config
from kinolog.log.client import KafkaSettings

pytestmark = pytest.mark.cluster

GATE, DOOR = StreamName("again", "gate"), StreamName("again", "door")


async def publish(desk: Desk, name: StreamName, pictures: int) -> None:
    ticket = await desk.publish(str(name))
    await ticket.feed([Expect(1), Format(0, VIDEO), *video(0, pictures)])
    await ticket.close("done")


async def make_again(bootstrap: str, desk: Desk) -> None:
    """Delete the topics, and make them anew with the same settings."""
    admin = Admin(KafkaSettings(bootstrap))
    entry = desk.catalog.collection("again")
    topics = {f"kinolog.again.{suffix}": suffix for suffix in ("media", "index")}
    await admin.delete(list(topics))
    await admin.create(
        [
            TopicSpec(topic, entry.partitions, 1, topic_config(entry, suffix))  # type: ignore[arg-type]
            for topic, suffix in topics.items()
        ]
    )


@asynccontextmanager
async def edge(bootstrap: str, desk: Desk) -> AsyncIterator[Hub]:
    hub = Hub(KafkaSettings(bootstrap), desk.catalog, desk.reader, SystemClock())
    try:
        yield hub
    finally:
        await hub.close()


async def until(ask: Callable[[], object]) -> None:
    async with asyncio.timeout(30):
        while not ask():  # noqa: ASYNC110 - the log tells it
            await asyncio.sleep(0.02)


async def shows(hub: Hub, name: StreamName, epoch: int, msn: int) -> None:
    """Wait until the edge lists a segment of this epoch, of this number or later."""
    channel = await hub.join(name)
    assert channel is not None

    def is_there() -> bool:
        track = channel.live.tracks.get("video")
        version = track.version if track is not None else None
        return any(s.epoch == epoch and s.msn >= msn for s in (version.segments if version else ()))

    await until(is_there)


def test_streams_are_published_again_after_their_topics_were_made_again(one_broker: str) -> None:
    """One stream's open lies behind the new log's end, the other's where another record is."""

    async def main() -> None:
        async with opened(one_broker) as desk, edge(one_broker, desk) as running:
            settings = desk.catalog.defaults(1)
            one = msgspec.structs.replace(settings, partitions=1, max_partitions=1)
            await desk.catalog.create("again", one)
            for name in (GATE, DOOR):
                await publish(desk, name, 300)
                await shows(running, name, max(desk.catalog.registry.epochs[name]), 0)
            await make_again(one_broker, desk)
            for name in (DOOR, GATE):
                known = desk.catalog.registry.streams[name]
                old = desk.catalog.registry.newest_epoch(name)
                assert old is not None
                async with opened(one_broker) as another:
                    await publish(another, name, 90)
                    kept = (await another.read(str(name))).only()
                assert kept.number > old.epoch
                headers = kept.tracks["video"].headers
                assert headers[0].msn == known.msn_floor
                assert headers[0].disc == old.disc + 1
                place = Place.of(known.placements[-1])
                low, end = await desk.reader.bounds(place.media, place.partition)
                print(f"{name}: was open at {old.open_offset}, of [{low}, {end}) now")
                await until(lambda n=name, e=kept.number: e in desk.catalog.registry.epochs[n])
                await shows(running, name, kept.number, known.msn_floor)
                async with edge(one_broker, desk) as new:
                    await shows(new, name, kept.number, known.msn_floor)

    asyncio.run(main())
