"""`kinolog demo`: a cluster, ingest, an edge with the page, and a synthetic camera."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter
from cyclopts.validators import Number

from kinolog.cli.common import note, settings_of, telling_of_deaths
from kinolog.cluster import KAFKA_FOLDER, Cluster
from kinolog.core.clock import SystemClock
from kinolog.core.errors import Replaced
from kinolog.core.names import StreamName
from kinolog.ingest.publisher import Source, publish
from kinolog.log.catalog import HOUR_MS, Catalog
from kinolog.log.client import KafkaSettings
from kinolog.runtime import roles
from kinolog.runtime.allowance import Allowance
from kinolog.runtime.http import check_port
from kinolog.runtime.settings import Settings

CAMERA = StreamName("demo", "camera")
_KEPT_BYTES = 1_800_000_000
"""Of media, all replicas of the collections that it limits; the rest of 2 GB is for indexes and
Kafka itself."""


def demo(
    *,
    http_port: int | None = None,
    rtmp_port: int | None = None,
    brokers: Annotated[int | None, Parameter(validator=Number(gte=1, lte=9))] = None,
    data_dir: Path | None = None,
    source: str = "test:1280x720@30",
) -> None:
    """See it work: Kafka on this machine, a camera, the page.

    Keeps an hour at most, in about 2 GB of --data-dir for all streams and brokers together, those
    of collections that are made while it runs, or ran before. A collection that was there already,
    or was made or altered with a retention of its own, is left as it is. Ctrl-C stops all that it
    started; the video stays.

    Try it:

        kinolog demo

        kinolog demo --brokers 3 --http-port 9000

    Parameters
    ----------
    http_port
        Page and playlists. [default: 8080]
    rtmp_port
        RTMP, for OBS or ffmpeg. [default: 1935]
    brokers
        Kafka brokers of a new cluster; 3 show replication. [default: 1, or as many as there are]
    data_dir
        Where Kafka keeps the video. [default: .kinolog]
    source
        What the camera shows.
    """
    settings = settings_of(None, http_port=http_port, rtmp_port=rtmp_port, data_dir=data_dir)
    check_port(settings.host, settings.http_port, "--http-port")
    check_port(settings.host, settings.rtmp_port, "--rtmp-port")
    folder = settings.data_dir / KAFKA_FOLDER
    cluster = Cluster.start(folder, brokers, progress=note, owned=True)
    try:
        roles.run(_demo(cluster.bootstrap_servers, settings, source))
    finally:
        if cluster.owned:
            note("stopping Kafka")
            cluster.stop()


async def _demo(servers: str, settings: Settings, source: str) -> None:
    kafka = KafkaSettings(servers, prefix=settings.topic_prefix)
    catalog = await Catalog.open(kafka, SystemClock())
    try:
        allowance = Allowance(catalog, _KEPT_BYTES, HOUR_MS, note)
        new = msgspec.structs.replace(catalog.defaults(await catalog.replicas()), demo=True)
        if not (await catalog.ensure_collection(CAMERA.collection, new)).demo:
            note(f"collection {CAMERA.collection} was there before: it keeps its own limits")
        await allowance.apply()
        keeping = asyncio.create_task(allowance.keep())
        try:
            await _show(kafka, settings, source)
        finally:
            keeping.cancel()
            await asyncio.wait([keeping])
    finally:
        await catalog.close()


async def _show(kafka: KafkaSettings, settings: Settings, source: str) -> None:
    async with (
        telling_of_deaths(settings),
        roles.serve(kafka, settings, with_ingest=True, with_edge=True) as desk,
    ):
        assert desk is not None
        camera = asyncio.create_task(publish(desk, CAMERA, Source(source), SystemClock()))
        stop = asyncio.create_task(roles.until_signalled())
        await asyncio.sleep(0)  # a signal is heard before anybody is told to send one
        _tell(settings)
        done, _ = await asyncio.wait([camera, stop], return_when=asyncio.FIRST_COMPLETED)
        if camera in done:
            note(f"{_end_of(camera)}; Ctrl-C stops the rest")
            await stop
        note("stopping")
        camera.cancel()
        await asyncio.wait([camera])


def _end_of(camera: asyncio.Task[None]) -> str:
    """Why the camera ended; its error where that is one that the demo ends with."""
    try:
        camera.result()
    except Replaced as replaced:  # by another demo, for which this one's Kafka may have to run on
        return str(replaced)
    return "the camera has ended"


def _where_kinolog_is() -> str:
    """What makes `kinolog` a command of another terminal; nothing where it is one."""
    if shutil.which("kinolog"):
        return ""
    return f"           kinolog is here: export PATH={Path(sys.executable).parent}:$PATH\n"


def _tell(settings: Settings) -> None:
    base = f"http://{settings.host}:{settings.http_port}"
    rtmp = f"rtmp://{settings.host}:{settings.rtmp_port}"
    note(
        f"""
  watch    {base}/watch/{CAMERA}
  streams  {base}/
  LL-HLS   {base}/media/{CAMERA}/index.m3u8

  publish  ffmpeg -re -i film.mp4 -c copy -f flv {rtmp}/demo/film
           OBS: server {rtmp}/demo   stream key film
           curl -T film.ts {base}/ingest/demo/film
           kinolog publish film.mp4 demo/film --data-dir {settings.data_dir}
{_where_kinolog_is()}
  All streams are kept for an hour at most, in about 2 GB together. Collections that were there
  already, or have a retention of their own, keep theirs. Ctrl-C stops it."""
    )
