"""Embedded Kafka: a real Apache Kafka cluster for a laptop and for tests."""

from kinolog.cluster.cluster import BrokerStatus, Cluster

__all__ = ["BrokerStatus", "Cluster"]
