"""Scheduling: what an encoder does to the process's threads, undone.

SVT-AV1 (4.1, as root) puts its own threads and the one that opens it under SCHED_FIFO at the
highest priority there is, and every process that is started from there inherits it: brokers,
browsers.
Two such threads that spin hold a machine of two cores still for minutes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

_TASKS = Path("/proc/self/task")
if sys.platform == "linux":
    _REAL_TIME = (os.SCHED_FIFO, os.SCHED_RR)


@contextlib.contextmanager
def scheduled_as_before() -> Iterator[None]:
    """The policy that the calling thread had before the block is every thread's after it, of those
    that are under a real-time policy then. Linux only; elsewhere nothing is done."""
    if sys.platform != "linux":
        yield
        return
    policy, param = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if policy not in _REAL_TIME:
            for task in _TASKS.iterdir():
                # A thread may end meanwhile.
                with contextlib.suppress(ProcessLookupError):
                    if os.sched_getscheduler(int(task.name)) in _REAL_TIME:
                        os.sched_setscheduler(int(task.name), policy, param)
