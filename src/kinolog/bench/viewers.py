"""Viewers: a swarm of players against our edge and a peer's server, one after the other."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kinolog.bench.figures import spread
from kinolog.core.errors import ConfigError

_MARGIN_S = 90.0


class Server(NamedTuple):
    """A server to be measured: its playlist, and the processes that serve it."""

    name: str
    url: str
    pids: tuple[int, ...]


async def compare(
    swarm: Path,
    servers: Sequence[Server],
    *,
    viewers: Sequence[int] = (200, 500),
    seconds: int = 15,
    runs: int = 3,
    beside: tuple[int, ...] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Each server in turn, `runs` times, at each number of viewers. `beside`: processes whose
    CPU is told too (brokers)."""
    if not await asyncio.to_thread(swarm.is_file):
        raise ConfigError(f"there is no swarm at {swarm}", hint="build it, or pass --swarm PATH")
    rows: list[dict[str, Any]] = []
    for count in viewers:
        results: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
        for run in range(runs):
            for server in servers:
                before = _cpu_s(beside)
                begun = time.monotonic()
                result = await _run(swarm, server, count, seconds)
                wall_s = time.monotonic() - begun
                result["beside_cpu_share"] = (_cpu_s(beside) - before) / wall_s
                results[server.name].append(result)
                progress(
                    f"{server.name}, {count} viewers, run {run + 1}: "
                    f"{result.get('server_cpu_ms_per_viewer_s', 0):.2f} ms per viewer-second"
                )
        rows += [{"server": n, "viewers": count, "runs": r} for n, r in results.items()]
    return rows


async def _run(swarm: Path, server: Server, viewers: int, seconds: int) -> dict[str, Any]:
    arguments = [str(swarm), "-url", server.url, "-viewers", str(viewers)]
    arguments += ["-seconds", str(seconds), "-json"]
    if server.pids:
        arguments += ["-pid", ",".join(map(str, server.pids))]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await asyncio.wait_for(process.communicate(), seconds + _MARGIN_S)
    except BaseException:
        process.kill()
        raise
    if process.returncode:
        raise ConfigError(f"the swarm failed on {server.url}: {errors.decode()[-300:]}")
    found: dict[str, Any] = json.loads(output)
    return found


def figures(row: dict[str, Any], key: str, digits: int = 3) -> dict[str, Any]:
    """The spread of one figure over a row's runs."""
    return spread([float(run[key]) for run in row["runs"] if run.get(key) is not None], digits)


def _cpu_s(pids: tuple[int, ...]) -> float:
    """User and system seconds of processes (proc(5), stat fields 14 and 15)."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / 100
