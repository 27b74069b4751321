"""Roles: what runs in one process, put together from settings, ended cleanly by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import uvloop

from kinolog import __version__
from kinolog.archive.tier import reader_of
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError
from kinolog.core.log import get_logger
from kinolog.core.rsgi import Handler, SocketHandler
from kinolog.delivery.borders import Borders
from kinolog.delivery.clip.body import Turns
from kinolog.delivery.clip.frame import Frames
from kinolog.delivery.clip.keeper import Keeper
from kinolog.delivery.clip.kept_server import KeptServer
from kinolog.delivery.clip.maker import ClipMaker
from kinolog.delivery.clip.server import ClipServer
from kinolog.delivery.clip.shelf import Shelf
from kinolog.delivery.dash.manifests import Manifests
from kinolog.delivery.dash.server import DashServer
from kinolog.delivery.edge import DeliveryProtocol, Edge, health, no_ingest
from kinolog.delivery.history import History
from kinolog.delivery.hls.replay import Replay
from kinolog.delivery.hls.server import HlsServer
from kinolog.delivery.hub import Hub
from kinolog.delivery.leads import Leads
from kinolog.delivery.listing import Listing
from kinolog.delivery.marks import MarkServer
from kinolog.delivery.media_files import MediaFiles
from kinolog.delivery.page.static import Page
from kinolog.delivery.past import Past
from kinolog.delivery.pulse import Pulse
from kinolog.delivery.qoe.service import Qoe
from kinolog.delivery.sprites import Sprites
from kinolog.delivery.stills import Stills, Studio
from kinolog.delivery.stretches import Stretches
from kinolog.delivery.timeline import TimelineServer
from kinolog.delivery.ws.feed import Feeds
from kinolog.delivery.ws.server import SocketServer
from kinolog.delivery.ws.stage import Stage
from kinolog.ingest.ack_log import AckLog
from kinolog.ingest.desk import LocalDesk
from kinolog.ingest.http import HttpIngest
from kinolog.ingest.rtmp import RtmpServer, RtmpSettings, server_tls
from kinolog.ingest.services import Services
from kinolog.log.catalog import Catalog
from kinolog.log.client import KafkaSettings
from kinolog.log.contact import Contact
from kinolog.log.marks import MarkReader, MarkWriter
from kinolog.log.random_reader import RandomReader
from kinolog.log.writer import LogWriter
from kinolog.objects.store import open_objects
from kinolog.runtime.http import HttpServer, HttpSettings, Router, check_port
from kinolog.runtime.metrics import Metrics, of_requests
from kinolog.runtime.settings import Settings

T = TypeVar("T")
KAFKA_PATIENCE_S = 5.0
"""A process to which Kafka has not answered for so long is not ready; a fail-over takes less."""
_QUIET_S = 2.0
_log = get_logger("kinolog")
_GC_THRESHOLDS = (20_000, 20, 50)


@dataclass(frozen=True, slots=True)
class Backend:
    """What every role needs: the catalog of one cluster, and a pool of readers."""

    kafka: KafkaSettings
    catalog: Catalog
    reader: RandomReader


@asynccontextmanager
async def backend(
    kafka: KafkaSettings,
    *,
    few_brokers: bool = False,
    archive: str | None = None,
    seldom_writes: bool = False,
) -> AsyncIterator[Backend]:
    """Connect to Kafka; KafkaUnavailable or KafkaRefused where that does not work. One that takes
    long is told to the person at the terminal. `few_brokers`, `seldom_writes`: as of Catalog.open.
    `archive`: where readers find what Kafka does not have any more."""
    telling = asyncio.get_running_loop().call_later(_QUIET_S, _tell_of_connecting, kafka)
    try:
        catalog = await Catalog.open(
            kafka, SystemClock(), few_brokers=few_brokers, seldom_writes=seldom_writes
        )
    finally:
        telling.cancel()
    try:
        reader = reader_of(kafka, catalog.registry, archive)
    except ConfigError:
        await catalog.close()
        raise
    try:
        yield Backend(kafka, catalog, reader)
    finally:
        await reader.close()
        await catalog.close()


def _tell_of_connecting(kafka: KafkaSettings) -> None:
    print(f"connecting to {kafka.bootstrap_servers}…", file=sys.stderr, flush=True)


@asynccontextmanager
async def ingest_desk(base: Backend, settings: Settings) -> AsyncIterator[LocalDesk]:
    """A desk that writes to the log; at the end what is queued is flushed. Its reads do not wait
    for those of viewers."""
    writer = LogWriter(base.kafka)
    reader = reader_of(base.kafka, base.catalog.registry, settings.archive)
    ack_log = AckLog(settings.ack_log) if settings.ack_log else None
    services = Services(
        catalog=base.catalog,
        writer=writer,
        reader=reader,
        clock=SystemClock(),
        ack_log=ack_log,
        profile=settings.profile,
        auto_create=settings.auto_create,
        fill_silence=settings.fill_silence,
        software=f"kinolog {__version__}",
        end_grace_ms=round(settings.end_grace_s * 1000),
    )
    desk = LocalDesk(services)
    try:
        yield desk
    finally:
        await desk.close()
        lost = await writer.close()
        await reader.close()
        if lost:
            _log.error("records given up at the end", records=lost)
        if ack_log is not None:
            ack_log.close()


@asynccontextmanager
async def edge(
    base: Backend,
    ingest: dict[str, int],
    *,
    clips_at: str | None = None,
    keep_clips: bool = True,
    take_marks: bool = True,
) -> AsyncIterator[tuple[Hub, Edge, Qoe]]:
    """A hub, the handlers over it, and what tells of the viewers. `clips_at`: the place for kept
    clips."""
    shelf = Shelf(open_objects(clips_at)) if clips_at else None
    clock = SystemClock()
    hub = Hub(base.kafka, base.catalog, base.reader, clock)
    pulse = Pulse(base.reader, clock)
    history = History(base.reader, base.catalog.registry, clock)
    past = Past(base.reader, base.catalog.registry, history)
    leads = Leads(history)
    borders = Borders(history, leads, base.catalog.registry)
    replay = Replay(history, borders, base.catalog.registry, clock)
    stretches = Stretches(history, base.catalog.registry)
    dash = DashServer(Manifests(history, borders, base.catalog.registry), stretches, clock)
    timeline = TimelineServer(history, base.catalog.registry, clock)
    frames = Frames(base.reader, history, base.catalog.registry, clock)
    stills = Stills(frames, clock)
    sheets = Studio()  # of its own: a sheet may take seconds, and a still waits for none
    sprites = Sprites(frames, sheets, clock)
    maker = ClipMaker(base.reader, history, base.catalog.registry, clock)
    clips = ClipServer(maker, base.reader, clock)
    keeper = Keeper(shelf, Turns(base.reader, 1), clock) if shelf is not None else None
    kept = KeptServer(keeper, clips, clock, takes=keep_clips)
    mark_writer = MarkWriter(base.kafka, base.catalog, clock) if take_marks else None
    marks = MarkServer(MarkReader(base.catalog, base.reader, clock), mark_writer, clock)
    listing = Listing(base.catalog.registry, hub, pulse, clock, ingest)
    qoe = Qoe(base.kafka, base.catalog, base.reader, hub, clock)
    sockets = SocketServer(Stage(hub, history, past, base.catalog.registry, clock, Feeds(), leads))
    try:
        protocols: list[DeliveryProtocol] = [
            MediaFiles(past, clock),
            HlsServer(replay, stretches, clock),
            dash,
            stills,
            sprites,
            timeline,
            marks,
            clips,
            qoe.server,
        ]
        page, told = Page.load(), qoe.server.told
        yield hub, Edge(hub, listing, protocols, sockets, page, kept, clock, told), qoe
    finally:
        await kept.close()
        await sockets.close()
        await qoe.close()
        stills.close()
        sheets.close()
        await pulse.close()
        await past.close()
        await replay.close()
        await dash.close()
        await clips.close()
        await marks.close()
        maker.close()
        await history.close()
        await hub.close()


@asynccontextmanager
async def serve(
    kafka: KafkaSettings, settings: Settings, *, with_ingest: bool, with_edge: bool
) -> AsyncIterator[LocalDesk | None]:
    """Listen on the ports of the roles until the block ends."""
    check_port(settings.host, settings.http_port, "--http-port")
    if with_ingest:
        check_port(settings.host, settings.rtmp_port, "--rtmp-port")
    http = HttpSettings.of(settings)
    tls: ssl.SSLContext | None = None
    if with_ingest and settings.tls_cert is not None:  # HttpSettings has checked the pair
        tls = server_tls(settings.tls_cert, settings.tls_key)
        check_port(settings.host, settings.rtmps_port, "--rtmps-port")
    async with AsyncExitStack() as stack:
        base = await stack.enter_async_context(
            backend(kafka, archive=settings.archive, seldom_writes=not with_ingest)
        )
        routes: list[tuple[str, Handler]] = []
        sockets: SocketHandler | None = None
        desk: LocalDesk | None = None
        ports: dict[str, int] = {}
        if with_ingest:
            ports = {"rtmp_port": settings.rtmp_port, "http_port": settings.http_port}
            desk = await stack.enter_async_context(ingest_desk(base, settings))
            bounds = RtmpSettings(transcode_audio=settings.transcode_audio)
            rtmp = RtmpServer(desk, settings.host, settings.rtmp_port, settings=bounds)
            await stack.enter_async_context(rtmp)
            if tls is not None:
                rtmps = RtmpServer(
                    desk, settings.host, settings.rtmps_port, ssl=tls, settings=bounds
                )
                await stack.enter_async_context(rtmps)
            http_ingest = HttpIngest(desk, SystemClock(), transcode_audio=settings.transcode_audio)
            stack.push_async_callback(http_ingest.close)
            routes.append(("/ingest/", http_ingest.answer))
        metrics = Metrics()
        contact = await stack.enter_async_context(Contact(kafka, SystemClock()))
        # Viewers' reads; ingest has a reader of its own, which waits for Kafka to come back.
        base.reader.heed(lambda: contact.silent_s)
        state = _readiness(base, desk, contact)
        routes += [("/health", health(state)), ("/ready", health(state))]
        routes.append(("/metrics", metrics.answer))
        if with_edge:
            _, handlers, qoe = await stack.enter_async_context(
                edge(
                    base,
                    ports,
                    clips_at=settings.clips,
                    keep_clips=settings.keep_clips,
                    take_marks=settings.take_marks,
                )
            )
            metrics.add(qoe.metrics)
            sockets = handlers.socket
            if not with_ingest:
                routes.append(("/ingest/", no_ingest))
            routes += [
                ("/media/", handlers.media),
                ("/api/streams", handlers.streams),
                ("/time", handlers.time),
                ("/cmcd", qoe.server.report),
                ("/viewers", qoe.server.viewers),
                ("/", handlers.page),
            ]
        router = Router(routes, sockets)
        metrics.add(of_requests(router.requests))
        await stack.enter_async_context(HttpServer(http, router))
        # What is there now stays: the collector need not look at it again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        _log.info("listening", http=http.url, rtmp=settings.rtmp_port if with_ingest else None)
        yield desk


def _readiness(
    base: Backend, desk: LocalDesk | None, contact: Contact
) -> Callable[[], dict[str, Any]]:
    def ready() -> dict[str, Any]:
        return {
            "ok": contact.age_s <= KAFKA_PATIENCE_S,
            "kafka": base.kafka.bootstrap_servers,
            "kafka_answered_s_ago": round(contact.age_s, 1),
            "streams": len(base.catalog.registry.streams),
            "publishers": len(desk.sessions) if desk is not None else 0,
        }

    return ready


async def until_signalled() -> None:
    """Returns at SIGINT or SIGTERM; a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError, ValueError):
                loop.remove_signal_handler(number)
                # Not KeyboardInterrupt, which may be swallowed wherever it comes.
                signal.signal(number, signal.SIG_DFL)
        stopped.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, stop)
    await stopped.wait()


def run(main: Any) -> Any:
    """Run a coroutine to its end on uvloop."""
    return uvloop.run(main)
