"""Settings of every role: flag > KINOLOG_* > kinolog.toml > default."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kinolog.core.errors import ConfigError
from kinolog.log.client import KafkaSettings, read_properties
from kinolog.record.control import Profile
from kinolog.record.topics import DEFAULT_PREFIX

DEFAULT_CONFIG = Path("kinolog.toml")
DEFAULT_DATA_DIR = Path(".kinolog")


class Settings(BaseSettings):
    """What the roles of one process are told."""

    model_config = SettingsConfigDict(env_prefix="KINOLOG_", extra="forbid", frozen=True)

    bootstrap_servers: str = Field("", description="Kafka's address, host:port[,host:port…]")
    kafka_config: Path | None = Field(None, description="file of librdkafka client properties")
    topic_prefix: str = Field(DEFAULT_PREFIX, description="what every topic's name begins with")
    data_dir: Path = Field(DEFAULT_DATA_DIR, description="state of the embedded cluster")
    host: str = Field("127.0.0.1", description="address to listen on")
    http_port: int = Field(8080, ge=1, le=65535, description="HTTP: page, playlists, ingest")
    rtmp_port: int = Field(1935, ge=1, le=65535, description="RTMP ingest")
    rtmps_port: int = Field(
        1936, ge=1, le=65535, description="RTMP over TLS, where there is a certificate"
    )
    tls_cert: Path | None = Field(
        None, description="PEM certificate chain, for HTTPS, HTTP/2 and RTMPS"
    )
    tls_key: Path | None = Field(None, description="PEM private key")
    ack_log: Path | None = Field(None, description="append a JSON line for each acknowledged chunk")
    profile: Profile | None = Field(None, description="latency profile: frame, low or standard")
    transcode_audio: bool = Field(True, description="make AAC of MP3, MP2, AC-3, G.711 and PCM")
    auto_create: bool = Field(True, description="make unknown collections when published to")
    end_grace_s: float = Field(60.0, gt=0, description="seconds from close to the stream's end")
    log_level: str = Field("info", description="debug, info, warning or error")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags come first, then the environment, then the file."""
        toml = TomlConfigSettingsSource(settings_cls, _config_file)
        return (init_settings, env_settings, toml)

    def kafka(self, embedded: str | None = None) -> KafkaSettings:
        """How to reach Kafka; `embedded`: the address of the cluster found in `data_dir`."""
        properties = read_properties(self.kafka_config) if self.kafka_config else {}
        servers = self.bootstrap_servers or properties.pop("bootstrap.servers", "") or embedded
        if not servers:
            raise ConfigError(
                f"no Kafka: none was named, and none runs in {self.data_dir}",
                hint="`kinolog cluster start` starts one here; --bootstrap-servers names another",
            )
        return KafkaSettings(servers, properties, self.topic_prefix)


_config_file: Path | None = None


def load(config: Path | None = None, **flags: Any) -> Settings:
    """The settings in force. `flags` that are None were not given. ConfigError says which of
    them is wrong, and where it came from."""
    global _config_file  # noqa: PLW0603 - pydantic-settings asks a class method, not an instance
    if config is not None and not config.is_file():
        raise ConfigError(f"there is no settings file {config}")
    _config_file = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    try:
        return Settings(**{key: value for key, value in flags.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"setting {name}: {first['msg']}",
            hint=f"flag --{name.replace('_', '-')}, variable KINOLOG_{name.upper()}, "
            f"or {_config_file or DEFAULT_CONFIG}",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{_config_file} is not TOML: {error}") from error
