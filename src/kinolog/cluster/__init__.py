"""Embedded Kafka: a real Apache Kafka cluster for a laptop and for tests."""

from kinolog.cluster.cluster import BrokerStatus, Cluster
from kinolog.cluster.place import KAFKA_FOLDER, deaths, running_servers

__all__ = ["KAFKA_FOLDER", "BrokerStatus", "Cluster", "deaths", "running_servers"]
