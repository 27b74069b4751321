"""Which Kafka is meant: as given, then KINOLOG_* variables, then kinolog.toml, then the embedded
cluster that runs in the data directory."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from kinolog.core.errors import ConfigError
from kinolog.log.client import KafkaSettings, read_properties
from kinolog.log.servers import check_servers
from kinolog.record.topics import DEFAULT_PREFIX, check_prefix

DEFAULT_CONFIG = Path("kinolog.toml")
DEFAULT_DATA_DIR = Path(".kinolog")
_ENV_PREFIX = "KINOLOG_"
_NEAR = 0.75
"""Of difflib's ratio: the least at which a name is taken for another that was mistyped."""

# pydantic-settings asks a class for its sources, not an instance.
_file: ContextVar[Path | None] = ContextVar("settings file", default=None)


class KafkaChoice(BaseSettings):
    """Names a Kafka; the settings of the roles are more of the same. A variable that is set to
    nothing is not set."""

    model_config = SettingsConfigDict(
        env_prefix=_ENV_PREFIX, env_ignore_empty=True, extra="ignore", frozen=True
    )

    bootstrap_servers: str = Field(
        "",
        description="Kafka's address, `host:port[,host:port…]`; none: `bootstrap.servers` of "
        "`kafka_config`, else the embedded cluster that runs in `data_dir`",
    )
    kafka_config: Path | None = Field(
        None, description="file of client properties, see below; they win over kinolog's own"
    )
    topic_prefix: str = Field(DEFAULT_PREFIX, description="what every topic's name begins with")
    data_dir: Path = Field(DEFAULT_DATA_DIR, description="where the embedded cluster has its state")

    _servers = field_validator("bootstrap_servers")(check_servers)
    _prefix = field_validator("topic_prefix")(check_prefix)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """What is given comes first, then the environment, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, _file.get())

    @property
    def named(self) -> str:
        """The address of the Kafka that is named; empty where the embedded one is meant."""
        return self._reach(None).bootstrap_servers

    def kafka(
        self,
        running: Callable[[Path], str],
        *,
        properties: Mapping[str, str] | None = None,
        naming: str = "--bootstrap-servers",
    ) -> KafkaSettings:
        """How to reach Kafka; ConfigError where none is named and none runs here.

        `running`: the address of the embedded cluster in a data directory, empty where none runs;
        asked only when no other is named. `properties`: in place of the file. `naming`: how the
        person who reads the error names a Kafka.
        """
        chosen = self._reach(properties)
        servers = chosen.bootstrap_servers or running(self.data_dir)
        if not servers:
            raise ConfigError(
                f"no Kafka: none was named, and none runs in {self.data_dir}",
                hint=f"`kinolog cluster start` starts one here; {naming} names another",
            )
        return replace(chosen, bootstrap_servers=servers)

    def _reach(self, properties: Mapping[str, str] | None) -> KafkaSettings:
        """As `kafka`; without an address where the embedded cluster is meant."""
        origin = "kafka_config"
        if properties is None:
            origin = f"--kafka-config {self.kafka_config}" if self.kafka_config else ""
            properties = read_properties(self.kafka_config) if self.kafka_config else {}
        rest = dict(properties)
        try:
            named = self.bootstrap_servers or check_servers(rest.get("bootstrap.servers", ""))
        except ValueError as error:
            raise ConfigError(
                f"{origin}: bootstrap.servers: {error}", hint="write it as host:port[,host:port…]"
            ) from error
        rest.pop("bootstrap.servers", None)
        return KafkaSettings(named, rest, self.topic_prefix, origin)


Choice = TypeVar("Choice", bound=KafkaChoice)


def load(kind: type[Choice], config: Path | None = None, **given: Any) -> Choice:
    """The settings in force. What is given as None was not given. ConfigError says which of
    them is wrong, and where it may have come from."""
    if config is not None and not config.is_file():
        raise ConfigError(f"there is no settings file {config}")
    file = config or (DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None)
    before = _file.set(file)
    try:
        return kind(**{key: value for key, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _unknown(kind, name, file or DEFAULT_CONFIG) from error
        raise ConfigError(
            f"setting {name}: {first.get('ctx', {}).get('error', first['msg'])}",
            hint=f"flag --{name.replace('_', '-')}, variable KINOLOG_{name.upper()}, "
            f"or {file or DEFAULT_CONFIG}",
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error
    finally:
        _file.reset(before)


def _unknown(kind: type[KafkaChoice], name: str, file: Path) -> ConfigError:
    near = get_close_matches(name, kind.model_fields, 1, _NEAR)
    return ConfigError(
        f"{file}: unknown setting {name}",
        hint=f"did you mean {near[0]}?" if near else f"known are {', '.join(kind.model_fields)}",
    )


def mistyped_variables(kind: type[KafkaChoice], environment: Iterable[str]) -> dict[str, str]:
    """The variables that set nothing, each with the one that was probably meant. Others that begin
    with KINOLOG_ may be somebody else's."""
    found: dict[str, str] = {}
    for variable in sorted(environment):
        prefix, name = variable[: len(_ENV_PREFIX)].upper(), variable[len(_ENV_PREFIX) :].lower()
        if prefix == _ENV_PREFIX and name not in kind.model_fields:
            for near in get_close_matches(name, kind.model_fields, 1, _NEAR):
                found[variable] = f"{_ENV_PREFIX}{near.upper()}"
    return found
