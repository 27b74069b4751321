"""The embedded cluster with real brokers: started, used, broken and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from kinolog.cluster import Cluster, process, state
from kinolog.cluster.probe import Partition
from kinolog.core.errors import ClusterError

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]
_DEADLINE_S = 60


def _create_topic(bootstrap: str, replicas: int) -> str:
    topic = f"test-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(topic, 1, replicas)])[topic].result(_DEADLINE_S)
    return topic


def _partition(
    cluster: Cluster, topic: str, known: Callable[[Partition], bool] = lambda _: True
) -> Partition:
    """The topic's partition as `known` by the broker that answers: each hears of news by itself."""
    end = time.monotonic() + _DEADLINE_S
    while time.monotonic() < end:
        for partition in cluster.partitions():
            if partition.topic == topic and known(partition):
                return partition
    pytest.fail(f"no broker tells of {topic} what is waited for")


def _produce(bootstrap: str, topic: str, values: list[bytes]) -> None:
    errors: list[KafkaError] = []

    def delivered(error: KafkaError | None, _: Message) -> None:
        if error:
            errors.append(error)

    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for value in values:
        producer.produce(topic, value, on_delivery=delivered)
    assert producer.flush(_DEADLINE_S) == 0
    assert errors == []


def _consume(bootstrap: str, topic: str, count: int) -> list[bytes]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "unused"})
    consumer.assign([TopicPartition(topic, 0, 0)])
    found: list[bytes] = []
    end = time.monotonic() + _DEADLINE_S
    try:
        while len(found) < count and time.monotonic() < end:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                found.append(message.value())
    finally:
        consumer.close()
    return found


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _owner(data_dir: Path) -> subprocess.Popen[bytes]:
    """A process that owns a cluster, and says `up` when that runs."""
    script = (
        "import sys; from pathlib import Path; from kinolog.cluster import Cluster\n"
        "Cluster.start(Path(sys.argv[1]), owned=True); print('up', flush=True); sys.stdin.read()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script, str(data_dir)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.slow
def test_data_outlives_a_stop(tmp_path: Path) -> None:
    tmp_path = tmp_path / "a dïrectory"  # in which a JVM of the C locale would be lost
    with Cluster.start(tmp_path, owned=True) as cluster:
        before = cluster.bootstrap_servers
        topic = _create_topic(before, 1)
        _produce(before, topic, [b"one", b"two"])
        pid = cluster.status()[0].pid
        assert Cluster.start(tmp_path).status()[0].pid == pid, "starting twice changes nothing"
        cluster.stop()
        assert [broker.state for broker in cluster.status()] == ["stopped"]
        assert not cluster.running

        Cluster.start(tmp_path)
        assert cluster.bootstrap_servers == before
        assert _consume(before, topic, 2) == [b"one", b"two"]


@pytest.mark.slow
def test_a_taken_port_is_replaced(tmp_path: Path) -> None:
    with Cluster.start(tmp_path, owned=True) as cluster:
        before = cluster.bootstrap_servers
        topic = _create_topic(before, 1)
        _produce(before, topic, [b"kept"])
        cluster.stop()
        known = state.load(tmp_path)
        assert known is not None
        told: list[str] = []
        with (
            socket.create_server(("127.0.0.1", known.brokers[0].port)),
            socket.create_server(("127.0.0.1", known.brokers[0].controller_port)),
        ):
            Cluster.start(tmp_path, progress=told.append)
        assert cluster.bootstrap_servers != before
        assert any("is taken" in line for line in told)
        assert _consume(cluster.bootstrap_servers, topic, 1) == [b"kept"]


def test_three_brokers_write_on_without_one(healthy_cluster3: Cluster) -> None:
    cluster = healthy_cluster3
    topic = _create_topic(cluster.bootstrap_servers, 3)
    _produce(cluster.bootstrap_servers, topic, [b"before"])
    partition = _partition(cluster, topic, lambda p: sorted(p.in_sync) == [1, 2, 3])

    cluster.kill(partition.leader)
    _produce(cluster.bootstrap_servers, topic, [b"during"])
    later = _partition(cluster, topic, lambda p: p.leader != partition.leader)
    assert sorted(later.in_sync) == sorted({1, 2, 3} - {partition.leader})
    dead = cluster.status()[partition.leader - 1]
    assert (dead.state, dead.pid) == ("died", None)
    assert "kill" in dead.reason

    cluster.restart(partition.leader)
    cluster.wait_in_sync()
    assert _consume(cluster.bootstrap_servers, topic, 2) == [b"before", b"during"]


@pytest.mark.slow
def test_a_paused_broker_is_left_by_the_others(healthy_cluster3: Cluster) -> None:
    cluster = healthy_cluster3
    topic = _create_topic(cluster.bootstrap_servers, 3)
    partition = _partition(cluster, topic)
    cluster.pause(partition.leader)
    try:
        _produce(cluster.bootstrap_servers, topic, [b"during"])
    finally:
        cluster.resume(partition.leader)
    cluster.wait_in_sync()
    assert _consume(cluster.bootstrap_servers, topic, 1) == [b"during"]


def test_new_clusters_elect_only_eligible_leaders(cluster3: Cluster) -> None:
    """KIP-966: what is under the high watermark is never lost, so readers may show it."""
    done = subprocess.run(
        cluster3.tool(
            "org.apache.kafka.tools.FeatureCommand",
            *("--bootstrap-server", cluster3.bootstrap_servers, "describe"),
        ),
        capture_output=True,
        text=True,
        check=True,
        timeout=_DEADLINE_S,
    )
    (line,) = [x for x in done.stdout.splitlines() if "eligible.leader.replicas.version" in x]
    assert "FinalizedVersionLevel: 1" in line


@pytest.mark.parametrize(
    ("number", "reason"),
    [(signal.SIGKILL, "killed without a word"), (signal.SIGTERM, "from outside (SIGTERM)")],
)
def test_death_from_outside_is_told(tmp_path: Path, number: int, reason: str) -> None:
    with Cluster.start(tmp_path, owned=True) as cluster:
        pid = cluster.status()[0].pid
        assert pid is not None
        os.kill(pid, number)
        _wait(lambda: not cluster.running)
        (broker,) = cluster.status()
        assert broker.state == "died"
        assert reason in broker.reason
        Cluster.start(tmp_path)
        assert cluster.running


def test_a_heap_that_java_refuses(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="Java refused to start: Too small maximum heap") as e:
        Cluster.start(tmp_path, heap_mb=1, owned=True)
    assert "--heap-mb" in e.value.hint
    found = Cluster.find(tmp_path)
    assert found is None or not found.running


def test_an_owned_cluster_ends_with_its_owner(tmp_path: Path) -> None:
    with _owner(tmp_path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"up\n"
        known = state.load(tmp_path)
        assert known is not None
        broker = known.brokers[0].process
        assert process.is_alive(broker)
        owner.kill()
    _wait(lambda: not process.is_alive(broker))
    _wait(lambda: Cluster(tmp_path).status()[0].state == "stopped")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_an_owner_that_ends_while_brokers_start_leaves_none(
    tmp_path: Path, number: signal.Signals
) -> None:
    with _owner(tmp_path) as owner:
        assert owner.stdout is not None
        _wait(lambda: state.load(tmp_path) is not None)
        known = state.load(tmp_path)
        assert known is not None
        broker = known.brokers[0].process
        assert process.is_alive(broker)
        owner.send_signal(number)
        assert owner.stdout.read() == b"", "it was too late: all was started"
    try:
        _wait(lambda: not process.is_alive(broker))
    finally:
        Cluster(tmp_path).stop()


def test_what_is_set_for_a_running_cluster_counts_from_its_restart_on(tmp_path: Path) -> None:
    told: list[str] = []
    with Cluster.start(tmp_path, owned=True) as cluster:
        wanted = {"log.retention.hours": "5"}
        Cluster.start(tmp_path, heap_mb=300, settings=wanted, progress=told.append)
        assert [line for line in told if line.endswith("restart: kinolog cluster restart 1")]
        cluster.restart(1)
        known = state.load(tmp_path)
        assert known is not None
        broker = known.brokers[0].process
        assert broker is not None
        assert "-Xmx300m" in psutil.Process(broker.pid).cmdline()
        assert "log.retention.hours=5\n" in (tmp_path / "broker-1.properties").read_text()
        told.clear()
        Cluster.start(tmp_path, settings=wanted, progress=told.append)
        assert told == []


def test_a_cluster_that_ran_is_not_owned(tmp_path: Path) -> None:
    with Cluster.start(tmp_path, owned=True) as cluster:
        assert cluster.owned
        assert not Cluster.start(tmp_path, owned=True).owned
        assert cluster.running
