"""Where kinolog's state directory keeps its Kafka, whether it runs, and why it does not."""

from __future__ import annotations

from pathlib import Path

from kinolog.cluster.cluster import Cluster
from kinolog.core.errors import ClusterError

KAFKA_FOLDER = "kafka"


def running_servers(state_dir: Path) -> str:
    """`bootstrap.servers` of the cluster in a state directory; empty where none runs."""
    cluster = Cluster.find(state_dir / KAFKA_FOLDER)
    return cluster.bootstrap_servers if cluster is not None and cluster.running else ""


def deaths(state_dir: Path) -> list[ClusterError]:
    """Why each broker there that died did so, and what to do; not of one that was stopped or
    killed from outside."""
    cluster = Cluster.find(state_dir / KAFKA_FOLDER)
    if cluster is None:
        return []
    return [
        ClusterError(
            f"Kafka's broker {broker.id} died: {broker.reason}",
            hint=f"{broker.hint} (kinolog cluster start)",
        )
        for broker in cluster.status()
        if broker.state == "died" and broker.hint
    ]
