"""Settings of a broker and of its log file, as the texts that Kafka and Log4j read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

HOST = "127.0.0.1"
_REPLICAS_AT_MOST = 3
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Node(NamedTuple):
    """One process: a broker and a controller of the quorum in one JVM."""

    id: int
    port: int
    controller_port: int


def broker_settings(
    node: Node, nodes: Sequence[Node], log_dir: Path, own: Mapping[str, str] = _NOTHING
) -> dict[str, str]:
    """Kafka's settings for `node` of the cluster `nodes`.

    `own`: the user's, which win; `{id}`, `{port}` and `{controller_port}` in them are the node's.
    """
    return {
        **_place(node, nodes, log_dir),
        **_replication(len(nodes)),
        **_FAIL_OVER,
        **_patience(len(nodes)),
        **_SMALL_MACHINE,
        **_BEHAVIOUR,
        **{key: _filled(value, node) for key, value in own.items()},
    }


def _filled(value: str, node: Node) -> str:
    for name, number in node._asdict().items():
        value = value.replace("{" + name + "}", str(number))
    return value


def _place(node: Node, nodes: Sequence[Node], log_dir: Path) -> dict[str, str]:
    # Followers that notice the active controller's death at one time vote for themselves, all of
    # them, and vote again a second later. So each waits for a little longer than the one before.
    patience_ms = 800 + 150 * [n.id for n in nodes].index(node.id)
    return {
        "process.roles": "broker,controller",
        "controller.quorum.fetch.timeout.ms": str(patience_ms),
        "node.id": str(node.id),
        "controller.quorum.voters": ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in nodes),
        "listeners": f"CLIENT://{HOST}:{node.port},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"CLIENT://{HOST}:{node.port}",
        "listener.security.protocol.map": "CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "CLIENT",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": str(log_dir),
    }


def _replication(brokers: int) -> dict[str, str]:
    replicas = min(_REPLICAS_AT_MOST, brokers)
    in_sync = max(1, replicas - 1)
    return {
        "default.replication.factor": str(replicas),
        "min.insync.replicas": str(in_sync),
        "offsets.topic.replication.factor": str(replicas),
        "transaction.state.log.replication.factor": str(replicas),
        "transaction.state.log.min.isr": str(in_sync),
        "share.coordinator.state.topic.replication.factor": str(replicas),
        "share.coordinator.state.topic.min.isr": str(in_sync),
    }


def _patience(brokers: int) -> dict[str, str]:
    """How soon a silent broker loses its partitions to another. Where there is no other, a moment
    in which the machine is busy would be an outage, and for nothing; but no longer than a crashed
    one may wait, for it is not let in again while its former self counts as alive."""
    return {"broker.session.timeout.ms": "5000" if brokers == 1 else "1500"}


_FAIL_OVER = {
    # Defaults take 9.6 s to write again after kill -9 of a leader; with these it is under 2 s
    # (docs/explanation/failover.md).
    "broker.heartbeat.interval.ms": "300",
    "controller.quorum.election.timeout.ms": "500",
    "replica.lag.time.max.ms": "3000",
    # A follower that asks the new leader a moment too early asks again soon, and not in a second.
    "replica.fetch.backoff.ms": "100",
    # KIP-848 groups: a worker that dies is replaced in 10 s instead of 45 s.
    "group.consumer.min.session.timeout.ms": "3000",
    "group.consumer.session.timeout.ms": "10000",
    "group.consumer.min.heartbeat.interval.ms": "500",
    "group.consumer.heartbeat.interval.ms": "1000",
    "group.initial.rebalance.delay.ms": "0",
}

_SMALL_MACHINE = {
    "num.network.threads": "2",
    "num.io.threads": "4",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.segment.bytes": "16777216",
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.segment.bytes": "16777216",
    "share.coordinator.state.topic.num.partitions": "4",
    # 128 MB of heap by default, taken at the start.
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.preallocate": "false",
}

_BEHAVIOUR = {
    "auto.create.topics.enable": "false",
    "unclean.leader.election.enable": "false",
    # Retention acts within seconds, so that a small disk stays small.
    "log.initial.task.delay.ms": "5000",
    "log.retention.check.interval.ms": "5000",
    "log.segment.delete.delay.ms": "1000",
}


def properties_text(settings: dict[str, str]) -> str:
    """`settings` in the format of java.util.Properties."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in settings.items())


def _escaped(value: str) -> str:
    """Backslashes and non-ASCII escaped, leading white space kept (java.util.Properties.load)."""
    escaped = "".join(
        char if char.isascii() else _unicode_escape(char) for char in value.replace("\\", "\\\\")
    )
    return "\\" + escaped if escaped[:1].isspace() else escaped


def _unicode_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


LOG4J_TEXT = """\
<?xml version="1.0" encoding="UTF-8"?>
<!-- One file a broker, at most five of 10 MB. Kafka ends the log itself, with its last words. -->
<Configuration status="WARN" shutdownHook="disable">
  <Appenders>
    <RollingFile name="file" fileName="${sys:kinolog.log}" filePattern="${sys:kinolog.log}.%i">
      <PatternLayout pattern="%d{ISO8601} %-5p %c{1}: %m%n%throwable"/>
      <Policies><SizeBasedTriggeringPolicy size="10MB"/></Policies>
      <DefaultRolloverStrategy max="4"/>
    </RollingFile>
  </Appenders>
  <Loggers>
    <Root level="INFO"><AppenderRef ref="file"/></Root>
    <!-- Two hundred lines a second while another broker is away. -->
    <Logger name="org.apache.kafka.clients.NetworkClient" level="ERROR"/>
    <Logger name="state.change.logger" level="WARN"/>
  </Loggers>
</Configuration>
"""
