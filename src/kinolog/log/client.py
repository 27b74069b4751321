"""Client configuration and the translation of Kafka's errors."""

from __future__ import annotations

import logging
import re
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from kinolog.core.errors import (
    ConfigError,
    DeliveryFailed,
    KafkaRefused,
    KafkaUnavailable,
    KinologError,
)
from kinolog.log.leader_watch import LeaderWatch
from kinolog.record.topics import DEFAULT_PREFIX

# Fast fail-over: measured, see docs/explanation/failover.md.
_COMMON: dict[str, Any] = {
    "client.id": "kinolog",
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "retry.backoff.ms": 20,
    "retry.backoff.max.ms": 200,
    "topic.metadata.refresh.fast.interval.ms": 50,
    "metadata.recovery.strategy": "rebootstrap",
    "socket.keepalive.enable": True,
    "socket.nagle.disable": True,
    "log.connection.close": False,
}

_RIGHTS = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError._SSL,
}
_VALUES = {
    KafkaError.POLICY_VIOLATION,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_CONFIG,
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_TIMESTAMP,
}
_REFUSED = _RIGHTS | _VALUES
_AWAY = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
}


class UnknownTopic(KafkaUnavailable):
    """Kafka knows no such topic or partition; or not yet, or a broker that has just started."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach a cluster. `properties` are librdkafka's own keys and win over ours; `origin`
    says where a person wrote them."""

    bootstrap_servers: str
    properties: Mapping[str, str] = field(default_factory=dict)
    prefix: str = DEFAULT_PREFIX
    origin: str = ""

    def config(self, **own: Any) -> dict[str, Any]:
        """A client's configuration: ours, then the caller's, then the user's file."""
        merged = {
            **_COMMON,
            "bootstrap.servers": self.bootstrap_servers,
            **{key.replace("_", "."): value for key, value in own.items()},
            **self.properties,
        }
        return {"logger": _QUIET, **merged}


def read_properties(path: Path) -> dict[str, str]:
    """A Kafka client properties file (`key=value` lines, `#` comments; librdkafka's keys)."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise ConfigError(
            f"cannot read --kafka-config {path}: {error.strerror}",
            hint="name a file of client properties that this user may read",
        ) from error
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ConfigError(
            f"--kafka-config {path} is not UTF-8: byte {error.start + 1} is {byte:#x}",
            hint="it is a text file of key=value lines; save it as UTF-8",
        ) from error
    found: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text[0] in "#!":
            continue
        key, equals, value = text.partition("=")
        if not equals:
            raise ConfigError(
                f"{path}:{number}: not key=value: {text[:60]!r}",
                hint="one setting a line, by librdkafka's keys; # begins a comment",
            )
        if key.strip() == "sasl.jaas.config":
            raise ConfigError(
                f"{path}:{number}: sasl.jaas.config is a key of Java clients",
                hint="write sasl.username=… and sasl.password=… instead (librdkafka's keys)",
            )
        found[key.strip()] = value.strip()
    return found


class _Quiet(logging.Logger):
    """librdkafka's own log: a broker that is away gives a line for each attempt (hundreds);
    what matters reaches people through `Reachability` and the delivery reports."""

    def __init__(self) -> None:
        super().__init__("kinolog.librdkafka", level=logging.CRITICAL)


_QUIET = _Quiet()


_LOOK_S = 0.1


class Reachability:
    """Remembers why the brokers cannot be reached; hand its `on_error` to a client."""

    def __init__(self) -> None:
        self.last: KafkaError | None = None
        self.client: Any = None

    def look(self) -> None:
        """Let the client tell what it knows: it calls `on_error` only while it is polled."""
        if self.client is not None:
            self.client.poll(_LOOK_S)

    def on_error(self, error: KafkaError) -> None:
        """librdkafka's error_cb: keep what says most (a refusal over a lost connection, and that
        over the sum that no broker is left)."""
        if self.last is not None and (
            self.last.code() in _REFUSED or error.code() == KafkaError._ALL_BROKERS_DOWN
        ):
            return
        self.last = error


_MOVING = {
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.OFFSET_NOT_AVAILABLE,
    # What was asked of a broker that has just left the cluster's metadata (measured at each kill).
    KafkaError._DESTROY_BROKER,
    # Metadata without any broker: none is unfenced at this moment.
    KafkaError._PARTIAL,
}
"""What brokers answer while a partition or a coordinator moves: it passes."""

_UNKNOWN = {
    KafkaError._UNKNOWN_PARTITION,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}

_UNDELIVERED = {
    KafkaError._MSG_TIMED_OUT,
    KafkaError._PURGE_QUEUE,
    KafkaError._PURGE_INFLIGHT,
    KafkaError._FATAL,
}


_NO_FRAME = re.compile(r"Invalid response size (\d+)")
_HTTP = int.from_bytes(b"HTTP")
"""What the first four letters of an HTTP answer are as a size."""


def reason(error: KafkaError, fatal: KafkaError | None) -> KafkaError:
    """What to tell of a record: `fatal` refused the producer, so the record was purged for that."""
    if fatal is not None and fatal.code() in _REFUSED and error.code() in _UNDELIVERED:
        return fatal
    return error


def translate(error: KafkaError, settings: KafkaSettings | None = None) -> KinologError:
    """The error of our tree for one of Kafka's, with what a person can do."""
    code, text = error.code(), error.str()
    where = f" at {settings.bootstrap_servers}" if settings else ""
    if code == KafkaError._BAD_MSG and (odd := _NO_FRAME.search(text)):
        kind = "no Kafka broker" + (" but an HTTP server" if int(odd[1]) == _HTTP else "")
        return KafkaRefused(
            f"what listens{where} is {kind}",
            hint="name Kafka's own port, mostly 9092, with --bootstrap-servers",
        )
    if code in _RIGHTS:
        return KafkaRefused(
            f"Kafka{where} refused: {text}",
            hint="check the credentials and rights in --kafka-config",
        )
    if code in _VALUES:
        return KafkaRefused(
            f"Kafka{where} does not take it: {text}",
            hint="choose another value; the cluster, or a policy of those who run it, bounds it",
        )
    if code in _AWAY:
        return KafkaUnavailable(
            f"Kafka{where} cannot be reached: {text}",
            hint="is it running? `kinolog cluster status` shows the embedded one; "
            "--bootstrap-servers names another",
        )
    if code in _MOVING:
        return KafkaUnavailable(f"Kafka{where} is moving what was asked for: {text}")
    if code in _UNKNOWN:
        return UnknownTopic(f"Kafka{where} does not know what was asked for: {text}")
    if code in _UNDELIVERED or error.fatal():
        return DeliveryFailed(f"Kafka{where} did not acknowledge what was sent: {text}")
    found = KinologError(f"Kafka{where}: {text}")
    found.retriable = bool(error.retriable())
    return found


@contextmanager
def kafka_errors(
    settings: KafkaSettings | None = None, seen: Reachability | None = None
) -> Iterator[None]:
    """Translate what the client raises inside; a remembered refusal explains a time-out."""
    try:
        yield
    except KafkaException as raised:
        error: KafkaError = raised.args[0]
        if seen is not None and error.code() in _AWAY:
            seen.look()
            error = seen.last or error
        raise translate(error, settings) from raised


_FILE_FAILED = re.compile(r"(ssl\.[\w.]+\.location) failed: ")


@contextmanager
def _config_errors(settings: KafkaSettings) -> Iterator[None]:
    """ConfigError where a client cannot be made of its properties."""
    try:
        yield
    except (KafkaException, ValueError) as raised:
        error = raised.args[0]
        if isinstance(error, KafkaError) and error.code() != KafkaError._INVALID_ARG:
            raise
        text = error.str() if isinstance(error, KafkaError) else str(error)
        text = re.sub(r"^Failed to create [\w ]+: ", "", text)
        if failed := _FILE_FAILED.match(text):
            key = failed[1]
            text = f"{key}: {_why_not(Path(settings.properties.get(key, '')))}"
        raise ConfigError(
            f"{settings.origin or 'Kafka client'}: {text}",
            hint="keys and values are librdkafka's: docs/reference/settings.md has examples",
        ) from raised


def _why_not(path: Path) -> str:
    """Why OpenSSL could make nothing of a file: its own words name neither file nor reason."""
    try:
        with path.open("rb"):
            return f"{path} is not PEM (a keystore: not PKCS#12), or its password is wrong"
    except OSError as error:
        return f"cannot read {path}: {error.strerror}"


def checked(
    settings: KafkaSettings,
    make: Callable[[dict[str, Any]], Any],
    *,
    watch: LeaderWatch | None = None,
    **own: Any,
) -> tuple[Any, Reachability]:
    """A client made by `make(config)`, and the memory of its connection errors. `watch` is started
    for it, and is the caller's to close."""
    seen = Reachability()
    # Weakly: a client that is in a cycle with its callback lives until that is collected, and a
    # process can have a thousand. Each question that gets no answer makes some.
    tell = weakref.WeakMethod(seen.on_error)

    def on_error(error: KafkaError) -> None:
        if (told := tell()) is not None:
            told(error)
        if watch is not None:
            watch.on_error(error)

    with kafka_errors(settings, seen):
        with _config_errors(settings):
            seen.client = make(settings.config(**own) | {"error_cb": on_error})
        if watch is not None:
            watch.start(seen.client)
        return seen.client, seen


def let_go(producer: Any) -> None:
    """Close a producer that nothing is asked of any more: it has threads and sockets. Closing waits
    for Kafka, which may be away; nobody waits."""

    def close() -> None:
        # One that was fenced closes all the same, and says it in this way.
        with suppress(KafkaException, SystemError):
            producer.close()

    threading.Thread(target=close, name="kafka-close", daemon=True).start()
