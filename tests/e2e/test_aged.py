"""A stream of which Kafka has deleted all media: every request says so at once, on every edge."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest
from hls_stage import Stage, fetch, stage, until

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.random_reader import RandomReader
from kinolog.record.topics import topic

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(240)]

AT_ONCE_S = 3.0
"""Half of what a request waits for a publisher; joining a stream takes some 50 ms."""


@pytest.fixture
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("aged")) as found:
        yield found


async def age(played: Stage, stream: str, *kinds: str) -> None:
    """Delete all that the stream's partition has, as the retention does."""
    settings = KafkaSettings(bootstrap_servers=played.bootstrap, prefix=played.prefix)
    catalog = await Catalog.open(settings, SystemClock())
    reader, admin = RandomReader(settings), Admin(settings)
    try:
        at = catalog.registry.streams[StreamName.parse(stream)].placements[0]
        for kind in kinds:
            _, end = await reader.bounds(topic(at.base, kind), at.partition)
            await admin.delete_records(topic(at.base, kind), at.partition, end)
    finally:
        await reader.close()
        await catalog.close()


def refused(client: httpx.Client, url: str) -> tuple[int, str]:
    """An answer that came at once."""
    begun_s = time.monotonic()
    answer = client.get(url)
    assert time.monotonic() - begun_s < AT_ONCE_S, f"{url}: {answer.status_code} {answer.text}"
    return answer.status_code, answer.text.strip()


def listed(client: httpx.Client, edge: str, stream: str) -> dict[str, object]:
    streams = client.get(f"{edge}/api/streams").json()["streams"]
    return next(one for one in streams if f"{one['collection']}/{one['name']}" == stream)


@pytest.mark.parametrize("kinds", [("media", "index"), ("media",)], ids=["all", "media"])
def test_nothing_is_kept(played: Stage, kinds: tuple[str, ...]) -> None:
    stream = "aged/camera"
    played.published(stream, "seconds=12")
    before = played.edge()
    with httpx.Client(timeout=30) as client:
        fetch(client, f"{before}/media/{stream}/video.m3u8")
        asyncio.run(age(played, stream, *kinds))
        # The edge that follows it has it in memory, but not to cut clips of.
        fetch(client, f"{before}/media/{stream}/video.m3u8")
        clip = client.get(f"{before}/media/{stream}/clip.mp4?start=-1h")
        assert (clip.status_code, "nothing is kept" in clip.text) == (404, True), clip.text

        edge = played.edge()
        base = f"{edge}/media/{stream}"
        gone = (404, f"nothing of {stream} is kept")
        for name in ("video.m3u8", "index.m3u8", "manifest.mpd", "video.m3u8?_HLS_msn=3"):
            assert refused(client, f"{base}/{name}") == gone
        status, text = refused(client, f"{base}/clip.mp4?start=-1h")
        assert (status, "nothing is kept" in text) == (404, True), text
        told = client.get(f"{base}/timeline").json()
        assert told["state"] in ("away", "ended")
        assert (told["ranges"], told["resolution_s"]) == ([], 0)
        entry = listed(client, edge, stream)
        assert (entry["state"], entry["last_ms"]) == (told["state"], 0)

        # Who comes back is shown, here as at any edge.
        played.camera(stream)
        until(
            lambda: client.get(f"{base}/index.m3u8").status_code == 200,
            "the publisher that is back",
        )
        back = fetch(client, f"{base}/video.m3u8")
        assert back.first_msn >= 6
        assert abs(time.time() - datetime.fromisoformat(back.segments[-1].date).timestamp()) < 15
        assert listed(client, edge, stream)["state"] == "live"
        assert client.get(f"{base}/timeline").json()["state"] == "live"


def test_nothing_is_kept_of_a_publisher_that_was_killed(played: Stage) -> None:
    """The registry has it live for ever."""
    stream = "aged/killed"
    process = played.camera(stream)
    first = played.edge()
    with httpx.Client(timeout=30) as client:
        until(
            lambda: client.get(f"{first}/media/{stream}/index.m3u8").status_code == 200,
            "the publisher",
        )
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        asyncio.run(age(played, stream, "media", "index"))
        base = f"{played.edge()}/media/{stream}"
        gone = (404, f"nothing of {stream} is kept")
        # A session that the registry calls live is waited for, once.
        answer = client.get(f"{base}/video.m3u8")
        assert (answer.status_code, answer.text.strip()) == gone
        assert refused(client, f"{base}/video.m3u8") == gone
        assert refused(client, f"{base}/index.m3u8") == gone
        assert client.get(f"{base}/timeline").json()["state"] == "away"
