"""CPU time and memory of processes, as Linux counts them."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterable
from pathlib import Path

from kinolog.core.errors import ConfigError

_PROC = Path("/proc")


def cpu_s(pids: Iterable[int]) -> float:
    """User and system seconds of running processes (proc(5), stat fields 14 and 15).

    Raises ConfigError where one does not run.
    """
    ticks = 0
    for pid in pids:
        fields = _read(pid, "stat").rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def rss_bytes(pid: int) -> int:
    """Resident memory of a running process. Raises ConfigError where it does not run."""
    return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def own_cpu_s() -> float:
    """User and system seconds of this process, all its threads."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def children_cpu_s() -> float:
    """User and system seconds of this process's children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text()
    except OSError as error:
        raise ConfigError(
            f"the CPU of process {pid} cannot be read: {error.strerror}",
            hint="processes are read from /proc: name ones that run, on Linux",
        ) from error
