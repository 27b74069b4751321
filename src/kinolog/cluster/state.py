"""What a data directory knows of its cluster: `cluster.json`."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from kinolog.cluster.process import ProcessId
from kinolog.cluster.settings import Node
from kinolog.core.errors import ClusterError

_FILE = "cluster.json"
FORMAT = 1


class BrokerState(msgspec.Struct):
    """One broker, as kinolog last left it."""

    id: int
    port: int
    controller_port: int
    process: ProcessId | None = None
    log_start_byte: int = 0
    """Size of its log file when it was last started."""
    ended_by: str = ""
    """Why a broker without a process has none: '', 'stop' or 'kill'."""

    @property
    def node(self) -> Node:
        """The part of it that settings are made of."""
        return Node(self.id, self.port, self.controller_port)


class State(msgspec.Struct):
    """One cluster."""

    cluster_id: str
    kafka_version: str
    heap_mb: int
    brokers: list[BrokerState]
    format: int = FORMAT
    settings: dict[str, str] = {}
    """The user's own settings of the brokers."""


def load(data_dir: Path) -> State | None:
    """The cluster of `data_dir`; None if it has none, ClusterError if the file is not ours."""
    path = data_dir / _FILE
    try:
        state = msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ClusterError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise ClusterError(
            f"{path} is damaged: {error}",
            hint=f"remove {data_dir} to begin anew (its data is lost)",
        ) from error
    if state.format != FORMAT:
        raise ClusterError(
            f"{path} was written by another version of kinolog",
            hint="use that version, or another --data-dir",
        )
    return state


def save(data_dir: Path, state: State) -> None:
    """Replace the file in one step, so that a reader sees the old or the new."""
    path = data_dir / _FILE
    scratch = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        scratch.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
