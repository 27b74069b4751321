"""A connection: one cluster's registry and readers, shared by what is read and published."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from kinolog.archive.tier import reader_of
from kinolog.cluster import running_servers
from kinolog.core.clock import SystemClock
from kinolog.core.errors import ConfigError
from kinolog.log import choice
from kinolog.log.catalog import Catalog
from kinolog.log.choice import KafkaChoice
from kinolog.log.client import KafkaSettings
from kinolog.log.history import Archive
from kinolog.log.marks import MarkWriter
from kinolog.log.random_reader import RandomReader
from kinolog.sdk.loop import background
from kinolog.sdk.moment import When

if TYPE_CHECKING:
    from kinolog.media.types import Codec
    from kinolog.record.control import Profile
    from kinolog.sdk.chunks import Chunks
    from kinolog.sdk.frames import Frames, PixelFormat
    from kinolog.sdk.marks import Mark
    from kinolog.sdk.publish import Publisher
    from kinolog.sdk.streams import StreamInfo


class _Choice(KafkaChoice):
    """A Kafka, and its archive."""

    archive: str | None = None


class Base:
    """An open connection's parts; belongs to the background loop."""

    def __init__(self, kafka: KafkaSettings, catalog: Catalog, reader: RandomReader) -> None:
        self.kafka = kafka
        self.catalog = catalog
        self.reader = reader
        self.clock = SystemClock()
        self.marks = MarkWriter(kafka, catalog, self.clock)
        self.archive = Archive(kafka, catalog.registry, reader, self.clock)


class Connection:
    """A cluster. Made by `kinolog.connect`; opened at its first use, and closed by `close`, the
    end of a `with` block, or, where it was never entered, with the last thing that uses it."""

    def __init__(self, kafka: KafkaSettings, archive: str | None = None) -> None:
        self.kafka = kafka
        self._archive = archive
        self._base: Base | None = None
        self._users = 0
        self._kept = False
        self._lock: asyncio.Lock | None = None

    def chunks(
        self,
        stream: str,
        start: When = "live",
        end: When | None = None,
        *,
        follow: bool = True,
        tracks: Collection[str] | None = None,
    ) -> Chunks:
        """See `kinolog.chunks`."""
        from kinolog.sdk.chunks import chunks

        return chunks(stream, start, end, follow=follow, tracks=tracks, connection=self)

    def frames(
        self,
        stream: str,
        start: When = "live",
        end: When | None = None,
        *,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
        follow: bool = True,
        format: PixelFormat = "rgb24",
    ) -> Frames:
        """See `kinolog.frames`."""
        from kinolog.sdk.frames import frames

        return frames(
            stream, start, end, fps=fps, size=size, follow=follow, format=format, connection=self
        )

    def publish(
        self,
        stream: str,
        *,
        fps: float = 30,
        codec: Codec = "h264",
        bitrate: int | str | None = None,
        size: tuple[int, int] | None = None,
        profile: Profile | None = None,
    ) -> Publisher:
        """See `kinolog.publish`."""
        from kinolog.sdk.publish import publish

        return publish(
            stream, fps=fps, codec=codec, bitrate=bitrate, size=size, profile=profile,
            connection=self,
        )  # fmt: skip

    def mark(
        self,
        stream: str,
        text: str = "",
        at: When = "now",
        end: When | None = None,
        *,
        kind: str = "marker",
        data: Any = None,
        id: str = "",
    ) -> Mark:
        """See `kinolog.mark`."""
        from kinolog.sdk.marks import mark

        return mark(stream, text, at, end, kind=kind, data=data, id=id, connection=self)

    def marks(self, stream: str, start: When = "-1h", end: When | None = None) -> list[Mark]:
        """See `kinolog.marks`."""
        from kinolog.sdk.marks import marks

        return marks(stream, start, end, connection=self)

    def streams(self) -> list[StreamInfo]:
        """See `kinolog.streams`."""
        from kinolog.sdk.streams import streams

        return streams(connection=self)

    async def astreams(self) -> list[StreamInfo]:
        """`streams`, for async code."""
        from kinolog.sdk.streams import astreams

        return await astreams(connection=self)

    def close(self) -> None:
        """Let go of the cluster, once nothing reads or publishes any more. Idempotent."""
        background().call(self._release_kept())

    async def aclose(self) -> None:
        """`close`, for async code."""
        await background().wait(self._release_kept())

    def __enter__(self) -> Self:
        background().call(self._keep())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await background().wait(self._keep())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[Base]:
        """The open connection, for the background loop's use."""
        base = await self._acquire()
        try:
            yield base
        finally:
            await asyncio.shield(asyncio.ensure_future(self._release()))

    async def _keep(self) -> None:
        if not self._kept:
            self._kept = True
            try:
                await self._acquire()
            except BaseException:
                self._kept = False
                raise

    async def _release_kept(self) -> None:
        if self._kept:
            self._kept = False
            await self._release()

    async def _acquire(self) -> Base:
        async with self._locked():
            if self._base is None:
                catalog = await Catalog.open(self.kafka, SystemClock())
                try:
                    reader = reader_of(self.kafka, catalog.registry, self._archive)
                except ConfigError:
                    await catalog.close()
                    raise
                self._base = Base(self.kafka, catalog, reader)
            self._users += 1
            return self._base

    async def _release(self) -> None:
        async with self._locked():
            self._users -= 1
            if self._users or self._base is None:
                return
            base, self._base = self._base, None
            await base.marks.close()
            await base.reader.close()
            await base.catalog.close()

    def _locked(self) -> asyncio.Lock:
        if self._lock is None:
            self._lock = asyncio.Lock()
        return self._lock


def connect(
    bootstrap_servers: str | None = None,
    *,
    config: str | Path | None = None,
    kafka_config: str | Path | Mapping[str, str] | None = None,
    topic_prefix: str | None = None,
    data_dir: str | Path | None = None,
    archive: str | None = None,
) -> Connection:
    """A cluster to read from and publish to.

    What is not given is taken from KINOLOG_* variables, then from `config` (a settings file;
    default `kinolog.toml`); without any address, it is the embedded cluster that runs in
    `data_dir` (default `./.kinolog`).

    `bootstrap_servers`: host:port[,host:port…]. `kafka_config`: librdkafka's client properties, as
    a file or a mapping (security.protocol, sasl.*, ssl.*). `archive`: where `kinolog worker
    archive` writes; what Kafka has deleted is read from there. Raises ConfigError; that Kafka
    cannot be reached (KafkaUnavailable, KafkaRefused) is said at the first use, or by `with`.

        with kinolog.connect("broker-1:9092") as cluster:
            for chunk in cluster.chunks("cams/gate", start="-1m"):
                ...
    """
    properties = kafka_config if isinstance(kafka_config, Mapping) else None
    chosen = choice.load(
        _Choice,
        Path(config) if config is not None else None,
        bootstrap_servers=bootstrap_servers,
        kafka_config=kafka_config if properties is None else None,
        topic_prefix=topic_prefix,
        data_dir=data_dir,
        archive=archive,
    )
    return Connection(
        chosen.kafka(
            running_servers,
            properties=properties,
            naming='kinolog.connect(bootstrap_servers="host:port")',
        ),
        chosen.archive,
    )
