"""`kinolog serve`, `ingest`, `edge`: the servers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from kinolog.cli.common import KafkaFlags, kafka_of, note, settings_of, telling_of_deaths
from kinolog.record.control import Profile
from kinolog.runtime import roles
from kinolog.runtime.http import HttpSettings
from kinolog.runtime.settings import Settings


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class ListenFlags:
    """Where to listen."""

    host: str | None = None
    """Address to listen on. [default: 127.0.0.1]"""
    http_port: int | None = None
    """Page, playlists, media, HTTP ingest. [default: 8080]"""
    tls_cert: Path | None = None
    """PEM certificate chain: HTTPS, HTTP/2, which Apple's players want for LL-HLS, and RTMPS."""
    tls_key: Path | None = None
    """PEM private key."""
    archive: str | None = None
    """Where `kinolog worker archive` writes: what Kafka has deleted is read from there."""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class IngestFlags:
    """How to take streams in."""

    rtmp_port: int | None = None
    """RTMP. [default: 1935]"""
    rtmps_port: int | None = None
    """RTMP over TLS, with --tls-cert only. [default: 1936]"""
    profile: Profile | None = None
    """Latency: frame (one frame a record), low (100 ms), standard (a part). [default: the
    collection's]"""
    transcode_audio: Annotated[bool | None, Parameter(negative="--no-transcode-audio")] = None
    """Make AAC of MP3, MP2, AC-3, G.711 and PCM; else such a track is left out. [default: yes]"""
    fill_silence: Annotated[bool | None, Parameter(negative="--no-fill-silence")] = None
    """Add a silent track to a session without sound where the stream had some. [default: yes]"""
    ack_log: Path | None = None
    """Append a JSON line for each acknowledged chunk."""
    auto_create: Annotated[bool | None, Parameter(negative="--no-auto-create")] = None
    """Make unknown collections when they are published to. [default: yes]"""
    end_grace_s: float | None = None
    """Seconds from a publisher's leaving to the stream's end. [default: 60]"""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeFlags:
    """How to serve."""

    clips: str | None = None
    """Where clips are kept: a directory, s3://bucket/prefix, gs://… or az://… [default: none are]
    """
    keep_clips: Annotated[bool | None, Parameter(negative="--no-keep-clips")] = None
    """Keep, name and delete clips for whoever asks, where there is a place. [default: yes]"""
    take_marks: Annotated[bool | None, Parameter(negative="--no-take-marks")] = None
    """Take marks by POST …/events, from whoever asks. [default: yes]"""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class IngestListenFlags(ListenFlags):
    """Where to take streams in."""

    http_port: int | None = None
    """HTTP ingest. [default: 8080]"""


@Parameter(name="*")
@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeListenFlags(ListenFlags):
    """Where to serve."""

    http_port: int | None = None
    """Page, playlists, media. [default: 8080]"""


_LISTEN = ListenFlags()
_INGEST_LISTEN = IngestListenFlags()
_EDGE_LISTEN = EdgeListenFlags()
_EDGE = EdgeFlags()
_INGEST = IngestFlags()
_KAFKA = KafkaFlags()


def serve(
    *,
    listen: ListenFlags = _LISTEN,
    ingest: IngestFlags = _INGEST,
    edge: EdgeFlags = _EDGE,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Run ingest and edge in one process.

    Try it:

        kinolog serve

        kinolog serve --bootstrap-servers broker1:9092 --kafka-config client.properties

        kinolog serve --host 0.0.0.0 --http-port 80 --rtmp-port 1935
    """
    _run(listen, ingest, edge, kafka, with_ingest=True, with_edge=True)


def ingest(
    *,
    listen: IngestListenFlags = _INGEST_LISTEN,
    ingest: IngestFlags = _INGEST,
    kafka: KafkaFlags = _KAFKA,
) -> None:
    """Take streams in: RTMP on one port, HTTP PUT on another.

    Try it:

        kinolog ingest --http-port 8081 --ack-log acks.jsonl
    """
    _run(listen, ingest, _EDGE, kafka, with_ingest=True, with_edge=False)


def edge(
    *, listen: EdgeListenFlags = _EDGE_LISTEN, edge: EdgeFlags = _EDGE, kafka: KafkaFlags = _KAFKA
) -> None:
    """Serve players and the page. Run as many as you like: they hold no state.

    Try it:

        kinolog edge --http-port 8082

        kinolog edge --clips s3://media/clips

        kinolog edge --host 0.0.0.0 --no-take-marks --no-keep-clips
    """
    _run(listen, _INGEST, edge, kafka, with_ingest=False, with_edge=True)


def _run(
    listen: ListenFlags,
    ingest: IngestFlags,
    edge: EdgeFlags,
    kafka: KafkaFlags,
    *,
    with_ingest: bool,
    with_edge: bool,
) -> None:
    settings = settings_of(
        kafka,
        log_level="info",
        host=listen.host,
        http_port=listen.http_port,
        tls_cert=listen.tls_cert,
        tls_key=listen.tls_key,
        archive=listen.archive,
        rtmp_port=ingest.rtmp_port,
        rtmps_port=ingest.rtmps_port,
        profile=ingest.profile,
        transcode_audio=ingest.transcode_audio,
        fill_silence=ingest.fill_silence,
        ack_log=ingest.ack_log,
        auto_create=ingest.auto_create,
        end_grace_s=ingest.end_grace_s,
        clips=edge.clips,
        keep_clips=edge.keep_clips,
        take_marks=edge.take_marks,
    )
    roles.run(_serve(settings, with_ingest=with_ingest, with_edge=with_edge))


async def _serve(settings: Settings, *, with_ingest: bool, with_edge: bool) -> None:
    http = HttpSettings.of(settings)
    kafka = kafka_of(settings)
    async with (
        telling_of_deaths(settings),
        roles.serve(kafka, settings, with_ingest=with_ingest, with_edge=with_edge),
    ):
        if with_edge:
            note(f"page and playlists: {http.url}/")
        if with_ingest:
            note(f"publish to:         rtmp://{settings.host}:{settings.rtmp_port}/demo/camera")
        if with_ingest and settings.tls_cert:
            note(f"                    rtmps://{settings.host}:{settings.rtmps_port}/demo/camera")
        await roles.until_signalled()
        note("stopping")
