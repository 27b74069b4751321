"""Replication: how many replicas new topics get, and whether there are brokers up for them."""

from __future__ import annotations

from kinolog.core.errors import KafkaUnavailable, KinologError, Unavailable
from kinolog.core.log import get_logger
from kinolog.log.admin import Admin, ClusterInfo

ENOUGH = 3
"""One broker may die, and writing goes on with two replicas in sync."""

_log = get_logger("kinolog.log")


async def replicas(admin: Admin, info: ClusterInfo, what: str = "a new collection") -> int:
    """How many replicas `what` gets where nobody chose: ENOUGH, or as many as there are brokers, or
    the cluster's own default where that is more. Raises KafkaUnavailable while too few are up: a
    topic that was made with too few replicas keeps them for good."""
    up = len(info.brokers)
    # Who is down is in no list of brokers, but still holds replicas.
    known = info.brokers.keys() | {
        broker
        for partitions in info.topics.values()
        for partition in partitions.values()
        for broker in partition.replicas
    }
    wanted = max(min(ENOUGH, len(known)), await _cluster_default(admin, info))
    if up < wanted:
        raise KafkaUnavailable(
            f"{up} of {max(wanted, len(known))} brokers are up; {what} wants {wanted} replicas",
            hint="try again when they are back, or "
            f"`kinolog collections create NAME --replication-factor {up}`",
        )
    return wanted


async def _cluster_default(admin: Admin, info: ClusterInfo) -> int:
    """The brokers' `default.replication.factor`; 1 where they do not tell."""
    try:
        config = await admin.broker_config(min(info.brokers))
    except Unavailable:
        raise
    except KinologError:  # asking needs DescribeConfigs on the cluster
        return 1
    value = config.get("default.replication.factor", "")
    return int(value) if value.isdigit() else 1


def warn_of_few(name: str, replication: int, brokers: int) -> None:
    """Log that the death of one broker will stop what is written to `name`, if it will."""
    if replication < ENOUGH and brokers > 1:
        _log.warning(
            f"fewer than {ENOUGH} replicas: the death of one broker can stop writing",
            of=name,
            replicas=replication,
            brokers=brokers,
        )
