"""Figures: percentiles and spread of what was measured, and ratios run by run."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any


def spread(values: Sequence[float], digits: int = 3) -> dict[str, Any]:
    """Count, least, median, 95th and 99th percentile, most; of nothing, the count alone."""
    if not values:
        return {"n": 0}
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "min": round(ordered[0], digits),
        "p50": round(statistics.median(ordered), digits),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], digits),
        "p99": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))], digits),
        "max": round(ordered[-1], digits),
    }


def ratios(ours: Sequence[float | None], theirs: Sequence[float | None]) -> dict[str, Any]:
    """Spread of ours / theirs, each run with the one it is paired with.

    A pair in which a figure is missing, or theirs is 0, has no ratio and is left out.
    """
    pairs = zip(ours, theirs, strict=True)
    return spread([a / b for a, b in pairs if a is not None and b], 2)


def short(figure: dict[str, Any]) -> str:
    """`median (least to most)`; a dash for nothing."""
    if not figure["n"]:
        return "–"
    return f"{figure['p50']} ({figure['min']} to {figure['max']})"
