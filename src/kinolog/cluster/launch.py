"""Starting and stopping a cluster's processes, ports changed where they are taken."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from kinolog.cluster import diagnosis, jars, java, ports, probe, process, settings, state, storage
from kinolog.cluster.layout import Layout
from kinolog.cluster.state import BrokerState, State
from kinolog.core.errors import ClusterError

_BROKERS_AT_MOST = 9
_PORT_ATTEMPTS = 4
_POLL_S = 0.05
_PROBE_TIMEOUT_S = 2.0
_TAIL_LINES = 5
_FREE_BYTES_AT_LEAST = 32 << 20
"""Less than what Kafka writes before it has a topic is as good as nothing."""
_FULL_BYTES = 1 << 20

Progress = Callable[[str], None]


class _PortTakenError(Exception):
    """A port was free when chosen, and taken when the broker came."""


def new_state(brokers: int, heap_mb: int | None) -> State:
    """A cluster that has never run, with ports that are free now."""
    if not 1 <= brokers <= _BROKERS_AT_MOST:
        raise ClusterError(
            f"a cluster of {brokers} brokers is not possible here",
            hint=f"choose 1 to {_BROKERS_AT_MOST}; 1 or 3 are the useful numbers",
        )
    default_heap = java.ONE_BROKER_HEAP_MB if brokers == 1 else java.MANY_BROKERS_HEAP_MB
    known = State(
        cluster_id=storage.new_uuid(),
        kafka_version=jars.KAFKA_VERSION,
        heap_mb=heap_mb or default_heap,
        brokers=[],
    )
    for broker in range(1, brokers + 1):
        port = ports.free_port(_ports(known))
        known.brokers.append(BrokerState(broker, port, ports.free_port({port, *_ports(known)})))
    return known


def start(
    layout: Layout,
    known: State,
    *,
    deadline: float,
    progress: Progress,
    wanted_brokers: int | None = None,
    heap_mb: int | None = None,
    own_settings: Mapping[str, str] | None = None,
    only: int | None = None,
) -> None:
    """Start the brokers of `known` that do not run (or `only` that one); all that run must answer.

    Saves the state as it goes. `deadline` is in monotonic seconds. On ClusterError the brokers
    that this call started have been stopped again.
    """
    if wanted_brokers not in (None, len(known.brokers)):
        raise ClusterError(
            f"{layout.root} holds a cluster of {len(known.brokers)}, not {wanted_brokers}, brokers",
            hint=f"leave --brokers out, or pass --brokers {len(known.brokers)}; "
            "another number needs another --data-dir",
        )
    before = known.heap_mb, known.settings
    known.heap_mb = heap_mb or known.heap_mb
    known.settings = dict(known.settings if own_settings is None else own_settings)
    for broker in known.brokers:
        if broker.process and (only is None or broker.id == only):
            process.send(broker.process, signal.SIGCONT)  # a paused one would never answer
    running = [broker.id for broker in known.brokers if process.is_alive(broker.process)]
    absent = [
        broker
        for broker in known.brokers
        if broker.id not in running and (only is None or broker.id == only)
    ]
    if running and (known.heap_mb, known.settings) != before:
        state.save(layout.root, known)
        for broker_id in running:
            progress(
                f"broker {broker_id} runs: what was set takes effect at its next restart: "
                f"kinolog cluster restart {broker_id}"
            )
    class_path = jars.class_path(progress)
    if absent:
        _check_space(layout)
        many = f"{len(absent)} Kafka brokers" if len(absent) > 1 else "a Kafka broker"
        progress(f"starting {many}")
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        try:
            _replace_taken_ports(known, absent, progress)
            _spawn_all(layout, known, absent, class_path)
            _wait_ready(layout, known, absent, deadline)
        except _PortTakenError:
            stop(absent, time.monotonic())
            if attempt == _PORT_ATTEMPTS:
                raise ClusterError(
                    f"ports were taken {attempt} times while Kafka started",
                    hint="another program takes ports all the time: start again",
                ) from None
        except BaseException:  # an interrupt as well: nothing is left behind
            stop(absent, time.monotonic())
            with contextlib.suppress(OSError):  # a full disk, of which the first error tells
                state.save(layout.root, known)
            raise
        else:
            return


def stop(brokers: Sequence[BrokerState], deadline: float) -> None:
    """End the processes of `brokers`, cleanly up to `deadline` (monotonic), then by force."""
    going = [broker for broker in brokers if process.is_alive(broker.process)]
    for broker in going:
        if broker.process:
            process.send(broker.process, signal.SIGTERM)
            process.send(broker.process, signal.SIGCONT)  # a paused one cannot hear the first
    for broker in going:
        if broker.process and not process.wait_gone(broker.process, deadline):
            process.send(broker.process, signal.SIGKILL)
            process.wait_gone(broker.process, time.monotonic() + 10)
    for broker in brokers:
        if broker.process is not None:
            broker.process, broker.ended_by = None, "stop"


def why_it_died(layout: Layout, broker: BrokerState) -> diagnosis.Reason:
    """The reason in the log of a broker's last run."""
    if shutil.disk_usage(layout.root).free < _FULL_BYTES:
        return diagnosis.DISK_FULL  # the log had no room to say so
    return diagnosis.explain(
        diagnosis.tail(layout.log(broker.id), broker.log_start_byte),
        diagnosis.tail(layout.output(broker.id)),
    )


def _check_space(layout: Layout) -> None:
    free = shutil.disk_usage(layout.root).free
    if free < _FREE_BYTES_AT_LEAST:
        raise ClusterError(
            f"the disk of {layout.root} is full ({free >> 20} MB free)",
            hint=diagnosis.DISK_FULL.hint,
        )


def _ports(known: State) -> set[int]:
    return {port for broker in known.brokers for port in (broker.port, broker.controller_port)}


def _replace_taken_ports(known: State, absent: list[BrokerState], progress: Progress) -> None:
    others_run = len(absent) < len(known.brokers)
    for broker in absent:
        if not ports.is_free(broker.port):
            new = ports.free_port(_ports(known))
            progress(f"port {broker.port} is taken: broker {broker.id} listens on {new} instead")
            broker.port = new
        if not ports.is_free(broker.controller_port):
            if others_run:
                # The others know the quorum's addresses from their start.
                raise ClusterError(
                    f"port {broker.controller_port} of broker {broker.id}'s controller is taken",
                    hint="end the program that holds it, or stop and start the whole cluster",
                )
            broker.controller_port = ports.free_port(_ports(known))


def _spawn_all(
    layout: Layout, known: State, absent: list[BrokerState], class_path: list[Path]
) -> None:
    if not absent:
        return
    if len(absent) == len(known.brokers):
        # A killed JVM leaves its unpacked libraries behind.
        shutil.rmtree(layout.scratch, ignore_errors=True)
        layout.scratch.mkdir(exist_ok=True)
    nodes = [broker.node for broker in known.brokers]
    data_dirs = {broker.id: layout.data(broker.id) for broker in absent}
    storage.format_nodes(data_dirs, nodes, known.cluster_id, class_path, layout.scratch)
    layout.log4j.write_text(settings.LOG4J_TEXT, "utf-8")
    for broker in absent:
        file = layout.settings(broker.id)
        values = settings.broker_settings(
            broker.node, nodes, layout.data(broker.id), known.settings
        )
        file.write_text(settings.properties_text(values), "ascii")
        log = layout.log(broker.id)
        broker.log_start_byte = log.stat().st_size if log.exists() else 0
        broker.process = process.spawn(
            _command(layout, known, broker, class_path),
            java.clean_environment(),
            layout.output(broker.id),
        )
        broker.ended_by = ""
        state.save(layout.root, known)


def _command(
    layout: Layout, known: State, broker: BrokerState, class_path: list[Path]
) -> list[str]:
    flags = [
        *java.jvm_flags(known.heap_mb, layout.scratch),
        f"-XX:ErrorFile={layout.output(broker.id)}.crash",
        f"-Dlog4j2.configurationFile={layout.log4j}",
        f"-Dkinolog.log={layout.log(broker.id)}",
    ]
    return java.java_command(class_path, flags, "kafka.Kafka", [str(layout.settings(broker.id))])


def _wait_ready(layout: Layout, known: State, absent: list[BrokerState], deadline: float) -> None:
    """Until every running broker answers and sees all that run, unfenced."""
    expected = {b.id: b.port for b in known.brokers if process.is_alive(b.process)} | {
        b.id: b.port for b in absent
    }
    waiting = dict(expected)
    while waiting:
        for broker in absent:
            if not process.is_alive(broker.process):
                _raise_died(layout, broker)
        if time.monotonic() > deadline:
            _raise_late(layout, sorted(waiting))
        for broker_id, port in list(waiting.items()):
            view = probe.ask(port, _PROBE_TIMEOUT_S)
            if view is not None and expected.items() <= view.brokers.items():
                del waiting[broker_id]
        time.sleep(_POLL_S)


def _raise_died(layout: Layout, broker: BrokerState) -> None:
    reason = why_it_died(layout, broker)
    if reason.port_taken:
        raise _PortTakenError
    raise ClusterError(
        f"broker {broker.id} died at its start: {reason.text}",
        hint=f"{reason.hint} (log: {layout.log(broker.id)})",
    )


def _raise_late(layout: Layout, broker_ids: list[int]) -> None:
    late = broker_ids[0]
    log = diagnosis.tail(layout.log(late)) or diagnosis.tail(layout.output(late))
    raise ClusterError(
        f"broker {late} did not get ready in time",
        hint=f"the machine may be too busy; the end of {layout.log(late)}:\n"
        + diagnosis.last_lines(log, _TAIL_LINES),
    )
