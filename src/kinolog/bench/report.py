"""What is measured, as tables for people and JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kinolog.bench.figures import short

Row = dict[str, Any]

VIEWER_COLUMNS = {
    "server": "SERVER",
    "viewers": "VIEWERS",
    "cpu_ms_per_viewer_s": "CPU ms/VIEWER-s",
    "live_latency_p50_s": "LIVE LATENCY p50 s",
    "stalls": "STALLS",
    "stalled_s": "STALLED s",
    "rss_mb": "RSS MB",
    "beside_cpu_cores": "BESIDE, CORES",
}


def viewer_table(rows: Sequence[Row]) -> list[Row]:
    """A row a server and one of ratios, for each number of viewers."""
    return [
        {key: short(value) if isinstance(value, dict) else value for key, value in row.items()}
        for row in rows
    ]
