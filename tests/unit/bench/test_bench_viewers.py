"""What is made of the swarm's reports: the spread of each figure, and ratios run by run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kinolog.bench import report
from kinolog.bench.figures import spread
from kinolog.bench.viewers import FIGURES, RATIOS, Server, compare, parse_report, rows
from kinolog.core.errors import ConfigError

REPORT = Path(__file__).with_name("swarm_report.json").read_bytes()


def run(cpu_ms: float, **changes: Any) -> dict[str, Any]:
    """The swarm's own report, with other figures."""
    found = parse_report(REPORT)
    return {**found, "server_cpu_ms_per_viewer_s": cpu_ms, "beside_cpu_cores": 0.5, **changes}


def test_a_report_of_the_swarm_has_every_figure() -> None:
    (row,) = rows(5, {"kinolog": [run(9.9969)]})
    assert {key: row[key]["n"] for key in FIGURES} == dict.fromkeys(FIGURES, 1)
    assert row["cpu_ms_per_viewer_s"]["p50"] == 9.997
    assert row["live_latency_p50_s"]["p50"] == 0.508
    assert row["stalls"]["p50"] == 2
    assert row["stalled_s"]["p50"] == 0.75
    assert row["rss_mb"]["p50"] == 105.7
    assert row["beside_cpu_cores"]["p50"] == 0.5
    assert row["runs"] == [run(9.9969)]


def test_ratios_to_a_peer() -> None:
    ours = [run(1.0, server_rss_MB=100.0), run(1.2, server_rss_MB=120.0), run(1.1)]
    theirs = [run(2.0, server_rss_MB=200.0), run(1.5, server_rss_MB=200.0), run(2.2)]
    found = rows(200, {"kinolog": ours, "peer": theirs})
    assert [row["server"] for row in found] == ["kinolog", "peer", "kinolog / peer"]
    assert found[0]["cpu_ms_per_viewer_s"] == spread([1.0, 1.2, 1.1])
    assert found[2]["cpu_ms_per_viewer_s"] == spread([0.5, 0.8, 0.5])
    assert found[2]["rss_mb"] == spread([0.5, 0.6, 1.0])
    assert "stalls" not in found[2]
    table = report.viewer_table(found)
    assert [line["cpu_ms_per_viewer_s"] for line in table] == [
        "1.1 (1.0 to 1.2)",
        "2.0 (1.5 to 2.2)",
        "0.5 (0.5 to 0.8)",
    ]
    assert set(RATIOS) < set(report.VIEWER_COLUMNS) | {"live_latency_p95_s"}


def test_what_the_swarm_does_not_tell_is_left_out() -> None:
    """Without -pid it tells no CPU and no memory."""
    bare = run(1.0)
    del bare["server_cpu_ms_per_viewer_s"], bare["server_rss_MB"]
    ours, _, ratio = rows(5, {"kinolog": [bare], "peer": [run(2.0)]})
    assert ours["cpu_ms_per_viewer_s"] == ratio["cpu_ms_per_viewer_s"] == {"n": 0}
    assert report.viewer_table([ours])[0]["cpu_ms_per_viewer_s"] == "–"
    assert ratio["live_latency_p50_s"]["p50"] == 1.0


def test_another_program_is_not_the_swarm() -> None:
    with pytest.raises(ConfigError, match="did not print a report"):
        parse_report(b"usage: swarm")


def test_a_swarm_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no swarm"):
        asyncio.run(compare(tmp_path / "swarm", [Server("kinolog", "http://127.0.0.1", ())]))


def test_a_server_that_does_not_run(tmp_path: Path) -> None:
    program = tmp_path / "swarm"
    program.touch()
    servers = [Server("kinolog", "http://127.0.0.1", (2**22 + 1,))]
    with pytest.raises(ConfigError, match=str(2**22 + 1)):
        asyncio.run(compare(program, servers))


def test_a_line_tells_of_those_who_rewound() -> None:
    rewound = {"rewinders": 50, "rewind": {"jumps_s": spread([0.1, 0.2, 0.3]), "failed": 1}}
    found = rows(20, {"kinolog": [run(1.0, **rewound), run(1.0)]})
    assert report.rewinding(found) == [
        "50 who rewind beside 20: a jump takes 0.2 (0.1 to 0.3) s, 3 jumps, 1 failed"
    ]
