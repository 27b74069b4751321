"""Settings of every role: flag > KINOLOG_* > kinolog.toml > default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from kinolog.log import choice
from kinolog.log.choice import KafkaChoice
from kinolog.record.control import Profile


class Settings(KafkaChoice):
    """What the roles of one process are told. docs/reference/settings.md is made from it."""

    model_config = SettingsConfigDict(extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on, for HTTP and RTMP")
    http_port: int = Field(8080, ge=1, le=65535, description="HTTP: page, playlists, media, ingest")
    rtmp_port: int = Field(1935, ge=1, le=65535, description="RTMP ingest")
    rtmps_port: int = Field(
        1936, ge=1, le=65535, description="RTMP over TLS, where there is a certificate"
    )
    tls_cert: Path | None = Field(
        None, description="PEM certificate chain: HTTPS, HTTP/2, RTMPS; needs `tls_key`"
    )
    tls_key: Path | None = Field(None, description="PEM private key")
    ack_log: Path | None = Field(
        None, description="file that gets a JSON line for each chunk that Kafka acknowledged"
    )
    profile: Profile | None = Field(
        None,
        description="latency of new streams: `frame` (one frame a record), `low` (about 100 ms), "
        "`standard` (a part); none: the collection's",
    )
    transcode_audio: bool = Field(
        True, description="make AAC of MP3, MP2, AC-3, G.711 and PCM; else such a track is left out"
    )
    auto_create: bool = Field(
        True, description="make a collection, with defaults, when somebody publishes to it"
    )
    fill_silence: bool = Field(
        True,
        description="add a silent track to a session without sound where the stream had some",
    )
    take_marks: bool = Field(
        True, description="whether an edge takes marks by `POST /media/…/events` from whoever asks"
    )
    end_grace_s: float = Field(
        60.0,
        gt=0,
        description="seconds from a publisher's leaving to the stream's end (ENDLIST); "
        "two to three times as many where the process that published is gone, too",
    )
    clips: str | None = Field(
        None,
        description="where clips are kept: a directory, `s3://bucket/prefix`, `gs://…`, `az://…`; "
        "none: clips cannot be kept",
    )
    keep_clips: bool = Field(
        True,
        description="whether an edge with a place for clips keeps, names and deletes them for "
        "whoever asks; without, it sends those that are there",
    )
    archive: str | None = Field(
        None,
        description="where `kinolog worker archive` has written what Kafka deletes in time: a "
        "directory, `s3://bucket/prefix`, `gs://…`, `az://…`; edges, ingest, `kinolog play` and "
        "the SDK read it from there",
    )
    log_level: str = Field(
        "info", description="`debug`, `info`, `warning` or `error`; other verbs: `warning`"
    )


def load(config: Path | None = None, **flags: Any) -> Settings:
    """The settings in force: `choice.load` for the roles."""
    return choice.load(Settings, config, **flags)
