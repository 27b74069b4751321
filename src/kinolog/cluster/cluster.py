"""A cluster of brokers on this machine: started, watched, broken on purpose, and stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from kinolog.cluster import jars, java, launch, probe, process, state
from kinolog.cluster.layout import Layout
from kinolog.cluster.process import ProcessId
from kinolog.cluster.settings import HOST
from kinolog.cluster.state import BrokerState, State
from kinolog.core.errors import ClusterError, NotFound

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 30.0
_LOCK_TIMEOUT_S = 180.0
_PROBE_TIMEOUT_S = 2.0


class BrokerStatus(msgspec.Struct, frozen=True):
    """One broker, now."""

    id: int
    state: Literal["running", "stopped", "died"]
    port: int
    pid: int | None
    rss_bytes: int
    reason: str
    """Why it died; '' otherwise."""
    hint: str
    """What to do about it; '' where nothing went wrong by itself."""
    log: str
    """Path of its log file."""


class Cluster:
    """Real Apache Kafka brokers in KRaft mode, each a process that outlives this one.

    An object holds no state but the data directory, so any number of processes may look at the
    same cluster; those that change it take turns.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._layout = Layout(data_dir)
        self._guard: tuple[ProcessId, int] | None = None

    @classmethod
    def start(
        cls,
        data_dir: Path,
        brokers: int | None = None,
        *,
        progress: Callable[[str], None] | None = None,
        heap_mb: int | None = None,
        settings: Mapping[str, str] | None = None,
        owned: bool = False,
        timeout_s: float = START_TIMEOUT_S,
    ) -> Cluster:
        """Start what does not run of the cluster in `data_dir`, and wait until all answer.

        `brokers`: how many (1 to 9) for a new cluster; None is one, or as many as there are.
        `heap_mb`: the largest Java heap of each. `settings`: Kafka's own, over ours. Both are for
        brokers that start now and later; None leaves them as they are. `owned`: where no broker
        ran, own the cluster: it is stopped when this process ends, even by kill -9, from its first
        broker's start on. `progress` is told what takes long. Raises ClusterError; then nothing
        that this call started is left running.
        """
        cluster = cls(data_dir.absolute())
        cluster._layout.make()
        with cluster._exclusive():
            known = state.load(cluster.data_dir) or launch.new_state(
                1 if brokers is None else brokers, heap_mb
            )
            if owned and not any(process.is_alive(broker.process) for broker in known.brokers):
                cluster._start_guard()
            try:
                launch.start(
                    cluster._layout,
                    known,
                    wanted_brokers=brokers,
                    heap_mb=heap_mb,
                    own_settings=settings,
                    deadline=time.monotonic() + timeout_s,
                    progress=progress or (lambda _: None),
                )
            except BaseException:
                cluster._end_guard()
                raise
        return cluster

    @classmethod
    def find(cls, data_dir: Path) -> Cluster | None:
        """The cluster of `data_dir`, whether it runs or not; None if there never was one."""
        cluster = cls(data_dir.absolute())
        return cluster if state.load(cluster.data_dir) else None

    @property
    def owned(self) -> bool:
        """Whether this object's start began to run it, to be stopped with this process."""
        return self._guard is not None

    @property
    def running(self) -> bool:
        """Whether at least one broker's process runs."""
        return any(process.is_alive(broker.process) for broker in self._load().brokers)

    @property
    def bootstrap_servers(self) -> str:
        """`host:port` of every broker, comma separated, for any Kafka client."""
        return ",".join(f"{HOST}:{broker.port}" for broker in self._load().brokers)

    @property
    def broker_ids(self) -> list[int]:
        """1, 2, 3 …"""
        return [broker.id for broker in self._load().brokers]

    @property
    def classpath(self) -> list[Path]:
        """Kafka's jars."""
        return jars.class_path()

    @property
    def java(self) -> Path:
        """The `java` program that the brokers run on."""
        return java.java_path()

    def tool(self, main_class: str, *arguments: str) -> list[str]:
        """A command that runs one of Kafka's own tools.

        For example `tool("org.apache.kafka.tools.ProducerPerformance", "--topic", …)`.
        """
        flags = java.jvm_flags(java.TOOL_HEAP_MB, self._layout.scratch)
        # A tool runs long enough to profit from the second compiler.
        flags.remove("-XX:TieredStopAtLevel=1")
        return java.java_command(jars.class_path(), flags, main_class, arguments)

    def log_path(self, broker: int) -> Path:
        """The log file of a broker."""
        self._broker(self._load(), broker)
        return self._layout.log(broker)

    def status(self) -> list[BrokerStatus]:
        """Every broker, by id."""
        return [self._status(broker) for broker in self._load().brokers]

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Stop all brokers cleanly; one that does not end in time is killed."""
        with self._exclusive():
            known = self._load()
            launch.stop(known.brokers, time.monotonic() + timeout_s)
            self._end_guard()
            state.save(self.data_dir, known)

    def kill(self, broker: int) -> None:
        """kill -9 of one broker, as a machine that loses power."""
        with self._exclusive():
            known = self._load()
            target = self._broker(known, broker)
            found = self._running(target)
            target.ended_by = "kill"
            process.send(found, signal.SIGKILL)
            if not process.wait_gone(found, time.monotonic() + STOP_TIMEOUT_S):
                raise ClusterError(f"broker {broker} (pid {found.pid}) outlives kill -9")
            target.process = None
            state.save(self.data_dir, known)

    def restart(
        self,
        broker: int,
        timeout_s: float = START_TIMEOUT_S,
        progress: Callable[[str], None] | None = None,
    ) -> None:
        """Stop one broker cleanly if it runs, start it, and wait until it answers."""
        with self._exclusive():
            known = self._load()
            target = self._broker(known, broker)
            launch.stop([target], time.monotonic() + STOP_TIMEOUT_S)
            state.save(self.data_dir, known)
            launch.start(
                self._layout,
                known,
                only=broker,
                deadline=time.monotonic() + timeout_s,
                progress=progress or (lambda _: None),
            )

    def pause(self, broker: int) -> None:
        """SIGSTOP: the broker keeps its connections and says nothing."""
        process.send(self._running(self._broker(self._load(), broker)), signal.SIGSTOP)

    def resume(self, broker: int) -> None:
        """SIGCONT, after `pause`."""
        process.send(self._running(self._broker(self._load(), broker)), signal.SIGCONT)

    def wait_in_sync(self, timeout_s: float = 60.0) -> None:
        """Wait until all brokers answer and every replica of every partition is in sync."""
        known = self._load()
        deadline = time.monotonic() + timeout_s
        while missing := self._out_of_sync(known):
            if time.monotonic() > deadline:
                raise ClusterError(f"not in sync after {timeout_s:.0f} s: {missing}")
            time.sleep(0.1)

    def partitions(self) -> list[probe.Partition]:
        """Leader, replicas and in-sync replicas of every partition, as the first broker to answer
        sees them."""
        for broker in self._load().brokers:
            if process.is_alive(broker.process) and (
                view := probe.ask(broker.port, _PROBE_TIMEOUT_S, partitions=True)
            ):
                return view.partitions
        raise ClusterError("no broker answers", hint="kinolog cluster status tells more")

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _load(self) -> State:
        if known := state.load(self.data_dir):
            return known
        raise ClusterError(
            f"there is no cluster in {self.data_dir}", hint="start one: kinolog cluster start"
        )

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        try:
            with jars.exclusive(self._layout.lock, _LOCK_TIMEOUT_S):
                yield
        except OSError as error:
            where = error.filename or self.data_dir
            raise ClusterError(
                f"cannot use {where}: {error.strerror or error}",
                hint="give your user the right to write there and some free space, "
                "or use another --data-dir",
            ) from error

    @staticmethod
    def _broker(known: State, broker: int) -> BrokerState:
        for found in known.brokers:
            if found.id == broker:
                return found
        raise NotFound(
            f"there is no broker {broker}",
            hint=f"there are {', '.join(str(b.id) for b in known.brokers)}",
        )

    @staticmethod
    def _running(broker: BrokerState) -> ProcessId:
        if broker.process is None or not process.is_alive(broker.process):
            raise ClusterError(
                f"broker {broker.id} does not run",
                hint=f"start it: kinolog cluster restart {broker.id}",
            )
        return broker.process

    def _status(self, broker: BrokerState) -> BrokerStatus:
        alive = process.is_alive(broker.process)
        reason = hint = ""
        if not alive and broker.ended_by == "kill":
            reason = "killed by kinolog cluster kill"
        elif not alive and broker.process is not None:
            found = launch.why_it_died(self._layout, broker)
            reason, hint = found.text, "" if found.from_outside else found.hint
        return BrokerStatus(
            id=broker.id,
            state="running" if alive else "died" if reason else "stopped",
            port=broker.port,
            pid=broker.process.pid if alive and broker.process else None,
            rss_bytes=process.rss_bytes(broker.process) if broker.process else 0,
            reason=reason,
            hint=hint,
            log=str(self._layout.log(broker.id)),
        )

    def _out_of_sync(self, known: State) -> str:
        for broker in known.brokers:
            view = probe.ask(broker.port, _PROBE_TIMEOUT_S, partitions=True)
            if view is None:
                return f"broker {broker.id} does not answer"
            if len(view.brokers) < len(known.brokers):
                return f"broker {broker.id} sees {len(view.brokers)} of {len(known.brokers)}"
            for found in view.partitions:
                if found.leader < 0 or set(found.in_sync) != set(found.replicas):
                    return f"{found.topic}/{found.number} is in sync on {list(found.in_sync)}"
        return ""

    def _start_guard(self) -> None:
        reading, writing = os.pipe()
        try:
            command = [sys.executable, "-m", "kinolog.cluster.guard", str(self.data_dir)]
            guard = process.spawn(command, dict(os.environ), Path(os.devnull), stdin=reading)
        except OSError:
            os.close(writing)
            raise
        finally:
            os.close(reading)
        self._guard = guard, writing

    def _end_guard(self) -> None:
        if self._guard is not None:
            guard, writing = self._guard
            self._guard = None
            process.send(guard, signal.SIGKILL)
            process.wait_gone(guard, time.monotonic() + STOP_TIMEOUT_S)
            with contextlib.suppress(OSError):
                os.close(writing)
