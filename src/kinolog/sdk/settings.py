"""Which Kafka is meant: arguments, then KINOLOG_* variables, then kinolog.toml, then the embedded
cluster that runs in the data directory; as on the command line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kinolog.cluster import running_servers
from kinolog.core.errors import ConfigError
from kinolog.log.client import KafkaSettings, read_properties
from kinolog.record.topics import DEFAULT_PREFIX

_DEFAULT_CONFIG = Path("kinolog.toml")
_DEFAULT_DATA_DIR = ".kinolog"


def find_kafka(
    bootstrap_servers: str | None = None,
    *,
    config: str | Path | None = None,
    kafka_config: str | Path | Mapping[str, str] | None = None,
    topic_prefix: str | None = None,
    data_dir: str | Path | None = None,
    environ: Mapping[str, str] = os.environ,
) -> KafkaSettings:
    """How to reach Kafka. ConfigError where none is named and none runs here."""
    file = _read_toml(config)

    def value(name: str, given: Any) -> Any:
        if given is not None:
            return given
        return environ.get(f"KINOLOG_{name.upper()}") or file.get(name)

    properties = _properties(value("kafka_config", kafka_config))
    servers = value("bootstrap_servers", bootstrap_servers) or properties.pop(
        "bootstrap.servers", ""
    )
    folder = Path(value("data_dir", data_dir) or _DEFAULT_DATA_DIR)
    servers = servers or running_servers(folder)
    if not servers:
        raise ConfigError(
            f"no Kafka: none was named, and none runs in {folder}",
            hint="`kinolog cluster start` starts one here; "
            'kinolog.connect(bootstrap_servers="host:port") names another',
        )
    prefix = value("topic_prefix", topic_prefix) or DEFAULT_PREFIX
    return KafkaSettings(str(servers), properties, str(prefix))


def _read_toml(config: str | Path | None) -> dict[str, Any]:
    path = Path(config) if config is not None else _DEFAULT_CONFIG
    try:
        return tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        if config is None:
            return {}
        raise ConfigError(f"there is no settings file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error


def _properties(given: str | Path | Mapping[str, str] | None) -> dict[str, str]:
    if given is None:
        return {}
    if isinstance(given, str | Path):
        return read_properties(Path(given))
    return dict(given)
