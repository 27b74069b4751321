"""What is measured, as tables for people and JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kinolog.bench.figures import short
from kinolog.bench.latency import STAGES

Row = dict[str, Any]

WRITER_COLUMNS = {
    "record": "RECORD BYTES",
    "writer": "WRITER",
    "rate": "MB/s",
    "cpu": "CPU s/GB",
    "share": "CPU % OF A CORE",
}
STREAM_COLUMNS = {
    "streams": "STREAMS",
    "mbps": "Mb/s EACH",
    "cpu": "CPU % OF A CORE, A STREAM",
    "all": "INGEST CPU %",
    "rss": "INGEST RSS MB",
    "brokers": "BROKERS CPU %",
}
STAGE_COLUMNS = {
    "stage": "STAGE (seconds)",
    **{"n": "N", "min": "MIN", "p50": "P50", "p95": "P95", "p99": "P99", "max": "MAX"},
}
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


ARCHIVE_COLUMNS = {
    "what": "TO THE FIRST BYTE",
    "long": "LONG",
    "short": "SHORT",
    "ratio": "RATIO",
}


def archive_table(found: Row) -> list[Row]:
    """What was asked of the long archive and of the short one, and windows of a day of the long."""
    table = [
        {
            "what": key.replace("_", " "),
            "long": short(found["long"][key]),
            "short": short(found["short"][key]),
            "ratio": short(ratio),
        }
        for key, ratio in found["ratio"].items()
    ]
    day = [
        {"what": f"24 h: {k}".replace("_", " "), "long": short(v)} for k, v in found["day"].items()
    ]
    return table + day


def writer_table(rows: Sequence[Row]) -> list[Row]:
    """For each record size: ours, theirs, and the ratio."""
    table = []
    for row in rows:
        for key, name in (
            ("kinolog", "kinolog"),
            ("producer_performance", "ProducerPerformance"),
        ):
            table.append(
                {
                    "record": row["record_bytes"],
                    "writer": name,
                    "rate": short(row[f"{key}_mb_s"]),
                    "cpu": short(row[f"{key}_cpu_s_per_gb"]),
                    "share": short(row[f"{key}_cpu_percent"]),
                }
            )
        table.append(
            {
                "record": row["record_bytes"],
                "writer": "RATIO",
                "rate": short(row["ratio"]),
                "cpu": short(row["cpu_ratio"]),
            }
        )
    return table


def stream_table(rows: Sequence[Row]) -> list[Row]:
    """CPU and memory of live streams."""
    return [
        {
            "streams": row["streams"],
            "mbps": row["mbps_per_stream"],
            "cpu": short(row["cpu_percent_per_stream"]),
            "all": short(row["cpu_percent"]),
            "rss": short(row["rss_mb"]),
            "brokers": short(row["brokers_cpu_percent"]),
        }
        for row in rows
    ]


def stage_table(found: Row) -> list[Row]:
    """A row a stage, and one for the viewer."""
    stages = [{"stage": title, **found["stages"][key]} for key, title in STAGES.items()]
    title = f"live latency at a hold-back of {found['hold_back_s']:g} s"
    return [*stages, {"stage": title, **found["live_latency_s"]}]


def viewer_table(rows: Sequence[Row]) -> list[Row]:
    """A row a server and one of ratios, for each number of viewers."""
    return [
        {key: short(value) if isinstance(value, dict) else value for key, value in row.items()}
        for row in rows
    ]


def rewinding(rows: Sequence[Row]) -> list[str]:
    """A line for each run beside which viewers rewound."""
    return [
        f"{run['rewinders']} who rewind beside {row['viewers']}: a jump takes "
        f"{short(run['rewind']['jumps_s'])} s, {run['rewind']['jumps_s']['n']} jumps, "
        f"{run['rewind']['failed']} failed"
        for row in rows
        for run in row.get("runs", [])
        if run.get("rewinders")
    ]
