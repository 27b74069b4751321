"""Processes that outlive the one that started them, known again by pid and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

_PROC = Path("/proc")


class ProcessId(msgspec.Struct, frozen=True):
    """A process, safe against reuse of its pid."""

    pid: int
    started: str
    """Opaque; differs for another process with the same pid (boot and start time)."""


def spawn(
    command: Sequence[str], environment: dict[str, str], output: Path, *, stdin: int | None = None
) -> ProcessId:
    """Start `command` in a session of its own, with stdout and stderr in `output`.

    `stdin` is a file descriptor of this process, by default that of nothing.
    """
    reading: tuple[Any, ...] = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    if stdin is not None:
        reading = (os.POSIX_SPAWN_DUP2, stdin, 0)
    writing = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    pid = os.posix_spawn(
        command[0],
        list(command),
        environment,
        file_actions=[
            reading,
            (os.POSIX_SPAWN_OPEN, 1, str(output), writing, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        # Python ignores SIGPIPE, and a background job SIGINT; the JVM starts from the defaults.
        setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM],
        setsigmask=[],
    )
    return ProcessId(pid, _start_mark(pid) or "")


def is_alive(process: ProcessId | None) -> bool:
    """Whether that very process runs (paused ones do, zombies do not)."""
    if process is None:
        return False
    _reap(process.pid)
    return process.started != "" and _start_mark(process.pid) == process.started


def send(process: ProcessId, signal_number: int) -> bool:
    """Signal that very process; False if it is gone."""
    if not is_alive(process):
        return False
    try:
        os.kill(process.pid, signal_number)
    except ProcessLookupError:
        return False
    return True


def wait_gone(process: ProcessId, deadline: float) -> bool:
    """Wait until the process is gone, at most to `deadline` (monotonic seconds)."""
    while is_alive(process):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def rss_bytes(process: ProcessId) -> int:
    """Resident memory of the process, 0 if it is gone."""
    if not is_alive(process):
        return 0
    try:
        pages = int((_PROC / str(process.pid) / "statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        kib = _ps(process.pid, "rss=")
        return int(kib) * 1024 if kib.isdigit() else 0


def _reap(pid: int) -> None:
    """Bury the process if it was our child and has ended."""
    with contextlib.suppress(ChildProcessError):  # somebody else's child
        os.waitpid(pid, os.WNOHANG)


def _start_mark(pid: int) -> str | None:
    """What tells this process from others of the same pid; None if it has ended."""
    if not (_PROC / "self" / "stat").exists():
        state_and_start = _ps(pid, "stat=,lstart=")
        return None if not state_and_start or state_and_start[0] == "Z" else state_and_start[4:]
    try:
        stat = (_PROC / str(pid) / "stat").read_text()
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    # proc(5): the name may hold spaces and brackets; state is field 3, start time field 22.
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}/{fields[19]}"


def _ps(pid: int, columns: str) -> str:
    done = subprocess.run(
        ["ps", "-p", str(pid), "-o", columns], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
