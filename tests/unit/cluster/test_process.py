"""Processes that outlive their starter, and are never mistaken for others."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from kinolog.cluster import process
from kinolog.cluster.process import ProcessId

_DEADLINE_S = 20


def _deadline() -> float:
    return time.monotonic() + _DEADLINE_S


def test_a_life(tmp_path: Path) -> None:
    found = process.spawn(["/bin/sleep", "60"], {}, tmp_path / "out")
    try:
        assert process.is_alive(found)
        assert process.rss_bytes(found) > 0
        stranger = ProcessId(found.pid, "other boot/0")
        assert not process.is_alive(stranger)
        assert not process.send(stranger, signal.SIGKILL)
        assert not process.wait_gone(found, time.monotonic())
        assert process.send(found, signal.SIGSTOP)
        assert process.is_alive(found), "a paused process is alive"
    finally:
        process.send(found, signal.SIGKILL)
    assert process.wait_gone(found, _deadline()), "also while nobody else waits for our child"
    assert not process.send(found, signal.SIGTERM)
    assert process.rss_bytes(found) == 0
    assert not process.is_alive(None)


def test_output_of_both_streams_and_no_inherited_environment(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = "echo a; echo b >&2; env; cat"
    found = process.spawn(["/bin/sh", "-c", script], {"ONLY": "1"}, out)
    assert process.wait_gone(found, _deadline())
    lines = out.read_text().splitlines()
    assert lines[:2] == ["a", "b"]
    assert "ONLY=1" in lines
    assert not any(line.startswith("HOME=") for line in lines)
