"""The ack log: what a line says, and when."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from kinolog.core.names import StreamName
from kinolog.ingest.ack_log import AckLine, AckLog, read_ack_log
from kinolog.record.header import VERSION, Header


def test_a_line_says_what_was_acknowledged_and_when(tmp_path: Path) -> None:
    path = tmp_path / "acks.jsonl"
    log = AckLog(path)
    header = Header(VERSION, "chunk", 7, track="video", msn=3, part=2, chunk=4, dts=90, dur=30)
    before_us = time.time_ns() // 1000
    log.add(StreamName("demo", "cam"), header, 41)
    after_us = time.time_ns() // 1000
    log.close()
    (line,) = read_ack_log(path)
    assert before_us <= line.acked_us <= after_us
    assert line == AckLine("demo/cam", 7, "video", 3, 2, 4, 90, 30, 41, line.acked_us)


def test_a_full_disk_ends_the_log_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    log = AckLog(Path("/dev/full"))
    header = Header(VERSION, "chunk", 7, track="video", msn=3, part=2, chunk=4, dts=90, dur=30)
    log.add(StreamName("demo", "cam"), header, 41)
    log.add(StreamName("demo", "cam"), header, 42)
    log.close()
    (told,) = caplog.messages
    assert "/dev/full" in told
    assert "No space left" in told


def test_a_line_torn_by_a_kill_is_left_out_and_an_older_one_has_no_time(tmp_path: Path) -> None:
    path = tmp_path / "acks.jsonl"
    older = (
        b'{"stream":"demo/cam","epoch":7,"track":"video","msn":3,"part":2,"chunk":4,'
        b'"dts":90,"dur":30,"offset":41}\n'
    )
    path.write_bytes(older + older[:50])
    (line,) = read_ack_log(path)
    assert line.acked_us == 0
