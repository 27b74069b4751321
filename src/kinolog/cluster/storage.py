"""Data directories made ready: what `kafka-storage format` writes, for all nodes at once."""

from __future__ import annotations

import base64
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from kinolog.cluster import diagnosis, java, settings
from kinolog.cluster.settings import Node
from kinolog.core.errors import ClusterError

_FORMAT_DEADLINE_S = 60.0
_META = "meta.properties"
_BOOTSTRAP = "bootstrap.checkpoint"


def new_uuid() -> str:
    """A random id as Kafka writes them: 22 characters of URL-safe base64, no '-' in front."""
    while True:
        text = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not text.startswith("-"):
            return text


def format_nodes(
    data_dirs: dict[int, Path],
    nodes: Sequence[Node],
    cluster_id: str,
    jars: Sequence[Path],
    scratch: Path,
) -> None:
    """Format the data directories (by node id) that are not formatted yet.

    Kafka's tool runs once, since a JVM takes two seconds: the features it enables are the same for
    every node, and only the ids in meta.properties differ. Raises ClusterError if a directory is
    another cluster's or another node's.
    """
    for node_id, path in data_dirs.items():
        _check_owner(path, cluster_id, node_id)
    bare = {node: path for node, path in data_dirs.items() if not (path / _META).exists()}
    if not bare:
        return
    template = scratch / "format"
    shutil.rmtree(template, ignore_errors=True)
    _run_storage_tool(nodes, cluster_id, jars, scratch, template)
    for node_id, path in bare.items():
        path.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(template / _BOOTSTRAP, path / _BOOTSTRAP)
        # Last and in one step: a directory with this file is a formatted one.
        half = path / f"{_META}.part"
        half.write_text(meta_text(cluster_id, node_id))
        half.rename(path / _META)
    shutil.rmtree(template, ignore_errors=True)


def meta_text(cluster_id: str, node_id: int) -> str:
    """meta.properties, version 1 (KIP-858), for a directory with a new id."""
    return f"version=1\ncluster.id={cluster_id}\nnode.id={node_id}\ndirectory.id={new_uuid()}\n"


def _check_owner(path: Path, cluster_id: str, node_id: int) -> None:
    try:
        lines = (path / _META).read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    if (found.get("cluster.id"), found.get("node.id")) != (cluster_id, str(node_id)):
        raise ClusterError(
            f"{path} belongs to another cluster",
            hint="use another --data-dir, or remove that one (its data is lost)",
        )


def _run_storage_tool(
    nodes: Sequence[Node], cluster_id: str, jars: Sequence[Path], scratch: Path, template: Path
) -> None:
    config = scratch / "format.properties"
    config.write_text(
        settings.properties_text(settings.broker_settings(nodes[0], nodes, template)), "ascii"
    )
    command = java.java_command(
        jars,
        java.jvm_flags(java.TOOL_HEAP_MB, scratch),
        "kafka.tools.StorageTool",
        ["format", "--config", str(config), "--cluster-id", cluster_id],
    )
    try:
        done = subprocess.run(
            command,
            env=java.clean_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_FORMAT_DEADLINE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ClusterError(
            f"Kafka's storage tool did not end within {_FORMAT_DEADLINE_S:.0f} s",
            hint="the machine is very busy, or the disk very slow: try again",
        ) from None
    if done.returncode != 0:
        said = done.stdout + done.stderr
        reason = diagnosis.explain("", said)
        text = reason.text if reason.known else diagnosis.last_lines(said, 1) or "no reason given"
        raise ClusterError(f"Kafka could not prepare its data: {text}", hint=reason.hint)
