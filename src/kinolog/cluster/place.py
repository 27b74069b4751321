"""Where kinolog's state directory keeps its Kafka, and whether it runs."""

from __future__ import annotations

from pathlib import Path

from kinolog.cluster.cluster import Cluster

KAFKA_FOLDER = "kafka"


def running_servers(state_dir: Path) -> str:
    """`bootstrap.servers` of the cluster in a state directory; empty where none runs."""
    cluster = Cluster.find(state_dir / KAFKA_FOLDER)
    return cluster.bootstrap_servers if cluster is not None and cluster.running else ""
