"""The index is a function of the media: deleted and made again, it says the same."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import httpx
import msgspec
import pytest
from hls_stage import Stage, stage, until

from kinolog.core.clock import SystemClock
from kinolog.core.names import StreamName
from kinolog.log.admin import Admin
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.paging import read_entries
from kinolog.log.random_reader import RandomReader
from kinolog.record.control import IndexRecord, SegmentEntry, SessionEntry
from kinolog.record.page import PageEntry
from kinolog.record.table import PackedTable
from kinolog.record.topics import topic

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(300)]

STREAMS = ("rebuild/one", "rebuild/two")
Entries = dict[str, list[IndexRecord]]


@pytest.fixture(scope="module")
def played(one_broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(one_broker, tmp_path_factory.mktemp("rebuild")) as found:
        yield found


async def _index(settings: KafkaSettings, *, delete: bool) -> Entries:
    catalog = await Catalog.open(settings, SystemClock())
    reader, admin = RandomReader(settings), Admin(settings)
    found: Entries = {}
    try:
        for name in STREAMS:
            at = catalog.registry.streams[StreamName.parse(name)].placements[0]
            index = topic(at.base, "index")
            low, end = await reader.bounds(index, at.partition)
            key = name.partition("/")[2]
            entries = await read_entries(reader, index, at.partition, key, low, end)
            found[name] = [entry for _, entry in entries]
            if delete:
                await admin.delete_records(index, at.partition, end)
    finally:
        await reader.close()
        await catalog.close()
    return found


def comparable(entries: list[IndexRecord]) -> list[object]:
    """In an order of their own and without index offsets, of which a rebuild makes others."""
    made: list[tuple[object, ...]] = []
    for entry in entries:
        if isinstance(entry, SegmentEntry):
            made.append((1, entry.track, entry.msn, msgspec.structs.replace(entry, pages={})))
        elif isinstance(entry, SessionEntry):
            made.append((0, "", entry.epoch, msgspec.structs.replace(entry, pages={})))
        else:
            assert isinstance(entry, PageEntry)
            assert entry.rows is not None
            rows = [row._replace(entry=0) for row in PackedTable(entry.rows)]
            siblings = [(ref.number, ref.wall, ref.until, ref.solid) for ref in entry.siblings]
            said = (entry.wall, entry.until, entry.epoch, entry.solid)
            made.append((2, entry.track, entry.level, entry.number, rows, siblings, said))
    return sorted(made, key=lambda one: repr(one[:4] if one[0] == 2 else one[:3]))


def served(edge: str, begun_s: float) -> dict[str, bytes]:
    """Playlists, media segments, clips and stills of the past, by URL."""
    found = {}
    with httpx.Client(timeout=60) as client:
        for name in STREAMS:
            for rest in (
                f"clip.mp4?start={begun_s + 5}&end={begun_s + 25}",
                f"clip.mp4?start={begun_s + 20}&end={begun_s + 120}",
                f"still.jpg?at={begun_s + 12.3}",
                f"manifest.mpd?start={begun_s}&end={begun_s + 300}",
            ):
                url = f"/media/{name}/{rest}"
                answer = client.get(edge + url)
                assert answer.status_code == 200, answer.text
                found[url] = answer.content
            for track in ("video", "audio"):
                url = f"/media/{name}/{track}.m3u8?start={begun_s}&end={begun_s + 900}"
                answer = client.get(edge + url)
                assert answer.status_code == 200, answer.text
                found[url] = answer.content
                uri = answer.text.splitlines()[-2]
                body = client.get(f"{edge}/media/{name}/{uri}")
                assert body.status_code == 200
                found[f"{name}/{uri}"] = body.content
    return found


def test_the_same_entries_playlists_clips_and_stills(played: Stage) -> None:
    begun_s = float(int(time.time()) - 1000)
    for name in STREAMS:
        for at, seconds in ((0, 30), (100, 200)):
            query = f"seconds={seconds}&gop=2"
            source = f"test:160x90@5?{query}"
            words = ("--fast", f"--at={begun_s + at:.0f}")
            assert played.start("publish", source, name, *words).wait(120) == 0
    # A session that dies, and one that writes what it left out.
    camera = played.camera(STREAMS[0])
    edge = played.edge()
    with httpx.Client(timeout=30) as client:
        url = f"{edge}/media/{STREAMS[0]}/video.m3u8"
        until(lambda: client.get(url).status_code == 200, "a playlist")
    refused = played.start("index", "rebuild", "rebuild")
    assert refused.wait(60) == 1
    said = [p for p in played.logs.glob("*-index.log") if "being published" in p.read_text()]
    assert said
    camera.send_signal(signal.SIGKILL)
    camera.wait(10)
    played.published(STREAMS[0], "seconds=10")
    settings = KafkaSettings(played.bootstrap, prefix=played.prefix)
    old = played.edge()
    first = served(old, begun_s)
    before = asyncio.run(_index(settings, delete=True))
    pages = [e for e in before[STREAMS[0]] if isinstance(e, PageEntry)]
    assert {page.level for page in pages} >= {1}
    done = played.start("index", "rebuild", "rebuild", "--json")
    assert done.wait(120) == 0
    after = asyncio.run(_index(settings, delete=False))
    for name in STREAMS:
        assert comparable(after[name]) == comparable(before[name])
    new = played.edge()
    assert served(new, begun_s) == first
    # An edge that knew the old index looks into the new one: at what it has not kept, a second on.
    assert served(old, begun_s + 1) == served(new, begun_s + 1)
    # And it goes on from there.
    played.published(STREAMS[0], "seconds=10")
    assert served(played.edge(), begun_s) == first
    # And where the topic itself is gone.
    asyncio.run(Admin(settings).delete([f"{played.prefix}.rebuild.index"]))
    done = played.start("index", "rebuild", "rebuild")
    assert done.wait(120) == 0
    assert served(played.edge(), begun_s) == first


def test_an_edge_takes_no_page_of_an_index_for_one_of_another(played: Stage) -> None:
    """Where a topic is made again, another page may be at the same offset. Here it is: a page's
    segments are deleted in between."""
    stream, begun_s = "again/camera", int(time.time()) - 1000
    source = "test:160x90@5?seconds=400&gop=2&audio=0"
    assert played.start("publish", source, stream, "--fast", f"--at={begun_s}").wait(120) == 0
    settings = KafkaSettings(played.bootstrap, prefix=played.prefix)
    index = f"{played.prefix}.again.index"

    async def remade(*, without: int) -> dict[int, PageEntry]:
        """The pages by their offsets, of an index that is made again without the media before a
        segment."""
        catalog = await Catalog.open(settings, SystemClock())
        reader, admin = RandomReader(settings), Admin(settings)
        try:
            at = catalog.registry.streams[StreamName.parse(stream)].placements[0].partition
            _, end = await reader.bounds(index, at)
            entries = await read_entries(reader, index, at, "camera", 0, end)
            offsets = {e.msn: e.offsets[0] for _, e in entries if isinstance(e, SegmentEntry)}
            await admin.delete_records(f"{played.prefix}.again.media", at, offsets[without])
            await admin.delete([index])
            rebuild = played.start("index", "rebuild", "again")
            assert await asyncio.to_thread(rebuild.wait, 120) == 0
            _, end = await reader.bounds(index, at)
            entries = await read_entries(reader, index, at, "camera", 0, end)
            return {offset: e for offset, e in entries if isinstance(e, PageEntry)}
        finally:
            await reader.close()
            await catalog.close()

    def listed(edge: str, until_s: int) -> str:
        url = f"{edge}/media/{stream}/video.m3u8?start={begun_s}&end={begun_s + until_s}"
        answer = httpx.get(url, timeout=60)
        assert answer.status_code == 200
        return answer.text

    first = asyncio.run(remade(without=0))
    old = played.edge()
    assert listed(old, 400).count("#EXTINF") == 200
    then = asyncio.run(remade(without=32))
    assert any(then[at].number != first[at].number for at in then.keys() & first.keys())
    new = played.edge()
    # Not what was asked for before: a list of then is kept for a minute.
    assert listed(new, 401).count("#EXTINF") == 168
    assert listed(old, 401) == listed(new, 401)
