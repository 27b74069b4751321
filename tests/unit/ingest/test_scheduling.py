"""An encoder leaves the process's threads as they were."""

from __future__ import annotations

import os
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from kinolog.ingest.encode_video import VideoEncoder, parse_target
from kinolog.ingest.scheduling import scheduled_as_before

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="policies of Linux")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}


def test_av1_encodes_without_real_time_threads() -> None:
    """SVT-AV1 takes real-time priority where it may, as root."""
    before = policies()
    VideoEncoder(
        parse_target("av1"), track=0, width=64, height=64, frame_rate=Fraction(30), timescale=90_000
    )
    assert policies() <= before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take real-time priority")
def test_real_time_taken_in_the_block_is_given_back() -> None:
    before = os.sched_getscheduler(0)
    with scheduled_as_before():
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    assert os.sched_getscheduler(0) == before
