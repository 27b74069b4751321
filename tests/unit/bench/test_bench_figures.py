"""Figures and rows of a benchmark: spread, ratios run by run, CPU for each gigabyte."""

from __future__ import annotations

import os

import pytest

from kinolog.bench import report, streams, writer
from kinolog.bench.figures import ratios, short, spread
from kinolog.bench.usage import children_cpu_s, cpu_s, own_cpu_s, rss_bytes
from kinolog.bench.writer import Written
from kinolog.core.errors import ConfigError

NOBODY = 2**22 + 1  # over the greatest pid that Linux gives


def test_spread() -> None:
    assert spread([3.0, 1.0, 2.0]) == {
        "n": 3, "min": 1.0, "p50": 2.0, "p95": 3.0, "p99": 3.0, "max": 3.0,
    }  # fmt: skip
    assert spread([]) == {"n": 0}
    assert short(spread([0.25, 0.5, 1.0], 2)) == "0.5 (0.25 to 1.0)"
    assert short(spread([])) == "–"


def test_ratios_go_run_by_run() -> None:
    assert ratios([1.0, 9.0, 4.0], [2.0, 3.0, 4.0])["p50"] == 1.0
    assert ratios([1.0, None, 4.0, 5.0], [2.0, 3.0, 0.0, None]) == spread([0.5])


def test_a_run_is_paired_with_a_run() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1.0], [1.0, 2.0])


def test_cpu_of_a_writer() -> None:
    run = Written(mb_s=50.0, cpu_s=1.5, size_bytes=200_000_000)  # took 4 s
    assert run.cpu_s_per_gb == pytest.approx(7.5)
    assert run.cpu_percent == pytest.approx(37.5)


def test_rows_of_the_writer() -> None:
    size = 100_000_000
    ours = [Written(80.0, 0.5, size), Written(60.0, 0.7, size), Written(100.0, 0.6, size)]
    theirs = [Written(40.0, 1.0, size), Written(60.0, 1.0, size), Written(40.0, 1.2, size)]
    row = writer.row(16_384, 3, ours, theirs)
    assert (row["record_bytes"], row["replication_factor"]) == (16_384, 3)
    assert row["kinolog_mb_s"] == spread([80.0, 60.0, 100.0])
    assert row["producer_performance_cpu_s_per_gb"] == spread([10.0, 10.0, 12.0])
    assert row["kinolog_cpu_percent"] == spread([40.0, 42.0, 60.0])
    assert row["ratio"] == spread([2.0, 1.0, 2.5])
    assert row["cpu_ratio"] == spread([0.5, 0.7, 0.5])
    ours_line, theirs_line, ratio_line = report.writer_table([row])
    assert set(ours_line) == set(theirs_line) == set(report.WRITER_COLUMNS)
    assert ours_line["cpu"] == "6.0 (5.0 to 7.0)"
    assert ratio_line["rate"] == "2.0 (1.0 to 2.5)"


def test_rows_of_live_streams() -> None:
    windows = [(0.10, 0.5, 100_000_000), (0.12, 0.7, 102_000_000)]
    row = streams.row(windows, streams=4, megabits_s=1.026, seconds=10)
    assert row["cpu_percent_per_stream"] == spread([2.5, 3.0])
    assert row["brokers_cpu_percent"] == spread([50.0, 70.0])
    assert row["rss_mb"]["max"] == 102.0
    assert row["mbps_per_stream"] == 1.03
    (line,) = report.stream_table([row])
    assert set(line) == set(report.STREAM_COLUMNS)


def test_usage_of_processes_that_run() -> None:
    assert 0 < cpu_s([os.getpid()]) <= own_cpu_s() + 1
    assert cpu_s([]) == 0
    assert rss_bytes(os.getpid()) > 1_000_000
    assert children_cpu_s() >= 0


def test_a_process_that_does_not_run_is_named() -> None:
    with pytest.raises(ConfigError, match=str(NOBODY)):
        cpu_s([os.getpid(), NOBODY])
