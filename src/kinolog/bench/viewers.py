"""Viewers: a swarm of players against our edge and a peer's server, one after the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kinolog.bench.figures import ratios, spread
from kinolog.bench.rewinder import Rewinders
from kinolog.bench.usage import cpu_s
from kinolog.core.errors import ConfigError

FIGURES = {
    "cpu_ms_per_viewer_s": ("server_cpu_ms_per_viewer_s",),
    "live_latency_p50_s": ("live_latency_s", "p50"),
    "live_latency_p95_s": ("live_latency_s", "p95"),
    "stalls": ("stalls",),
    "stalled_s": ("stall_s",),
    "viewers_with_stalls": ("viewers_with_stalls",),
    "missing_units": ("missing_units",),
    "rss_mb": ("server_rss_MB",),
    "beside_cpu_cores": ("beside_cpu_cores",),
}
"""What is told of each run, and where the swarm's report has it."""

RATIOS = ("cpu_ms_per_viewer_s", "live_latency_p50_s", "live_latency_p95_s", "rss_mb")
"""Figures whose ratio to a peer's means something: stalls are mostly none of none."""

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
    plain: bool = False,
    rewinders: int = 0,
    beside: tuple[int, ...] = (),
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Each server in turn, `runs` times, at each number of viewers; see `rows`.

    `plain`: viewers load whole segments, though there be parts. `rewinders`: so many more, of the
    first server, jump about in its past meanwhile; what they cost it counts for the others.
    `beside`: processes whose CPU is told too (brokers). Raises ConfigError where the swarm does not
    run, or a process that is named does not.
    """
    if not await asyncio.to_thread(swarm.is_file):
        raise ConfigError(f"there is no swarm at {swarm}", hint="build it, or pass --swarm PATH")
    cpu_s([*beside, *(pid for server in servers for pid in server.pids)])
    found: list[dict[str, Any]] = []
    for count in viewers:
        reports: dict[str, list[dict[str, Any]]] = {server.name: [] for server in servers}
        for run in range(runs):
            for server in servers:
                which = f"{server.name}, {count} viewers, run {run + 1} of {runs}"
                progress(f"{which}: some {seconds + 5 + max(1, count // 100)} s")
                before_s, begun = cpu_s(beside), time.monotonic()
                jumpers = rewinders if server is servers[0] else 0
                report = await _beside(swarm, server, count, seconds, plain, jumpers)
                wall_s = time.monotonic() - begun
                report["beside_cpu_cores"] = (cpu_s(beside) - before_s) / wall_s
                reports[server.name].append(report)
        found += rows(count, reports)
    return found


def rows(viewers: int, reports: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """A row a server, from the swarm's reports of its runs: the spread of each of FIGURES, and the
    runs themselves. Where there are two servers, a row of RATIOS: the first's figure to the
    second's, run by run.
    """
    found: list[dict[str, Any]] = []
    for name, runs in reports.items():
        found.append(
            {"server": name, "viewers": viewers}
            | {key: spread(_known(_values(runs, key))) for key in FIGURES}
            | {"runs": runs}
        )
    if len(reports) == 2:
        ours, theirs = reports.values()
        found.append(
            {"server": " / ".join(reports), "viewers": viewers}
            | {key: ratios(_values(ours, key), _values(theirs, key)) for key in RATIOS}
        )
    return found


def _values(runs: Sequence[dict[str, Any]], key: str) -> list[float | None]:
    """A figure of each run, None where the swarm does not tell it."""
    values: list[float | None] = []
    for run in runs:
        found: Any = run
        for name in FIGURES[key]:
            found = found.get(name) if found is not None else None
        values.append(None if found is None else float(found))
    return values


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


async def _beside(
    swarm: Path, server: Server, viewers: int, seconds: int, plain: bool, rewinders: int
) -> dict[str, Any]:
    """A run of the swarm, with viewers beside it who rewind."""
    if not rewinders:
        return await _run(swarm, server, viewers, seconds, plain)
    others = Rewinders(server.url.rpartition("/")[0], rewinders)
    async with others.watching():
        report = await _run(swarm, server, viewers, seconds, plain)
    return {**report, "rewinders": rewinders, "rewind": others.report()}


async def _run(
    swarm: Path, server: Server, viewers: int, seconds: int, plain: bool
) -> dict[str, Any]:
    arguments = [str(swarm), "-url", server.url, "-viewers", str(viewers)]
    arguments += ["-seconds", str(seconds), "-json", "-mode", "hls" if plain else "auto"]
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
    return parse_report(output)


def parse_report(output: bytes) -> dict[str, Any]:
    """The swarm's JSON. Raises ConfigError where it is none."""
    try:
        found = msgspec.json.decode(output, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ConfigError(
            f"the swarm did not print a report: {output[:100]!r}", hint="is --swarm the swarm?"
        ) from error
    return found
