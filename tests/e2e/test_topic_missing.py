"""What viewers are told of a stream whose topic somebody has deleted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from hls_stage import Stage, stage, until

from kinolog.log.admin import Admin
from kinolog.log.client import KafkaSettings

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
SECONDS = 6


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("missing")) as found:
        yield found


@contextmanager
def deleted(played: Stage, collection: str, suffix: str, hint: str) -> Iterator[httpx.Client]:
    """A viewer of a stream one of whose topics is gone; it has been told so."""
    begun_s = int(time.time()) - 600
    played.published(f"{collection}/it", f"gop=1&seconds={SECONDS}", f"--at={begun_s}")
    edge = played.edge()
    listed = f"{edge}/api/streams"
    until(lambda: f'"{collection}"' in httpx.get(listed, timeout=60).text, "the stream listed")
    topic = f"{played.prefix}.{collection}.{suffix}"
    asyncio.run(Admin(KafkaSettings(played.bootstrap)).delete([topic]))
    span = f"start={begun_s}&end={begun_s + SECONDS}"
    with httpx.Client(base_url=f"{edge}/media/{collection}/it/", timeout=60) as viewer:
        for path in (f"clip.mp4?{span}", f"still.jpg?at={begun_s + 2}", "video.m3u8"):
            answer = viewer.get(path)
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "2"
            assert f"topic {topic} is missing" in answer.text
            assert f"{hint} {collection}" in answer.text
        yield viewer


def test_of_the_index_it_is_told_how_to_make_it_again_and_that_does(played: Stage) -> None:
    with deleted(played, "no-index", "index", "kinolog index rebuild") as viewer:
        assert played.start("index", "rebuild", "no-index").wait(60) == 0
        until(lambda: viewer.get("video.m3u8").status_code == 200, "the stream")


def test_of_the_media_it_is_told_where_to_look(played: Stage) -> None:
    with deleted(played, "no-media", "media", "kinolog collections show"):
        pass
