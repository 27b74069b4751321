"""`kinolog cluster`: a real Kafka on this machine."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter
from cyclopts.validators import Number

from kinolog.cli.common import Json, settings_of
from kinolog.cli.parameters import PARAMETERS
from kinolog.cluster import KAFKA_FOLDER, BrokerStatus, Cluster
from kinolog.cluster.diagnosis import last_lines, tail
from kinolog.core.errors import ClusterError, ConfigError

_FOLLOW_POLL_S = 0.2

app = App(
    name="cluster",
    default_parameter=PARAMETERS,
    help="""Run a real Apache Kafka on this machine, with no Java or Docker installed.

    One broker is enough to work with; three show replication and fail-over. Brokers go on
    running when the command ends, until `kinolog cluster stop`.

    Try it:

        kinolog cluster start --brokers 3

        kinolog cluster status

        kinolog cluster kill 2
    """,
)

DataDir = Annotated[
    Path | None,
    Parameter(
        help="Where kinolog keeps its state; Kafka's data and logs are in kafka/ below it. "
        "[default: .kinolog]"
    ),
]


@app.command
def start(
    *,
    brokers: Annotated[
        int | None,
        Parameter(help="How many, for a new cluster. [default: 1, or as many as there are]"),
    ] = None,
    data_dir: DataDir = None,
    heap_mb: Annotated[
        int | None,
        Parameter(help="Largest Java heap of each, in MB. [default: 256 for one, else 384]"),
    ] = None,
    set: Annotated[
        tuple[str, ...],
        Parameter(negative="", help="A setting of Kafka's own, key=value; may be repeated."),
    ] = (),
) -> None:
    """Start the cluster, or what does not run of it; its data is kept.

    The first time, Kafka (46 MB) is fetched from Maven Central; later no network is needed.

    Try it:

        kinolog cluster start

        kinolog cluster start --brokers 3 --data-dir /var/tmp/kafka

        kinolog cluster start --set log.retention.hours=1
    """
    settings = dict(_setting(text) for text in set) if set else None
    cluster = Cluster.start(
        _state_dir(data_dir) / KAFKA_FOLDER,
        brokers,
        progress=_say,
        heap_mb=heap_mb,
        settings=settings,
    )
    many = len(cluster.broker_ids)
    _say(f"{many} broker{'s run' if many > 1 else ' runs'}; data in {cluster.data_dir}")
    print(cluster.bootstrap_servers)


@app.command
def status(
    *,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """Show each broker: running, stopped or died, and why.

    Try it:

        kinolog cluster status --json
    """
    cluster = _find(data_dir)
    brokers = cluster.status()
    if json:
        answer = {"bootstrap_servers": cluster.bootstrap_servers, "brokers": brokers}
        print(msgspec.json.format(msgspec.json.encode(answer), indent=2).decode())
        return
    for broker in brokers:
        print(_line(broker))


@app.command
def stop(*, data_dir: DataDir = None) -> None:
    """Stop all brokers cleanly; the data is kept.

    Try it:

        kinolog cluster stop
    """
    cluster = _find(data_dir)
    cluster.stop()
    _say("stopped")


@app.command
def kill(broker: int, /, *, data_dir: DataDir = None) -> None:
    """End a broker at once (kill -9), to see that nothing is lost.

    Try it:

        kinolog cluster kill 2

    Parameters
    ----------
    broker
        Number of the broker.
    """
    _find(data_dir).kill(broker)
    _say(f"broker {broker} is dead; bring it back: kinolog cluster restart {broker}")


@app.command
def restart(broker: int, /, *, data_dir: DataDir = None) -> None:
    """Start a broker that was killed or died; one that runs is stopped cleanly first.

    Try it:

        kinolog cluster restart 2

    Parameters
    ----------
    broker
        Number of the broker.
    """
    _find(data_dir).restart(broker, progress=_say)
    _say(f"broker {broker} runs")


@app.command
def logs(
    broker: int = 1,
    /,
    *,
    data_dir: DataDir = None,
    lines: Annotated[
        int, Parameter(help="How many of the last lines.", validator=Number(gte=0))
    ] = 50,
    follow: Annotated[
        bool, Parameter(alias="-f", negative="", help="Go on as the log grows.")
    ] = False,
) -> None:
    """Print the end of a broker's log.

    Try it:

        kinolog cluster logs 1 --follow

    Parameters
    ----------
    broker
        Number of the broker.
    """
    path = _find(data_dir).log_path(broker)
    if not path.exists():
        raise ClusterError(f"broker {broker} has no log yet", hint=f"it would be {path}")
    begin = path.stat().st_size
    if ending := last_lines(tail(path), lines):
        print(ending)
    while follow:
        # Until Ctrl-C, as tail -f.
        time.sleep(_FOLLOW_POLL_S)
        size = path.stat().st_size if path.exists() else 0
        if size != begin:
            print(tail(path, begin), end="", flush=True)
            begin = size


def _setting(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(
            f"--set {text!r} is not key=value", hint="for example --set log.retention.hours=1"
        )
    return key, value


def _state_dir(data_dir: Path | None) -> Path:
    """As given, else as the settings say."""
    return settings_of(None, data_dir=data_dir).data_dir


def _find(data_dir: Path | None) -> Cluster:
    state_dir = _state_dir(data_dir)
    if cluster := Cluster.find(state_dir / KAFKA_FOLDER):
        return cluster
    raise ClusterError(
        f"there is no cluster in {state_dir}",
        hint="start one: kinolog cluster start, or name another --data-dir",
    )


def _line(broker: BrokerStatus) -> str:
    text = f"broker {broker.id}  {broker.state:8}  127.0.0.1:{broker.port}"
    if broker.pid is not None:
        return f"{text}  pid {broker.pid}  {broker.rss_bytes / 1e6:.0f} MB"
    if not broker.reason:
        return text
    advice = f"; {broker.hint}" if broker.hint else ""
    return f"{text}  {broker.reason}{advice} (log: {broker.log})"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
